"""Resizing: exact where it must be, antialiased where it shrinks, never out of range."""

import pytest
import torch
from torch.testing import assert_close

from impasto.images import fit_size, resize


def test_resize_to_the_same_size_is_the_identity() -> None:
    pixels = torch.rand(3, 7, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize(pixels, 7, 5), pixels)


@pytest.mark.parametrize("size", [(3, 4), (40, 30), (1, 1), (9, 200)])
def test_resize_keeps_a_flat_picture_flat_and_the_layout(size: tuple[int, int]) -> None:
    pixels = torch.full((2, 3, 12, 10), 0.3)
    assert_close(resize(pixels, *size), torch.full((2, 3, *size), 0.3))
    assert_close(resize(pixels[0], *size), torch.full((3, *size), 0.3))


def test_resize_overshoot_is_clamped() -> None:
    edge = torch.zeros(3, 8, 8)
    edge[:, :, 4:] = 1
    enlarged = resize(edge, 64, 64)
    assert float(enlarged.min()) == 0.0
    assert float(enlarged.max()) == 1.0


def test_resize_shrinking_is_antialiased() -> None:
    stripes = torch.zeros(3, 64, 64)
    stripes[:, :, ::2] = 1
    assert_close(resize(stripes, 16, 16), torch.full((3, 16, 16), 0.5), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("size", "longer_side", "expected"),
    [
        ((1000, 2000), 512, (256, 512)),
        ((2000, 1000), 512, (512, 256)),
        ((300, 300), 512, (512, 512)),
        ((1, 4000), 100, (1, 100)),
        ((3, 2), 1, (1, 1)),
        ((5, 10), 5, (3, 5)),  # halves go up
        ((7, 10), 5, (4, 5)),
    ],
)
def test_fit_size_rounds_and_never_reaches_zero(
    size: tuple[int, int], longer_side: int, expected: tuple[int, int]
) -> None:
    assert fit_size(*size, longer_side) == expected


def test_fit_size_own_longer_side_changes_nothing() -> None:
    for height in range(1, 40):
        for width in range(1, 40):
            assert fit_size(height, width, max(height, width)) == (height, width)
