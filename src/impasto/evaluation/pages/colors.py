"""Maps laid over a picture, and the colours that a picture is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from impasto.evaluation.view import luminance, resized
from impasto.images.oklab import oklab_to_srgb, srgb_to_oklab
from impasto.images.swatches import extract_palette

if TYPE_CHECKING:
    from torch import Tensor

#: Of maps that go both ways: what is above 0 and what is below. Pairs that colour-blind people tell apart.
ORANGE, BLUE = "#e0672f", "#2c6fb0"
TEAL, MAGENTA = "#159a86", "#c2257a"
#: What is left to be seen of the picture under the strongest colour.
_SEEN: Final = 0.2


def overlay(pixels: Tensor, amount: Tensor, *, above: str, below: str) -> Tensor:
    """A map in colours over the picture it belongs to, which is grey and pale so that the colours can be read.

    Args:
        pixels: ``(1, 3, h, w)`` sRGB in [0, 1].
        amount: ``(h', w')`` in [-1, 1]; stretched onto the picture.
        above: the colour of 1, such as ``#e0672f``.
        below: the colour of -1; 0 has none.

    Returns:
        ``(3, h, w)`` sRGB in [0, 1].
    """
    gray = 0.3 + 0.65 * luminance(pixels)
    strength = resized(amount, gray.shape).clamp(-1, 1)
    color = torch.where(strength[None] > 0, _rgb(above), _rgb(below))
    cover = (1 - _SEEN) * strength.abs()
    return gray * (1 - cover) + color * cover


def swatches(pixels: Tensor, count: int = 6) -> list[tuple[str, float]]:
    """The colours that a picture is made of, from dark to light, each with its share of the picture.

    Args:
        pixels: ``(1, 3, h, w)`` sRGB in [0, 1].
        count: how many at most.

    Returns:
        Hex colours, and shares that add up to 1.
    """
    found = extract_palette(pixels, count)
    found = found[found[:, 0].argsort()]
    nearest = torch.cdist(srgb_to_oklab(pixels[0].flatten(1)).mT.double(), found).argmin(1)
    shares = nearest.bincount(minlength=len(found)) / len(nearest)
    codes = (oklab_to_srgb(found.mT).clamp(0, 1) * 255).round().int().mT.tolist()
    return [("#{:02x}{:02x}{:02x}".format(*code), float(share)) for code, share in zip(codes, shares, strict=True)]


def _rgb(color: str) -> Tensor:
    return torch.tensor([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]).view(3, 1, 1)
