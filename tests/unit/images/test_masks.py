"""Masks from pictures, and colours for what cannot be seen."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from impasto.errors import InputError
from impasto.images import Picture, fill_transparent, mask_of, read


def _like(height: int, width: int) -> Picture:
    return Picture(torch.zeros(3, height, width), name="photo.jpg")


def test_mask_is_lightness_times_alpha() -> None:
    levels = np.linspace(0, 255, 20 * 30).round().astype(np.uint8).reshape(20, 30)
    assert_close(mask_of(read(levels), _like(20, 30))[0, 0], torch.from_numpy(levels) / 255, rtol=0, atol=1e-6)
    white = np.dstack([np.full((20, 30, 3), 255, np.uint8), levels])
    assert_close(mask_of(read(white), _like(20, 30))[0, 0], torch.from_numpy(levels) / 255, rtol=0, atol=1e-6)


def test_mask_of_another_size_is_resized_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[:, 10:] = 255
    with caplog.at_level(logging.WARNING, logger="impasto"):
        found = mask_of(read(mask), _like(40, 64))
    assert found.shape == (1, 1, 40, 64)
    assert float(found[..., :28].max()) < 0.01
    assert float(found[..., 36:].min()) > 0.99
    (record,) = caplog.records
    for part in ("20x10", "64x40", "photo.jpg"):
        assert part in record.getMessage()


def test_mask_of_the_same_size_is_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="impasto"):
        mask_of(read(np.full((12, 16), 99, np.uint8)), _like(12, 16))
    assert not caplog.records


@pytest.mark.parametrize("transparent", [False, True])
def test_mask_that_is_empty_is_refused_with_what_to_do(transparent: bool) -> None:
    levels = np.zeros((8, 8, 3), np.uint8)
    if transparent:
        levels = np.dstack([levels + 255, np.zeros((8, 8), np.uint8)])
    with pytest.raises(InputError, match=r"mask array is empty.*white"):
        mask_of(read(levels), _like(8, 8))


def _holed(garbage: float) -> Picture:
    """Red on the left, blue on the right, a transparent square in each, and a corner far from both."""
    pixels = torch.zeros(3, 40, 60)
    pixels[0, :, :30], pixels[2, :, 30:] = 0.8, 0.6
    alpha = torch.ones(1, 40, 60)
    alpha[:, 5:15, 5:15] = alpha[:, 20:36, 40:56] = 0
    return Picture(torch.where(alpha > 0, pixels, torch.full_like(pixels, garbage)), alpha)


def test_fill_takes_the_nearest_visible_colours_whatever_lies_below() -> None:
    one, other = fill_transparent(_holed(0.0)), fill_transparent(_holed(1.0))
    assert torch.equal(one, other)
    red, blue = torch.tensor([0.8, 0, 0]), torch.tensor([0, 0, 0.6])
    assert_close(one[0, :, 5:15, 5:15], red[:, None, None].expand(3, 10, 10), rtol=0, atol=0.05)
    assert_close(one[0, :, 20:36, 44:56], blue[:, None, None].expand(3, 16, 12), rtol=0, atol=0.05)


def test_fill_leaves_what_can_be_seen_as_it_is() -> None:
    picture = _holed(0.5)
    assert picture.alpha is not None
    picture.alpha[:, 0, :] = 0.25  # half seen counts as seen
    visible = (picture.alpha > 0).expand(3, -1, -1)
    assert_close(fill_transparent(picture)[0][visible], picture.pixels[visible], rtol=0, atol=1e-6)


@pytest.mark.parametrize("alpha", [None, torch.ones(1, 9, 7), torch.zeros(1, 9, 7)])
def test_fill_where_all_or_nothing_is_visible_gives_the_pixels_back(alpha: torch.Tensor | None) -> None:
    pixels = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(1))
    found = fill_transparent(Picture(pixels, alpha))
    assert torch.equal(found[0], pixels)
    found.zero_()  # a copy: whoever works on it does not work on the picture
    assert float(pixels.max()) > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (33, 17)])
def test_fill_from_a_single_visible_pixel_has_its_colour_everywhere(size: tuple[int, int]) -> None:
    color = torch.tensor([0.2, 0.5, 0.9])
    pixels, alpha = torch.full((3, *size), 0.7), torch.zeros(1, *size)
    pixels[:, -1, -1], alpha[:, -1, -1] = color, 0.01
    found = fill_transparent(Picture(pixels, alpha))
    assert_close(found[0], color[:, None, None].expand(3, *size), rtol=0, atol=1e-4)
