"""Files: formats, orientation, limits, and one clear sentence for whatever is wrong with them."""

import hashlib
import io
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from torch import Tensor
from torch.testing import assert_close

from impasto.errors import UnreadableImageError
from impasto.images import read
from impasto.images.source import decoding

FORMATS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "AVIF": {"quality": 95},
    "BMP": {},
    "GIF": {},
}


def as_tensor(array: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(array.copy()).permute(2, 0, 1) / 255


@pytest.mark.parametrize("kind", FORMATS)
def test_read_format_by_content_whatever_the_name(kind: str, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "picture.xyz"
    Image.fromarray(photo).save(path, format=kind, **FORMATS[kind])
    picture = read(path)
    tolerance = {"JPEG": 0.1, "AVIF": 0.1, "GIF": 0.2}.get(kind, 0.0)
    assert_close(picture.pixels, as_tensor(photo), atol=tolerance, rtol=0)
    assert picture.alpha is None
    assert picture.name == "picture.xyz"
    assert picture.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert picture.warnings == ()
    assert_close(read(str(path)).pixels, picture.pixels)


@pytest.mark.parametrize("size", [(1, 1), (4000, 1), (1, 4000)])
def test_read_any_size_is_read(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "thin.png")
    picture = read(tmp_path / "thin.png")
    assert (picture.width, picture.height) == size


def test_read_animation_gives_the_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    for name in ("two.gif", "two.webp", "two.png", "two.tif", "two.avif"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        color = read(tmp_path / name).pixels[:, 0, 0]
        assert_close(color, torch.tensor([1.0, 0.0, 0.0]), atol=0.02, rtol=0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_read_exif_orientation_equals_the_plain_twin(
    kind: str, orientation: int, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(tmp_path / "plain", format=kind, **FORMATS[kind])
    Image.fromarray(photo).save(tmp_path / "turned", format=kind, exif=exif, **FORMATS[kind])
    rows = read(tmp_path / "plain").pixels.permute(1, 2, 0).numpy()
    upright = {
        1: rows,
        2: rows[:, ::-1],
        3: np.rot90(rows, 2),
        4: rows[::-1],
        5: np.rot90(rows)[::-1],
        6: np.rot90(rows, -1),
        7: np.rot90(rows)[:, ::-1],
        8: np.rot90(rows),
    }[orientation]
    assert np.array_equal(read(tmp_path / "turned").pixels.permute(1, 2, 0).numpy(), upright)


def test_read_orientation_turns_alpha_and_16_bit_gray_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    levels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(np.dstack([levels] * 4)).save(tmp_path / "rgba.png", exif=exif)
    Image.fromarray(levels.astype(np.uint16)).save(tmp_path / "deep.png", exif=exif)
    alpha = read(tmp_path / "rgba.png").alpha
    assert alpha is not None
    expected = torch.from_numpy(np.rot90(levels, -1).astype(np.float32))
    assert_close(alpha[0] * 255, expected)
    assert_close(read(tmp_path / "deep.png").pixels[2] * 65535, expected)


def test_read_broken_exif_is_a_warning(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "exif.jpg"
    Image.fromarray(photo).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    picture = read(path)
    assert (picture.width, picture.height) == (32, 24)
    assert any("exif.jpg" in warning for warning in picture.warnings)


def test_read_png_text_under_a_reserved_key_is_harmless(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    # Pillow looks for EXIF in XMP and stumbles over a string there, hence the one warning.
    for key, warned in (("icc_profile", 0), ("gamma", 0), ("xmp", 1)):
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text(key, "not what Pillow means by it")
        Image.fromarray(photo).save(tmp_path / "text.png", pnginfo=chunks)
        picture = read(tmp_path / "text.png")
        assert_close(picture.pixels, as_tensor(photo))
        assert len(picture.warnings) == warned


# What cannot be read


def test_read_missing_file_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"gone\.png.*no such file.*check the path"):
        read(tmp_path / "gone.png")


def test_read_folder_empty_file_text_and_pipe_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("dear diary, today I drew nothing")
    (tmp_path / "vector.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    os.mkfifo(tmp_path / "pipe.png")
    expected = {
        "": "is a folder",
        "empty.png": "0 bytes",
        "text.jpg": "no picture",
        "vector.svg": "no picture",
    }
    for name, sentence in (expected | {"pipe.png": "not a regular file"}).items():
        with pytest.raises(UnreadableImageError, match=sentence) as caught:
            read(tmp_path / name)
        assert "JPEG, PNG, WebP" in str(caught.value)


@pytest.mark.parametrize("path", ["bad\0name.png", "n" * 300 + ".png"])
def test_read_impossible_path_is_a_clear_error(path: str) -> None:
    with pytest.raises(UnreadableImageError, match="check the path"):
        read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_read_without_permission_says_so(tmp_path: Path) -> None:
    (tmp_path / "secret.png").touch(mode=0o000)
    with pytest.raises(UnreadableImageError, match="no permission"):
        read(tmp_path / "secret.png")


def test_read_symbolic_link_is_followed(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "real.png")
    (tmp_path / "link.png").symlink_to("real.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert_close(read(tmp_path / "link.png").pixels, as_tensor(photo))
    with pytest.raises(UnreadableImageError):
        read(tmp_path / "loop.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP"])
def test_read_truncated_file_is_refused(kind: str, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, format=kind, **FORMATS[kind])
    whole = buffer.getvalue()
    for kept in (len(whole) // 4, len(whole) // 2, len(whole) * 3 // 4):
        (tmp_path / "part").write_bytes(whole[:kept])
        with pytest.raises(UnreadableImageError):
            read(tmp_path / "part")


def test_read_unsupported_pillow_format_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "old.png", format="TGA")
    Image.new("RGB", (4, 4)).save(tmp_path / "old.jpg", format="PPM")
    for name in ("old.png", "old.jpg"):
        with pytest.raises(UnreadableImageError, match="no picture of a supported format"):
            read(tmp_path / name)


# Limits


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (body, data)
    )


@pytest.mark.parametrize("side", [60_000, 18_000, 9_000])  # over the last limit twice, once, not at all
def test_read_huge_header_is_refused_before_decoding(side: int, tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(side, side))
    with pytest.raises(UnreadableImageError, match="pixels"):
        read(tmp_path / "huge.png")


@pytest.mark.parametrize("side", [60_000, 18_000])
def test_read_last_limit_holds_whatever_max_pixels_says(side: int, tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as outside of these tests, where a warning is no error
        with pytest.raises(UnreadableImageError, match="more pixels than can be decoded safely"):
            read(tmp_path / "huge.png", max_pixels=10**10)


def test_read_max_pixels_is_inclusive_and_named_in_the_error(tmp_path: Path) -> None:
    Image.new("L", (100, 50)).save(tmp_path / "image.png")
    assert read(tmp_path / "image.png", max_pixels=5000).width == 100
    for source in (
        tmp_path / "image.png",
        Image.new("L", (100, 50)),
        np.zeros((50, 100)),
        torch.zeros(1, 50, 100),
    ):
        with pytest.raises(UnreadableImageError, match=r"100x50 px.*0\.004999 megapixels.*max_pixels"):
            read(source, max_pixels=4999)
        with pytest.raises(UnreadableImageError, match="max_pixels"):
            read(read(source), max_pixels=4999)


def test_read_bomb_is_refused_and_flat_picture_is_not(tmp_path: Path) -> None:
    Image.new("1", (5000, 4000)).save(tmp_path / "bomb.png")  # 20 megapixels in 2.5 kB
    Image.new("1", (2000, 2000)).save(tmp_path / "small.png")  # the same ratio, but little memory
    Image.new("L", (4100, 4000)).save(tmp_path / "mask.png")  # large and flat, as tight as deflate can
    with pytest.raises(UnreadableImageError, match=r"5000x4000 px in a file of \d+ bytes"):
        read(tmp_path / "bomb.png")
    assert read(tmp_path / "small.png").width == 2000
    assert read(tmp_path / "mask.png").width == 4100


def test_read_file_over_the_byte_limit_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(600 * 1024 * 1024)
    with pytest.raises(UnreadableImageError, match="600 MiB, but at most 512 MiB"):
        read(tmp_path / "sparse.png")


def test_read_text_chunk_bomb_is_refused(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("bomb", "a" * 2_000_000, zip=True)
    Image.new("L", (2, 2)).save(tmp_path / "text.png", pnginfo=chunks)
    with pytest.raises(UnreadableImageError):
        read(tmp_path / "text.png")


def test_read_in_two_threads_leaves_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    second_is_in, first_is_out = threading.Event(), threading.Event()

    def second() -> None:
        with decoding("second"):
            second_is_in.set()
            first_is_out.wait(5)

    thread = threading.Thread(target=second)
    with decoding("first"):
        thread.start()
        second_is_in.wait(0.3)  # it must not get in while the first is there
    first_is_out.set()
    thread.join()
    assert second_is_in.is_set()
    assert list(warnings.filters) == before
