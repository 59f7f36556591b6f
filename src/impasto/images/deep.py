"""Pictures with 16 bits per channel in colour, which Pillow reduces to 8; libvips reads and writes all of them.

libvips comes with the optional package pyvips, imported when such a picture is there and not before. It only
ever sees PNG and TIFF files whose header Pillow has read and read.py has checked.
"""

from dataclasses import replace
from types import ModuleType
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, ImageFile

from impasto.errors import MissingExtraError, OutputError
from impasto.images.color import embedded_profile, srgb_profile, transform_to_srgb, wants_rgb
from impasto.images.icc import Converter, matrix_converter
from impasto.images.metadata import png_texts, xmp_packet
from impasto.images.modes import Decoded, decode, upright

INSTALL = "pip install 'impasto[vips]'"

# Rows of a picture that are converted at a time: the float64 and index arrays stay small beside the picture.
_STRIP_ROWS = 64

_SIGNATURE_AND_IHDR_BYTES = 8 + 25

# What both formats write where a picture has no resolution of its own, in pixels per millimetre: 72 per inch.
# libvips would say 25 per inch, and a print program would believe it.
_RESOLUTION = 72 / 25.4


def pyvips_module() -> ModuleType | None:
    """The module pyvips, or None where it or the library that it needs is not installed."""
    try:
        import pyvips
    except (ImportError, OSError):  # OSError: pyvips is there, libvips is not
        return None
    module: ModuleType = pyvips
    return module


def require_pyvips() -> ModuleType:
    """The module pyvips.

    Raises:
        MissingExtraError: it is not installed.
    """
    module = pyvips_module()
    if module is None:
        raise MissingExtraError(f"16 bits per channel need an extra package: {INSTALL}")
    return module


def decode_deep(image: ImageFile.ImageFile, data: bytes, name: str) -> Decoded:
    """Decode a file with 16 bits per channel, all of them if pyvips is installed. Call inside `source.decoding`.

    Grey without a profile, and CMYK, go the way of modes.py: Pillow keeps all bits of the first, and of the
    second 8.

    Args:
        image: the header of a PNG or TIFF file for which `source.header_bit_depth` is 16; it is not loaded.
        data: the file.
        name: what error messages call it.

    Returns:
        Upright sRGB pixels.

    Raises:
        OSError: the pixels are damaged or incomplete.
    """
    profile = embedded_profile(image)
    if not (image.mode in ("RGB", "RGBA") or (image.mode.startswith("I;16") and profile is not None)):
        return decode(image, name)
    vips = pyvips_module()
    if vips is None:
        note = f"its 16 bits per channel were reduced to 8; to keep all of them: {INSTALL}"
        reduced = decode(image, name)
        return replace(reduced, notes=(*reduced.notes, note))

    notes: list[str] = []
    values = _load(vips, image, data)
    colors = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
    alpha = None
    if values.shape[2] in (2, 4) and image.has_transparency_data:  # a fourth channel of a TIFF may mean nothing
        alpha = _planes(values[..., -1:], _unit)
    if image.format == "PNG" and "exif" not in image.info and (late := _png_chunk(data, b"eXIf")):
        image.info["exif"] = b"Exif\0\0" + late  # behind the pixels, where Pillow has not looked yet
    pixels = _to_srgb(vips, colors, profile, notes).expand(3, -1, -1)
    return upright(Decoded(pixels, alpha, tuple(notes), bit_depth=16), image)


def encode_deep(values: NDArray[np.generic], kind: str, metadata: str | None, source_type: str | None) -> bytes:
    """A PNG or TIFF file with 16 bits per channel; the same arguments give the same bytes.

    Args:
        values: RGB or RGBA ``(h, w, 3 | 4)``, sRGB, uint16.
        kind: "PNG" or "TIFF".
        metadata: a checked string to be read back by `read_metadata`, or None.
        source_type: the same for `read_source_type`.

    Returns:
        The whole file, with the sRGB profile.

    Raises:
        MissingExtraError: pyvips is not installed.
        OutputError: libvips refused, such as for want of memory.
    """
    vips = require_pyvips()
    height, width, channels = values.shape
    try:
        image = vips.Image.new_from_memory(values, width, height, channels, "ushort")
        image = image.copy(interpretation="rgb16", xres=_RESOLUTION, yres=_RESOLUTION)
        image.set_type(vips.GValue.blob_type, "icc-profile-data", srgb_profile())
        if kind == "PNG":
            file: bytes = image.pngsave_buffer(bitdepth=16, filter="paeth", keep="icc")
            file = _with_texts(file, png_texts(metadata, source_type))
        else:
            if (packet := xmp_packet(metadata, source_type)) is not None:
                image.set_type(vips.GValue.blob_type, "xmp-data", packet)
            file = image.tiffsave_buffer(compression="deflate", predictor="horizontal", keep="icc|xmp")
    except vips.Error as error:
        raise OutputError(
            f"cannot encode {width}x{height} px as {kind} with 16 bits per channel ({_reason(error)}); "
            "write 8 bits or make it smaller"
        ) from error
    return file


def _load(vips: ModuleType, image: ImageFile.ImageFile, data: bytes) -> NDArray[np.uint16]:
    """The file's pixels as they are stored, ``(h, w, 1 to 4)``."""
    # revalidate: libvips remembers what it has read by where the bytes lay in memory
    options: dict[str, object] = {"fail_on": "error", "access": "sequential", "revalidate": True}
    try:
        if image.format == "PNG":
            loaded = vips.Image.pngload_buffer(data, **options)
        else:
            # libvips takes 50 MB of a TIFF at once unless told otherwise. A strip is as large as the picture at
            # most, whose size has been checked; a tile may claim anything.
            tiled = ExifTags.Base.TileWidth in getattr(image, "tag_v2", {})
            loaded = vips.Image.tiffload_buffer(data, unlimited=not tiled, **options)
        if sorted((loaded.width, loaded.height)) != sorted(image.size) or loaded.format != "ushort":
            raise OSError("two readers disagree on its size or kind")
        values: NDArray[np.uint16] = loaded.numpy()
    except vips.Error as error:
        raise OSError(_reason(error)) from error
    return values if values.ndim == 3 else values[..., None]


def _to_srgb(vips: ModuleType, colors: NDArray[np.uint16], profile: bytes | None, notes: list[str]) -> torch.Tensor:
    """The colours ``(h, w, 1 | 3)`` as sRGB ``(1 | 3, h, w)``; a profile that cannot be used leaves a note."""
    if profile is None or profile == srgb_profile():
        return _planes(colors, _unit)
    if colors.shape[2] == 1 and wants_rgb(profile):
        colors = np.repeat(colors, 3, axis=2)
    # Asked of Little CMS itself: libvips would take its own sRGB for a broken profile and say nothing.
    unusable = transform_to_srgb(profile, "RGB" if colors.shape[2] == 3 else "L")
    if isinstance(unusable, str):
        notes.append(unusable)
    elif exact := matrix_converter(profile):
        return _planes(colors, exact)
    else:
        try:
            colors = _by_tables(vips, colors, profile)
        except vips.Error as error:
            notes.append(f"its colour profile cannot be used and was ignored ({_reason(error)})")
    return _planes(colors, _unit)


def _by_tables(vips: ModuleType, colors: NDArray[np.uint16], profile: bytes) -> NDArray[np.uint16]:
    """The colours in sRGB by a profile built on tables."""
    height, width, channels = colors.shape
    # In two steps, with Lab between: in one (icc_transform) the error is up to nine times as large.
    options = {"intent": "relative", "black_point_compensation": True}
    image = vips.Image.new_from_memory(np.ascontiguousarray(colors), width, height, channels, "ushort")
    image = image.copy(interpretation="rgb16" if channels == 3 else "grey16")
    image.set_type(vips.GValue.blob_type, "icc-profile-data", profile)
    lab = image.icc_import(embedded=True, **options)
    values: NDArray[np.uint16] = lab.icc_export(output_profile="srgb", depth=16, **options).numpy()
    return values


def _unit(values: NDArray[np.uint16]) -> NDArray[np.float32]:
    """16-bit values in [0, 1]."""
    return values.astype(np.float32) / np.float32(65535.0)


def _planes(values: NDArray[np.uint16], convert: Converter) -> torch.Tensor:
    """``(h, w, c)`` through a function on pixels, as a tensor ``(c', h, w)``."""
    first = convert(values[:1])
    planes = np.empty((first.shape[2], *values.shape[:2]), dtype=np.float32)
    for start in range(0, len(values), _STRIP_ROWS):
        strip = slice(start, start + _STRIP_ROWS)
        planes[:, strip] = np.moveaxis(convert(values[strip]), 2, 0)
    return torch.from_numpy(planes)


def _png_chunk(data: bytes, kind: bytes) -> bytes | None:
    """The content of a PNG file's first chunk of a kind."""
    start = 8
    while start + 12 <= len(data):
        size = int.from_bytes(data[start : start + 4])
        if data[start + 4 : start + 8] == kind:
            return data[start + 8 : start + 8 + size]
        start += 12 + size
    return None


def _with_texts(file: bytes, texts: dict[str, str]) -> bytes:
    """A PNG file with these texts as its first: libvips writes tEXt, which holds Latin-1 only."""
    chunks = b""
    for keyword, text in texts.items():
        # keyword, not compressed, no language, no translated keyword (PNG specification, 11.3.3.4)
        chunk = b"iTXt" + keyword.encode() + b"\0\0\0\0\0" + text.encode()
        chunks += (len(chunk) - 4).to_bytes(4) + chunk + crc32(chunk).to_bytes(4)
    return file[:_SIGNATURE_AND_IHDR_BYTES] + chunks + file[_SIGNATURE_AND_IHDR_BYTES:]


def _reason(error: Exception) -> str:
    """libvips's words on what was wrong, as part of a sentence."""
    lines = str(getattr(error, "detail", "")).strip().splitlines()
    return lines[0] if lines else "libvips gives no reason"
