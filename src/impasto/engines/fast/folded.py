"""The transfer network for many pictures alike: code and statistics are folded into its kernels.

A picture is normalised with its own statistics, which takes two passes over every layer. Where they are known, as for
the frames of a video, normalisation, scale and shift are one affine map a channel, and the kernels in front of it can
have it: nothing is left to compute but convolutions. 640×360 px take 0.62 of the time (docs/video.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.engines.fast.network import EPSILON, MIDDLE, PALETTE, TransferNet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.engines.fast.painting import Statistics


class Folded:
    """A transfer network that paints in one code with given statistics.

    Args:
        net: in float32 on the device where it shall paint.
        code: ``(1, code_size)``.
        statistics: of every normalised layer.
        dtype: of the features.
    """

    def __init__(self, net: TransferNet, code: Tensor, statistics: Sequence[Statistics], dtype: torch.dtype) -> None:
        self._dtype, self._blocks = dtype, net.shape[2]
        numbers = code[0].float()
        parts = numbers[:-PALETTE].split([width for width in net.widths for _ in range(2)])
        layers = [net.stem, net.down, *net.blocks, net.up]
        self._kernels = []
        for layer, scale, shift, (mean, variance) in zip(layers, parts[0::2], parts[1::2], statistics, strict=True):
            gain = (1 + scale) * (variance + EPSILON).rsqrt()
            self._kernels.append(self._kept(layer.weight * gain[:, None, None, None], shift - mean * gain))
        # The palette mixes what the last layer puts out, so it is a layer too: colours are 3 groups of 4 pixels.
        matrix, color = numbers[-PALETTE:-3].view(3, 3), numbers[-3:]
        weight = torch.einsum("ck,k...->c...", matrix, net.out.weight.unflatten(0, (3, 4))).flatten(0, 1)
        assert net.out.bias is not None  # noqa: S101 — as TransferNet builds it
        bias = matrix @ net.out.bias.view(3, 4) + color[:, None]
        self._kernels.append(self._kept(weight, bias.flatten()))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Colours of ``(1, 3, h, w)`` in [0, 1], both sides multiples of 4; float32, not yet in [0, 1]."""
        first, down, *blocks, up, last = self._kernels
        x = F.pixel_unshuffle(pixels.to(self._dtype) - MIDDLE, 2)
        x = F.conv2d(x, *first, padding=1).relu_()
        x = F.conv2d(x, *down, stride=2, padding=1).relu_()
        for index in range(0, 2 * self._blocks, 2):
            inner = F.conv2d(x, *blocks[index], padding=1).relu_()
            x = x + F.conv2d(inner, *blocks[index + 1], padding=1)
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = F.conv2d(x, *up, padding=1).relu_()
        return F.pixel_shuffle(F.conv2d(x, *last, padding=1), 2).float()

    def _kept(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return weight.to(self._dtype).contiguous(memory_format=torch.channels_last), bias.to(self._dtype)
