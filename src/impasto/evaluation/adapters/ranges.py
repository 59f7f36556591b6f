"""What networks take instead of pixels: a wrong range is the commonest error of published evaluators, and silent."""

import torch
from torch import Tensor

from impasto.errors import InputError


def in_unit_range(pixels: Tensor) -> Tensor:
    """The same pixels; asked for before they are resized, which would clamp them, or leave [0, 1] by rounding.

    Raises:
        InputError: they are not in [0, 1].
    """
    low, high = (float(end) for end in pixels.aminmax())
    if not 0 <= low <= high <= 1:  # nor is what is not a number
        raise InputError(f"pixels range from {low:g} to {high:g}, but metrics take [0, 1]; rescale them")
    return pixels


def standardize(pixels: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """RGB pixels, ``(b, 3, h, w)``, less ``mean`` and divided by ``std``."""
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return (pixels - shift) / scale
