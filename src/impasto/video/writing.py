"""Frames become segments: files that play by themselves, and whose packets can be joined without coding them again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, cast

import av
import numpy as np
from av.video.reformatter import ColorRange

from impasto.errors import OutputError, SettingsError
from impasto.video.footage import Color
from impasto.video.sequences import check_folder

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path
    from types import TracebackType

    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from impasto.video.footage import Footage


@dataclass(frozen=True)
class _Codec:
    """How a codec is asked for."""

    encoder: str
    pixels: str
    """Format of its pictures."""
    with_alpha: str | None
    """That of pictures with transparency; None: it has none."""
    options: tuple[tuple[str, str], ...] = ()
    crf: bool = True
    """Whether it has a quality to choose."""


# No frame refers to a later one: segments can then be joined at any frame, and times of decoding are those of showing.
# PyAV's wheel brings libx264 and libx265, which are under the GPL.
_CODECS: Final = {
    "h264": _Codec("libx264", "yuv420p", None, (("preset", "veryfast"), ("bf", "0"))),
    "hevc": _Codec("libx265", "yuv420p", None, (("preset", "fast"), ("x265-params", "bframes=0:log-level=none"))),
    "vp9": _Codec(
        "libvpx-vp9",
        "yuv420p",
        "yuva420p",
        (("b:v", "0"), ("deadline", "realtime"), ("cpu-used", "6"), ("row-mt", "1"), ("auto-alt-ref", "0")),
    ),
    "av1": _Codec("libsvtav1", "yuv420p", None, (("preset", "10"), ("svtav1-params", "pred-struct=1"))),
    "prores": _Codec("prores_ks", "yuv422p10le", "yuva444p10le", crf=False),
    "ffv1": _Codec("ffv1", "bgr0", "bgra", crf=False),
}
#: What a kind of file may hold, the usual one first, and the one for transparency.
_FILES: Final[dict[str, tuple[str, tuple[str, ...], str | None]]] = {
    ".mp4": ("mp4", ("h264", "hevc", "av1", "vp9"), None),
    ".m4v": ("mp4", ("h264", "hevc"), None),
    ".mov": ("mov", ("h264", "hevc", "prores"), "prores"),
    ".mkv": ("matroska", ("h264", "hevc", "vp9", "av1", "ffv1"), "vp9"),
    ".webm": ("webm", ("vp9", "av1"), "vp9"),
    ".gif": ("gif", ("ffv1",), "ffv1"),
    ".webp": ("webp", ("ffv1",), "ffv1"),
    "": ("pictures", ("ffv1",), "ffv1"),
}
_EVEN: Final = frozenset({"yuv420p", "yuva420p", "yuv422p10le"})


@dataclass(frozen=True)
class Encoding:
    """How the frames of one output are coded."""

    container: str
    """``mp4``, ``mov``, ``matroska``, ``webm``; or ``gif``, ``webp``, ``pictures``, made from lossless segments."""
    codec: str
    pixels: str
    options: tuple[tuple[str, str], ...]
    width: int
    """Of what is written: codecs that halve chroma take even sides, and lose the last column or row of odd ones."""
    height: int
    alpha: bool
    color: Color
    rate: Fraction
    time_base: Fraction
    sample_aspect: Fraction

    @property
    def segment_suffix(self) -> str:
        """Of segments: NUT keeps any time exactly, but holds neither ProRes nor VP9's transparency."""
        if self.codec == "prores":
            return ".mov"
        return ".mkv" if self.container in ("matroska", "webm") else ".nut"


def choose_encoding(
    output: Path, footage: Footage, width: int, height: int, *, codec: str = "auto", crf: int = 18
) -> Encoding:
    """How an output is coded; transparency of the footage is kept.

    Args:
        output: its extension says what it becomes; without one it is a folder of pictures.
        footage: what was read: times, colours and transparency are its.
        width: of the painted frames, pixels.
        height: of the painted frames.
        codec: ``auto``, ``h264``, ``hevc``, ``vp9``, ``av1``, ``prores`` or ``ffv1``.
        crf: the codec's quality, lower is better.

    Raises:
        OutputError: there are no such files, they hold no transparency, or a folder has other files.
        SettingsError: such files do not hold that codec, or it holds no transparency.
    """
    suffix = output.suffix.lower()
    if suffix not in _FILES:
        known = ", ".join(name for name in _FILES if name)
        raise OutputError(f"cannot write {suffix} files; use one of {known}, or a name without extension for pictures")
    container, allowed, for_alpha = _FILES[suffix]
    chosen = codec
    if codec == "auto":
        if footage.alpha and for_alpha is None:
            raise OutputError(f"{suffix} files hold no transparency, which {footage.name} has; use .mov, .webm or .mkv")
        chosen = for_alpha if footage.alpha and for_alpha else allowed[0]
    elif codec not in allowed:
        raise SettingsError(f"codec={codec} cannot be in a {suffix or 'folder'} file; use {', '.join(allowed)} or auto")
    about = _CODECS[chosen]
    if footage.alpha and about.with_alpha is None:
        raise SettingsError(f"codec={chosen} holds no transparency, which {footage.name} has; use codec=auto")
    pixels = about.with_alpha if footage.alpha and about.with_alpha else about.pixels
    options = (*about.options, *((("crf", str(crf)),) if about.crf else ()))
    if chosen == "prores":
        options = (("profile", "4" if footage.alpha else "3"),)
    if container == "pictures":
        check_folder(output)
    even = 2 if pixels in _EVEN else 1
    if min(width, height) < even:
        raise OutputError(f"{chosen} needs 2 px on each side, the frames are {width}x{height} px; use another codec")
    return Encoding(
        container=container,
        codec=chosen,
        pixels=pixels,
        options=options,
        width=width // even * even,
        height=height // even * even,
        alpha=footage.alpha,
        color=footage.color if footage.kind == "container" else Color(),
        rate=footage.rate,
        time_base=footage.time_base,
        sample_aspect=footage.sample_aspect,
    )


class SegmentWriter:
    """Writes one segment; inside a ``with`` block.

    Args:
        path: of the file; one that is there is replaced.
        encoding: the same for all segments of an output.
    """

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._path, self._encoding = path, encoding

    def __enter__(self) -> Self:
        encoding = self._encoding
        kind = {".mkv": "matroska", ".mov": "mov"}.get(self._path.suffix, "nut")
        # In fragments, QuickTime's index comes with the frames: what was written before an end can be read.
        fragments = {"movflags": "frag_keyframe+delay_moov"} if kind == "mov" else {}
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells its whole configuration otherwise
        try:
            self._container = av.open(str(self._path), "w", format=kind, container_options=fragments)
            encoder, options = _CODECS[encoding.codec].encoder, dict(encoding.options)
            stream = cast("VideoStream", self._container.add_stream(encoder, rate=encoding.rate, options=options))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._refused(error) from None
        stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, encoding.pixels
        stream.time_base = stream.codec_context.time_base = encoding.time_base
        context = stream.codec_context
        if encoding.sample_aspect != 1:
            context.sample_aspect_ratio = encoding.sample_aspect
        if encoding.codec != "ffv1":
            context.colorspace = encoding.color.matrix
            context.color_primaries, context.color_trc = encoding.color.primaries, encoding.color.transfer
            context.color_range = self._range
        if encoding.codec == "vp9" and encoding.alpha:
            stream.metadata["alpha_mode"] = "1"
        self._stream = stream
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            try:
                self._mux(None)
            finally:
                self._container.close()
        except (av.error.FFmpegError, OSError) as failed:
            if error is None:
                raise self._refused(failed) from None

    def write(self, pts: int, pixels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None = None) -> None:
        """Add a frame.

        Args:
            pts: its time in units of the time base, later than the one before.
            pixels: ``(h, w, 3)`` RGB.
            alpha: ``(h, w)``, 0 is transparent; where the encoding has transparency.

        Raises:
            OutputError: it cannot be written.
        """
        encoding = self._encoding
        cropped = pixels[: encoding.height, : encoding.width]
        if encoding.alpha and alpha is not None:
            cropped = np.dstack([cropped, alpha[: encoding.height, : encoding.width]])
        frame = av.VideoFrame.from_ndarray(cropped, format="rgba" if cropped.shape[2] == 4 else "rgb24")
        frame = frame.reformat(
            format=encoding.pixels,
            dst_colorspace=encoding.color.matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
        )
        frame.pts, frame.time_base = pts, encoding.time_base
        try:
            self._mux(frame)
        except (av.error.FFmpegError, OSError) as error:
            raise self._refused(error) from None

    @property
    def _range(self) -> ColorRange:
        full = self._encoding.codec == "ffv1" or self._encoding.color.full_range
        return ColorRange.JPEG if full else ColorRange.MPEG

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _refused(self, error: BaseException) -> OutputError:
        reason = getattr(error, "strerror", None) or error
        return OutputError(f"cannot write {str(self._path)!r}: {reason}; free some space, or name another workdir")


def lossless(encoding: Encoding) -> bool:
    """Whether the output is made from pictures, not from packets."""
    return encoding.container in ("gif", "webp", "pictures")
