"""Strength goes from the photo to the full style without a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import impasto
from impasto.images import read, resize
from impasto.settings import PRESETS
from impasto.vgg import activations

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.vgg import VGG19

LAYERS = ("relu2_1", "relu3_1")


def _look(net: VGG19, pixels: Tensor) -> Tensor:
    """A measure that no loss here is: means and deviations of the channels of two layers, per layer on one scale."""
    found = []
    for features in activations(net, pixels[None], LAYERS).values():
        both = torch.cat([features.mean((0, 2, 3)), features.std((0, 2, 3))])
        found.append(both / len(both) ** 0.5)
    return torch.cat(found)


def _of(picture: object) -> Tensor:
    return read(picture).pixels


def style_gain(net: VGG19, output: Tensor, content: Tensor, style: Tensor) -> float:
    """Which share of the way from the content's look to the style's is done; pictures of one size."""
    target = _look(net, style)
    before, after = (float((_look(net, each) - target).norm()) for each in (content, output))
    return 1 - after / before


@pytest.mark.parametrize("init", ["content", "noise", "style"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_strength_zero_gives_the_photo_back_exactly(stylize, content, style, optimizer: str, init: str) -> None:
    result = stylize(content, style, strength=0, optimizer=optimizer, init=init)
    assert torch.equal(result.picture.pixels, read(content).pixels)


@pytest.mark.parametrize(
    "options",
    [
        {"content_weight": 0},
        {"style_loss": "nn,remd", "content_loss": "self_similarity"},
        {"memory": "strips"},
        {"dtype": "bfloat16"},
        {"color": "luminance"},
        {"color": "palette", "palette": "#f00,#00f"},
        {"time_budget": 1.0},
    ],
    ids=str,
)
def test_strength_zero_gives_the_photo_back_whatever_is_set(stylize, content, style, options) -> None:
    assert torch.equal(stylize(content, style, strength=0, **options).picture.pixels, read(content).pixels)


def test_strength_zero_given_a_picture_to_start_from_gives_the_photo_back(stylize, content, style) -> None:
    assert torch.equal(stylize(content, style, strength=0, init=255 - content).picture.pixels, read(content).pixels)


def test_strength_zero_at_another_size_is_the_resampled_photo(stylize, photograph, style) -> None:
    content = photograph("astronaut", 96, 128)
    found = stylize(content, style, strength=0, image_size=64, scales=None).picture.pixels
    assert float((found - resize(read(content).pixels, 48, 64)).abs().max()) <= 0.5 / 255 + 1e-6


def test_strength_zero_can_be_made_again_from_its_recipe(stylize, content, style) -> None:
    result = stylize(content, style, strength=0)
    again = impasto.rerun(result.recipe, content, style)
    assert torch.equal(again.picture.pixels, result.picture.pixels)
    assert again.recipe == result.recipe


def test_strength_zero_leaves_regions_alone_too(stylize, content, style) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 20:50] = 255
    result = stylize(content, regions=[(mask, style)], strength=0)
    assert torch.equal(result.picture.pixels, read(content).pixels)


def _full(content: object, style: object, size: int, **options: object) -> Tensor:
    """With nothing set beside a preset but size and precision."""
    options = {"image_size": size, "dtype": "float32", "device": "cpu"} | options
    return impasto.stylize(content, style, **options).picture.pixels


@pytest.mark.parametrize("preset", PRESETS)
def test_strength_moves_the_picture_away_from_the_photo_and_to_the_style(net, photograph, preset: str) -> None:
    content, style = photograph("astronaut", 48, 48), photograph("coffee", 48, 48)
    distances, gains = [0.0], [0.0]
    for strength in (0.25, 0.5, 0.75, 1.0):
        output = _full(content, style, 48, preset=preset, strength=strength, steps=4)
        distances.append(float((output - _of(content)).abs().mean()))
        gains.append(style_gain(net, output, _of(content), _of(style)))
    assert all(earlier < later for earlier, later in zip(distances, distances[1:], strict=False))
    assert all(earlier <= later for earlier, later in zip(gains, gains[1:], strict=False))
    assert gains[-1] > 0.4


@pytest.mark.slow
def test_style_gain_is_about_the_same_at_two_sizes(net, photograph) -> None:
    gains = []
    for size in (128, 256):
        content, style = photograph("astronaut", size, size), photograph("coffee", size, size)
        output = _full(content, style, size, steps=5)
        gains.append(style_gain(net, *(resize(each, 128, 128) for each in (output, _of(content), _of(style)))))
    assert abs(gains[0] - gains[1]) < 0.1
