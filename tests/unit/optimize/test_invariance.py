"""What must not change the picture: the side it is seen from, chance, and how its memory is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from impasto.engines.optimize import plan
from impasto.engines.optimize.solvers import BoxAdam, BoxLBFGS
from impasto.vgg import Passage

if TYPE_CHECKING:
    from torch import Tensor


@pytest.mark.parametrize("axis", [1, 0], ids=["left-right", "top-bottom"])
@pytest.mark.parametrize("style_loss", ["w2", "gram", "moments", "swd"])
def test_mirrored_pictures_give_about_the_mirrored_picture(stylize, content, style, axis: int, style_loss: str) -> None:
    """About: the network's kernels are no mirror images of each other, its gradients differ by a tenth."""
    style = style[:48, :64]
    options = {"scales": (64,), "steps": 3, "style_loss": style_loss, "samples": 65536}
    plain = stylize(content, style, **options).picture.pixels
    mirrored = stylize(np.flip(content, axis).copy(), np.flip(style, axis).copy(), **options).picture.pixels
    assert float((mirrored.flip(axis + 1) - plain).abs().mean()) < 3 / 255
    assert float((mirrored - plain).abs().mean()) > 30 / 255


@pytest.mark.parametrize("solver", [BoxLBFGS, lambda: BoxAdam(0.02)], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("axis", [-1, -2], ids=["left-right", "top-bottom"])
@pytest.mark.parametrize("size", [(12, 16), (13, 15)])
def test_solver_on_the_mirrored_function_takes_the_mirrored_steps(solver, axis: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    goal, weight, start = (torch.rand(1, 3, *size, generator=generator) for _ in range(3))

    def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
        rest = pixels - 1.4 * goal + 0.2
        return float((weight * rest.square()).sum()), 2 * weight * rest

    def mirrored(pixels: Tensor) -> tuple[float, Tensor]:
        loss, grad = evaluate(pixels.flip(axis))
        return loss, grad.flip(axis)

    one, other = solver(), solver()
    one.start(start)
    other.start(start.flip(axis))
    for _ in range(8):
        one.step(evaluate)
        other.step(mirrored)
    assert_close(other.result.flip(axis), one.result, rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", [{"style_loss": "swd"}, {"style_loss": "nn"}, {"content_loss": "self_similarity"}])
def test_seed_decides_what_is_drawn(stylize, content, style, options) -> None:
    state = torch.get_rng_state()
    options = options | {"samples": 64, "steps": 3}
    first, again, other = (stylize(content, style, seed=seed, **options) for seed in (1, 1, 2))
    assert torch.equal(first.picture.pixels, again.picture.pixels)
    assert first.recipe == again.recipe
    if "style_loss" in options:  # at this size self_similarity looks at every place
        assert not torch.equal(first.picture.pixels, other.picture.pixels)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("options", [{"style_loss": "w2"}, {"style_loss": "gram"}, {"style_loss": "moments"}], ids=str)
def test_seed_changes_nothing_where_nothing_is_drawn(stylize, content, style, options) -> None:
    one, other = (stylize(content, style, seed=seed, steps=2, **options).picture.pixels for seed in (1, 2))
    assert torch.equal(one, other)


def _tiny_strips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make every scale one of strips of a few rows; gives how many strips each stage was cut into."""
    monkeypatch.setattr(plan, "_WHOLE_SCALE_MB", 0)
    monkeypatch.setattr(plan, "STRIP_MB", 1e-9)
    cut: list[int] = []
    original = Passage._strips

    def watched(self: Passage, taken: Tensor, layers: tuple[str, ...]):
        strips = list(original(self, taken, layers))
        cut.append(len(strips))
        return iter(strips)

    monkeypatch.setattr(Passage, "_strips", watched)
    return cut


@pytest.mark.parametrize(
    "options",
    [
        {"style_loss": "gram"},
        {"style_loss": "moments,nn", "samples": 64},
        {"style_loss": "swd,remd", "content_loss": "self_similarity"},
        {"optimizer": "adam", "style_loss": "w2"},
    ],
    ids=str,
)
def test_run_in_strips_gives_the_picture_of_a_whole_one(stylize, content, style, monkeypatch, options) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:40, 5:60] = 255
    options = options | {"regions": [(mask, 255 - style)], "steps": 3}
    whole = stylize(content, style, memory="whole", **options).picture.pixels
    cut = _tiny_strips(monkeypatch)
    strips = stylize(content, style, memory="strips", **options).picture.pixels
    assert max(cut) >= 6
    assert float((strips - whole).abs().mean()) < 1 / 255


def test_run_in_strips_has_no_seam(stylize, photograph, monkeypatch) -> None:
    """Rows differ across borders of strips as they differ elsewhere: no more than in the picture made whole."""
    content, style = photograph("astronaut", 128, 192), photograph("coffee", 128, 192)
    options = {"image_size": 192, "scales": (192,), "steps": 6, "style_loss": "gram"}
    whole = stylize(content, style, memory="whole", **options).picture.pixels
    cut = _tiny_strips(monkeypatch)
    strips = stylize(content, style, memory="strips", **options).picture.pixels
    assert max(cut) == 16  # of 8 rows in the first stage: borders after rows 7, 15, …

    def ratio(pixels: Tensor) -> float:
        steps = pixels.diff(dim=1).abs().mean((0, 2))  # between row i and i + 1
        borders = torch.arange(7, 127, 8)
        return float(steps[borders].mean() / steps[torch.cat([borders - 1, borders + 1]).clamp(max=126)].mean())

    assert ratio(strips) / ratio(whole) < 1.05
    assert float((strips - whole).abs().mean()) < 1 / 255


def test_small_scales_are_whole_even_in_strips(stylize, content, style, monkeypatch) -> None:
    """They then cost nothing extra; so small a picture is the same, bit for bit."""
    cut: list[int] = []
    original = Passage._strips
    monkeypatch.setattr(
        Passage, "_strips", lambda self, *given: iter(cut.append(len(s := list(original(self, *given)))) or s)
    )
    strips, whole = (stylize(content, style, memory=memory, steps=2).picture.pixels for memory in ("strips", "whole"))
    assert set(cut) == {1}
    assert torch.equal(strips, whole)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_bit_depth_is_that_of_the_pixels(stylize, photograph, bit_depth: int) -> None:
    content, style = photograph("astronaut", 48, 64), photograph("coffee", 48, 64)
    result = stylize(content, style, bit_depth=bit_depth)
    levels = result.picture.pixels.double() * (2**bit_depth - 1)
    assert float((levels - levels.round()).abs().max()) < 0.01
    assert result.picture.bit_depth == bit_depth
    assert (len(levels.round().unique()) > 256) == (bit_depth == 16)


def test_bit_depth_changes_the_picture_by_rounding_alone(stylize, content, style) -> None:
    deep, flat = (stylize(content, style, bit_depth=depth).picture.pixels for depth in (16, 8))
    assert float((deep - flat).abs().max()) <= 0.5 / 255 + 1e-4
