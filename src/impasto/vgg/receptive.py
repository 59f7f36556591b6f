"""What share of what a position of a layer sees lies inside a mask."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from impasto.vgg.layers import block, up_to


def layer_weights(mask: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """A mask as the layers see it: averaged over 3×3 at each convolution and over 2×2 at each pooling.

    Being averages, the weights of masks that add up to 1 at every pixel add up to 1 at every position, so soft masks
    leave no gap and count nothing twice.

    Args:
        mask: ``(1, 1, h, w)`` in [0, 1].
        layers: names.

    Returns:
        For each layer ``(h', w')``.

    Source:
        The average per convolution is that of genekogan's masks for neural-style-pt.
    """
    found: dict[str, Tensor] = {}
    stage = 1
    for layer in up_to(layers) if layers else ():
        if block(layer) > stage:
            stage, mask = block(layer), F.avg_pool2d(mask, 2)
        mask = F.avg_pool2d(mask, 3, stride=1, padding=1, count_include_pad=False)
        if layer in layers:
            found[layer] = mask[0, 0]
    return found
