"""The one way in: a file, a Pillow image, an array or a tensor becomes a Picture, or one clear error.

It opens files only by path, never from the network, and of an animation it takes the first frame.
"""

import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from impasto.errors import UnreadableImageError
from impasto.images.arrays import from_array, from_tensor
from impasto.images.deep import decode_deep
from impasto.images.modes import Decoded, decode
from impasto.images.picture import Picture
from impasto.images.source import (
    MAX_PIXELS,
    check_pixels,
    check_ratio,
    decoding,
    file_path,
    header_bit_depth,
    open_image,
    read_bytes,
)

logger = logging.getLogger("impasto")


def read(
    source: str | os.PathLike[str] | Image.Image | NDArray[np.generic] | Tensor | Picture,
    *,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Any source as an upright sRGB picture.

    Files are JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF by their content, whatever their name says. The EXIF
    orientation is applied, and colours are converted to sRGB by the ICC profile. modes.py says what each
    Pillow mode means, arrays.py what arrays and tensors may be. PNG and TIFF files with 16 bits per channel keep
    all of them if pyvips is installed; without it they are read with 8, and a warning says so.

    Args:
        source: a path, a Pillow image, an array ``(h, w[, c])``, a tensor ``(c, h, w)``, or a picture, which
            comes back as it is, with a hash if it had none.
        max_pixels: the largest width times height that is decoded; a file is measured by its header. Of files
            and Pillow images no more than 300 million pixels are decoded, whatever it says. Where strangers
            choose the files, set it as low as the memory demands: up to 25 bytes per pixel.

    Returns:
        A picture with a hash: of the file's bytes, or, for sources that are not files, of shape and float32
        pixels and alpha. So the same pixels as array, tensor or Pillow image have the same hash.

    Raises:
        UnreadableImageError: missing, empty, damaged, truncated, no picture, above a limit, or an array of a
            shape, type or range that is not allowed.

    Example:
        >>> read(np.zeros((2, 3), dtype=np.uint8)).pixels.shape
        torch.Size([3, 2, 3])
    """
    if isinstance(source, Picture):
        check_pixels(source.name, source.width, source.height, max_pixels)
        return source if source.sha256 else replace(source, sha256=_hash_pixels(source.pixels, source.alpha))
    if isinstance(source, (str, os.PathLike)):
        return _read_file(file_path(source), max_pixels)

    notes: list[str] = []
    if isinstance(source, Image.Image):
        name = "image"
        check_pixels(name, source.width, source.height, max_pixels)
        with decoding(name) as notes:  # an image that Pillow has only opened is decoded here
            decoded = decode(source, name)
    elif isinstance(source, np.ndarray):
        name, decoded = "array", from_array(source)
        decoded = replace(decoded, bit_depth=16 if source.dtype.name == "uint16" else 8)
    elif isinstance(source, Tensor):
        name, decoded = "tensor", from_tensor(source)
        decoded = replace(decoded, bit_depth=16 if source.dtype == torch.uint16 else 8)
    else:
        raise UnreadableImageError(
            f"cannot read a picture from {type(source).__name__}; give a path, a Pillow image, an array or a tensor"
        )
    check_pixels(name, decoded.pixels.shape[2], decoded.pixels.shape[1], max_pixels)
    return _picture(decoded, notes, name=name, sha256=_hash_pixels(decoded.pixels, decoded.alpha))


def _read_file(path: Path, max_pixels: int) -> Picture:
    """The picture in a file."""
    data = read_bytes(path)
    with decoding(path.name) as notes, open_image(data) as image:
        check_pixels(path.name, image.width, image.height, max_pixels)
        bit_depth = header_bit_depth(image, data)
        check_ratio(path.name, image, len(data), bit_depth=bit_depth)
        decoded = decode_deep(image, data, path.name) if bit_depth == 16 else decode(image, path.name)
    return _picture(decoded, notes, name=path.name, sha256=hashlib.sha256(data).hexdigest())


def _picture(decoded: Decoded, pillow_notes: list[str], *, name: str, sha256: str) -> Picture:
    """The picture of what was decoded; its warnings go to the log as well."""
    warnings = tuple(f"{name}: {note}" for note in (*pillow_notes, *decoded.notes))
    for warning in warnings:
        logger.warning(warning)
    return Picture(
        decoded.pixels, decoded.alpha, sha256=sha256, name=name, warnings=warnings, bit_depth=decoded.bit_depth
    )


def _hash_pixels(pixels: Tensor, alpha: Tensor | None) -> str:
    """SHA-256 over shape and little-endian float32 values of the pixels, then of the alpha."""
    digest = hashlib.sha256()
    for part in (pixels, alpha):
        if part is not None:
            digest.update(repr(tuple(part.shape)).encode())
            digest.update(part.numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()
