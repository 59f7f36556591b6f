"""Total variation of a picture: the guard against speckle.

Source: the nine-point stencil is crowsonkb/style-transfer-pytorch's; total variation as a prior goes back to Rudin,
Osher, Fatemi, 1992.
"""

from torch import Tensor


def total_variation(pixels: Tensor) -> Tensor:
    """Mean squared difference between neighbouring pixels, the same in all eight directions.

    Args:
        pixels: ``(1, 3, h, w)`` in [0, 1].

    Returns:
        0-d tensor ≥ 0, in units of squared pixel values; 0 for a flat picture or a single pixel.

    Note:
        Squared differences over the number of pixels: edges cost more than gradients, and the weight does not depend on
        the size. Neighbours outside the picture count nothing, where crowsonkb pads by replication.
    """
    right = pixels[..., :, 1:] - pixels[..., :, :-1]
    down = pixels[..., 1:, :] - pixels[..., :-1, :]
    falling = pixels[..., 1:, 1:] - pixels[..., :-1, :-1]
    rising = pixels[..., :-1, 1:] - pixels[..., 1:, :-1]
    straight = right.square().sum() + down.square().sum()
    diagonal = falling.square().sum() + rising.square().sum()
    return 2 * (straight / 3 + diagonal / 12) / pixels.numel()
