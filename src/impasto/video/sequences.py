"""Lossless segments become an animation or a folder of pictures; two frames at most are in memory."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from PIL import GifImagePlugin, Image

from impasto.errors import OutputError
from impasto.images.metadata import xmp_packet
from impasto.images.source import decoding
from impasto.recipe import Recipe
from impasto.video.footage import BROKEN, opened
from impasto.whole import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from impasto.video.writing import Encoding

#: Colours of a frame in a GIF; one more stands for transparency.
_COLORS: Final = 255
#: Alpha below this is transparent where there is nothing between.
_HALF: Final = 128
#: Units a second in which animations count time.
_TICKS: Final = {"gif": 100, "webp": 1000}
#: Most bytes in one piece of a GIF's comment.
_GIF_PART: Final = 255
_WEBP_HAS_XMP: Final = 0x04
#: Beside the pictures of a folder.
_RECIPE_FILE: Final = "recipe.json"
_WEBP: Final = {"quality": "90", "compression_level": "2", "loop": "0"}


def write_sequence(output: Path, segments: Sequence[Path], encoding: Encoding, *, recipe: str | None = None) -> None:
    """Write the frames of lossless segments as GIF, as WebP, or as numbered PNG files in a folder.

    Args:
        output: the file or the folder.
        segments: in their order; one that ends in the middle counts as far as it goes.
        encoding: of the segments.
        recipe: kept as the GIF's comment, as XMP in the WebP, as a file of its own in the folder.

    Raises:
        OutputError: it cannot be written there, or the folder holds other files; nothing was changed.
    """
    if encoding.container == "pictures":
        _write_folder(output, segments, encoding, recipe)
        return
    with replacing(output) as temporary:
        if encoding.container == "gif":
            _write_gif(temporary, segments, encoding, recipe)
        else:
            _write_webp(temporary, segments, encoding)
            packet = None if recipe is None else xmp_packet(recipe, Recipe.from_json(recipe).source_type)
            if packet is not None:
                _add_xmp(temporary, packet)


def read_kept(path: Path) -> str | None:
    """The recipe that :func:`write_sequence` put into a GIF or a folder, or None.

    Raises:
        UnreadableImageError: it is no GIF.
    """
    if path.is_dir():
        kept = path / _RECIPE_FILE
        return kept.read_text() if kept.is_file() else None
    with decoding(path.name), Image.open(path, formats=["GIF"]) as image:
        comment = image.info.get("comment")
    return comment.decode(errors="replace") if isinstance(comment, bytes) else None


def check_folder(output: Path) -> None:
    """Refuse a folder whose files would be lost.

    Raises:
        OutputError: there is a file of this name, or a folder with other files than numbered pictures.
    """
    ours = output.is_dir() and all(
        re.fullmatch(rf"\d{{6,}}\.png|{_RECIPE_FILE}", path.name) for path in output.iterdir()
    )
    if output.exists() and not ours:
        raise OutputError(
            f"cannot write pictures into {str(output)!r}: there are other files; name a folder that is new or empty, "
            "or a file such as out.mp4"
        )


def _write_folder(output: Path, segments: Sequence[Path], encoding: Encoding, recipe: str | None) -> None:
    check_folder(output)
    folder = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        for index, (_, image) in enumerate(_frames(segments, encoding), start=1):
            image.save(folder / f"{index:06}.png")
        if recipe is not None:
            (folder / _RECIPE_FILE).write_text(recipe)
        if output.exists():
            shutil.rmtree(output)
        folder.replace(output)
    except OSError as error:
        raise OutputError(
            f"cannot write {str(output)!r}: {error.strerror or error}; free some space or choose another folder"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_gif(path: Path, segments: Sequence[Path], encoding: Encoding, recipe: str | None) -> None:
    """A GIF with a palette for each frame. Pillow's own writer holds all frames until the last one is there."""
    with path.open("xb") as file:
        sides = encoding.width.to_bytes(2, "little") + encoding.height.to_bytes(2, "little")
        file.write(b"GIF89a" + sides + b"\0\0\0" + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # played for ever
        if recipe is not None:
            text = recipe.encode()
            parts = (text[begin : begin + _GIF_PART] for begin in range(0, len(text), _GIF_PART))
            file.write(b"!\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0")
        for image, ticks in _with_durations(_frames(segments, encoding), encoding, _TICKS["gif"]):
            indexed = image.convert("RGB").quantize(_COLORS)
            params = {"duration": ticks * 10, "disposal": 1, "include_color_table": True}
            if encoding.alpha:
                hidden = image.getchannel("A").point(lambda value: 255 if value < _HALF else 0)
                indexed.paste(_COLORS, mask=hidden)
                params |= {"disposal": 2, "transparency": _COLORS}
            file.writelines(GifImagePlugin.getdata(indexed, (0, 0), **params))
        file.write(b";")


def _write_webp(path: Path, segments: Sequence[Path], encoding: Encoding) -> None:
    """A WebP by libwebp. Pillow's own writer holds all frames until the last one is there."""
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=encoding.rate, options=dict(_WEBP))
        stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, "bgra"
        stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS["webp"])
        first: Fraction | None = None
        for time, image in _frames(segments, encoding):
            first = time if first is None else first
            frame = av.VideoFrame.from_ndarray(np.asarray(image.convert("RGBA")), format="rgba").reformat(format="bgra")
            frame.pts, frame.time_base = round((time - first) * _TICKS["webp"]), Fraction(1, _TICKS["webp"])
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _add_xmp(path: Path, packet: bytes) -> None:
    """Put an XMP packet behind the frames of an animated WebP, and say so in its header.

    An animation has the header VP8X, whose first byte tells what else is in the file (WebP Container Specification).
    """
    with path.open("r+b") as file:
        header = file.read(21)
        assert header[:4] == b"RIFF"  # noqa: S101 — it was just written
        assert header[12:16] == b"VP8X"  # noqa: S101
        end = file.seek(0, 2)
        file.write(b"XMP " + len(packet).to_bytes(4, "little") + packet + b"\0" * (len(packet) % 2))
        size = end + 8 + len(packet) + len(packet) % 2
        file.seek(4)
        file.write((size - 8).to_bytes(4, "little"))
        file.seek(20)
        file.write(bytes([header[20] | _WEBP_HAS_XMP]))


def _frames(segments: Sequence[Path], encoding: Encoding) -> Iterator[tuple[Fraction, Image.Image]]:
    """Times in seconds, and pictures."""
    for path in segments:
        with opened(path) as segment, suppress(*BROKEN):  # a run that was ended left it in the middle
            for frame in segment.decode(video=0):
                image = Image.fromarray(frame.to_ndarray(format="rgba" if encoding.alpha else "rgb24"))
                yield (frame.pts or 0) * (frame.time_base or encoding.time_base), image


def _with_durations(
    frames: Iterator[tuple[Fraction, Image.Image]], encoding: Encoding, ticks_per_s: int
) -> Iterator[tuple[Image.Image, int]]:
    """Pictures, and for how many ticks each is shown: whole ones, whose sum does not drift."""
    before: tuple[int, Image.Image] | None = None
    for time, image in frames:
        mark = round(time * ticks_per_s)
        if before is not None:
            yield before[1], max(1, mark - before[0])
        before = mark, image
    if before is not None:
        yield before[1], max(1, round(ticks_per_s / encoding.rate))
