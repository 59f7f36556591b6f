"""The function that is minimised: its gradient is its slope, and strips and masks change nothing that they must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.testing import assert_close

from impasto.engines.optimize.objective import Objective
from impasto.engines.parts import Part, Source
from impasto.images import read, resize
from impasto.settings import CONTENT_LOSSES, STYLE_LOSSES, OptimizeSettings

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.vgg import VGG19

LAYERS = {
    "layers": "relu1_1=16,relu2_1=4,relu3_1=1",
    "content_layers": "relu2_2,relu3_2",
    "style_loss": "w2",
    "samples": 64,
}

LOSSES = [
    *({"style_loss": loss} for loss in STYLE_LOSSES),
    {"style_loss": "w2,nn=0.5,swd=0.5"},
    *({"content_loss": loss, "style_weight": 0, "content_weight": 1, "tv_weight": 0} for loss in CONTENT_LOSSES),
    {"content_loss": "mse,self_similarity", "style_loss": "gram"},
]


def _is_w2(options: dict[str, Any]) -> bool:
    """Whether the loss takes roots of eigenvalues: rounding of 1e-7 in the pixels then becomes 1e-3 of its slope."""
    return "w2" in OptimizeSettings.of(**LAYERS | options).style_loss and options.get("style_weight") != 0


def _pixels(picture: object) -> Tensor:
    return read(picture).pixels[None]


def _soft_mask(height: int, width: int) -> Tensor:
    """1 at the left, 0 at the right, soft between."""
    ramp = torch.linspace(1.6, -0.6, width).clamp(0, 1)
    return ramp.expand(1, 1, height, width).clone()


def _parts(kind: str, content: Tensor, style: Tensor) -> list[Part]:
    mask, one = _soft_mask(content.shape[-2], content.shape[-1]), Source(style, None, 1.0)
    if kind == "whole":
        return [Part(None, (one,))]
    if kind == "mask":
        return [Part(mask, (Source(style, _soft_mask(style.shape[-2], style.shape[-1]), 1.0),))]
    other = Source(1 - style, None, 1.0)
    return [Part(mask, (one,)), Part(1 - mask, (other, Source(style.flip(-1), None, 2.0)))]


def _objective(
    net: VGG19, content: Any, style: Any, *, kind: str = "whole", strip_mb: float | None = None, **options: Any
) -> Objective:
    content, style = _pixels(content), _pixels(style)
    settings = OptimizeSettings.of(**{**LAYERS, **options})
    return Objective(net, content, _parts(kind, content, style), settings, strip_mb=strip_mb)


@pytest.mark.parametrize(
    ("kind", "strip_mb"), [("whole", None), ("mask", None), ("two parts", None), ("two parts", 1e-9)]
)
@pytest.mark.parametrize("options", LOSSES, ids=str)
def test_gradient_is_the_slope_of_the_loss(net, content, style, options, kind: str, strip_mb: float | None) -> None:
    """Along itself, and along the way to another picture, which is nothing like it."""
    objective = _objective(net, content, style, kind=kind, strip_mb=strip_mb, **options)
    pixels = 0.8 * _pixels(content) + 0.1
    _, grad = objective(pixels)
    size = float(grad.norm())
    assert size > 0
    other = resize(_pixels(style), *pixels.shape[-2:]) - pixels
    step = 0.02 if _is_w2(options) else 0.001  # short: where a nearest neighbour changes there is a bend
    for direction in (grad / size, other / other.norm()):
        ahead, behind = (objective.measure(pixels + way * step * direction) for way in (1, -1))
        assert (ahead - behind) / (2 * step) == pytest.approx(float((grad * direction).sum()), abs=0.05 * size)


@pytest.mark.parametrize("kind", ["whole", "mask", "two parts"])
@pytest.mark.parametrize("options", LOSSES, ids=str)
def test_strips_give_the_wholes_loss_and_gradient(net, content, style, options, kind: str) -> None:
    pixels = 0.8 * _pixels(content) + 0.1
    whole, strips = (_objective(net, content, style, kind=kind, strip_mb=limit, **options) for limit in (None, 1e-9))
    loss, grad = whole(pixels)
    strips_loss, strips_grad = strips(pixels)
    assert strips_loss == pytest.approx(loss, rel=5e-4 if _is_w2(options) else 1e-4)
    assert float((strips_grad - grad).norm() / grad.norm()) < (2e-3 if _is_w2(options) else 1e-4)
    assert strips.terms.keys() == whole.terms.keys()
    assert strips.measure(pixels) == pytest.approx(strips_loss, rel=1e-5)
    for name, term in whole.terms.items():
        assert strips.terms[name] == pytest.approx(term, rel=5e-4 if _is_w2(options) else 1e-4, abs=1e-6 * loss)


@pytest.mark.parametrize("style_loss", [loss for loss in STYLE_LOSSES if loss != "swd"])  # draws other directions
def test_mask_of_ones_is_no_mask(net, content, style, style_loss: str) -> None:
    picture, looks = _pixels(content), _pixels(style)
    settings = OptimizeSettings.of(**LAYERS | {"style_loss": style_loss, "samples": 65536})
    found = []
    for mask, style_mask in ((None, None), (torch.ones(1, 1, 48, 64), torch.ones(1, 1, 56, 72))):
        objective = Objective(net, picture, [Part(mask, (Source(looks, style_mask, 1.0),))], settings)
        found.append(objective(0.8 * picture + 0.1))
    w2 = style_loss == "w2"
    assert found[1][0] == pytest.approx(found[0][0], rel=5e-4 if w2 else 1e-4)
    assert float((found[1][1] - found[0][1]).norm() / found[0][1].norm()) < (2e-3 if w2 else 1e-4)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_style_gradient_stays_near_its_mask(net, content, style, style_loss: str) -> None:
    """Beyond what its layers see of the mask, a part pulls at nothing."""
    picture = _pixels(content)
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., :20] = 1
    settings = OptimizeSettings.of(**LAYERS | {"style_loss": style_loss, "content_weight": 0, "tv_weight": 0})
    _, grad = Objective(net, picture, [Part(mask, (Source(_pixels(style), None, 1.0),))], settings)(picture)
    assert float(grad[..., :16].abs().max()) > 0
    reach = 20 + 2 * 14  # relu3_1 spreads a mask by 14 px, and sees as far again
    assert float(grad[..., reach:].abs().max()) == 0


def test_part_counts_by_its_area(net, content, style) -> None:
    picture, looks = _pixels(content), _pixels(style)
    settings = OptimizeSettings.of(**LAYERS)
    losses = []
    for level in (1.0, 0.25):
        part = Part(torch.full((1, 1, 48, 64), level), (Source(looks, None, 1.0),))
        objective = Objective(net, picture, [part], settings)
        objective(picture)
        losses.append(sum(term for name, term in objective.terms.items() if name.startswith("style")))
    assert losses[1] == pytest.approx(0.25 * losses[0], rel=1e-3)


def test_shares_of_a_parts_sources_are_divided_by_their_sum(net, content, style) -> None:
    picture, looks = _pixels(content), _pixels(style)
    settings = OptimizeSettings.of(**LAYERS)
    losses = []
    for factor in (1.0, 10.0):
        sources = (Source(looks, None, factor), Source(1 - looks, None, 3 * factor))
        losses.append(Objective(net, picture, [Part(None, sources)], settings).measure(picture))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("style_loss", ["swd", "nn", "remd"])
def test_redrawn_places_are_others_and_come_again(net, content, style, style_loss: str) -> None:
    objective = _objective(net, content, style, style_loss=style_loss)
    pixels = _pixels(content)
    assert objective.is_sampled
    first = objective.measure(pixels)
    objective.redraw(1)
    assert objective.measure(pixels) != first
    objective.redraw(0)
    assert objective.measure(pixels) == first


@pytest.mark.parametrize("style_loss", ["w2", "gram", "moments"])
def test_objective_that_sees_every_place_is_not_sampled(net, content, style, style_loss: str) -> None:
    assert not _objective(net, content, style, style_loss=style_loss).is_sampled
    assert _objective(net, content, style, style_loss=style_loss, content_loss="self_similarity").is_sampled


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_strength_scales_what_changes_the_photo_and_nothing_else(net, content, style, style_loss: str) -> None:
    terms = []
    for strength in (1.0, 0.6):
        objective = _objective(net, content, style, style_loss=style_loss, strength=strength)
        objective(0.8 * _pixels(content) + 0.1)
        terms.append(dict(objective.terms))
    effect = OptimizeSettings.of(strength=0.6).effect
    assert terms[0].keys() == terms[1].keys()
    for name, term in terms[0].items():
        expected = term if name.startswith("content") else effect * term
        assert terms[1][name] == pytest.approx(expected, rel=1e-5)


def test_objective_leaves_the_picture_alone(net, content, style) -> None:
    objective, pixels = _objective(net, content, style), _pixels(content)
    before = pixels.clone()
    loss, grad = objective(pixels)
    again, grad_again = objective(pixels)
    assert torch.equal(pixels, before)
    assert not pixels.requires_grad
    assert (loss, objective.measure(pixels)) == (again, pytest.approx(loss, rel=1e-6))
    assert torch.equal(grad, grad_again)
    assert_close(sum(objective.terms.values()), loss, rtol=1e-5, atol=0)
