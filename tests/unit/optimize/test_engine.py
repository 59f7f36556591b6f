"""What the engine's settings do to the picture, and what its loss means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import impasto
from impasto.engines.optimize.objective import Objective
from impasto.engines.optimize.plan import plan_scales
from impasto.engines.parts import Part, Source
from impasto.images import read, resize
from impasto.settings import OptimizeSettings
from impasto.vgg import activations

if TYPE_CHECKING:
    from torch import Tensor

#: float32 everywhere: what is compared must not hang on rounding.
QUICK = {"image_size": 64, "scales": (32, 64), "steps": 4, "style_loss": "w2", "dtype": "float32", "device": "cpu"}


def _stylize(content: object, style: object, **settings: object) -> impasto.Stylization:
    return impasto.stylize(content, style, **{**QUICK, **settings})


def _pixels(picture: object) -> Tensor:
    return read(picture).pixels[None]


def _objective(net, content, style, **settings: object) -> Objective:
    checked = OptimizeSettings.of(**{**QUICK, **settings})
    return Objective(net, _pixels(content), [Part(None, (Source(_pixels(style), None, 1.0),))], checked)


def test_loss_of_the_result_is_below_the_contents(net, content, style) -> None:
    style = style[:48, :64]
    objective = _objective(net, content, style)
    result = _stylize(content, style, steps=8)
    assert objective.measure(result.picture.pixels[None]) < 0.7 * objective.measure(_pixels(content))


def test_loss_in_the_recipe_is_the_saved_pictures(net, content, style) -> None:
    style = style[:48, :64]
    result = _stylize(content, style)
    objective = _objective(net, content, style)
    assert result.recipe.loss == pytest.approx(objective.measure(result.picture.pixels[None]), rel=1e-4)
    assert sum(result.recipe.terms.values()) == pytest.approx(result.recipe.loss, rel=1e-5)
    # Rounding to 8 bits costs next to nothing: the picture that is saved is the one that was optimised.
    assert result.recipe.loss == pytest.approx(result.trace[-1].loss, rel=0.05)


def test_loss_never_climbs_within_a_scale(content, style) -> None:
    trace = _stylize(content, style, steps=12).trace
    for scale in (32, 64):
        losses = [point.loss for point in trace if point.scale_px == scale]
        assert len(losses) == 12
        assert all(later <= earlier for earlier, later in zip(losses, losses[1:], strict=False))


@pytest.mark.parametrize("style_loss", ["w2", "gram"])
def test_loss_means_the_same_at_two_sizes(net, photograph, style_loss: str) -> None:
    losses = []
    for size in (64, 96):
        content, style = photograph("astronaut", size, size), photograph("coffee", size, size)
        losses.append(_objective(net, content, style, style_loss=style_loss).measure(_pixels(content)))
    assert 0.5 < losses[0] / losses[1] < 2


def test_objective_gradient_is_the_slope_of_its_loss(net, content, style) -> None:
    objective = _objective(net, content, style)
    pixels = 0.8 * _pixels(content) + 0.1
    _, grad = objective(pixels)
    direction = grad / grad.norm()
    step = 0.02
    slope = (objective.measure(pixels + step * direction) - objective.measure(pixels - step * direction)) / (2 * step)
    assert slope == pytest.approx(float(grad.norm()), rel=0.05)


def test_objective_of_identical_pictures_is_almost_zero(net, content) -> None:
    same, other = (_objective(net, content, content, tv_weight=0, content_weight=weight) for weight in (1.0, 1.0))
    at_start = same.measure(_pixels(content))
    elsewhere = other.measure(_pixels(255 - content))
    assert abs(at_start) < 1e-2 * elsewhere


def test_objective_names_its_parts_and_drops_those_of_weight_zero(net, content, style) -> None:
    objective = _objective(
        net, content, style, layers={"relu1_1": 1, "relu5_1": 0}, content_layers="relu2_2", tv_weight=0
    )
    loss, _ = objective(_pixels(content))
    assert objective.terms.keys() == {"content relu2_2", "style relu1_1"}
    assert loss == pytest.approx(sum(objective.terms.values()))


def test_layer_weights_are_shares(net, content, style) -> None:
    one = _objective(net, content, style, layers="relu1_1=1,relu3_1=3").measure(_pixels(content))
    ten = _objective(net, content, style, layers="relu1_1=10,relu3_1=30").measure(_pixels(content))
    assert one == pytest.approx(ten, rel=1e-5)


def test_style_weight_zero_gives_the_content_back(content, style) -> None:
    result = _stylize(content, style, style_weight=0, tv_weight=0, content_weight=1, scales=(64,))
    assert float((result.picture.pixels - _pixels(content)[0]).abs().max()) < 1.5 / 255


def test_content_weight_zero_to_large_moves_the_output_to_the_content(net, content, style) -> None:
    target = activations(net, _pixels(content), ("relu4_2",))["relu4_2"]
    distances = []
    for weight in (0.0, 0.3, 30.0):
        result = _stylize(content, style, content_weight=weight, steps=10)
        features = activations(net, result.picture.pixels[None], ("relu4_2",))["relu4_2"]
        distances.append(float((features - target).square().mean()))
    assert distances[0] > distances[1] > distances[2]


def test_tv_weight_makes_the_picture_smoother(content, style) -> None:
    from impasto.losses import total_variation

    rough, smooth = (
        float(total_variation(_stylize(content, style, tv_weight=weight).picture.pixels[None])) for weight in (0, 100)
    )
    assert smooth < 0.7 * rough


def test_style_weights_of_one_and_zero_are_the_first_style_alone(content, style) -> None:
    both = _stylize(content, [style, 255 - style], style_weights=(1, 0)).picture.pixels
    alone = _stylize(content, style).picture.pixels
    assert float((both - alone).abs().max()) <= 1 / 255
    only_second = _stylize(content, [style, 255 - style], style_weights=(0, 1)).picture.pixels
    assert float((only_second - alone).abs().mean()) > 0.02


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0, 1.0)])
def test_style_weights_of_another_number_are_refused(content, style, weights: tuple[float, ...]) -> None:
    with pytest.raises(impasto.SettingsError, match=f"{len(weights)} values for 2 styles"):
        _stylize(content, [style, style], style_weights=weights)


def test_all_weights_zero_are_refused(content, style) -> None:
    with pytest.raises(impasto.SettingsError, match="all 0"):
        _stylize(content, style, content_weight=0, style_weight=0, tv_weight=0)


@pytest.fixture(scope="module")
def base(content, style) -> impasto.Stylization:
    """With nothing changed."""
    return _stylize(content, style)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"style_loss": "gram"},
        {"style_loss": "moments"},
        {"style_loss": "w2,nn,swd,remd", "content_loss": "mse,self_similarity"},
        {"pooling": "average"},
        {"pooling": "l2"},
        {"style_scale": 0.1},
        {"style_scale": 4.0},
        {"dtype": "bfloat16"},
        {"layers": "relu3_2", "content_layers": "relu1_2"},
        {"content_weight": 0},
        {"init": "style"},
    ],
    ids=str,
)
def test_every_choice_changes_the_picture_and_lowers_the_loss(content, style, base, settings) -> None:
    result = _stylize(content, style, **settings)
    assert not torch.equal(result.picture.pixels, base.picture.pixels)
    assert bool(result.picture.pixels.isfinite().all())
    last = [point.loss for point in result.trace if point.scale_px == 64]
    assert last[-1] < last[0]
    assert math.isfinite(result.recipe.loss)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_weights_beyond_float32_are_refused_or_survived(content, style, optimizer: str) -> None:
    try:
        result = _stylize(content, style, content_weight=1e38, optimizer=optimizer, steps=2)
    except impasto.DivergedError:
        return
    assert bool(result.picture.pixels.isfinite().all())
    assert math.isfinite(result.recipe.loss)


def test_steps_zero_gives_the_recoloured_content(content, style) -> None:
    result = _stylize(content, style, steps=0)
    assert result.trace == ()
    found = result.picture.pixels.mean((1, 2))
    expected = _pixels(style).mean((0, 2, 3))
    assert float((found - expected).abs().max()) < 0.03


def test_init_style_and_noise_start_without_the_content(content, style) -> None:
    starts = {init: _stylize(content, style, init=init, steps=0).picture.pixels for init in ("style", "noise")}
    for pixels in starts.values():
        assert float((pixels - _pixels(content)[0]).abs().mean()) > 0.05
    assert float((starts["noise"].mean() - 0.5).abs()) < 0.02


@pytest.mark.parametrize("scales", [(32, 64), (64,)])
def test_time_budget_too_small_still_gives_the_full_size(content, style, scales: tuple[int, ...]) -> None:
    result = _stylize(content, style, scales=scales, steps=50, time_budget=0.001)
    assert result.picture.pixels.shape == (3, 48, 64)
    assert sum(scale.steps for scale in result.recipe.scales) < 5
    assert result.stopped_early is True
    again = impasto.rerun(result.recipe, content, style)
    assert torch.equal(again.picture.pixels, result.picture.pixels)
    assert again.recipe == result.recipe


def test_time_budget_that_suffices_for_more_keeps_progress_rising(content, style) -> None:
    """The plan grows when the machine turns out to be fast; what was done stays done."""
    fractions = []
    result = _stylize(
        content, style, steps=3, time_budget=1.0, on_progress=lambda progress: fractions.append(progress.fraction)
    )
    assert all(earlier <= later for earlier, later in zip(fractions, fractions[1:], strict=False))
    assert fractions[-1] <= 1
    again = impasto.rerun(result.recipe, content, style)
    assert torch.equal(again.picture.pixels, result.picture.pixels)


def test_run_that_converges_early_says_that_all_is_done(content, style) -> None:
    """Content alone, from the content: nothing is left to do after one step."""
    fractions = []
    result = _stylize(
        content,
        style,
        style_weight=0,
        tv_weight=0,
        content_weight=1,
        scales=(64,),
        steps=50,
        on_progress=lambda progress: fractions.append(progress.fraction),
    )
    assert len(fractions) < 50
    assert fractions[-1] == 1.0
    assert result.stopped_early is False
    assert torch.equal(impasto.rerun(result.recipe, content, style).picture.pixels, result.picture.pixels)


def test_trace_parts_add_up_where_steps_fail(content, style) -> None:
    """Near the end a line search comes back empty-handed; loss and parts must be of the same picture."""
    result = _stylize(
        np.full((32, 32, 3), 90, np.uint8), style, style_weight=0, init="noise", scales=(32,), image_size=32, steps=40
    )
    for point in result.trace:
        assert point.loss == pytest.approx(sum(point.terms.values()), rel=1e-3, abs=1e-9)


def test_plan_is_what_the_recipe_says(content, style) -> None:
    settings = OptimizeSettings.of(**QUICK)
    planned = [(scale.width, scale.height, scale.steps) for scale in plan_scales(48, 64, settings)]
    recipe = _stylize(content, style).recipe
    assert [(scale.width, scale.height, scale.steps) for scale in recipe.scales] == planned


def test_style_far_larger_or_longer_than_the_content_works(content, photograph) -> None:
    for height, width in ((300, 300), (16, 300), (300, 17)):
        result = _stylize(content, photograph("coffee", height, width), steps=1)
        assert bool(result.picture.pixels.isfinite().all())


def test_result_does_not_depend_on_a_larger_styles_detail_below_its_scale(content, photograph) -> None:
    """A style is brought to the scale's size: enlarging the file first changes almost nothing."""
    small = photograph("coffee", 64, 64)
    enlarged = resize(_pixels(small), 128, 128)[0]
    one, two = (_stylize(content, each, steps=2).picture.pixels for each in (small, enlarged))
    assert float((one - two).abs().mean()) < 0.03
