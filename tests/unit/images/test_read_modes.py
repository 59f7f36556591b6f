"""Every Pillow mode has one defined meaning, asserted by value."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from torch.testing import assert_close

from impasto.errors import UnreadableImageError
from impasto.images import Picture, read


def rgb(picture: Picture) -> list[int]:
    """The first pixel in 8 bits."""
    return [round(value * 255) for value in picture.pixels[:, 0, 0].tolist()]


def alpha(picture: Picture) -> int | None:
    return None if picture.alpha is None else round(float(picture.alpha[0, 0, 0]) * 255)


def png(bits: int, color_type: int, row: bytes, width: int, **chunks: bytes) -> io.BytesIO:
    """A PNG of one row, for what Pillow cannot write itself."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, bits, color_type, 0, 0, 0)
    extra = b"".join(chunk(kind.encode(), data) for kind, data in chunks.items())
    data = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("mode", "pixel", "color", "opacity"),
    [
        ("1", 1, [255, 255, 255], None),
        ("L", 77, [77, 77, 77], None),
        ("LA", (77, 40), [77, 77, 77], 40),
        ("La", (50, 100), [127, 127, 127], 100),
        ("RGB", (10, 20, 30), [10, 20, 30], None),
        ("RGBX", (10, 20, 30, 40), [10, 20, 30], None),
        ("RGBA", (10, 20, 30, 40), [10, 20, 30], 40),
        ("RGBA", (10, 20, 30, 0), [10, 20, 30], 0),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30], 255),
        ("RGBa", (50, 25, 0, 100), [127, 63, 0], 100),
        ("RGBa", (0, 0, 0, 0), [0, 0, 0], 0),
        ("CMYK", (255, 0, 0, 0), [0, 255, 255], None),
        ("CMYK", (0, 128, 255, 20), [235, 117, 0], None),
        ("YCbCr", (100, 90, 200), [200, 61, 32], None),
        ("HSV", (85, 255, 255), [0, 255, 0], None),
        ("I;16", 65535, [255, 255, 255], None),
        ("I;16B", 257 * 51, [51, 51, 51], None),
        ("I;16L", 257 * 51, [51, 51, 51], None),
        ("I;16N", 257 * 51, [51, 51, 51], None),
        ("I", 51, [51, 51, 51], None),
        ("I", 257 * 51, [51, 51, 51], None),
        ("F", 0.2, [51, 51, 51], None),
        ("F", 51.0, [51, 51, 51], None),
    ],
)
def test_read_every_mode_has_a_defined_result(
    mode: str, pixel: float | tuple[int, ...], color: list[int], opacity: int | None
) -> None:
    picture = read(Image.new(mode, (2, 1), pixel))
    assert (rgb(picture), alpha(picture)) == (color, opacity)
    assert picture.pixels.dtype == torch.float32
    assert picture.pixels.is_contiguous()


def test_read_lab_is_d50_cielab() -> None:
    color = Image.new("RGB", (1, 1), (200, 60, 30))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.buildTransform(*profiles, "RGB", "LAB").apply(color)
    assert lab.mode == "LAB"
    assert_close(read(lab).pixels, read(color).pixels, atol=1.5 / 255, rtol=0)


def test_read_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 60, 50, 40])
    image.putpixel((1, 0), 1)
    assert rgb(read(image)) == [9, 8, 7]
    assert read(image).alpha is None

    image.save(tmp_path / "index.png", transparency=0)
    image.save(tmp_path / "table.png", transparency=bytes([120, 255]))
    image.save(tmp_path / "index.gif", transparency=0)
    image.convert("PA").save(tmp_path / "pa.tif")
    for name, expected in {"index.png": 0, "table.png": 120, "index.gif": 0, "pa.tif": 255}.items():
        picture = read(tmp_path / name)
        assert (rgb(picture), alpha(picture)) == ([9, 8, 7], expected), name


@pytest.mark.parametrize(
    ("file", "color", "opacity"),
    [
        (png(8, 0, b"\x05\x06", 2, tRNS=b"\x00\x05"), [5, 5, 5], 0),
        (png(8, 0, b"\x06\x05", 2, tRNS=b"\x00\x05"), [6, 6, 6], 255),
        (png(1, 0, b"\x80", 2, tRNS=b"\x00\x01"), [255, 255, 255], 0),
        (png(8, 2, b"\1\2\3\4\5\6", 2, tRNS=b"\0\1\0\2\0\3"), [1, 2, 3], 0),
        (png(16, 0, b"\x33\x33\x00\x00", 2, tRNS=b"\x33\x33"), [51, 51, 51], 0),
        (png(16, 0, b"\x33\x33\x00\x00", 2, tRNS=b"\x00\x00"), [51, 51, 51], 255),
        (png(16, 2, b"\x33\xff\x00\x00\x01\x00", 1), [51, 0, 1], None),  # the upper 8 bits only
        (png(16, 4, b"\x33\x00\x80\x00", 1), [51, 51, 51], 128),
    ],
)
def test_read_png_kinds_that_pillow_cannot_write(file: io.BytesIO, color: list[int], opacity: int | None) -> None:
    with Image.open(file) as image:
        picture = read(image)
    assert (rgb(picture), alpha(picture)) == (color, opacity)


def test_read_16_bit_gray_keeps_all_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2, 30001, 65535]], dtype=np.uint16)
    for name in ("gray.png", "gray.tif"):
        Image.fromarray(values).save(tmp_path / name)
        assert_close(read(tmp_path / name).pixels[0], torch.from_numpy(values.astype(np.float32)) / 65535)


def tiff(bits: int, photometric: int, strip: bytes, width: int) -> io.BytesIO:
    """A little-endian grey TIFF of one row: header, directory, strip."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1, 279: len(strip)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    directory = struct.pack("<H", len(tags))
    for tag, value in tags.items():
        directory += struct.pack("<HHII", tag, 4 if tag == 273 else 3, 1, value)
    return io.BytesIO(b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0) + strip)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (tiff(12, 1, bytes([0xFF, 0xF0, 0x00]), 2), [1.0, 0.0]),  # / 4095, not / 65535
        (tiff(16, 1, struct.pack("<2H", 65535, 13107), 2), [1.0, 0.2]),
        (tiff(16, 0, struct.pack("<2H", 65535, 13107), 2), [0.0, 0.8]),  # white is zero
        (tiff(8, 0, bytes([255, 51]), 2), [0.0, 0.8]),
    ],
)
def test_read_gray_tiff_knows_its_bits_and_its_white(file: io.BytesIO, expected: list[float]) -> None:
    with Image.open(file) as image:
        assert_close(read(image).pixels[1, 0], torch.tensor(expected))


@pytest.mark.parametrize(
    ("mode", "value", "found"),
    [
        ("I", 65536, "65536"),
        ("I", -1, "-1"),
        ("F", 255.5, "255.5"),
        ("F", -0.1, "-0.1"),
        ("F", float("nan"), "nan"),
        ("F", float("inf"), "inf"),
    ],
)
def test_read_values_without_a_meaning_are_refused_with_the_value(mode: str, value: float, found: str) -> None:
    with pytest.raises(UnreadableImageError, match=found):
        read(Image.new(mode, (1, 1), value))


def test_read_empty_pillow_image_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match="0x3"):
        read(Image.new("RGB", (0, 3)))


def test_read_adobe_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    assert_close(read(tmp_path / "red.jpg").pixels[:, 5, 5], torch.tensor([1.0, 0.0, 0.0]), atol=0.02, rtol=0)


def test_read_leaves_the_given_pillow_image_alone(photo: NDArray[np.uint8]) -> None:
    image = Image.fromarray(photo)
    exif = image.getexif()
    exif[0x0112] = 6
    picture = read(image)
    picture.pixels.zero_()
    assert image.size == (32, 24)
    assert np.array_equal(np.asarray(image), photo)
    assert (picture.width, picture.height) == (24, 32)
