"""Turned pictures: which way, how large, and what of the canvas is picture."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from impasto.images import resize, rotate


def _picture(height: int, width: int) -> torch.Tensor:
    """Smooth and without any symmetry."""
    noise = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(3))
    return resize(noise, height, width)


@pytest.mark.parametrize("degrees", [-360, -270, -90, 0, 90, 180, 270, 360])
def test_quarter_turns_are_exact_and_wrap(degrees: float) -> None:
    picture = _picture(20, 32)
    found, inside = rotate(picture, degrees)
    assert inside is None
    assert torch.equal(found, torch.rot90(picture, round(degrees / 90), (-2, -1)))


def test_turn_by_a_quarter_is_counterclockwise() -> None:
    """What was at the right is at the top."""
    picture = torch.zeros(1, 1, 11, 21)
    picture[..., 5, 20] = 1
    found, _ = rotate(picture, 90)
    assert found.shape == (1, 1, 21, 11)
    assert float(found[0, 0, 0, 5]) == 1


@pytest.mark.parametrize("quarter", [0, 90, 180, -90])
@pytest.mark.parametrize("offset", [-0.01, 0.01])
def test_turns_close_to_a_quarter_are_close_to_it(quarter: float, offset: float) -> None:
    """The same way round: a wrong sign would show at once. The canvas is a pixel larger, so it lies between pixels."""
    picture = _picture(24, 40)
    found, inside = rotate(picture, quarter + offset)
    expected, _ = rotate(picture, quarter)
    assert inside is not None
    between = F.avg_pool2d(F.pad(expected, (1, 1, 1, 1), mode="replicate"), 2, stride=1)
    assert_close(found, between, rtol=0, atol=0.01)


@pytest.mark.parametrize("degrees", [1, 30, 45, 77.7, 135, -30, 200, 359])
@pytest.mark.parametrize("size", [(24, 40), (40, 24), (31, 31)])
def test_canvas_holds_all_of_the_picture(degrees: float, size: tuple[int, int]) -> None:
    height, width = size
    found, inside = rotate(_picture(*size), degrees)
    assert inside is not None
    assert inside.shape == (1, 1, *found.shape[-2:])
    assert 0 <= float(inside.min()) <= float(inside.max()) <= 1 + 1e-6
    # Its area is kept; half a rim's worth is lost to the border between picture and nothing.
    assert float(inside.sum()) == pytest.approx(height * width, rel=0.02)
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    assert found.shape[-2] == pytest.approx(height * cos + width * sin, abs=1)
    assert found.shape[-1] == pytest.approx(width * cos + height * sin, abs=1)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


def test_turn_moves_a_spot_where_geometry_says() -> None:
    picture = torch.zeros(1, 1, 41, 61)
    picture[..., 19:22, 49:52] = 1  # 20 px right of the middle
    found, _ = rotate(picture, 30)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in found.shape[-2:]), indexing="ij")
    total = found.sum()
    right = float((found * x).sum() / total) - (found.shape[-1] - 1) / 2
    down = float((found * y).sum() / total) - (found.shape[-2] - 1) / 2
    assert right == pytest.approx(20 * math.cos(math.radians(30)), abs=0.3)
    assert down == pytest.approx(-20 * math.sin(math.radians(30)), abs=0.3)


def test_turn_there_and_back_gives_the_picture_again() -> None:
    picture = _picture(31, 44)
    back = rotate(rotate(picture, 25)[0], -25)[0]
    assert ((back.shape[-2] - 31) % 2, (back.shape[-1] - 44) % 2) == (0, 0)  # else it would lie between pixels
    top, left = (back.shape[-2] - 31) // 2, (back.shape[-1] - 44) // 2
    middle = back[..., top + 4 : top + 27, left + 4 : left + 40]
    assert_close(middle, picture[..., 4:27, 4:40], rtol=0, atol=0.06)  # two resamplings soften it


def test_colours_outside_of_the_picture_are_its_own() -> None:
    """A flat picture stays flat: the corners bring in nothing that a network would take for an edge."""
    found, _ = rotate(torch.full((1, 3, 20, 30), 0.4), 33)
    assert_close(found, torch.full_like(found, 0.4), rtol=0, atol=1e-6)
