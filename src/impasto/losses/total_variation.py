"""Total variation of a picture: the guard against speckle.

Source: the nine-point stencil is crowsonkb/style-transfer-pytorch's; total variation as a prior goes back to Rudin,
Osher, Fatemi, 1992.
"""

import torch.nn.functional as F
from torch import Tensor


def total_variation(pixels: Tensor) -> Tensor:
    """Mean squared difference between neighbouring pixels, the same in all eight directions.

    Args:
        pixels: ``(1, 3, h, w)`` in [0, 1].

    Returns:
        0-d tensor ≥ 0, in units of squared pixel values; 0 for a flat picture or a single pixel.

    Note:
        Squared differences, averaged: edges cost more than gradients, and the weight does not depend on the size.
    """
    padded = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    middle = padded[..., 1:-1, 1:-1]
    straight = (padded[..., 1:-1, 2:] - middle).square().mean() + (padded[..., 2:, 1:-1] - middle).square().mean()
    diagonal = (padded[..., 2:, 2:] - middle).square().mean() + (padded[..., 2:, :-2] - middle).square().mean()
    return 2 * (straight / 3 + diagonal / 12)
