"""Damaged files of every format end as a picture or as UnreadableImageError; nothing else comes out."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from impasto.errors import UnreadableImageError
from impasto.images import encode, read, read_metadata

VARIANTS = 60
KINDS = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "AVIF",
    "BMP",
    "GIF",
    "CMYK JPEG",
    "palette PNG",
    "16-bit TIFF",
    "profile",
)


def whole_file(kind: str, photo: NDArray[np.uint8], opacity: NDArray[np.uint8], profile: bytes) -> bytes:
    """A valid small file with everything in it that can go wrong: alpha, profile, metadata, orientation."""
    if kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        name = "jpg" if kind == "JPEG" else kind
        return encode(read(np.dstack([photo, opacity])), name, metadata='{"a": 1}')
    exif = Image.Exif()
    exif[0x0112] = 6
    image, name = Image.fromarray(photo), kind.split()[-1]
    options: dict[str, object] = {"exif": exif}
    match kind:
        case "CMYK JPEG":
            image = image.convert("CMYK")
        case "palette PNG":
            image, options = image.quantize(16), {"transparency": bytes(range(0, 256, 16))}
        case "16-bit TIFF":
            image = Image.fromarray(opacity.astype(np.uint16) * 257)
        case "profile":
            name, options = "TIFF", {"icc_profile": profile, "exif": exif}
    buffer = io.BytesIO()
    image.save(buffer, format=name, **options)
    return buffer.getvalue()


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """One to eight bytes changed, or the end cut off, or a piece from the middle doubled or missing."""
    broken = bytearray(data)
    start, end = sorted(int(place) for place in generator.integers(0, len(data), 2))
    match int(generator.integers(0, 6)):
        case 0:
            return data[:end]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:end] + data[start:]
        case _:  # most of what a decoder believes stands at the front
            reach = len(data) if generator.random() < 0.5 else min(len(data), 200)
            for place in generator.integers(0, reach, int(generator.integers(1, 9))):
                broken[place] = int(generator.integers(0, 256))
            return bytes(broken)


@pytest.mark.parametrize("kind", KINDS)
def test_read_damaged_file_is_a_picture_or_a_clear_error(
    kind: str, photo: NDArray[np.uint8], opacity: NDArray[np.uint8], swapped_profile: bytes, tmp_path: Path
) -> None:
    data = whole_file(kind, photo, opacity, swapped_profile)
    generator = np.random.default_rng(KINDS.index(kind))
    path = tmp_path / "damaged"
    path.write_bytes(data)
    assert read(path).width in (24, 32)
    refused = 0
    for _ in range(VARIANTS):
        path.write_bytes(damaged(data, generator))
        try:
            picture = read(path, max_pixels=1_000_000)
        except UnreadableImageError:
            refused += 1
        else:
            assert bool(torch.isfinite(picture.pixels).all())
            assert 0.0 <= float(picture.pixels.min()) <= float(picture.pixels.max()) <= 1.0
        with suppress(UnreadableImageError):
            assert isinstance(read_metadata(path), str | None)
    assert refused > 0
