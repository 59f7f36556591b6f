"""Maps show where: the style only where it was put on, edges lost only where they were taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import skimage.data
import torch

from impasto.evaluation.maps import content_loss_map, place, style_gain_map, style_shares
from impasto.evaluation.view import View, blur
from impasto.images import match_linear, read
from impasto.images.recolor import ColorStatistics

if TYPE_CHECKING:
    from torch import Tensor


@pytest.fixture(scope="module")
def content(photograph) -> View:
    return View(read(photograph("astronaut", 96, 128)).pixels[None], small=(96, 128))


@pytest.fixture(scope="module")
def style() -> View:
    """All sepia gravel: texture everywhere, nothing of the face."""
    gray = torch.from_numpy(skimage.data.gravel()).float()[:128, :112] / 255
    return View(gray * torch.tensor([1.0, 0.7, 0.4]).view(1, 3, 1, 1), small=(128, 112))


def _painted(content: View, style: View) -> Tensor:
    """A stand-in for a stylized picture: the content in the style's colours under the style's texture."""
    texture = style.pixels[..., :96, :112]
    texture = torch.cat([texture, texture[..., :16].flip(-1)], -1)
    colors = match_linear(content.pixels, ColorStatistics.of(style.pixels))
    return (0.4 * colors + 0.6 * texture).clamp(0, 1)


def _right_half(of: Tensor, other: Tensor) -> Tensor:
    half = of.shape[-1] // 2
    return torch.cat([other[..., :half], of[..., half:]], -1)


def test_maps_of_the_untouched_content_are_zero_everywhere(content: View, style: View) -> None:
    same = content.with_pixels(content.pixels)
    assert float(style_gain_map(same, content, style).abs().max()) < 1e-5
    assert float(content_loss_map(same, content).abs().max()) < 1e-5


def test_style_gain_map_of_a_picture_painted_on_its_right_half_is_high_there(content: View, style: View) -> None:
    half = content.with_pixels(_right_half(_painted(content, style), content.pixels))
    found = style_gain_map(half, content, style)
    width = found.shape[1]
    left, right = found[:, : width // 3], found[:, -(width // 3) :]
    assert float(right.mean()) > 0.4
    assert abs(float(left.mean())) < 0.1


def test_style_gain_map_of_pieces_of_the_style_is_about_one(content: View, style: View) -> None:
    covered = content.with_pixels(style.pixels[..., :96, :].repeat(1, 1, 1, 2)[..., :128])
    assert float(style_gain_map(covered, content, style).mean()) == pytest.approx(1, abs=0.15)


def test_style_shares_rise_with_the_share_that_was_painted(content: View, style: View) -> None:
    covered = content.with_pixels(style.pixels[..., :96, :].repeat(1, 1, 1, 2)[..., :128])
    half = content.with_pixels(_right_half(covered.pixels, content.pixels))
    before, after_half = style_shares(half, content, style)
    _, after = style_shares(covered, content, style)
    assert before < 0.1
    assert before + 0.2 < after_half < after - 0.2
    assert after > 0.7


def test_style_gain_map_is_negative_where_the_output_leaves_the_style(content: View, style: View) -> None:
    green = content.pixels * torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    assert float(style_gain_map(content.with_pixels(green), content, style).mean()) < 0


def test_style_gain_map_is_finite_where_content_and_style_are_the_same(style: View) -> None:
    found = style_gain_map(style.with_pixels(style.pixels.flip(1)), style, style)
    assert bool(found.isfinite().all())
    assert float(found.abs().max()) <= 1


def test_content_loss_map_shows_edges_as_lost_where_they_were_erased(content: View) -> None:
    erased = content.with_pixels(_right_half(blur(content.pixels, 12.0), content.pixels))
    found = content_loss_map(erased, content)
    left, right = found[:, : found.shape[1] // 3], found[:, -(found.shape[1] // 3) :]
    assert float((-right).clamp_min(0).mean()) > 5 * float((-left).clamp_min(0).mean())
    assert place((-found).clamp_min(0)).endswith("right")


def test_content_loss_map_shows_new_edges_where_texture_was_laid(content: View, style: View) -> None:
    flat = content.with_pixels(torch.full_like(content.pixels, 0.5))
    found = content_loss_map(flat.with_pixels(_right_half(_painted(content, style), flat.pixels)), flat)
    assert float(found[:, -40:].mean()) > 0.5
    assert float(found[:, :20].abs().mean()) < 0.1


def test_content_loss_map_does_not_mind_a_paler_picture(content: View) -> None:
    paler = content.with_pixels(0.25 + 0.5 * content.pixels)
    assert float(content_loss_map(paler, content).abs().mean()) < 0.15


def test_place_names_every_ninth() -> None:
    names = {place(torch.nn.functional.one_hot(torch.tensor(n), 9).view(3, 3).float()) for n in range(9)}
    assert len(names) == 9
    assert {"upper left", "middle right", "lower centre", "centre"} <= names
