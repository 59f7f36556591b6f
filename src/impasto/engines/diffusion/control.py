"""What a ControlNet is shown of the content: computed here, without a network.

Source: Canny, "A Computational Approach to Edge Detection", PAMI 1986.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from impasto.engines.diffusion.registry import Control


#: Slopes below are rounding.
_NO_SLOPE: Final = 1e-3


def control_picture(content: Tensor, kind: Control) -> Tensor:
    """What is held on to.

    Args:
        content: ``(1, 3, h, w)`` in [0, 1].
        kind: ``tile`` (the picture itself), ``canny`` (thin edges) or ``lineart`` (soft ones).

    Returns:
        ``(1, 3, h, w)`` in [0, 1]; edges are white on black.
    """
    if kind == "tile":
        return content
    grey = _blurred((content * content.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True))
    across, down = _slopes(grey)
    strength = torch.hypot(across, down)
    edges = _thinned(strength, across, down) if kind == "canny" else _soft(strength)
    return edges.expand(-1, 3, -1, -1).contiguous()


def _blurred(grey: Tensor) -> Tensor:
    kernel = torch.tensor([1.0, 4, 6, 4, 1], dtype=grey.dtype, device=grey.device) / 16
    padded = F.pad(grey, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None])


def _slopes(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's."""
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=grey.dtype, device=grey.device) / 4
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel[None, None]), F.conv2d(padded, kernel.T[None, None])


def _soft(strength: Tensor) -> Tensor:
    """Slopes against those nearby, so that faint lines count beside hard ones."""
    nearby = F.avg_pool2d(F.pad(strength, (8, 8, 8, 8), mode="replicate"), 17, stride=1)
    return ((strength - _NO_SLOPE) / (nearby * 2 + 0.05)).clamp(0, 1)


def _thinned(strength: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Ridges of the slope, kept where they are strong or hang together with what is."""
    padded = F.pad(strength, (1, 1, 1, 1))
    height, width = strength.shape[-2:]

    def beside(y: int, x: int) -> Tensor:
        return padded[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]

    angle = torch.atan2(down, across) / torch.pi * 4
    sector = angle.round().remainder(4)
    ridge = torch.zeros_like(strength, dtype=torch.bool)
    for index, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ridge |= (sector == index) & (strength >= beside(y, x)) & (strength >= beside(-y, -x))
    # 100 and 200 of 255 on Sobel's unscaled slopes are what the ControlNets were trained with.
    weak, strong = ridge & (strength > 100 / 255 / 4), ridge & (strength > 200 / 255 / 4)
    while True:
        grown = weak & (F.max_pool2d(strong.to(strength.dtype), 3, stride=1, padding=1) > 0)
        if bool((grown == strong).all()):
            return grown.to(strength.dtype)
        strong = grown
