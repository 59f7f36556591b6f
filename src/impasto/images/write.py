"""The one way out: a Picture becomes the bytes of a file, and a file appears whole or not at all.

Every output carries an sRGB profile, and the same picture gives the same bytes on every run.
"""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from impasto.errors import OutputError, SettingsError
from impasto.images.color import srgb_profile
from impasto.images.deep import encode_deep, require_pyvips
from impasto.images.metadata import check_metadata, png_texts, xmp_packet
from impasto.images.picture import Picture
from impasto.images.source import file_path
from impasto.whole import write_whole

_FORMATS = {
    ".avif": "AVIF",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}

# What the encoders take; AVIF could be larger, but its decoder would then refuse the file.
_MAX_SIDE_PX = {"AVIF": 32768, "JPEG": 65500, "WEBP": 16383}

# One APP1 segment of a JPEG file: 65535 less its length field and the 29 bytes that mark it as XMP.
_MAX_JPEG_XMP_BYTES = 65533 - 29

_TIFF_XMP_TAG = 700

_DEEP_KINDS = ("PNG", "TIFF")

_ENCODER_ERRORS = (MemoryError, OSError, OverflowError, RuntimeError, SyntaxError, ValueError)


def output_formats() -> tuple[str, ...]:
    """The extensions that can be written, sorted, in lower case and with their dot."""
    return tuple(sorted(_FORMATS))


def check_destination(path: str | os.PathLike[str], *, bit_depth: int = 8) -> None:
    """Refuse a path that `write` could not write to; call it before a long computation.

    Args:
        path: where the picture shall go.
        bit_depth: bits per channel, 8 or 16.

    Raises:
        OutputError: an unknown extension, a folder, a device, a missing or unwritable parent folder, an
            existing file that is protected against writing, or a format without 16 bits per channel.
        MissingExtraError: ``bit_depth`` is 16 and pyvips is not installed.
        SettingsError: ``bit_depth`` is neither 8 nor 16.
    """
    _checked_target(path, bit_depth)


def write(
    picture: Picture,
    path: str | os.PathLike[str],
    *,
    metadata: str | None = None,
    source_type: str | None = None,
    quality: int = 95,
    bit_depth: int = 8,
) -> Path:
    """Write a picture as the format of its extension, with the sRGB profile; whole or not at all.

    It is written next to its destination and then takes its place in one step, so a full disk or an
    interruption leaves an existing file as it was. A symbolic link stays, and the file it points to is
    replaced.

    Args:
        picture: what to write.
        path: ends in one of `output_formats`; an existing file is replaced and keeps its permissions.
        metadata: a string, the recipe as JSON, to be read back by `read_metadata`.
        source_type: an address of IPTC's vocabulary, to be read back by `read_source_type`.
        quality: of JPEG, WebP and AVIF, 1 to 100.
        bit_depth: bits per channel, 8 or, for PNG and TIFF, 16.

    Returns:
        The path as given.

    Raises:
        OutputError: see `check_destination` and `encode`; or the disk is full, or the write failed otherwise.
        MissingExtraError: ``bit_depth`` is 16 and pyvips is not installed.
        SettingsError: ``quality`` or ``bit_depth`` is out of bounds.
    """
    target = _checked_target(path, bit_depth)
    data = encode(
        picture,
        file_path(path).suffix,
        metadata=metadata,
        source_type=source_type,
        quality=quality,
        bit_depth=bit_depth,
    )
    write_whole(target, data)
    return file_path(path)


def encode(
    picture: Picture,
    format: str,  # noqa: A002
    *,
    metadata: str | None = None,
    source_type: str | None = None,
    quality: int = 95,
    bit_depth: int = 8,
) -> bytes:
    """The bytes of a picture file; the same arguments give the same bytes.

    Values are rounded to ``bit_depth`` bits. Alpha is kept by PNG and TIFF, and by WebP and AVIF unless it is
    opaque all over; JPEG has none, so the picture is laid on white. JPEG and AVIF keep the full colour
    resolution (4:4:4); lossy WebP halves it, the format knows no other.

    Args:
        picture: what to encode; values outside [0, 1] are clamped.
        format: one of `output_formats`, in any case, with or without the dot.
        metadata: a string, the recipe as JSON, to be read back by `read_metadata`. JPEG holds about 65,000
            bytes.
        source_type: an address of IPTC's vocabulary, to be read back by `read_source_type`.
        quality: of JPEG, WebP and AVIF, 1 to 100; PNG and TIFF are lossless.
        bit_depth: bits per channel, 8 or, for PNG and TIFF, 16.

    Returns:
        The whole file.

    Raises:
        OutputError: an unknown format, a side longer or more bits than the format allows, pixels that are not
            finite, or metadata that the format cannot hold.
        MissingExtraError: ``bit_depth`` is 16 and pyvips is not installed.
        SettingsError: ``quality`` or ``bit_depth`` is out of bounds.
    """
    kind = _format_of(f".{format.lower().removeprefix('.')}", repr(format))
    if not 1 <= quality <= 100:
        raise SettingsError(f"quality is {quality}, but 1 to 100 is allowed; 95 hardly shows")
    longest = max(picture.height, picture.width)
    if longest > _MAX_SIDE_PX.get(kind, longest):
        raise OutputError(
            f"{kind} holds at most {_MAX_SIDE_PX[kind]} px on a side, but the picture is "
            f"{picture.width}x{picture.height} px; write a PNG or TIFF, or make it smaller"
        )
    _check_bit_depth(kind, bit_depth)
    for text in (metadata, source_type):
        if text is not None:
            check_metadata(text)
    if bit_depth == 16:
        return encode_deep(_quantize(picture, keep_alpha=True, bit_depth=16), kind, metadata, source_type)
    options: dict[str, object] = {"icc_profile": srgb_profile()}
    match kind:
        case "JPEG":
            options |= {"quality": quality, "subsampling": "4:4:4"}
        case "WEBP":
            # exact: the colour of transparent pixels stays, as in the other formats
            options |= {"quality": quality, "method": 4, "exact": True}
        case "AVIF":
            # Left to itself the encoder counts the cores, and the bytes would depend on the machine.
            options |= {"quality": quality, "subsampling": "4:4:4", "autotiling": False, "max_threads": 8}
        case "TIFF":
            options |= {"compression": "tiff_adobe_deflate"}
    options |= _metadata_options(metadata, source_type, kind)

    buffer = BytesIO()
    try:
        Image.fromarray(_quantize(picture, keep_alpha=kind != "JPEG", bit_depth=8)).save(buffer, format=kind, **options)
    except _ENCODER_ERRORS as error:
        raise OutputError(
            f"cannot encode {picture.width}x{picture.height} px as {kind} ({error}); write a PNG or make it smaller"
        ) from error
    return buffer.getvalue()


def _metadata_options(metadata: str | None, source_type: str | None, kind: str) -> dict[str, object]:
    """The encoder's options that carry the metadata."""
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for keyword, text in png_texts(metadata, source_type).items():
            chunks.add_itxt(keyword, text)
        return {"pnginfo": chunks}
    packet = xmp_packet(metadata, source_type)
    if packet is None:
        return {}
    if kind == "JPEG" and len(packet) > _MAX_JPEG_XMP_BYTES:
        raise OutputError(
            f"the metadata need {len(packet)} bytes, but JPEG holds at most {_MAX_JPEG_XMP_BYTES}; write a PNG"
        )
    return {"tiffinfo": {_TIFF_XMP_TAG: packet}} if kind == "TIFF" else {"xmp": packet}


def _quantize(picture: Picture, *, keep_alpha: bool, bit_depth: int) -> NDArray[np.generic]:
    """RGB or RGBA ``(h, w, 3 | 4)`` in uint8 or uint16; without ``keep_alpha`` the picture is laid on white."""
    pixels = picture.pixels.detach().cpu().float()
    if not bool(torch.isfinite(pixels).all()):
        raise OutputError("the picture has NaN or infinite pixels, but [0, 1] is allowed; compute it again")
    if picture.alpha is not None:
        alpha = picture.alpha.detach().cpu().float()
        pixels = torch.cat([pixels, alpha]) if keep_alpha else pixels * alpha + (1.0 - alpha)
    levels = pixels.clamp(0.0, 1.0).mul_(2**bit_depth - 1).round_().to(torch.uint8 if bit_depth == 8 else torch.uint16)
    values: NDArray[np.generic] = levels.permute(1, 2, 0).contiguous().numpy()
    return values


def _format_of(extension: str, shown: str) -> str:
    """Pillow's name of the format of an extension."""
    if extension not in _FORMATS:
        raise OutputError(
            f"cannot write {shown}: {extension!r} is no output format; use one of {', '.join(output_formats())}"
        )
    return _FORMATS[extension]


def _check_bit_depth(kind: str, bit_depth: int) -> None:
    """Refuse bits per channel that the format or this installation cannot write."""
    if bit_depth not in (8, 16):
        raise SettingsError(f"bit_depth is {bit_depth}, but 8 or 16 is allowed; 8 is enough to look at")
    if bit_depth == 16:
        if kind not in _DEEP_KINDS:
            raise OutputError(
                f"{kind} cannot be written with 16 bits per channel, but .png, .tif and .tiff can; "
                "choose one of them or bit_depth 8"
            )
        require_pyvips()


def _checked_target(path: str | os.PathLike[str], bit_depth: int) -> Path:
    """The file that will be replaced: the path with its symbolic links followed, found to be writable."""
    shown = repr(str(file_path(path)))
    _check_bit_depth(_format_of(file_path(path).suffix.lower(), shown), bit_depth)
    try:
        target = Path(os.path.realpath(file_path(path)))
        folder = target.parent
        if target.is_dir():
            raise OutputError(f"cannot write {shown}: it is a folder; give the path of a file")
        if not folder.is_dir():
            raise OutputError(f"cannot write {shown}: there is no folder {str(folder)!r}; create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(
                f"cannot write {shown}: there is no permission to write in {str(folder)!r}; choose another folder"
            )
        if target.exists() and not (target.is_file() and os.access(target, os.W_OK)):
            raise OutputError(
                f"cannot write {shown}: what is there is protected against writing or not a regular file; "
                "choose another name"
            )
    except (OSError, ValueError) as error:  # a name too long, a null byte
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {shown}: {reason}; choose another name") from error
    return target
