"""VGG-19's convolutions, forward and back, one stage (the layers between two poolings) at a time.

Style transfer needs the gradient with respect to the picture only, never with respect to the weights. The gradient of
a 3×3 convolution with stride 1 and padding 1 with respect to its input is itself such a convolution, with the kernel
turned by 180° and its channel axes swapped; so both directions run the same packed, channels-last kernels, and
nothing is kept but the activations after each ReLU. How a whole picture goes through is in passage.py.
Source: Simonyan, Zisserman, ICLR 2015; activations rescaled as in Gatys, Ecker, Bethge, CVPR 2016, section 2.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.settings import LAYERS, Pooling
from impasto.vgg.layers import CONVOLUTIONS, up_to
from impasto.vgg.weights import VGGWeights

#: Average pooling shrinks and L2 pooling grows activations; these factors give about max pooling's mean back down to
#: relu5_1 (measured on four photographs at 192 px). crowsonkb/style-transfer-pytorch uses 2 and 0.78, which grow it.
POOLING_SCALE: Final[dict[Pooling, float]] = {"max": 1.0, "average": 1.46, "l2": 0.66}

#: Packed kernels kept per convolution: strips of a picture come in two shapes, and two runs may share the net.
_PACKED_SHAPES = 2

_Convolve = Callable[[Tensor], Tensor]


class _Convolution:
    """A 3×3 convolution with padding 1 (or 0) whose kernel is packed once per input size on the CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, padding: int, relu: bool) -> None:
        self.weight, self.bias, self.padding, self.relu = weight, bias, padding, relu
        self._packed: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            plain = F.conv2d(x, self.weight, self.bias, padding=self.padding)
            return plain.relu_() if self.relu else plain
        size = [self.padding, self.padding]
        packed = self._packed.get(x.shape)
        if packed is None:
            packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, size, [1, 1], [1, 1], 1, list(x.shape))
            # Replaced as a whole, so that another thread never sees it half-changed.
            self._packed = {**dict(list(self._packed.items())[1 - _PACKED_SHAPES :]), x.shape: packed}
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, packed, self.bias, size, [1, 1], [1, 1], 1, "relu" if self.relu else "none", [], ""
        )
        return out


class VGG19:
    """VGG-19's weights, ready to compute with.

    Activations have a mean of about 1 in every layer on natural pictures (see :mod:`impasto.vgg.calibrate`), so a
    layer's weight means the same in every layer and at every picture size.

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

    def enter(self, pixels: Tensor) -> Tensor:
        """What the first stage takes: the picture less the mean, padded by one replicated pixel.

        The paper's zero padding would frame the result.
        """
        x = F.pad(pixels - self.mean, (1, 1, 1, 1), mode="replicate")
        return x.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def leave(self, grad: Tensor) -> Tensor:
        """Gradient of :meth:`enter`, float32: the rim's belongs to the pixels it was copied from."""
        grad = grad.float().contiguous()
        grad[..., 1] += grad[..., 0]
        grad[..., -2] += grad[..., -1]
        grad[..., 1, :] += grad[..., 0, :]
        grad[..., -2, :] += grad[..., -1, :]
        return grad[..., 1:-1, 1:-1]

    def stage(self, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Activations of the layers of one stage, in their order, from what the stage takes."""
        activations = []
        for layer in layers:
            x = self.forward_convs[layer](x)
            activations.append(x)
        return activations

    def stage_backward(
        self, grad: Tensor | None, layers: Sequence[str], activations: Sequence[Tensor], taps: Mapping[str, Tensor]
    ) -> Tensor | None:
        """Gradient with respect to what a stage takes.

        Args:
            grad: with respect to its last activation, from the stages behind it; changed in place.
            layers: of the stage.
            activations: what :meth:`stage` gave.
            taps: the losses' own gradients with respect to activations; changed in place.
        """
        for layer, activation in zip(reversed(layers), reversed(activations), strict=True):
            tap = taps.get(layer)
            if tap is not None:
                grad = tap if grad is None else grad.add_(tap)
            if grad is not None:
                torch.ops.aten.threshold_backward.grad_input(grad, activation, 0, grad_input=grad)
                grad = self.backward_convs[layer](grad)
        return grad


def pool(x: Tensor, pooling: Pooling) -> tuple[Tensor, Tensor]:
    """Halve both sides (odd rims are dropped); returns the result and what the backward pass needs besides ``x``."""
    if pooling == "max":
        pooled, indices = torch.ops.aten.max_pool2d_with_indices(x, [2, 2], [2, 2])
        return pooled, indices
    if pooling == "average":
        pooled = F.avg_pool2d(x, 2).mul_(POOLING_SCALE["average"])
        return pooled, pooled.new_empty(0)
    pooled = F.avg_pool2d(x * x, 2).mul_(4).sqrt_().mul_(POOLING_SCALE["l2"])
    return pooled, pooled


def pool_backward(grad: Tensor, x: Tensor, routing: Tensor, pooling: Pooling) -> Tensor:
    """Gradient with respect to ``x`` of :func:`pool`."""
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
