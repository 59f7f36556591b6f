"""How near the colours of a picture are to a palette: brand colours, or those that a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from impasto.errors import InputError
from impasto.images.oklab import srgb_to_oklab

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.evaluation.view import View

#: Red, green and blue, sRGB in [0, 1].
Swatch = tuple[float, float, float]

#: Distance in OkLab that is about the smallest to show.
VISIBLE: Final = 0.02
#: Distance in OkLab up to which a colour still goes by the swatch's name.
CLOSE: Final = 0.05
#: A swatch is used if at least this share of the pixels is close to it, and not closer to another one.
_USED_SHARE: Final = 0.001


@dataclass(frozen=True)
class PaletteAdherence:
    """How near a picture's colours are to given swatches, as distances in OkLab; 0.02 is about the least that shows."""

    mean: float
    median: float
    percentile_95: float
    within_visible: float
    """Share of pixels that cannot be told from a swatch, [0, 1]: at most 0.02 away."""
    within_close: float
    """Share of pixels at most 0.05 away, [0, 1]."""
    shares: tuple[float, ...]
    """Of each swatch, the share of pixels that are nearest to it; they sum to 1."""
    unused: tuple[int, ...]
    """Swatches that fewer than one pixel in 1000 is close to (0.05), by their place in the palette."""


def palette_adherence(view: View, swatches: Sequence[Swatch]) -> PaletteAdherence:
    """How near a picture's colours are to the swatches of a palette, and which of them it uses.

    Shades of a swatch count as far from it: a shaded picture never adheres as a flat one does. Of two photographs 4 and
    22 % of the pixels were close to one of five swatches, 52 and 61 % after ``match_palette``.

    Args:
        view: its twin is read, 256 px long, so a colour must fill more than single pixels to count.
        swatches: one or more ``(red, green, blue)``, sRGB in [0, 1]; see :func:`impasto.palette.parse_palette`.

    Raises:
        InputError: there is no swatch.

    Example:
        >>> from impasto.evaluation.view import View
        >>> red = View(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
        >>> found = palette_adherence(red, [(1, 0, 0), (0, 0, 1)])
        >>> found.within_visible, found.shares, found.unused
        (1.0, (1.0, 0.0), (1,))
    """
    if not swatches:
        raise InputError("the palette has no swatch; give at least one colour like '#e63946'")
    wanted = srgb_to_oklab(torch.tensor(swatches, dtype=torch.float64).mT).mT
    distances, nearest = torch.cdist(view.lab.mT.double(), wanted).min(1)
    close = distances <= CLOSE
    shares, used = (torch.bincount(each, minlength=len(wanted)) / len(nearest) for each in (nearest, nearest[close]))
    return PaletteAdherence(
        mean=float(distances.mean()),
        median=float(distances.median()),
        percentile_95=float(distances.quantile(0.95)),
        within_visible=float((distances <= VISIBLE).double().mean()),
        within_close=float(close.double().mean()),
        shares=tuple(shares.tolist()),
        unused=tuple(torch.nonzero(used < _USED_SHARE).flatten().tolist()),
    )
