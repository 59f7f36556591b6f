"""Painting whole and in tiles, by parts, and between codes."""

from __future__ import annotations

import pytest
import torch
from tests.unit.fast.conftest import networks, picture
from torch.testing import assert_close

from impasto.engines.fast.painting import Coded, blended


def _codes(painter) -> tuple[torch.Tensor, torch.Tensor]:
    return painter.code(picture(64, 80, seed=7)), painter.code(picture(72, 64, seed=8))


@pytest.mark.parametrize("size", [(16, 16), (16, 99), (64, 64), (33, 57), (17, 401), (130, 16)])
def test_any_size_is_painted_at_that_size(painter, size: tuple[int, int]) -> None:
    painted = painter.paint(picture(*size), [Coded(_codes(painter)[0], None)])
    assert painted.shape == (1, 3, *size)
    assert bool(painted.isfinite().all())
    assert float(painted.min()) >= 0
    assert float(painted.max()) <= 1


@pytest.mark.parametrize(("size", "side"), [((150, 210), 64), ((150, 210), 96), ((40, 300), 128), ((257, 129), 60)])
def test_tiles_are_the_whole_without_a_seam(painter, size: tuple[int, int], side: int) -> None:
    """With the same statistics: what a tile needs lies within its margin."""
    pixels, parts = picture(*size), [Coded(_codes(painter)[0], None)]
    statistics = painter.statistics(pixels, parts)
    whole = painter.paint(pixels, parts, statistics)
    found = torch.full_like(whole, torch.nan)
    for tile, (top, left) in painter.tiles(pixels, parts, side, statistics):
        found[..., top : top + tile.shape[-2], left : left + tile.shape[-1]] = tile
    assert_close(found, whole, atol=1e-4, rtol=0)


def test_statistics_of_a_small_picture_are_its_own(painter) -> None:
    """Below the size at which it is reduced, tiles are exactly what the whole is."""
    pixels, parts = picture(120, 90), [Coded(_codes(painter)[0], None)]
    recorded = painter.paint(pixels, parts, painter.statistics(pixels, parts))
    assert_close(recorded, painter.paint(pixels, parts), atol=1e-4, rtol=0)


def test_tiles_of_masked_parts_are_the_whole(painter) -> None:
    pixels = picture(100, 140)
    mask = torch.linspace(0, 1, 140).expand(1, 1, 100, 140)
    one, two = _codes(painter)
    parts = [Coded(one, mask), Coded(two, 1 - mask)]
    statistics = painter.statistics(pixels, parts)
    whole = painter.paint(pixels, parts, statistics)
    found = torch.zeros_like(whole)
    for tile, (top, left) in painter.tiles(pixels, parts, 64, statistics):
        found[..., top : top + tile.shape[-2], left : left + tile.shape[-1]] = tile
    # Masks are reduced from another corner in a tile; it shows in their slope only.
    assert float((found - whole).abs().mean()) < 2e-3


def test_parts_are_painted_each_in_its_own_style(painter) -> None:
    """Far from the border between two parts, each looks as if the whole were painted so with these statistics."""
    pixels = picture(64, 240)
    mask = torch.zeros(1, 1, 64, 240)
    mask[..., :120] = 1
    one, two = _codes(painter)
    both = painter.paint(pixels, [Coded(one, mask), Coded(two, 1 - mask)])
    alone = [painter.paint(pixels, [Coded(code, None)]) for code in (one, two)]
    near = [[float((both - each)[..., part].abs().mean()) for each in alone] for part in (slice(50), slice(190, None))]
    assert near[0][0] < 0.5 * near[0][1]
    assert near[1][1] < 0.5 * near[1][0]


def test_one_part_everywhere_is_the_plain_picture(painter) -> None:
    pixels, (one, _) = picture(64, 64), _codes(painter)
    half = torch.full((1, 1, 64, 64), 0.5)
    twice = painter.paint(pixels, [Coded(one, half), Coded(one, half)])
    assert_close(twice, painter.paint(pixels, [Coded(one, None)]), atol=1e-4, rtol=0)


def test_blend_of_codes_is_linear_and_ends_at_each(painter) -> None:
    one, two = _codes(painter)
    assert_close(blended([one, two], [3, 0]), one)
    assert_close(blended([one, two], [1, 3]), 0.25 * one + 0.75 * two)


def test_larger_scale_looks_at_a_larger_style(painter) -> None:
    style = picture(600, 600, seed=4)
    style = (style + 0.2 * torch.rand(style.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    small, plain, large = (painter.code(style, scale=scale) for scale in (0.5, 1.0, 2.0))
    assert not torch.equal(small, plain)
    assert not torch.equal(plain, large)


def test_bfloat16_paints_nearly_what_float32_paints() -> None:
    from impasto.engines.fast.painting import TorchPainter

    pixels = picture(96, 96)
    painted = []
    for dtype in (torch.float32, torch.bfloat16):
        painter = TorchPainter(*networks(), torch.device("cpu"), dtype)
        painted.append(painter.paint(pixels, [Coded(painter.code(picture(64, 64, seed=7)), None)]))
    assert float((painted[0] - painted[1]).abs().mean()) < 2 / 255
