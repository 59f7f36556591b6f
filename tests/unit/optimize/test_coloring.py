"""Whose colours the picture ends up with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import impasto
from impasto.images import ColorStatistics, read
from impasto.images.oklab import srgb_to_oklab

if TYPE_CHECKING:
    from torch import Tensor


def _lab(pixels: Tensor) -> Tensor:
    return srgb_to_oklab(pixels.reshape(3, -1))


@pytest.fixture
def muted(content) -> np.ndarray:
    """The content away from black, white and pure colours, so that nothing clips."""
    grey = content.mean(2, keepdims=True)
    return (0.5 * (0.5 * content + 0.5 * grey) + 64).round().astype(np.uint8)


@pytest.mark.parametrize("when", ["after", "before"])
def test_luminance_keeps_the_contents_chroma(stylize, muted, style, when: str) -> None:
    found = stylize(muted, style, color="luminance", color_when=when).picture.pixels
    before, after = _lab(read(muted).pixels), _lab(found)
    apart = (after - before).abs()
    assert float(apart[1:].mean()) < 0.004  # 8 bits are about as coarse
    assert float(apart[1:].max()) < 0.1  # where it became so dark or light that sRGB has no such chroma
    assert float(apart[0].mean()) > 0.02  # the lightness is what was painted


def test_luminance_does_not_darken_a_photo_by_a_dark_style(stylize, muted, style) -> None:
    found = stylize(muted, (style * 0.3).astype(np.uint8), color="luminance").picture.pixels
    assert float(_lab(found)[0].mean()) == pytest.approx(float(_lab(read(muted).pixels)[0].mean()), abs=0.05)


def test_linear_reaches_the_contents_mean_and_covariance(stylize, muted, style) -> None:
    photo = ColorStatistics.of(read(muted).pixels[None])
    found = ColorStatistics.of(stylize(muted, style, color="linear").picture.pixels[None])
    plain = ColorStatistics.of(stylize(muted, style).picture.pixels[None])
    assert_close(found.mean, photo.mean, rtol=0, atol=0.01)
    assert float((found.covariance - photo.covariance).norm()) < 0.1 * float(photo.covariance.norm())
    assert float((plain.mean - photo.mean).norm()) > 0.1


def test_linear_reaches_them_where_the_content_can_be_seen(stylize, muted, style) -> None:
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, :20] = 255
    photo = read(muted).pixels[None, ..., :20]
    found = stylize(np.dstack([muted, alpha]), style, color="linear").picture.pixels[None, ..., :20]
    assert_close(ColorStatistics.of(found).mean, ColorStatistics.of(photo).mean, rtol=0, atol=0.01)


def test_histogram_reaches_the_contents_tones(stylize, muted, style) -> None:
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])

    def tones(pixels: Tensor) -> Tensor:
        return _lab(pixels).quantile(levels, dim=1)

    photo = tones(read(muted).pixels)
    found, plain = (tones(stylize(muted, style, color=color).picture.pixels) for color in ("histogram", "style"))
    assert float((found - photo).abs().max()) < 0.02
    assert float((plain - photo).abs().max()) > 0.1


@pytest.mark.parametrize("when", ["after", "before"])
def test_palette_brings_colours_nearer_to_its_swatches(stylize, content, style, when: str) -> None:
    options = {"color": "palette", "palette": "#1d3557,#e63946,#f1faee", "color_when": when, "content_weight": 0}
    swatches = srgb_to_oklab(torch.tensor([[29, 53, 87], [230, 57, 70], [241, 250, 238]]).T / 255)

    def distance(result: impasto.Stylization) -> float:
        return float(torch.cdist(_lab(result.picture.pixels).T, swatches.T).min(1).values.mean())

    assert distance(stylize(content, style, **options)) < 0.7 * distance(stylize(content, style))


@pytest.mark.parametrize(
    "options",
    [{"color": "linear"}, {"color": "histogram"}, {"color": "palette", "palette": "#f00,#ff0,#00f"}],
    ids=str,
)
def test_before_and_after_are_not_the_same(stylize, content, style, options) -> None:
    pictures = [stylize(content, style, color_when=when, **options).picture.pixels for when in ("before", "after")]
    pictures.append(stylize(content, style).picture.pixels)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert float((pictures[one] - pictures[other]).abs().mean()) > 1 / 255


@pytest.mark.parametrize("color", ["luminance", "linear", "histogram"])
def test_preview_has_the_colours_of_the_picture(stylize, content, style, color: str) -> None:
    previews = []
    result = stylize(content, style, color=color, on_progress=lambda progress: previews.append(progress.preview()))
    assert float((previews[-1] - result.picture.pixels).abs().max()) <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    "options",
    [{"color": "palette"}, {"palette": "#f00"}, {"color": "linear", "palette": "#f00"}, {"color_when": "during"}],
    ids=str,
)
def test_contradictions_are_refused(stylize, content, style, options) -> None:
    with pytest.raises(impasto.SettingsError):
        stylize(content, style, **options)
