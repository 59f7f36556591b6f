"""Writing: what comes back, the same bytes every time, and a file that is whole or untouched."""

import errno
import os
import resource
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.testing import assert_close

from impasto.errors import OutputError, SettingsError
from impasto.images import Picture, check_destination, encode, output_formats, read, resize, write
from impasto.images.color import srgb_profile

WITH_ALPHA = (".png", ".webp", ".avif", ".tif")
ALL = (*WITH_ALPHA, ".jpg")


@pytest.fixture
def picture(photo: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> Picture:
    return read(np.dstack([photo, opacity]))


def test_output_formats_are_extensions_with_a_dot() -> None:
    assert output_formats() == (".avif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@pytest.mark.parametrize("extension", WITH_ALPHA)
def test_write_then_read_keeps_pixels_and_alpha(extension: str, picture: Picture, tmp_path: Path) -> None:
    path = write(picture, tmp_path / f"out{extension}")
    back = read(path)
    lossless = extension in (".png", ".tif")
    assert_close(back.pixels, picture.pixels, atol=0 if lossless else 0.06, rtol=0)
    assert back.alpha is not None
    assert picture.alpha is not None
    assert_close(back.alpha, picture.alpha, atol=0.02 if extension == ".avif" else 0, rtol=0)
    assert back.warnings == ()


@pytest.mark.parametrize("extension", WITH_ALPHA)
def test_write_opaque_alpha_stays_a_channel_where_the_encoder_lets_it(extension: str, photo: NDArray[np.uint8]) -> None:
    opaque = np.dstack([photo, np.full(photo.shape[:2], 255, dtype=np.uint8)])
    for array, channels in ((photo, "RGB"), (opaque, "RGBA")):
        data = encode(read(array), extension)
        with Image.open(BytesIO(data)) as image:
            assert image.mode == ("RGB" if extension in (".webp", ".avif") else channels)


def test_write_jpeg_lays_transparent_pictures_on_white(tmp_path: Path) -> None:
    pixels = torch.zeros(3, 16, 48)
    alpha = torch.ones(1, 16, 48)
    alpha[:, :, 16:32] = 0.5
    alpha[:, :, 32:] = 0
    back = read(write(Picture(pixels, alpha), tmp_path / "out.jpg"))
    assert back.alpha is None
    assert_close(back.pixels[:, 8, [8, 24, 40]], torch.tensor([[0.0, 0.5, 1.0]] * 3), atol=0.02, rtol=0)


def test_write_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    stripes = np.zeros((16, 16, 3), dtype=np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    back = read(write(read(stripes), tmp_path / "out.jpeg"))
    assert_close(back.pixels.permute(1, 2, 0) * 255, torch.from_numpy(stripes).float(), atol=12, rtol=0)


def test_write_rounds_and_clamps(tmp_path: Path) -> None:
    pixels = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 100.4 / 255, 1.5]).expand(3, 1, 5)
    back = read(write(Picture(pixels), tmp_path / "out.png"))
    assert_close(back.pixels[0, 0] * 255, torch.tensor([0.0, 0.0, 1.0, 100.0, 255.0]))


def test_write_takes_pixels_with_a_gradient_and_other_strides(tmp_path: Path) -> None:
    pixels = torch.rand(3, 4, 6, requires_grad=True)
    assert read(write(Picture(pixels.mT), tmp_path / "out.png")).height == 6


def test_encode_same_picture_gives_same_bytes_at_another_time(picture: Picture) -> None:
    first = {extension: encode(picture, extension, metadata="{}") for extension in ALL}
    srgb_profile.cache_clear()  # littlecms writes the time of day into a new profile
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.02)
    assert {extension: encode(picture, extension, metadata="{}") for extension in ALL} == first


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that can bind to one core")
def test_encode_same_picture_gives_same_bytes_on_one_core() -> None:
    noise = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    picture = Picture(resize(noise, 300, 300))
    cores = os.sched_getaffinity(0)
    on_all = {extension: encode(picture, extension) for extension in ALL}
    os.sched_setaffinity(0, {min(cores)})
    try:
        on_one = {extension: encode(picture, extension) for extension in ALL}
    finally:
        os.sched_setaffinity(0, cores)
    assert on_one == on_all


@pytest.mark.parametrize("extension", ALL)
def test_encode_embeds_the_srgb_profile(extension: str, picture: Picture) -> None:
    with Image.open(BytesIO(encode(picture, extension))) as image:
        assert image.info["icc_profile"] == srgb_profile()


def test_encode_takes_names_with_and_without_dot_in_any_case(picture: Picture) -> None:
    assert encode(picture, "PNG") == encode(picture, ".png") == encode(picture, "png")
    assert encode(picture, "jpg") == encode(picture, "JPEG")


def test_encode_quality_changes_the_size_and_is_checked(picture: Picture) -> None:
    for extension in (".jpg", ".webp", ".avif"):
        assert len(encode(picture, extension, quality=20)) < len(encode(picture, extension, quality=95))
    for quality in (0, 101):
        with pytest.raises(SettingsError, match=f"quality is {quality}"):
            encode(picture, ".jpg", quality=quality)


@pytest.mark.parametrize(("extension", "limit"), [(".webp", 16383), (".jpg", 65500), (".avif", 32768)])
def test_encode_largest_side_comes_back_and_one_more_is_refused(extension: str, limit: int, tmp_path: Path) -> None:
    (tmp_path / f"long{extension}").write_bytes(encode(Picture(torch.zeros(3, 1, limit)), extension))
    assert read(tmp_path / f"long{extension}").width == limit
    with pytest.raises(OutputError, match=f"at most {limit} px.*{limit + 1}x1 px.*PNG"):
        encode(Picture(torch.zeros(3, 1, limit + 1)), extension)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_encode_refuses_pixels_that_are_not_finite(value: float) -> None:
    with pytest.raises(OutputError, match="NaN or infinite"):
        encode(Picture(torch.full((3, 2, 2), value)), ".png")


# Where it may go


def test_check_destination_accepts_what_write_accepts(tmp_path: Path) -> None:
    for extension in (*output_formats(), ".PNG", ".Jpg"):
        check_destination(tmp_path / f"out{extension}")
        check_destination(str(tmp_path / f"out{extension}"))
    assert list(tmp_path.iterdir()) == []


def test_destination_that_cannot_be_is_refused_before_anything_is_written(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    refused = {
        "out.gif": r"'\.gif' is no output format; use one of \.avif, \.jpeg",
        "out": "'' is no output format",
        "folder.png": "it is a folder",
        "pipe.png": "not a regular file",
        "none/out.png": "there is no folder",
        "file/out.png": "there is no folder",
        "bad\0.png": "choose another name",
    }
    for name, sentence in refused.items():
        for action in (check_destination, lambda path: write(picture, path)):
            with pytest.raises(OutputError, match=sentence):
                action(tmp_path / name)
    with pytest.raises(OutputError, match="choose another"):
        write(picture, tmp_path / ("n" * 300 + ".png"))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_destination_without_permission_is_refused(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    (tmp_path / "kept.png").touch(mode=0o400)
    for name in ("shut/out.png", "kept.png"):
        for action in (check_destination, lambda path: write(picture, path)):
            with pytest.raises(OutputError, match=r"permission|protected"):
                action(tmp_path / name)


def test_write_longest_possible_name_works(picture: Picture, tmp_path: Path) -> None:
    assert write(picture, tmp_path / ("n" * 251 + ".png")).exists()


def test_write_through_a_link_replaces_what_it_points_to(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "real.bin").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("deep/real.bin")
    assert write(picture, tmp_path / "link.png") == tmp_path / "link.png"
    assert (tmp_path / "link.png").is_symlink()
    assert read(tmp_path / "deep" / "real.bin").width == picture.width


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_write_new_file_follows_the_umask(mask: int, expected: int, picture: Picture, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        path = write(picture, tmp_path / "out.png")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == expected


def test_write_existing_file_keeps_its_permissions(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "out.png").touch()
    (tmp_path / "out.png").chmod(0o600)
    assert write(picture, tmp_path / "out.png").stat().st_mode & 0o7777 == 0o600


# What happens when it fails


def fail(error: BaseException) -> Callable[..., NoReturn]:
    def failing(*_: object, **__: object) -> NoReturn:
        raise error

    return failing


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EDQUOT])
def test_write_failing_leaves_the_old_file_and_no_other(
    function: str, code: int, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.png").write_bytes(b"the old picture")
    monkeypatch.setattr(os, function, fail(OSError(code, os.strerror(code))))
    with pytest.raises(OutputError, match=os.strerror(code)):
        write(picture, tmp_path / "out.png")
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    assert (tmp_path / "out.png").read_bytes() == b"the old picture"


def test_write_interrupted_leaves_the_old_file_and_no_other(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.png").write_bytes(b"the old picture")
    monkeypatch.setattr(os, "fsync", fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write(picture, tmp_path / "out.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old picture"]


def test_write_really_out_of_room_leaves_nothing_behind(tmp_path: Path) -> None:
    noise = Picture(torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # the kernel cuts the file off here
    try:
        with pytest.raises(OutputError, match=r"File too large; nothing was changed; free some space"):
            write(noise, tmp_path / "out.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
