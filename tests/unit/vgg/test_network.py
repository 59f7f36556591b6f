"""The network against a plain reading of the paper in PyTorch's own operations, forward and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.settings import LAYERS
from impasto.vgg import activations, choose_precision
from impasto.vgg.calibrate import PACKAGED_SCALES, dead_leaves, measure_scales
from impasto.vgg.network import POOLING_SCALE

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.settings import Pooling
    from impasto.vgg import VGG19, VGGWeights

CPU = torch.device("cpu")
POOLINGS = ("max", "average", "l2")
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def _pixels(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth noise: neighbours differ, nothing is flat."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4 + 2, width // 4 + 2, generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode="bilinear")
    return (0.8 * smooth + 0.2 * torch.rand(1, 3, height, width, generator=generator)).clamp(0, 1)


def _pool(x: Tensor, pooling: str) -> Tensor:
    if pooling == "max":
        return F.max_pool2d(x, 2)
    if pooling == "average":
        return POOLING_SCALE["average"] * F.avg_pool2d(x, 2)
    energy = 4 * F.avg_pool2d(x * x, 2)
    nonzero = energy > 0
    return POOLING_SCALE["l2"] * torch.where(nonzero, torch.where(nonzero, energy, 1).sqrt(), 0)


def _reference(weights: VGGWeights, pixels: Tensor, pooling: str, *, deepest: str = LAYERS[-1]) -> dict[str, Tensor]:
    """VGG-19 as the paper draws it, but for the first padding and the last rescaling."""
    x = F.pad(pixels - torch.tensor(weights.mean).view(1, 3, 1, 1), (1, 1, 1, 1), mode="replicate")
    found = {}
    for layer in LAYERS[: LAYERS.index(deepest) + 1]:
        if layer in STYLE_LAYERS[1:]:
            x = _pool(x, pooling)
        name = layer.replace("relu", "conv")
        first = layer == "relu1_1"
        x = F.conv2d(x, weights.tensors[f"{name}.weight"], weights.tensors[f"{name}.bias"], padding=0 if first else 1)
        x = x.relu()
        found[layer] = x * PACKAGED_SCALES[layer]
    return found


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [(48, 32), (75, 91)])
def test_activations_float32_equal_the_plain_network(
    weights: VGGWeights, network, pooling: Pooling, size: tuple[int, int]
) -> None:
    net = network(pooling, torch.float32)
    pixels = _pixels(*size)
    expected = _reference(weights, pixels, pooling)
    found = activations(net, pixels, LAYERS)
    assert tuple(found) == LAYERS
    for layer in LAYERS:
        stride = 2 ** (int(layer[4]) - 1)
        assert found[layer].shape[-2:] == (size[0] // stride, size[1] // stride)
        assert _error(found[layer], expected[layer]) < 1e-5, layer


@pytest.mark.parametrize("pooling", POOLINGS)
def test_activations_bfloat16_are_close_to_the_plain_network(weights: VGGWeights, network, pooling: Pooling) -> None:
    net = network(pooling, torch.bfloat16)
    pixels = _pixels(75, 91)
    expected = _reference(weights, pixels, pooling)
    for layer, found in activations(net, pixels, STYLE_LAYERS).items():
        assert found.dtype == torch.bfloat16
        assert _error(found, expected[layer]) < 2e-2, layer


def _gradient(features: dict[str, Tensor], pixels: Tensor, read: tuple[str, ...]) -> Tensor:
    """Of a random linear function of the layers in ``read``."""
    generator = torch.Generator().manual_seed(5)
    total = torch.zeros(())
    for layer in read:
        total = total + (torch.randn(features[layer].shape, generator=generator) * features[layer].float()).sum()
    return torch.autograd.grad(total, pixels)[0]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [(75, 91), (32, 17)])
def test_gradient_float32_equals_autograd_through_the_plain_network(
    weights: VGGWeights, network, pooling: Pooling, size: tuple[int, int]
) -> None:
    net = network(pooling, torch.float32)
    pixels = _pixels(*size).requires_grad_()
    read = (*STYLE_LAYERS, "relu4_2")
    found = _gradient(activations(net, pixels, read), pixels, read)
    expected = _gradient(_reference(weights, pixels, pooling), pixels, read)
    assert _error(found, expected) < 1e-4


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        (("relu1_1",), ("relu1_1",)),
        (("relu1_2", "relu2_2"), ("relu1_2",)),
        (("relu1_1", "relu3_4", "relu5_1"), ("relu1_1", "relu5_1")),
        (("relu2_1", "relu3_1", "relu5_4"), ("relu2_1", "relu3_1")),
        (("relu5_4",), ("relu5_4",)),
        (("relu4_2", "relu1_1"), ("relu4_2", "relu1_1")),  # not in the network's order
    ],
)
def test_gradient_of_any_subset_of_layers_equals_autograd(
    weights: VGGWeights, net: VGG19, asked: tuple[str, ...], read: tuple[str, ...]
) -> None:
    """Also where a layer that was asked for takes no part in the loss."""
    pixels = _pixels(37, 50).requires_grad_()
    found = _gradient(activations(net, pixels, asked), pixels, read)
    expected = _gradient(_reference(weights, pixels, "max"), pixels, read)
    assert found.dtype == torch.float32
    assert _error(found, expected) < 1e-4


def test_gradient_bfloat16_points_where_the_float32_one_does(network, content) -> None:
    pixels = torch.from_numpy(content.copy()).permute(2, 0, 1)[None] / 255
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        net = network("max", dtype)
        leaf = pixels.clone().requires_grad_()
        features = activations(net, leaf, STYLE_LAYERS)
        sum(f.float().square().mean() for f in features.values()).backward()
        gradients.append(leaf.grad)
    assert gradients[1].dtype == torch.float32
    assert float(F.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0)) > 0.99


def test_features_without_gradient_are_the_same(net: VGG19) -> None:
    pixels = _pixels(40, 40)
    with torch.no_grad():
        without = activations(net, pixels, ("relu3_1",))["relu3_1"]
    with_grad = activations(net, pixels.clone().requires_grad_(), ("relu3_1",))["relu3_1"]
    assert torch.equal(without, with_grad.detach())
    assert not without.requires_grad


def test_features_leave_the_pixels_alone(net: VGG19) -> None:
    pixels = _pixels(33, 40)
    before = pixels.clone()
    leaf = pixels.requires_grad_()
    activations(net, leaf, ("relu1_1", "relu2_1"))["relu2_1"].sum().backward()
    assert torch.equal(pixels.detach(), before)


def test_features_when_sizes_alternate_stay_right(weights: VGGWeights, net: VGG19) -> None:
    """Kernels are packed for one size at a time."""
    sizes = ((32, 32), (48, 40), (32, 32))
    for size in sizes:
        pixels = _pixels(*size)
        expected = _reference(weights, pixels, "max", deepest="relu3_1")["relu3_1"]
        assert _error(activations(net, pixels, ("relu3_1",))["relu3_1"], expected) < 1e-5


@pytest.mark.parametrize("deepest", ["relu1_1", "relu3_1", "relu4_2"])
def test_nothing_below_the_deepest_layer_is_computed(network, deepest: str) -> None:
    net = network("max", torch.float32)
    net.forward_convs = dict(net.forward_convs)  # the network itself is shared
    called: list[str] = []

    def counted(layer: str, convolve):
        def call(x: Tensor) -> Tensor:
            called.append(layer)
            return convolve(x)

        return call

    for layer, convolve in list(net.forward_convs.items()):
        net.forward_convs[layer] = counted(layer, convolve)
    activations(net, _pixels(32, 32), ("relu1_1", deepest))
    assert called == list(LAYERS[: LAYERS.index(deepest) + 1])


def test_smallest_picture_for_the_deepest_block_is_16_px(net: VGG19) -> None:
    pixels = _pixels(16, 16).requires_grad_()
    features = activations(net, pixels, ("relu5_1",))["relu5_1"]
    assert features.shape == (1, 512, 1, 1)
    features.sum().backward()
    assert bool(pixels.grad.isfinite().all())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_pictures_of_a_few_pixels_work_in_the_first_block(
    weights: VGGWeights, net: VGG19, height: int, width: int
) -> None:
    pixels = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = _gradient(activations(net, pixels, ("relu1_2",)), pixels, ("relu1_2",))
    x = F.pad(pixels - torch.tensor(weights.mean).view(1, 3, 1, 1), (1, 1, 1, 1), mode="replicate")
    x = F.conv2d(x, weights.tensors["conv1_1.weight"], weights.tensors["conv1_1.bias"]).relu()
    x = F.conv2d(x, weights.tensors["conv1_2.weight"], weights.tensors["conv1_2.bias"], padding=1).relu()
    expected = _gradient({"relu1_2": x * PACKAGED_SCALES["relu1_2"]}, pixels, ("relu1_2",))
    assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_packaged_scales_are_what_measuring_gives(weights: VGGWeights) -> None:
    measured = measure_scales(weights)
    assert measured.keys() == PACKAGED_SCALES.keys() == set(LAYERS)
    for layer, scale in PACKAGED_SCALES.items():
        assert scale == pytest.approx(measured[layer], rel=0.01), layer


def test_dead_leaves_is_a_fixed_picture() -> None:
    state = torch.get_rng_state()
    picture = dead_leaves(64, leaves=200)
    assert torch.equal(picture, dead_leaves(64, leaves=200))
    assert picture.shape == (1, 3, 64, 64)
    assert float(picture.min()) >= 0
    assert float(picture.max()) <= 1
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_mean_activation_on_a_photograph_is_about_one(net: VGG19, photograph, name: str) -> None:
    pixels = torch.from_numpy(photograph(name, 112, 128)).permute(2, 0, 1)[None] / 255
    for layer, features in activations(net, pixels, STYLE_LAYERS).items():
        assert 0.4 < float(features.mean()) < 3, layer


@pytest.mark.parametrize("pooling", ["average", "l2"])
def test_other_poolings_keep_the_mean_activation(network, photograph, pooling: Pooling) -> None:
    net, other = network("max", torch.float32), network(pooling, torch.float32)
    pixels = torch.from_numpy(photograph("chelsea", 96, 128)).permute(2, 0, 1)[None] / 255
    expected, found = activations(net, pixels, STYLE_LAYERS), activations(other, pixels, STYLE_LAYERS)
    for layer in STYLE_LAYERS:
        assert 0.5 < float(found[layer].mean() / expected[layer].mean()) < 2, layer


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_precision_when_asked_for_is_taken(dtype: str) -> None:
    chosen = choose_precision("cpu", dtype)
    assert (chosen.device, chosen.dtype) == (CPU, getattr(torch, dtype))
    assert dtype in chosen.reason


def test_precision_auto_gives_a_reason() -> None:
    chosen = choose_precision()
    assert chosen.dtype in (torch.float32, torch.bfloat16)
    assert str(chosen.dtype).removeprefix("torch.") in chosen.reason
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert chosen.device == CPU


def test_precision_of_a_device_that_is_not_there_is_refused() -> None:
    device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(SettingsError, match=f"{device} is not there.*device=cpu"):
        choose_precision(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_precision_cuda_without_cuda_is_refused() -> None:
    with pytest.raises(SettingsError, match="cuda"):
        choose_precision("cuda", "float32")
