"""VGG-19 as a function from a picture to named activations, with a backward pass written by hand.

Style transfer needs the gradient with respect to the picture only, never with respect to the weights. The gradient of
a 3×3 convolution with stride 1 and padding 1 with respect to its input is itself such a convolution, with the kernel
turned by 180° and its channel axes swapped; so both directions run the same packed, channels-last kernels, and
nothing is kept but the activations after each ReLU.
Source: Simonyan, Zisserman, ICLR 2015; activations rescaled as in Gatys, Ecker, Bethge, CVPR 2016, section 2.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.settings import LAYERS, Pooling
from impasto.vgg.layers import CONVOLUTIONS, block, up_to
from impasto.vgg.weights import VGGWeights

#: Average pooling shrinks and L2 pooling grows activations; these factors give about max pooling's mean back down to
#: relu5_1 (measured on four photographs at 192 px). crowsonkb/style-transfer-pytorch uses 2 and 0.78, which grow it.
POOLING_SCALE: Final[dict[Pooling, float]] = {"max": 1.0, "average": 1.46, "l2": 0.66}

_Convolve = Callable[[Tensor], Tensor]


class _Convolution:
    """A 3×3 convolution with padding 1 (or 0) whose kernel is packed once per input size on the CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, padding: int, relu: bool) -> None:
        self.weight, self.bias, self.padding, self.relu = weight, bias, padding, relu
        self._packed: tuple[torch.Size, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            plain = F.conv2d(x, self.weight, self.bias, padding=self.padding)
            return plain.relu_() if self.relu else plain
        size = [self.padding, self.padding]
        if self._packed is None or self._packed[0] != x.shape:
            packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, size, [1, 1], [1, 1], 1, list(x.shape))
            self._packed = (x.shape, packed)
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed[1], self.bias, size, [1, 1], [1, 1], 1, "relu" if self.relu else "none", [], ""
        )
        return out


class VGG19:
    """VGG-19's activations by layer name, differentiable with respect to the picture.

    Activations have a mean of about 1 in every layer on natural pictures (see :mod:`impasto.vgg.calibrate`), so a
    layer's weight means the same in every layer and at every picture size. Nothing below the deepest layer asked for
    is computed.

    Args:
        weights: convolution weights.
        scales: for each ``reluB_I`` the factor that brings its mean activation to 1; empty: raw activations.
        deepest: the last layer that will be asked for.
        pooling: ``max`` as trained; ``average`` as Gatys et al. prefer; ``l2``. The last two are rescaled to keep the
            mean activation, which Gatys et al. do not do.
        device: where to compute.
        dtype: ``float32`` or ``bfloat16``; of the activations. The picture's gradient is float32.
    """

    def __init__(
        self,
        weights: VGGWeights,
        scales: dict[str, float],
        *,
        deepest: str = LAYERS[-1],
        pooling: Pooling = "max",
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.pooling, self.device, self.dtype = pooling, device, dtype
        self.mean = torch.tensor(weights.mean, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        self.forward_convs: dict[str, _Convolve] = {}
        self.backward_convs: dict[str, _Convolve] = {}
        before = 1.0
        for layer in up_to([deepest]):
            name, _, _ = CONVOLUTIONS[layer]
            after = scales.get(layer, 1.0)
            # relu(s·x) = s·relu(x), so the scales fold into the kernels: exact, and free at run time.
            weight = weights.tensors[f"{name}.weight"].to(device) * (after / before)
            bias = weights.tensors[f"{name}.bias"].to(device) * after
            before = after
            turned = weight.flip(2, 3).transpose(0, 1)
            # The picture comes padded by one replicated pixel: the paper's zero padding would frame the result.
            padding = 0 if layer == "relu1_1" else 1
            self.forward_convs[layer] = _Convolution(self._cast(weight), bias.to(dtype), padding=padding, relu=True)
            self.backward_convs[layer] = _Convolution(self._cast(turned), None, padding=2 - padding, relu=False)

    def _cast(self, weight: Tensor) -> Tensor:
        return weight.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def features(self, pixels: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """Activations of ``pixels`` at ``layers``.

        Args:
            pixels: ``(1, 3, h, w)`` float32 RGB in [0, 1]; ``h`` and ``w`` at least the deepest layer's stride.
            layers: names ``relu1_1 … relu5_4``.

        Returns:
            For each name ``(1, c, h', w')`` in the network's dtype, channels last, with ``h' = h // stride``.
        """
        activations = _Features.apply(pixels, self, layers)  # type: ignore[no-untyped-call]
        return dict(zip(layers, activations, strict=True))


class _Features(torch.autograd.Function):
    """The network as one node of the graph, so that only what the backward pass reads is kept."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, net: VGG19, layers: tuple[str, ...]) -> tuple[Tensor, ...]:
        x = F.pad(pixels - net.mean, (1, 1, 1, 1), mode="replicate")
        x = x.to(net.dtype).contiguous(memory_format=torch.channels_last)
        kept: list[Tensor] = []  # every ReLU's output, and before each block what the pooling's backward needs
        taps: dict[str, Tensor] = {}
        for layer in up_to(layers):
            if _follows_pooling(layer):
                x, routing = _pool(x, net.pooling)
                if ctx.needs_input_grad[0]:
                    kept.append(routing)
            x = net.forward_convs[layer](x)
            if ctx.needs_input_grad[0]:
                kept.append(x)
            if layer in layers:
                taps[layer] = x
        ctx.net, ctx.layers = net, layers
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*kept)
        return tuple(taps[layer] for layer in layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        net: VGG19 = ctx.net
        kept = list(ctx.saved_tensors)
        wanted = dict(zip(ctx.layers, grads, strict=True))
        grad: Tensor | None = None  # None as long as no loss reads this layer or a deeper one
        for layer in reversed(up_to(ctx.layers)):
            activation = kept.pop()
            tap = wanted.get(layer)
            if tap is not None:
                tap = tap.to(net.dtype).contiguous(memory_format=torch.channels_last)
                grad = tap if grad is None else grad.add_(tap)
            if grad is not None:
                grad = torch.ops.aten.threshold_backward(grad, activation, 0)
                grad = net.backward_convs[layer](grad)
            if _follows_pooling(layer):
                routing = kept.pop()
                if grad is not None:
                    grad = _pool_backward(grad, kept[-1], routing, net.pooling)
        return None if grad is None else _unpad_replicate(grad.float()), None, None


def _follows_pooling(layer: str) -> bool:
    return layer.endswith("_1") and block(layer) > 1


def _pool(x: Tensor, pooling: Pooling) -> tuple[Tensor, Tensor]:
    """Halve both sides (odd rims are dropped); returns the result and what the backward pass needs besides ``x``."""
    if pooling == "max":
        pooled, indices = torch.ops.aten.max_pool2d_with_indices(x, [2, 2], [2, 2])
        return pooled, indices
    if pooling == "average":
        pooled = F.avg_pool2d(x, 2).mul_(POOLING_SCALE["average"])
        return pooled, pooled.new_empty(0)
    pooled = F.avg_pool2d(x * x, 2).mul_(4).sqrt_().mul_(POOLING_SCALE["l2"])
    return pooled, pooled


def _pool_backward(grad: Tensor, x: Tensor, routing: Tensor, pooling: Pooling) -> Tensor:
    """Gradient with respect to ``x`` of :func:`_pool`."""
    if pooling == "max":
        out: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            grad, x, [2, 2], [2, 2], [0, 0], [1, 1], False, routing
        )
        return out
    if pooling == "l2":
        # d/dx of s·√Σx² is s²·x / (s·√Σx²); where all four are 0 so is the gradient.
        grad = torch.where(routing > 0, grad / routing, 0)
    spread: Tensor = torch.ops.aten.avg_pool2d_backward(grad, x, [2, 2], [2, 2], [0, 0], False, True, None)
    if pooling == "average":
        return spread.mul_(POOLING_SCALE["average"])
    return spread.mul_(x).mul_(4 * POOLING_SCALE["l2"] ** 2)


def _unpad_replicate(grad: Tensor) -> Tensor:
    """Gradient of replicate padding by one: the rim's gradient belongs to the pixels it was copied from."""
    grad = grad.contiguous()
    grad[..., 1] += grad[..., 0]
    grad[..., -2] += grad[..., -1]
    grad[..., 1, :] += grad[..., 0, :]
    grad[..., -2, :] += grad[..., -1, :]
    return grad[..., 1:-1, 1:-1]
