"""What a video is, before its first frame is read; what cannot be painted is refused here."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

from PIL import Image

from impasto.errors import InputError, MissingExtraError, UnreadableImageError
from impasto.hashes import file_sha256
from impasto.images import EXTENSIONS

try:
    import av
    from av.stream import Disposition
    from av.video.reformatter import ColorRange, Colorspace, ColorTrc
except ImportError:
    raise MissingExtraError(
        "videos need PyAV and OpenCV, which are not installed; run: pip install 'impasto[video]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

#: Longer side of a frame at most, as of a picture.
LARGEST_PX: Final = 16384
#: Files that are read frame by frame by Pillow, which knows what of a frame stays from the one before.
ANIMATIONS: Final = frozenset({".gif", ".webp", ".png", ".apng"})
_OPAQUE: Final = 255
#: A stated rate is that of the file if the measured one is as close.
_TOLERANCE: Final = 0.02
#: What decoders raise at damaged files.
BROKEN: Final = (av.error.FFmpegError, OSError, SyntaxError, ValueError)
#: Times of animations are whole milliseconds.
MILLISECOND: Final = Fraction(1, 1000)
#: Frames above either have the colours of HD where a file does not say which: what players take then.
_SD_PX: Final = (1024, 576)
_HDR: Final = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
#: Matrices as numbered by H.273 that have the coefficients of another one.
_SAME_MATRIX: Final = {6: Colorspace.ITU601, 10: Colorspace.BT2020}
#: Decoders that read transparency, where FFmpeg's own leave it out.
_ALPHA_DECODERS: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True)
class Color:
    """How colours are turned into luma and chroma, so that it can be undone and done again alike."""

    matrix: Colorspace = Colorspace.ITU709
    full_range: bool = False
    primaries: int = 1
    transfer: int = 1
    """Both as numbered by ITU-T H.273; 1: BT.709."""


@dataclass(frozen=True)
class Footage:
    """One video."""

    path: Path
    kind: Literal["container", "animation", "pictures"]
    name: str
    sha256: str
    """Of the file's bytes; of a folder, of its pictures' names and bytes."""
    width: int
    """As shown: rotation is applied; of pixels that are not square, the number of pixels."""
    height: int
    rate: Fraction
    """Frames a second, on average."""
    time_base: Fraction
    """Seconds in a unit of time."""
    frames: int | None
    """Those that are there, damaged ones included; None where that is not known."""
    duration_s: float | None
    """As the file says, or up to its last frame."""
    alpha: bool
    color: Color = Color()
    sample_aspect: Fraction = Fraction(1)
    origin: int = 0
    """Time of the first frame in the file; times of frames are counted from there."""
    audio: int = 0
    """Streams."""
    subtitles: int = 0

    def frames_between(self, start: float, end: float | None) -> int | None:
        """About how many frames lie between two times in seconds; None where the file does not say how long it is."""
        length = float(self.frames / self.rate) if self.frames else self.duration_s
        if length is None:
            return None
        last = length if end is None else min(end, length)
        return max(1, round((last - start) * self.rate))


def probe(path: Path, *, rate: float = 25.0) -> Footage:
    """Look at a video without painting any of it.

    Args:
        path: a video, an animation, or a folder of numbered pictures.
        rate: frames a second of a folder.

    Raises:
        UnreadableImageError: it is missing, no video, holds no picture, or is damaged from the start.
        InputError: its frames are too large, or HDR.
    """
    if path.is_dir():
        return _pictures(path, Fraction(rate).limit_denominator(1001))
    if not path.is_file():
        raise UnreadableImageError(f"cannot read {path.name!r}: there is no such file; check its name")
    if path.suffix.lower() in ANIMATIONS:
        return _animation(path)
    return _container(path)


def is_video(path: Path) -> bool:
    """Whether a file is to be read as a video: everything that is no picture by its name, and folders."""
    return path.is_dir() or path.suffix.lower() not in EXTENSIONS - {".gif"}


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names, numbers by their value."""

    def key(path: Path) -> tuple[str, int, str]:
        digits = "".join(char for char in path.stem if char.isdecimal())
        return path.stem.rstrip("0123456789"), int(digits or 0), path.name

    return sorted((p for p in folder.iterdir() if p.suffix.lower() in EXTENSIONS), key=key)


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A container, open.

    Raises:
        UnreadableImageError: it is none, or damaged from the start.
    """
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableImageError(
            f"cannot read {path.name!r}: it is no video, or its beginning or its index is missing ({reason}); "
            "give a video that plays"
        ) from None
    with container:
        yield container


def read_comment(path: Path) -> str | None:
    """What is kept in a container as its comment, which is the recipe of what impasto painted.

    Raises:
        UnreadableImageError: it is no video, or damaged from the start.
    """
    with opened(path) as container:
        return next((text for name, text in container.metadata.items() if name.lower() == "comment"), None)


def moving_pictures(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures that is no cover of an album; None where there is none."""
    return next((one for one in container.streams.video if not one.disposition & Disposition.attached_pic), None)


def decoder_for(stream: VideoStream, *, alpha: bool) -> av.VideoCodecContext:
    """What decodes the packets of a stream, transparency included."""
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if not alpha or name is None:
        return stream.codec_context
    decoder = av.VideoCodecContext.create(name, "r")
    assert isinstance(decoder, av.VideoCodecContext)  # noqa: S101 — both names are those of decoders of pictures
    return decoder


def shown_ms(image: Image.Image) -> int:
    """For how long the frame of an animation that was read last is shown; where it says 0, players take 100 ms."""
    return round(image.info.get("duration", 0)) or 100


def _is_see_through(image: Image.Image) -> bool:
    """Whether a pixel is not opaque; that a file has room for transparency says nothing."""
    return image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != _OPAQUE


def stated_end(stream: VideoStream) -> Fraction | None:
    """When a stream says that it ends, in seconds of its own times; None where it does not say."""
    base = stream.time_base or Fraction(0)
    if stream.duration:
        return ((stream.start_time or 0) + stream.duration) * base
    said = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))  # Matroska's way
    return int(said[1]) * 3600 + int(said[2]) * 60 + Fraction(said[3]) if said else None


def _counted(path: Path, start: Fraction) -> tuple[int, Fraction, Fraction]:
    """How many frames a stream has, how many a second on average, and when the last one ends in seconds.

    From its packets, of which none is decoded: what files say of this is missing or made up where the rate varies.
    """
    count, last = 0, start
    with opened(path) as container:
        stream = moving_pictures(container)
        assert stream is not None  # noqa: S101 — there was one
        stated = Fraction(stream.average_rate or stream.guessed_rate or 25)
        with suppress(*BROKEN):  # the rest of the file may be missing
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    count += 1
                    if packet.pts is not None and packet.time_base is not None:
                        last = max(last, packet.pts * packet.time_base)
    measured = (count - 1) / (last - start) if last > start else stated
    # Rates as stated are exact, 30000/1001 for example, where they are true.
    rate = stated if abs(stated / measured - 1) < _TOLERANCE else measured.limit_denominator(1001)
    return count, rate, last + 1 / rate


def _says_alpha(stream: VideoStream) -> bool:
    """Whether a stream has transparency beside its pictures, as VP8 and VP9 do."""
    return any(name.lower() == "alpha_mode" and value == "1" for name, value in stream.metadata.items())


def _first_frame(container: InputContainer, stream: VideoStream) -> av.VideoFrame | None:
    """The first frame that can be decoded; those before it are damaged."""
    try:
        for packet in container.demux(stream):
            try:
                frames = stream.decode(packet)
            except (av.error.FFmpegError, OSError):
                continue
            if frames:
                return frames[0]
    except (av.error.FFmpegError, OSError):  # the file ends before it
        pass
    return None


def _container(path: Path) -> Footage:
    with opened(path) as container:
        stream = moving_pictures(container)
        if stream is None:
            raise UnreadableImageError(f"cannot read {path.name!r}: it holds no moving pictures; give a video")
        context = stream.codec_context
        frame = _first_frame(container, stream)
        if frame is None:
            raise UnreadableImageError(f"cannot read {path.name!r}: it has no frame that can be read; give another")
        if frame.color_trc in _HDR or context.color_trc in _HDR:
            kind = _HDR.get(ColorTrc(frame.color_trc)) or _HDR[ColorTrc(context.color_trc)]
            raise InputError(
                f"{path.name} is HDR ({kind}), but styles are painted in SDR; convert it to SDR first (tone mapping)"
            )
        turned = frame.rotation % 180 != 0
        height, width = (frame.width, frame.height) if turned else (frame.height, frame.width)
        _check_size(path, width, height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        start = (frame.pts or 0) * (stream.time_base or Fraction(0))
        frames, rate, end = _counted(path, start)
        return Footage(
            path=path,
            kind="container",
            name=path.name,
            sha256=video_sha256(path),
            width=width,
            height=height,
            rate=rate,
            time_base=Fraction(stream.time_base or Fraction(1, 90000)),
            frames=frames,
            duration_s=float((stated_end(stream) or end) - start),
            alpha=any(part.is_alpha for part in frame.format.components) or _says_alpha(stream),
            color=_color(frame),
            sample_aspect=1 / aspect if turned and aspect else aspect or Fraction(1),
            origin=frame.pts or 0,
            audio=len(container.streams.audio),
            subtitles=len(container.streams.subtitles),
        )


def _color(frame: av.VideoFrame) -> Color:
    """What the first frame says of its colours; where it says nothing, what players take."""
    number = _SAME_MATRIX.get(frame.colorspace, frame.colorspace)
    in_hd = frame.width > _SD_PX[0] or frame.height > _SD_PX[1]
    guess = Colorspace.ITU709 if in_hd else Colorspace.ITU601
    matrix = Colorspace(number) if number in list(Colorspace) else guess
    unspecified = 2
    of_matrix = 1 if matrix is Colorspace.ITU709 else 6
    return Color(
        matrix=matrix,
        full_range=frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"),
        primaries=frame.color_primaries if frame.color_primaries != unspecified else of_matrix,
        transfer=frame.color_trc if frame.color_trc != unspecified else of_matrix,
    )


def _animation(path: Path) -> Footage:
    try:
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1)
            total = 0
            alpha = False
            for index in range(count):
                image.seek(index)
                image.load()  # WebP says how long a frame is shown when it is decoded, not before
                total += shown_ms(image)
                alpha = alpha or _is_see_through(image)
            _check_size(path, image.width, image.height)
            size = image.size
    except (*BROKEN, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"cannot read {path.name!r}: {error}; give an animation that plays") from None
    return Footage(
        path=path,
        kind="animation",
        name=path.name,
        sha256=video_sha256(path),
        width=size[0],
        height=size[1],
        rate=Fraction(count * 1000, total).limit_denominator(1000),
        time_base=MILLISECOND,
        frames=count,
        duration_s=total / 1000,
        alpha=alpha,
    )


def _pictures(folder: Path, rate: Fraction) -> Footage:
    files = pictures_in(folder)
    if not files:
        raise UnreadableImageError(f"cannot read {folder.name!r}: the folder holds no picture; give another")
    alpha = False
    try:
        with Image.open(files[0]) as image:
            size = image.size
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"cannot read {files[0].name!r}: {error}; give pictures that can be read") from None
    _check_size(folder, *size)
    for file in files:  # until one is seen through: the first, as a rule
        with suppress(*BROKEN), Image.open(file) as image:
            alpha = _is_see_through(image)
        if alpha:
            break
    return Footage(
        path=folder,
        kind="pictures",
        name=folder.name,
        sha256=video_sha256(folder),
        width=size[0],
        height=size[1],
        rate=rate,
        time_base=1 / rate,
        frames=len(files),
        duration_s=float(len(files) / rate),
        alpha=alpha,
    )


def _check_size(path: Path, width: int, height: int) -> None:
    if max(width, height) > LARGEST_PX:
        raise InputError(f"{path.name} is {width}x{height} px, but at most {LARGEST_PX} px a side are read; reduce it")


def video_sha256(path: Path) -> str:
    """SHA-256 of a video's bytes in hex; of a folder, of its pictures' names and bytes.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_dir():
        return file_sha256(path)
    whole = hashlib.sha256()
    for picture in pictures_in(path):
        whole.update(f"{picture.name} {file_sha256(picture)}\n".encode())
    return whole.hexdigest()
