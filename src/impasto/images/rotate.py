"""Turn a picture by any angle, with a mask of what is picture."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def rotate(pixels: Tensor, degrees: float) -> tuple[Tensor, Tensor | None]:
    """A picture turned counterclockwise about its middle, on a canvas that holds all of it.

    Args:
        pixels: ``(1, c, h, w)``.
        degrees: quarter turns are exact; others are resampled bilinearly, the corners repeat the rim.

    Returns:
        ``(1, c, h', w')`` and the mask ``(1, 1, h', w')`` of what is picture; None for quarter turns, where all is.
    """
    quarters, rest = divmod(degrees, 90)
    if rest == 0:
        return torch.rot90(pixels, int(quarters), (-2, -1)), None
    height, width = pixels.shape[-2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    tall = math.ceil(height * abs(cos) + width * abs(sin))
    wide = math.ceil(width * abs(cos) + height * abs(sin))
    # From the canvas' coordinates in [-1, 1] to the picture's.
    turn = torch.tensor(
        [[[cos * wide / width, -sin * tall / width, 0], [sin * wide / height, cos * tall / height, 0]]],
        dtype=pixels.dtype,
        device=pixels.device,
    )
    grid = F.affine_grid(turn, [1, 1, tall, wide], align_corners=False)
    inside = F.grid_sample(torch.ones_like(pixels[:, :1]), grid, padding_mode="zeros", align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False), inside
