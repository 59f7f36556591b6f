"""Colour profiles: followed when they work, ignored with a warning when they do not."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.testing import assert_close

from impasto.images import read

FORMATS = {
    "a.jpg": {"quality": 100},
    "a.png": {},
    "a.webp": {"lossless": True},
    "a.tif": {},
    "a.avif": {"quality": 100},
}


@pytest.mark.parametrize("name", FORMATS)
def test_read_swapped_primaries_turn_red_into_blue(name: str, swapped_profile: bytes, tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (255, 0, 0))
    red.save(tmp_path / name, icc_profile=swapped_profile, **FORMATS[name])
    picture = read(tmp_path / name)
    assert_close(picture.pixels[:, 8, 8], torch.tensor([0.0, 0.0, 1.0]), atol=0.03, rtol=0)
    assert picture.warnings == ()


def test_read_profile_leaves_alpha_alone(
    swapped_profile: bytes, photo: NDArray[np.uint8], opacity: NDArray[np.uint8], tmp_path: Path
) -> None:
    image = Image.fromarray(np.dstack([photo, opacity]))
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "swapped.png", icc_profile=swapped_profile)
    plain, swapped = read(tmp_path / "plain.png"), read(tmp_path / "swapped.png")
    assert plain.alpha is not None
    assert swapped.alpha is not None
    assert_close(swapped.alpha, plain.alpha)
    assert_close(swapped.pixels.flip(0), plain.pixels, atol=0.06, rtol=0)  # gamma 2.2 is nearly sRGB
    assert not torch.equal(swapped.pixels, plain.pixels)


def test_read_palette_picture_follows_its_profile(swapped_profile: bytes, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (255, 0, 0)).quantize(4).save(tmp_path / "p.png", icc_profile=swapped_profile)
    assert_close(read(tmp_path / "p.png").pixels[:, 0, 0], torch.tensor([0.0, 0.0, 1.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
def test_read_gray_profile_applies_to_every_gray_mode(mode: str, linear_gray_profile: bytes, tmp_path: Path) -> None:
    value = {"1": 1, "LA": (128, 99), "I;16": 128 * 257}.get(mode, 128)
    Image.new(mode, (4, 4), value).save(tmp_path / "gray.png", icc_profile=linear_gray_profile)
    picture = read(tmp_path / "gray.png")
    expected = 1.0 if mode == "1" else 188 / 255
    assert_close(picture.pixels, torch.full((3, 4, 4), expected), atol=0.006, rtol=0)
    assert picture.warnings == ()
    if mode == "LA":
        assert picture.alpha is not None
        assert_close(picture.alpha, torch.full((1, 4, 4), 99 / 255))


def test_read_gray_picture_with_an_rgb_profile_is_converted(swapped_profile: bytes, tmp_path: Path) -> None:
    Image.new("L", (8, 8), 120).save(tmp_path / "gray.png", icc_profile=swapped_profile)
    picture = read(tmp_path / "gray.png")
    assert picture.warnings == ()
    assert_close(picture.pixels, torch.full((3, 8, 8), 120 / 255), atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_read_cmyk_follows_its_profile(name: str, gray_ink_profile: bytes, tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    cyan.save(tmp_path / name, icc_profile=gray_ink_profile)
    color = read(tmp_path / name).pixels[:, 8, 8]
    assert float(color.max() - color.min()) < 0.02  # this cyan ink is grey
    assert 0.5 < float(color.mean()) < 0.9
    cyan.save(tmp_path / name)
    assert_close(read(tmp_path / name).pixels[:, 8, 8], torch.tensor([0.0, 1.0, 1.0]), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"this is no profile",
        lambda profile: profile[:60],
        lambda profile: profile[: len(profile) // 2],
        lambda profile: profile.replace(b"RGB ", b"CMYK"),
        lambda profile: profile.replace(b"rTRC", b"xTRC"),
    ],
)
def test_read_broken_profile_is_a_warning_and_goes_on(
    damage: object,
    swapped_profile: bytes,
    photo: NDArray[np.uint8],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert callable(damage)
    Image.fromarray(photo).save(tmp_path / "odd.png", icc_profile=damage(swapped_profile))
    with caplog.at_level(logging.WARNING, logger="impasto"):
        picture = read(tmp_path / "odd.png")
    assert_close(picture.pixels, torch.from_numpy(photo).permute(2, 0, 1) / 255)
    assert len(picture.warnings) == 1
    assert "odd.png: its colour profile cannot be used" in picture.warnings[0]
    assert caplog.messages == list(picture.warnings)


def test_read_gray_profile_on_colour_is_a_warning(linear_gray_profile: bytes, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / "rgb.png", icc_profile=linear_gray_profile)
    picture = read(tmp_path / "rgb.png")
    assert len(picture.warnings) == 1
    assert_close(picture.pixels[:, 0, 0] * 255, torch.tensor([10.0, 20.0, 30.0]))
