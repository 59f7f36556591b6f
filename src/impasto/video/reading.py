"""The frames of a video, one after the other: upright, in RGB, with their times."""

from __future__ import annotations

import heapq
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from av.video.reformatter import ColorRange
from PIL import Image

from impasto.errors import InputError
from impasto.video.footage import BROKEN, decoder_for, moving_pictures, opened, pictures_in, shown_ms, stated_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray
    from torch import Tensor

    from impasto.video.footage import Footage

    #: Colours, and alpha where there is one.
    Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]
    #: When a frame is shown, and what reads its pixels; None from it if it is damaged.
    Timed = tuple[int, Callable[[], Pixels | None]]


@dataclass(frozen=True)
class Frame:
    """One frame."""

    index: int
    """From 0 within what is read."""
    pts: int
    """When it is shown, in units of the time base from the first frame on; always later than the one before."""
    pixels: NDArray[np.uint8]
    """``(h, w, 3)`` RGB."""
    alpha: NDArray[np.uint8] | None
    """``(h, w)``, 0 is transparent."""
    repeated: bool = False
    """Whether it could not be read, and this is the one before."""


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """A frame's pixels ``(h, w, 3)`` as ``(1, 3, h, w)`` float32 in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def as_floats(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A frame's pixels ``(h, w, 3)`` in [0, 1], in the same order."""
    return pixels.astype(np.float32) / np.float32(255)


class FrameReader:
    """Reads a part of a video; inside a ``with`` block, once.

    Args:
        footage: of the video.
        start_s: seconds to leave out.
        end_s: where to end; None: at its end.
        after_pts: only frames behind this one: where a run goes on.
        strict: raise at a damaged frame instead of giving the one before again.

    Raises, while it is read:
        InputError: a frame is damaged, and it is to be strict.
    """

    def __init__(
        self,
        footage: Footage,
        start_s: float = 0.0,
        end_s: float | None = None,
        *,
        after_pts: int | None = None,
        strict: bool = False,
    ) -> None:
        self._footage, self._strict, self._after = footage, strict, after_pts
        self._first = Fraction(start_s).limit_denominator(1_000_000) / footage.time_base
        self._end = None if end_s is None else Fraction(end_s).limit_denominator(1_000_000) / footage.time_base
        self._stack = ExitStack()
        self.damaged = 0
        """Frames so far that could not be read."""
        self.truncated = False
        """Whether the file ended before the frames that it says it has."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[Frame]:
        sources = {"container": self._container, "animation": self._animation, "pictures": self._pictures}
        last: Frame | None = None
        earlier: Callable[[], Pixels | None] = _damaged
        index, before = 0, None
        for pts, read in sources[self._footage.kind]():
            # A file may have no times, or the same twice; two frames are never shown at once.
            at = pts if before is None or pts > before else before + 1
            before = at
            if self._end is not None and at >= self._end:
                return
            if at < self._first or (self._after is not None and at <= self._after):
                earlier = earlier if read is _damaged else read  # read only if the next one is damaged
                continue
            picture = read()
            if picture is None:
                self._check_strict(at)
                self.damaged += 1
                picture = (last.pixels, last.alpha) if last is not None else earlier()
                if picture is None:
                    continue  # nothing stands before it
                last = Frame(index, at, *picture, repeated=True)
            else:
                last = Frame(index, at, *picture)
            yield last
            index += 1

    def _check_strict(self, pts: int) -> None:
        if self._strict:
            raise InputError(
                f"a frame of {self._footage.name} at {float(pts * self._footage.time_base):.3f} s is damaged; "
                "leave strict out to have the one before shown again"
            )

    def _container(self) -> Iterator[Timed]:
        """The frames of a file; one whose packet gave no frame is damaged, if the decoder complained."""
        footage = self._footage
        container = self._stack.enter_context(opened(footage.path))
        stream = moving_pictures(container)
        assert stream is not None  # noqa: S101 — probed
        stream.thread_type = "AUTO"
        step = max(1, round(1 / (footage.rate * footage.time_base)))
        wanted = max(int(self._first), self._after or 0)
        if wanted > 0 and stream.start_time is not None:
            # Files are sought by times of decoding, which are ahead of those of showing by up to 16 frames.
            container.seek(max(0, wanted - 16 * step) + footage.origin, stream=stream, backward=True)
        decoder = decoder_for(stream, alpha=footage.alpha)
        sent: list[int] = []  # times of packets that have not come back as frames
        complained = False
        shown: int | None = None
        for packet in self._packets(container, stream):
            if packet is not None and packet.pts is not None and packet.size and not packet.is_discard:
                heapq.heappush(sent, packet.pts)
            try:
                frames = decoder.decode(packet)
            except BROKEN:
                complained = True
                continue
            for frame in frames:
                shown = frame.pts if frame.pts is not None else footage.origin if shown is None else shown + step
                while sent and sent[0] <= shown:
                    at = heapq.heappop(sent)
                    if complained and at < shown:
                        yield at - footage.origin, _damaged
                complained = False
                yield shown - footage.origin, _damaged if frame.is_corrupt else partial(self._upright, frame)
        # Of the last frames a decoder says nothing. Half a step behind a frame is its second field.
        for at in sorted(sent):
            if complained or shown is None or at > shown + step // 2:
                yield at - footage.origin, _damaged

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream] | None]:
        """All packets, then None or an empty one for the frames that a decoder holds back."""
        end = Fraction(0)
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                yield packet
        except BROKEN:  # the rest of the file is missing
            self.truncated = True
            yield None
        stated = stated_end(stream)
        self.truncated = self.truncated or (stated is not None and end + 2 / self._footage.rate < stated)

    def _upright(self, frame: av.VideoFrame) -> Pixels:
        """Colours by the matrix and range that the file is in, turned as it says; and the alpha."""
        color, has_alpha = self._footage.color, self._footage.alpha
        sides = self._footage.width, self._footage.height
        width, height = reversed(sides) if frame.rotation % 180 else sides
        shown = frame.reformat(
            width=width,  # a stream may change its size in the middle
            height=height,
            format="rgba" if has_alpha else "rgb24",
            src_colorspace=color.matrix,
            src_color_range=ColorRange.JPEG if color.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        ).to_ndarray()
        return _parted(np.rot90(shown, frame.rotation // 90), has_alpha=has_alpha)

    def _animation(self) -> Iterator[Timed]:
        """The frames of an animation; each is decoded in its turn, since it may change but a part of the one before."""
        image = self._stack.enter_context(Image.open(self._footage.path))
        at = 0
        for index in range(self._footage.frames or 1):
            try:
                image.seek(index)
                picture = self._pixels(image)
            except (*BROKEN, EOFError):
                yield at, _damaged
            else:
                yield at, partial(_same, picture)
            at += shown_ms(image)

    def _pictures(self) -> Iterator[Timed]:
        for index, path in enumerate(pictures_in(self._footage.path)):
            yield index, partial(self._picture, path)

    def _picture(self, path: Path) -> Pixels | None:
        """One of a folder.

        Raises:
            InputError: its size is not that of the first.
        """
        try:
            with Image.open(path) as image:
                picture = self._pixels(image)
        except BROKEN:
            return None
        size = picture[0].shape[1], picture[0].shape[0]
        if size != (self._footage.width, self._footage.height):
            raise InputError(
                f"{path.name} is {size[0]}x{size[1]} px, but the first picture of {self._footage.name} is "
                f"{self._footage.width}x{self._footage.height} px; give pictures of one size"
            )
        return picture

    def _pixels(self, image: Image.Image) -> Pixels:
        return _parted(np.array(image.convert("RGBA")), has_alpha=self._footage.alpha)


def _same(picture: Pixels) -> Pixels:
    return picture


def _damaged() -> None:
    """A frame that cannot be read."""


def _parted(values: NDArray[Any], *, has_alpha: bool) -> Pixels:
    """Colours ``(h, w, 3)`` and, if wanted, the alpha ``(h, w)`` of ``(h, w, 3 or 4)``."""
    colors = np.ascontiguousarray(values[..., :3], np.uint8)
    return colors, np.ascontiguousarray(values[..., 3], np.uint8) if has_alpha else None
