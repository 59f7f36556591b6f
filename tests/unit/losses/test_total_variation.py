"""Total variation: zero on flat pictures, the same in all directions and at all sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from impasto.losses import total_variation


def _picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (8, 9)])
def test_total_variation_of_a_flat_picture_is_zero(size: tuple[int, int]) -> None:
    assert float(total_variation(torch.full((1, 3, *size), 0.3))) == 0


def test_total_variation_gradient_is_right_in_float64() -> None:
    x = _picture(5, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(total_variation, (x,))


def test_total_variation_of_noise_does_not_grow_with_size() -> None:
    small, large = total_variation(_picture(64, 48)), total_variation(_picture(256, 192))
    assert_close(small, large, rtol=0.05, atol=0)


def test_total_variation_of_a_ramp_is_the_same_in_every_direction() -> None:
    """The middle of a linear ramp of slope 0.01 per pixel, at any angle."""
    y, x = torch.meshgrid(torch.arange(400.0), torch.arange(400.0), indexing="ij")
    values = []
    for degrees in (0, 20, 45, 70, 90, 135):
        angle = torch.deg2rad(torch.tensor(float(degrees)))
        ramp = 0.001 * (x * angle.cos() + y * angle.sin()) + 0.5
        values.append(total_variation(ramp.expand(1, 3, -1, -1)))
    for value in values:
        assert_close(value, values[0], rtol=0.02, atol=0)  # the rim has one neighbour less


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_total_variation_of_a_turned_picture_is_the_same(turn: int) -> None:
    picture = _picture(12, 9)
    assert_close(total_variation(torch.rot90(picture, turn, (2, 3))), total_variation(picture), rtol=1e-5, atol=0)


def test_total_variation_of_a_mirrored_picture_is_the_same() -> None:
    picture = _picture(12, 9)
    for mirrored in (picture.flip(3), picture.flip(2), picture.mT):
        assert_close(total_variation(mirrored), total_variation(picture), rtol=1e-5, atol=0)


def test_total_variation_falls_when_smoothed() -> None:
    picture = _picture(32, 32)
    assert float(total_variation(F.avg_pool2d(picture, 3, 1, 1))) < 0.3 * float(total_variation(picture))


def test_total_variation_grows_with_the_square_of_contrast() -> None:
    picture = _picture(16, 16)
    assert_close(total_variation(0.5 * picture), 0.25 * total_variation(picture))
