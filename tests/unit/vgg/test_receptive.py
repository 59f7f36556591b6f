"""How a mask looks to each layer: averages over what a position sees, so that soft masks leave no gap."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from impasto.settings import LAYERS
from impasto.vgg import activations, layer_weights

SIZES = [(32, 48), (33, 47), (16, 16), (61, 90)]


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES)
def test_weights_of_masks_that_add_up_to_one_add_up_to_one_everywhere(size: tuple[int, int]) -> None:
    masks = torch.softmax(3 * _random(3, 1, *size), dim=0)
    seen = [layer_weights(mask[None], LAYERS) for mask in masks]
    for layer in LAYERS:
        total = seen[0][layer] + seen[1][layer] + seen[2][layer]
        assert_close(total, torch.ones_like(total), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_weights_have_a_layers_size_and_stay_in_the_masks_range(net, size: tuple[int, int]) -> None:
    layers = ("relu1_2", "relu2_1", "relu3_4", "relu5_1")
    seen = layer_weights(0.2 + 0.5 * _random(1, 1, *size), layers)
    expected = activations(net, _random(1, 3, *size), layers)
    for layer in layers:
        assert seen[layer].shape == expected[layer].shape[-2:]
        assert 0.2 - 1e-6 <= float(seen[layer].min()) <= float(seen[layer].max()) <= 0.7 + 1e-6


def test_weights_are_those_of_what_a_position_sees(net) -> None:
    """Where a change of the pixels under a mask changes nothing, the mask weighs nothing, and the other way round."""
    layers = ("relu1_1", "relu2_2", "relu3_2", "relu4_1")
    mask = torch.zeros(1, 1, 64, 96)
    mask[..., 20:29, 33:50] = 1
    pixels = _random(1, 3, 64, 96)
    before, after = (activations(net, each, layers) for each in (pixels, torch.where(mask > 0, 1 - pixels, pixels)))
    seen = layer_weights(mask, layers)
    for layer in layers:
        changed = ((before[layer] - after[layer]).abs() > 1e-4).any(1)[0]
        assert not bool((changed & (seen[layer] == 0)).any())
        assert 0.8 < float(changed.sum() / (seen[layer] > 0).sum()) <= 1


def test_weights_do_not_hang_on_the_order_of_layers() -> None:
    mask = _random(1, 1, 40, 40)
    one, other = layer_weights(mask, ("relu3_1", "relu1_1")), layer_weights(mask, ("relu1_1", "relu3_1"))
    assert one.keys() == other.keys() == {"relu1_1", "relu3_1"}
    assert all(torch.equal(one[layer], other[layer]) for layer in one)
    assert layer_weights(mask, ()) == {}


def test_weights_leave_the_mask_alone() -> None:
    mask = _random(1, 1, 24, 24)
    before = mask.clone()
    layer_weights(mask, LAYERS)
    assert torch.equal(mask, before)
