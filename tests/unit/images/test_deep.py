"""16 bits per channel: every level comes back, whatever else is in the file, and nothing breaks without pyvips."""

import hashlib
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.testing import assert_close

from impasto.errors import MissingExtraError, OutputError, SettingsError, UnreadableImageError
from impasto.images import Picture, check_destination, encode, read, read_metadata, write
from impasto.images.color import srgb_profile
from impasto.images.icc import matrix_converter

pytest.importorskip("pyvips")

DEEP = (".png", ".tif")
STEP = 1 / 65535


@pytest.fixture(scope="module")
def gradient() -> Picture:
    """A smooth ramp through all 65,536 levels in every channel, each in another direction, and in the alpha."""
    ramp = torch.linspace(0, 1, 65536).view(256, 256)
    return Picture(torch.stack([ramp, ramp.flip(0), ramp.mT]), ramp.flip(1)[None])


@pytest.fixture(scope="module")
def noise() -> NDArray[np.uint16]:
    """Any 16-bit RGBA ``(20, 30, 4)``."""
    return np.random.default_rng(5).integers(0, 65536, (20, 30, 4), dtype=np.uint16)


def png(values: NDArray[np.uint16], before: bytes = b"", after: bytes = b"", **chunks: bytes) -> bytes:
    """A 16-bit PNG file of ``(h, w, 1 to 4)``, chunks before its pixels and ready-made bytes around them."""
    height, width, channels = values.shape
    rows = values.astype(">u2").tobytes()
    size = len(rows) // height
    body = b"".join(b"\0" + rows[size * y : size * (y + 1)] for y in range(height))
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    extra = b"".join(chunk(kind.encode(), data) for kind, data in chunks.items())
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(body))
    return b"\x89PNG\r\n\x1a\n" + header + extra + before + pixels + after + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(values: NDArray[np.uint16], **options: object) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, values, **({"photometric": "rgb"} | options))
    return buffer.getvalue()


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def read_data(data: bytes, folder: Path) -> Picture:
    (folder / "deep").write_bytes(data)
    return read(folder / "deep")


def levels(picture: Picture) -> NDArray[np.float32]:
    """The pixels as ``(h, w, 3)`` from 0 to 65535."""
    return picture.pixels.permute(1, 2, 0).numpy() * np.float32(65535)


# Round trips


@pytest.mark.parametrize("extension", DEEP)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_write_then_read_keeps_every_level_of_a_gradient(
    extension: str, with_alpha: bool, gradient: Picture, tmp_path: Path
) -> None:
    picture = gradient if with_alpha else Picture(gradient.pixels)
    path = write(picture, tmp_path / f"deep{extension}", bit_depth=16)
    back = read(path)
    assert_close(back.pixels, picture.pixels, atol=STEP, rtol=0)
    assert (back.bit_depth, back.warnings) == (16, ())
    assert back.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    if with_alpha:
        assert back.alpha is not None
        assert_close(back.alpha, gradient.alpha, atol=STEP, rtol=0)
    else:
        assert back.alpha is None
    flat = read(write(picture, tmp_path / f"flat{extension}"))
    assert flat.bit_depth == 8
    for channel in range(3):
        distinct = len(back.pixels[channel].unique())
        assert distinct > 60_000
        assert distinct > 100 * len(flat.pixels[channel].unique())


@pytest.mark.parametrize("extension", DEEP)
def test_write_values_on_the_grid_come_back_exactly(extension: str, noise: NDArray[np.uint16], tmp_path: Path) -> None:
    picture = read(noise)
    back = read(write(picture, tmp_path / f"out{extension}", bit_depth=16))
    assert torch.equal(back.pixels, picture.pixels)
    assert back.alpha is not None
    assert picture.alpha is not None
    assert torch.equal(back.alpha, picture.alpha)


def test_write_16_bits_can_be_read_by_others(noise: NDArray[np.uint16], tmp_path: Path) -> None:
    picture = read(noise)
    assert np.array_equal(
        tifffile.imread(BytesIO(encode(Picture(picture.pixels), "tif", bit_depth=16))), noise[..., :3]
    )
    for extension in DEEP:
        with Image.open(BytesIO(encode(picture, extension, bit_depth=16))) as image:
            assert image.mode == "RGBA"
            assert image.info["icc_profile"] == srgb_profile()
            assert image.info["dpi"][0] == pytest.approx(72, abs=0.1)
            assert np.abs(np.asarray(image) - noise / 257).max() < 1


@pytest.mark.parametrize("extension", DEEP)
def test_write_16_bits_carries_the_recipe_and_gives_the_same_bytes(
    extension: str, noise: NDArray[np.uint16], tmp_path: Path
) -> None:
    recipe = '{"style": "Große Welle 神奈川沖浪裏 \\n <&>", "seed": 7}'
    paths = [write(read(noise), tmp_path / f"{n}{extension}", metadata=recipe, bit_depth=16) for n in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert read_metadata(paths[0]) == recipe
    assert torch.equal(read(paths[0]).pixels, read(noise).pixels)
    assert read_metadata(write(read(noise), tmp_path / f"none{extension}", bit_depth=16)) is None


def test_write_16_bits_clamps_and_refuses_what_is_not_finite(tmp_path: Path) -> None:
    back = read(write(Picture(torch.tensor([-0.5, 0.5, 1.5]).expand(3, 1, 3)), tmp_path / "out.png", bit_depth=16))
    assert (back.pixels[0, 0] * 65535).round().tolist() == [0, 32768, 65535]
    with pytest.raises(OutputError, match="NaN"):
        encode(Picture(torch.full((3, 2, 2), torch.nan)), "png", bit_depth=16)
    with pytest.raises(OutputError, match=r"U\+0000"):
        encode(back, "png", metadata="\0", bit_depth=16)


def test_bit_depth_of_arrays_and_of_pictures_made_from_them(noise: NDArray[np.uint16], tmp_path: Path) -> None:
    assert read(noise).bit_depth == 16
    assert read(noise.astype(">u2")).bit_depth == 16
    assert read(torch.from_numpy(noise).permute(2, 0, 1)).bit_depth == 16
    assert read(np.zeros((2, 2))).bit_depth == read(torch.zeros(3, 2, 2)).bit_depth == 8
    assert read(np.zeros((2, 2), dtype=np.uint8)).bit_depth == 8
    assert read(noise).with_pixels(torch.zeros(3, 10, 15)).bit_depth == 16
    Image.fromarray(noise[..., 0]).save(tmp_path / "gray.png")
    assert read(tmp_path / "gray.png").bit_depth == 16


# What can be in a file


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_16_bits_follows_the_orientation(orientation: int, noise: NDArray[np.uint16], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    turned = {
        1: noise,
        2: noise[:, ::-1],
        3: np.rot90(noise, 2),
        4: noise[::-1],
        5: np.rot90(noise)[::-1],
        6: np.rot90(noise, -1),
        7: np.rot90(noise)[:, ::-1],
        8: np.rot90(noise),
    }[orientation]
    upright = read(np.ascontiguousarray(turned))
    for data in (
        png(noise, before=block),
        png(noise, after=block),
        tiff(noise, extrasamples=["unassalpha"], extratags=[(274, 3, 1, orientation, True)]),
    ):
        picture = read_data(data, tmp_path)
        assert torch.equal(picture.pixels, upright.pixels)
        assert picture.alpha is not None
        assert upright.alpha is not None
        assert torch.equal(picture.alpha, upright.alpha)


def test_read_16_bit_tiff_of_every_layout_keeps_all_bits(noise: NDArray[np.uint16], tmp_path: Path) -> None:
    color = noise[..., :3]
    for data in (
        tiff(color, byteorder=">"),
        tiff(color, compression="adobe_deflate"),
        tiff(color, tile=(16, 16)),
        tiff(color, bigtiff=True),
        tiff(np.moveaxis(color, 2, 0), planarconfig="separate"),
        tiff(np.stack([color, color[::-1]])),
        tiff(noise, extrasamples=["unspecified"]),  # a fourth channel without a meaning
    ):
        picture = read_data(data, tmp_path)
        assert np.array_equal(levels(picture).round(), color)
        assert (picture.alpha, picture.bit_depth) == (None, 16)


def test_read_16_bit_tiff_in_one_large_strip(tmp_path: Path) -> None:
    color = np.zeros((2100, 4200, 3), dtype=np.uint16)  # libvips of itself refuses strips above 50 MB
    color[-1, -1] = 12345
    picture = read_data(tiff(color, rowsperstrip=2100, compression="adobe_deflate"), tmp_path)
    assert levels(picture)[-1, -1].round().tolist() == [12345] * 3


def test_read_16_bit_alpha_of_every_kind(tmp_path: Path) -> None:
    values = np.array([[[1000, 2000, 3000, 40000], [0, 0, 0, 0], [500, 600, 65535, 65535]]], dtype=np.uint16)
    picture = read_data(tiff(values, extrasamples=["assocalpha"]), tmp_path)  # colour times alpha
    assert picture.alpha is not None
    assert_close(levels(picture)[0, 0], values[0, 0, :3] / np.float32(40000) * np.float32(65535), atol=1, rtol=0)
    assert (picture.alpha * 65535).round().flatten().tolist() == [40000, 0, 65535]

    key = struct.pack(">3H", 500, 600, 65535)  # one colour is transparent
    picture = read_data(png(values[..., :3], tRNS=key), tmp_path)
    assert picture.alpha is not None
    assert picture.alpha.flatten().tolist() == [1, 1, 0]
    assert np.array_equal(levels(picture).round(), values[..., :3])

    picture = read_data(png(values[..., 2:]), tmp_path)  # grey and alpha
    assert picture.alpha is not None
    assert np.array_equal(levels(picture).round(), values[..., [2, 2, 2]])
    assert (picture.alpha * 65535).round().flatten().tolist() == [40000, 0, 65535]


# Colour


def test_read_16_bits_agrees_with_8_bits_on_a_wide_profile(
    p3_profile: Callable[[bytes], bytes],
    photo: NDArray[np.uint8],
    opacity: NDArray[np.uint8],
    noise: NDArray[np.uint16],
    tmp_path: Path,
) -> None:
    profile = p3_profile(struct.pack(">4sIIHxx", b"curv", 0, 1, 563))
    Image.fromarray(np.dstack([photo, opacity])).save(tmp_path / "flat.png", icc_profile=profile)
    flat, values = read(tmp_path / "flat.png"), np.dstack([photo, opacity]).astype(np.uint16) * 257
    for data in (png(values, before=iccp(profile)), tiff(values, extrasamples=["unassalpha"], iccprofile=profile)):
        deep = read_data(data, tmp_path)
        assert_close(deep.pixels, flat.pixels, atol=1 / 255, rtol=0)
        assert deep.alpha is not None
        assert_close(deep.alpha, flat.alpha)
        assert (deep.bit_depth, deep.warnings) == (16, ())
    expected = matrix_converter(profile)
    assert expected is not None
    assert np.array_equal(
        read_data(png(noise, before=iccp(profile)), tmp_path).pixels.permute(1, 2, 0), expected(noise[..., :3])
    )


def test_read_16_bits_agrees_with_8_bits_on_a_profile_of_tables(
    rgb_table_profile: bytes, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "flat.png", icc_profile=rgb_table_profile)
    deep = read_data(png(photo.astype(np.uint16) * 257, before=iccp(rgb_table_profile)), tmp_path)
    plain = read_data(png(photo.astype(np.uint16) * 257), tmp_path)
    assert deep.warnings == ()
    assert_close(deep.pixels, read(tmp_path / "flat.png").pixels, atol=1 / 255, rtol=0)
    assert float((deep.pixels - plain.pixels).abs().max()) > 0.05


def test_read_16_bit_gray_follows_its_profile(
    linear_gray_profile: bytes, swapped_profile: bytes, tmp_path: Path
) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    light = ramp / 65535
    expected = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    for data in (
        png(ramp, before=iccp(linear_gray_profile)),
        tiff(ramp[..., 0], photometric="minisblack", iccprofile=linear_gray_profile),
        tiff(65535 - ramp[..., 0], photometric="miniswhite", iccprofile=linear_gray_profile),
    ):
        picture = read_data(data, tmp_path)
        assert np.abs(levels(picture) / 65535 - expected).max() < STEP
        assert (picture.bit_depth, picture.warnings) == (16, ())
    picture = read_data(png(ramp, before=iccp(swapped_profile)), tmp_path)  # the profile of the editor
    assert np.abs(levels(picture) / 65535 - light).max() < 0.04  # gamma 2.2 is nearly sRGB
    assert len(picture.pixels.unique()) > 30_000
    assert picture.warnings == ()


def test_read_16_bits_unusable_profile_is_ignored_with_a_warning(
    noise: NDArray[np.uint16],
    swapped_profile: bytes,
    linear_gray_profile: bytes,
    gray_ink_profile: bytes,
    tmp_path: Path,
) -> None:
    headless = swapped_profile[:128] + bytes(len(swapped_profile) - 128)
    for profile in (b"no profile", swapped_profile[:200], headless, linear_gray_profile, gray_ink_profile):
        picture = read_data(tiff(noise[..., :3], iccprofile=profile), tmp_path)
        assert np.array_equal(levels(picture).round(), noise[..., :3])
        assert [("profile" in warning, "ignored" in warning) for warning in picture.warnings] == [(True, True)]


# What is refused


@pytest.mark.parametrize("extension", DEEP)
def test_read_damaged_16_bit_file_is_a_clear_error_and_silent(
    extension: str, noise: NDArray[np.uint16], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encode(read(noise), extension, metadata="{}", bit_depth=16)
    for kept in (len(data) // 4, len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(UnreadableImageError):
            read_data(data[:kept], tmp_path)
    generator = np.random.default_rng(3)
    refused = 0
    for _ in range(100):
        broken = bytearray(data)
        for place in generator.integers(0, len(data), 4):
            broken[place] = int(generator.integers(0, 256))
        try:
            picture = read_data(bytes(broken), tmp_path)
        except UnreadableImageError:
            refused += 1
        else:
            assert bool(torch.isfinite(picture.pixels).all())
            assert 0.0 <= float(picture.pixels.min()) <= float(picture.pixels.max()) <= 1.0
    assert refused > 50
    assert capfd.readouterr() == ("", "")


def test_read_16_bits_counts_two_bytes_in_the_ratio_and_respects_the_limits(tmp_path: Path) -> None:
    def claimed(side: int, size: int) -> bytes:
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", bytes(size))

    (tmp_path / "large.png").write_bytes(claimed(4000, 10))
    with pytest.raises(UnreadableImageError, match=r"16\.0 megapixels.*max_pixels"):
        read(tmp_path / "large.png", max_pixels=1_000_000)
    fair = 4100 * 4100 * 6 // 1032
    with pytest.raises(UnreadableImageError, match="at most 1032:1"):
        read_data(claimed(4100, fair - 1000), tmp_path)
    with pytest.raises(UnreadableImageError, match="damaged"):
        read_data(claimed(4100, fair), tmp_path)


@pytest.mark.parametrize("name", ["out.jpg", "out.webp", "out.avif"])
def test_write_16_bits_to_an_8_bit_format_is_refused_before_the_work(
    name: str, gradient: Picture, tmp_path: Path
) -> None:
    for attempt in (
        lambda: check_destination(tmp_path / name, bit_depth=16),
        lambda: write(gradient, tmp_path / name, bit_depth=16),
        lambda: encode(gradient, name.split(".")[1], bit_depth=16),
    ):
        with pytest.raises(OutputError, match=r"16 bits.*\.png, \.tif and \.tiff"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_write_other_bit_depths_are_refused(gradient: Picture, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="bit_depth is 12, but 8 or 16"):
        check_destination(tmp_path / "out.png", bit_depth=12)
    with pytest.raises(SettingsError, match="bit_depth is 32"):
        encode(gradient, "tif", bit_depth=32)
    check_destination(tmp_path / "out.TIFF", bit_depth=16)


# Without pyvips


@pytest.fixture
def no_pyvips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)  # as if it were not installed: its import fails


@pytest.mark.usefixtures("no_pyvips")
def test_read_16_bits_without_pyvips_gives_8_and_says_what_to_install(
    noise: NDArray[np.uint16], linear_gray_profile: bytes, tmp_path: Path
) -> None:
    for data in (png(noise), tiff(noise[..., :3]), png(noise[..., :1], before=iccp(linear_gray_profile))):
        picture = read_data(data, tmp_path)
        assert picture.bit_depth == 8
        assert len(picture.warnings) == 1
        assert "16 bits per channel were reduced to 8" in picture.warnings[0]
        assert "pip install 'impasto[vips]'" in picture.warnings[0]
    assert np.abs(levels(read_data(png(noise), tmp_path)) - noise[..., :3]).max() <= 257
    plain = read_data(png(noise[..., :1]), tmp_path)  # Pillow reads grey in full
    assert (plain.bit_depth, plain.warnings) == (16, ())


@pytest.mark.usefixtures("no_pyvips")
def test_write_16_bits_without_pyvips_says_what_to_install_before_the_work(gradient: Picture, tmp_path: Path) -> None:
    for attempt in (
        lambda: check_destination(tmp_path / "out.png", bit_depth=16),
        lambda: write(gradient, tmp_path / "out.tif", bit_depth=16),
        lambda: encode(gradient, "png", bit_depth=16),
    ):
        with pytest.raises(
            MissingExtraError, match=r"16 bits per channel need an extra package: pip install 'impasto\[vips\]'"
        ):
            attempt()
    check_destination(tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_images_pyvips_is_imported_only_for_16_bits(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "flat.png")
    code = (
        "import sys; from impasto.images import read, write; write(read('flat.png'), 'out.tif'); "
        "assert 'pyvips' not in sys.modules; write(read('flat.png'), 'out.tif', bit_depth=16); "
        "assert 'pyvips' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
