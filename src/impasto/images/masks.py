"""Masks: where a region lies, which pixels are visible, and colours for those that are not.

A mask is ``(1, 1, h, w)`` float32 in [0, 1]; white belongs to the region. What a network sees of a mask is the engines'
business.
"""

import logging

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import InputError
from impasto.images.picture import Picture
from impasto.images.resize import resize

_log = logging.getLogger("impasto")


def mask_of(picture: Picture, like: Picture) -> Tensor:
    """A picture as a mask for another: its lightness times its alpha.

    A mask of another size is resampled to that of ``like``, and the log says so.

    Raises:
        InputError: it is black all over.
    """
    values = picture.pixels.mean(0, keepdim=True)
    if picture.alpha is not None:
        values = values * picture.alpha
    if not float(values.max()) > 0:
        raise InputError(f"mask {picture.name} is empty: it is black all over; paint the region white")
    size = (like.height, like.width)
    if (picture.height, picture.width) != size:
        _log.warning(
            "mask %s is %dx%d px and was resized to the %dx%d px of %s",
            picture.name, picture.width, picture.height, like.width, like.height, like.name,
        )  # fmt: skip
    return resize(values[None], *size)


def fill_transparent(picture: Picture) -> Tensor:
    """The pixels ``(1, 3, h, w)`` of a picture, those that cannot be seen filled from the nearest that can.

    Whatever colour lies under transparency (often black) would be an edge to a network. A pyramid of weighted means is
    built up until everything is filled, and is laid under the picture.
    """
    pixels = picture.pixels[None].clone()
    if picture.alpha is None or bool((picture.alpha > 0).all()) or not bool((picture.alpha > 0).any()):
        return pixels
    alpha = picture.alpha[None]
    return pixels * alpha + _spread(pixels * alpha, alpha) * (1 - alpha)


def _spread(colors: Tensor, weights: Tensor) -> Tensor:
    """Weighted colours ``(1, 3, h, w)`` divided by their weights; where there are none, the nearest coarser mean."""
    if bool((weights > 0).all()) or max(weights.shape[-2:]) == 1:
        return colors / weights.clamp_min(1e-6)
    coarse = [F.avg_pool2d(part, 2, ceil_mode=True, count_include_pad=False) for part in (colors, weights)]
    below = F.interpolate(_spread(*coarse), weights.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(weights > 0, colors / weights.clamp_min(1e-6), below)
