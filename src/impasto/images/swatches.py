"""Recolour a picture towards given swatches, such as the colours of a brand.

The picture's own palette is found, each of its colours is given a swatch, and every other colour goes along with those
near it, so gradients stay gradients. It is no quantisation: colours between and around the swatches remain.
Source: Chang, Fried, Liu, DiVerdi, Finkelstein, "Palette-based Photo Recoloring", SIGGRAPH 2015.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.images.oklab import map_colors, oklab_to_srgb, sample_colors, srgb_to_oklab

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Colours that the picture's palette is found in, and cells per unit of OkLab that they are gathered in.
_SAMPLES, _CELLS = 1 << 15, 24

#: The least distance in OkLab between two colours of a picture's palette: what shows.
_APART = 0.02

#: How much of its distance from its palette colour, in a and b, a colour keeps: less follows the swatches more closely,
#: at 0 edges appear in soft backgrounds. Lightness keeps its own, since drawing lives there.
_KEPT = 0.25

#: Reach of a palette colour, in mean distances to its nearest neighbour. At 1 the colours mix until the swatches are
#: missed by 0.07, at 0.4 the borders between them harden.
_REACH = 0.5


def match_palette(
    pixels: Tensor, palette: Sequence[tuple[float, float, float]], *, weights: Tensor | None = None
) -> Tensor:
    """The picture in the colours of a palette, its light and shade kept.

    Args:
        pixels: ``(1, 3, h, w)`` sRGB in [0, 1].
        palette: 1 to 16 swatches ``(red, green, blue)``, sRGB in [0, 1], in any order; see `impasto.palette`.
        weights: ``(1, 1, h, w)`` ≥ 0: how much each pixel counts when the picture's own palette is found; all of them
            are recoloured. None, or 0 everywhere: every pixel counts the same.

    Returns:
        ``(1, 3, h, w)`` sRGB in [0, 1]. Colours that sRGB cannot show keep lightness and hue and give up chroma.

    Note:
        Departures from Chang et al.: OkLab, not CIELAB. The swatches are not picked one by one for the palette's
        colours; they are assigned so that the sum of squared distances is smallest, which keeps light above dark as far
        as the palette allows. Weights are normalised Gaussians, and swatches are moved until palette colours meet
        them; clamping the weights of an exact interpolation (section 3.5) leaves edges in soft backgrounds. Lightness
        moves on two straight lines per palette colour, with black and white fixed. Colours also draw nearer to their
        swatch: three quarters of what sets them apart in a and b goes.
    """
    found = extract_palette(pixels, len(palette), weights)
    swatches = srgb_to_oklab(torch.tensor(palette, dtype=torch.float64).mT).mT
    costs = torch.cdist(found, swatches).square()
    wanted = swatches[assign(costs.tolist())]
    between = torch.cdist(found, found).fill_diagonal_(torch.inf).amin(1)
    reach = _REACH * float(between.mean()) if len(found) > 1 else 1.0
    goals = wanted
    for _ in range(10):  # a palette colour feels its neighbours' goals too, so its own goes beyond the swatch
        goals = goals + wanted - _move(found.mT, found, goals, reach).mT
    found, goals = (part.to(pixels.dtype).to(pixels.device) for part in (found, goals))
    return map_colors(lambda colors: oklab_to_srgb(_move(srgb_to_oklab(colors), found, goals, reach)), pixels)


def extract_palette(pixels: Tensor, count: int, weights: Tensor | None = None) -> Tensor:
    """The colours that a picture is made of: k-means in OkLab, the same in every run.

    Args:
        pixels: ``(1, 3, h, w)`` sRGB in [0, 1].
        count: how many are wanted.
        weights: ``(1, 1, h, w)`` ≥ 0, how much each pixel counts. None, or 0 everywhere: every pixel the same.

    Returns:
        ``(m, 3)`` OkLab, float64 on the CPU; ``1 ≤ m ≤ count``, less where the picture has fewer colours.

    Source:
        Chang et al., section 3.2; but each seed is the colour farthest from the seeds before it, squared and times how
        often it occurs.
    """
    colors = srgb_to_oklab(sample_colors(pixels, weights, _SAMPLES)).mT.double()
    _, cells, sizes = (colors * _CELLS).round().unique(dim=0, return_inverse=True, return_counts=True)
    points = torch.zeros(len(sizes), 3, dtype=torch.float64).index_add_(0, cells, colors) / sizes[:, None]
    centres: Tensor = points[sizes.argmax()][None]
    while len(centres) < count:
        distances = torch.cdist(points, centres).amin(1)
        farthest = (sizes * distances.square()).argmax()
        if distances[farthest] < _APART:
            break
        centres = torch.cat([centres, points[farthest][None]])
    for _ in range(50):
        nearest = torch.cdist(points, centres).argmin(1)
        mass = torch.zeros(len(centres), dtype=torch.float64).index_add_(0, nearest, sizes.double())
        sums = torch.zeros_like(centres).index_add_(0, nearest, points * sizes[:, None])
        moved = torch.where(mass[:, None] > 0, sums / mass[:, None].clamp_min(1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def hex_palette(pixels: Tensor, count: int) -> tuple[str, ...]:
    """The colours that a picture is made of as ``#rrggbb``, light ones last; see :func:`extract_palette`."""
    found = extract_palette(pixels, count)
    colors = oklab_to_srgb(found[found[:, 0].argsort()].mT).clamp(0, 1).mul(255).round().int().mT.tolist()
    return tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colors)


def assign(costs: Sequence[Sequence[float]]) -> list[int]:
    """A column for each row, no column twice, at the least total cost.

    Rows come in one after another, each by the cheapest chain of rows that make room for it (successive shortest paths,
    here by Bellman and Ford): 16 by 16 takes milliseconds.

    Args:
        costs: as many columns as rows, or more.

    Returns:
        One column index per row.

    Example:
        >>> assign([[1.0, 2.0], [1.0, 4.0]])
        [1, 0]
    """
    columns = range(len(costs[0]))
    owner: list[int | None] = [None for _ in columns]
    for row, prices in enumerate(costs):
        price = list(prices)  # of a place in each column, with everybody moved who has to move
        came_from: list[int | None] = [None for _ in columns]
        improved = True
        while improved:
            improved = False
            for column, holder in enumerate(owner):
                if holder is None:
                    continue
                for other in columns:
                    offer = price[column] - costs[holder][column] + costs[holder][other]
                    if offer < price[other] - 1e-12:
                        price[other], came_from[other], improved = offer, column, True
        column = min((free for free in columns if owner[free] is None), key=price.__getitem__)
        while (before := came_from[column]) is not None:
            owner[column], column = owner[before], before
        owner[column] = row
    return [owner.index(row) for row in range(len(costs))]


def _move(lab: Tensor, found: Tensor, goals: Tensor, reach: float) -> Tensor:
    """OkLab colours ``(3, n)`` carried along as the palette ``(m, 3)`` goes from ``found`` to ``goals``."""
    # exp(-|lab - colour|² / 2 reach²), normalised; |lab|² is the same for all and falls out
    closeness = found @ lab - found.square().sum(1, keepdim=True) / 2
    weights = (closeness / reach**2).softmax(0)  # (m, n)
    chroma = goals[:, 1:].mT @ weights + _KEPT * (lab[1:] - found[:, 1:].mT @ weights)
    level, start, end = lab[:1], found[:, :1].clamp(0.02, 0.98), goals[:, :1].clamp(0, 1)
    curves = torch.where(level <= start, level * (end / start), 1 - (1 - level) * ((1 - end) / (1 - start)))
    return torch.cat([(curves * weights).sum(0, keepdim=True), chroma])
