"""A camera or a stream, painted as it comes in: always the newest frame, and what came in between is left out."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from impasto.errors import UnreadableImageError
from impasto.images import Picture
from impasto.video.cuts import is_cut
from impasto.video.flow import Follower
from impasto.video.following import Followed, Past, steadied
from impasto.video.reading import Frame, as_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from numpy.typing import NDArray

    from impasto.engines.frames import FramePainter
    from impasto.progress import CancelToken

#: How cameras are opened, by operating system.
_CAMERAS: Final = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
_WAIT_S: Final = 10.0
#: Frames over which the rate is counted.
_COUNTED: Final = 30


@dataclass(frozen=True)
class LiveFrame:
    """One painted frame."""

    pixels: NDArray[np.uint8]
    """``(h, w, 3)`` RGB."""
    latency_s: float
    """From when it came in to when it was painted."""
    fps: float
    left_out: int
    """Frames that came in since the one before and were not painted."""


class LiveStream:
    """The newest frame of a source; inside a ``with`` block, which a thread reads in.

    Args:
        source: the number of a camera, or whatever FFmpeg opens: a file (played at its speed) or an address.

    Raises:
        UnreadableImageError: it cannot be opened.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        kind, name = _CAMERAS.get(sys.platform, _CAMERAS["linux"]) if source.isdecimal() else (None, "{}")
        try:
            self._container = av.open(name.format(source), format=kind, timeout=_WAIT_S)
            self._stream = self._container.streams.video[0]
        except (av.error.FFmpegError, OSError, IndexError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnreadableImageError(
                f"cannot read {source!r}: {reason}; give the number of a camera, such as 0, or the address of a stream"
            ) from None
        self._paced = not source.isdecimal() and "://" not in source
        self._newest: tuple[int, float, NDArray[np.uint8]] | None = None
        self._count = 0
        self._over = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._read, name="impasto-stream", daemon=True)

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._worker.join(_WAIT_S)
        self._container.close()

    def next(self, after: int) -> tuple[int, float, NDArray[np.uint8]] | None:
        """Number, time of arrival and pixels of the newest frame behind number ``after``; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or (self._newest is not None and self._newest[0] > after))
            if self._newest is None or self._newest[0] <= after:
                return None
            return self._newest

    def _read(self) -> None:
        began = time.monotonic()
        try:
            for frame in self._container.decode(self._stream):
                if self._paced and frame.time is not None:
                    time.sleep(max(0.0, began + frame.time - time.monotonic()))
                shown = frame.reformat(format="rgb24", dst_color_range=ColorRange.JPEG).to_ndarray()
                pixels = np.ascontiguousarray(np.rot90(shown, frame.rotation // 90), np.uint8)
                with self._changed:
                    if self._over:
                        return
                    self._count += 1
                    self._newest = self._count, time.monotonic(), pixels
                    self._changed.notify_all()
        except (av.error.FFmpegError, OSError, ValueError):
            pass  # the source has gone: what was painted stays on the page
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()


def paint_live(
    stream: LiveStream, make_painter: Callable[[Picture], FramePainter], smooth: float, cancel: CancelToken
) -> Iterator[LiveFrame]:
    """Paint the newest frame, again and again, until the stream or the run ends.

    Args:
        stream: inside its ``with`` block.
        make_painter: for a source whose first frame this is.
        smooth: as in :class:`impasto.settings.VideoSettings`.
        cancel: looked at between two frames.
    """
    past, follower = Past((1,) if smooth else ()), Follower()
    painter: FramePainter | None = None
    number, shown = 0, [time.monotonic()]
    while not cancel.stopped and (newest := stream.next(number)) is not None:
        before, (number, arrived, pixels) = number, newest
        tensor = as_tensor(pixels)
        if painter is None:
            painter = make_painter(Picture(tensor[0], name="live"))
        motions = {}
        if past.inputs:
            motion = follower.motion(past.inputs[-1], pixels)
            motions = {} if is_cut(past.inputs[-1], pixels, motion) else {1: motion}
        followed = Followed(Frame(number, number, pixels, None), motions)
        held = past.held(followed)
        output = steadied(painter.paint(tensor, held=held), held, smooth)
        past.keep(followed, output)
        now = time.monotonic()
        shown = [*shown[-_COUNTED:], now]
        yield LiveFrame(
            pixels=output[0].permute(1, 2, 0).mul(255).round_().byte().contiguous().numpy(),
            latency_s=now - arrived,
            fps=(len(shown) - 1) / max(1e-6, shown[-1] - shown[0]),
            left_out=number - before - 1,
        )


def as_jpeg(pixels: NDArray[np.uint8], quality: int = 90) -> bytes:
    """A frame for a page."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)
