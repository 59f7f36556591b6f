"""A picture in strips is the picture as a whole: activations, gradient, and every row visited once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from impasto.vgg import Passage

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.vgg import VGG19

LAYERS = ("relu1_1", "relu2_2", "relu3_1", "relu4_2", "relu5_1")


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _walk(
    net: VGG19, pixels: Tensor, strip_mb: float | None, *, shift: float = 0.5
) -> tuple[dict[str, Tensor], Tensor]:
    """Activations put together from their strips, and the gradient of Σ ½(F − shift)² over all layers."""
    rows: dict[str, list[Tensor]] = {layer: [] for layer in LAYERS}

    def visit(layer: str, features: Tensor, first_row: int) -> None:
        assert first_row == sum(part.shape[-2] for part in rows[layer])
        rows[layer].append(features)

    passage = Passage(net, LAYERS, strip_mb=strip_mb)
    passage.forward(pixels, visit)
    grad = passage.backward(lambda layer, features, first_row: features - shift)  # noqa: ARG005
    assert grad is not None
    return {layer: torch.cat(parts, dim=-2) for layer, parts in rows.items()}, grad


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize("size", [(160, 32), (203, 41), (97, 50), (16, 16), (17, 90)])
def test_strips_give_the_whole_pictures_activations_and_gradient(network, pooling, size: tuple[int, int]) -> None:
    net = network(pooling, torch.float32)
    pixels = _random(1, 3, *size)
    whole, whole_grad = _walk(net, pixels, None)
    strips, strips_grad = _walk(net, pixels, 1e-9)  # as few rows as a strip may have
    for layer in LAYERS:
        torch.testing.assert_close(strips[layer], whole[layer], rtol=1e-4, atol=1e-5)
    assert float((strips_grad - whole_grad).norm() / whole_grad.norm()) < 1e-5


def test_strips_are_many_where_the_limit_is_low_and_one_where_it_is_high(net: VGG19) -> None:
    pixels = _random(1, 3, 200, 24)
    seen: dict[float, int] = {}
    for limit in (1e-9, 1000.0):
        visits: list[int] = []
        passage = Passage(net, ("relu1_1",), strip_mb=limit)
        passage.forward(pixels, lambda layer, features, first_row: visits.append(first_row), backward=False)  # noqa: ARG005, B023
        seen[limit] = len(visits)
    assert seen[1e-9] > 10
    assert seen[1000.0] == 1


def test_gradient_that_no_layer_has_is_none(net: VGG19) -> None:
    passage = Passage(net, LAYERS)
    passage.forward(_random(1, 3, 32, 32), lambda *_: None)
    assert passage.backward(lambda *_: None) is None


@pytest.mark.parametrize("strip_mb", [None, 1e-9])
def test_gradient_of_shallow_layers_alone_equals_that_beside_silent_deep_ones(net: VGG19, strip_mb) -> None:
    pixels = _random(1, 3, 90, 40)

    def only_shallow(layer: str, features: Tensor, first_row: int) -> Tensor | None:
        return features.clone() if layer == "relu2_2" else None

    grads = []
    for layers in (("relu2_2",), LAYERS):
        passage = Passage(net, layers, strip_mb=strip_mb)
        passage.forward(pixels, lambda *_: None)
        grads.append(passage.backward(only_shallow))
    torch.testing.assert_close(grads[0], grads[1])
