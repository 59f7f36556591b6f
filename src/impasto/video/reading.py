"""The frames of a video, one after the other: upright, in RGB, with their times."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import av
import numpy as np
from av.video.reformatter import ColorRange
from PIL import Image

from impasto.errors import InputError
from impasto.video.footage import MILLISECOND, opened, pictures_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from numpy.typing import NDArray

    from impasto.video.footage import Footage

    #: Colours, and alpha where there is one.
    Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]

_BROKEN = (av.error.FFmpegError, OSError, SyntaxError, ValueError)


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
        index, before = 0, None
        for pts, picture in sources[self._footage.kind]():
            # A file may have no times, or the same twice; two frames are never shown at once.
            at = pts if before is None or pts > before else before + 1
            before = at
            if self._end is not None and at >= self._end:
                return
            if picture is None:
                if self._strict:
                    raise InputError(
                        f"a frame of {self._footage.name} at {float(at * self._footage.time_base):.3f} s is damaged; "
                        "leave strict out to have the one before shown again"
                    )
                self.damaged += 1
                if last is None:
                    continue
                frame = replace(last, index=index, pts=at, repeated=True)
            else:
                frame = Frame(index, at, *picture)
            last = frame
            if at >= self._first and (self._after is None or at > self._after):
                yield replace(frame, index=index)
                index += 1

    def _container(self) -> Iterator[tuple[int, Pixels | None]]:
        """Times and pictures, None for one that is damaged."""
        footage = self._footage
        container = self._stack.enter_context(opened(footage.path))
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        wanted = max(int(self._first), self._after or 0)
        if wanted > 0:
            container.seek(wanted + footage.origin, stream=stream, backward=True)
        # FFmpeg's own decoder of VP9 leaves alpha out.
        with_alpha = footage.alpha and stream.codec_context.name == "vp9"
        decoder = av.CodecContext.create("libvpx-vp9", "r") if with_alpha else stream.codec_context
        step = max(1, round(1 / (footage.rate * footage.time_base)))
        shown: int | None = None
        count = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except _BROKEN:  # the rest of the file is missing
                self.truncated = True
                return
            if packet is None:
                break
            try:
                frames = decoder.decode(packet)
            except _BROKEN:
                shown = packet.pts if packet.pts is not None else None if shown is None else shown + step
                if shown is not None:
                    count += 1
                    yield shown - footage.origin, None
                continue
            for frame in frames:
                shown = frame.pts if frame.pts is not None else footage.origin if shown is None else shown + step
                count += 1
                yield shown - footage.origin, None if frame.is_corrupt else self._upright(frame)
        if footage.frames is not None and wanted == 0 and count < footage.frames - 1:
            self.truncated = True

    def _upright(self, frame: av.VideoFrame) -> Pixels:
        """Colours by the matrix and range that the file is in, turned as it says; and the alpha."""
        color, has_alpha = self._footage.color, self._footage.alpha
        shown = frame.reformat(
            format="rgba" if has_alpha else "rgb24",
            src_colorspace=color.matrix,
            src_color_range=ColorRange.JPEG if color.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        ).to_ndarray()
        return _parted(np.rot90(shown, frame.rotation // 90), has_alpha=has_alpha)

    def _animation(self) -> Iterator[tuple[int, Pixels | None]]:
        image = self._stack.enter_context(Image.open(self._footage.path))
        at = 0
        for index in range(self._footage.frames or 1):
            try:
                image.seek(index)
                yield at, self._pixels(image)
            except (*_BROKEN, EOFError):
                yield at, None
            at += round(Fraction(int(image.info.get("duration", 100)) or 100, 1000) / MILLISECOND)

    def _pictures(self) -> Iterator[tuple[int, Pixels | None]]:
        for index, path in zip(itertools.count(), pictures_in(self._footage.path), strict=False):
            try:
                with Image.open(path) as image:
                    picture = self._pixels(image)
            except _BROKEN:
                yield index, None
                continue
            size = picture[0].shape[1], picture[0].shape[0]
            if size != (self._footage.width, self._footage.height):
                raise InputError(
                    f"{path.name} is {size[0]}x{size[1]} px, but the first picture of {self._footage.name} is "
                    f"{self._footage.width}x{self._footage.height} px; give pictures of one size"
                )
            yield index, picture

    def _pixels(self, image: Image.Image) -> Pixels:
        return _parted(np.array(image.convert("RGBA")), has_alpha=self._footage.alpha)


def _parted(values: NDArray[Any], *, has_alpha: bool) -> Pixels:
    """Colours ``(h, w, 3)`` and, if wanted, the alpha ``(h, w)`` of ``(h, w, 3 or 4)``."""
    colors = np.ascontiguousarray(values[..., :3], np.uint8)
    return colors, np.ascontiguousarray(values[..., 3], np.uint8) if has_alpha else None
