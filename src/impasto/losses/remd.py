"""The relaxed earth mover's distance: nearest neighbours both ways, so that no part of the style may be left out.

    max( mean over i of min over j of C_ij ,  mean over j of min over i of C_ij )

Source: Kolkin, Salavon, Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and Self-Similarity", CVPR 2019,
eq. 7-9.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.losses.columns import (
    check_channels,
    half_squared_distances,
    half_squares,
    row_blocks,
    unit_columns,
)

#: Colours darker than this (root mean square over R, G, B) have no reliable hue: a step of 8 bits turns it.
_DARK = 0.05
#: One step of 8 bits. Below it the distance of colours is rounded off to a parabola, whose slope at 0 is 0.
_STEP = 1 / 255


def remd_loss(columns: Tensor, style_columns: Tensor) -> Tensor:
    """Relaxed earth mover's distance between two sets of columns under the cosine distance.

    Blind to where things are and to the length of columns, hence to contrast and saturation: Kolkin et al. add a loss
    on moments for these.

    Args:
        columns: the output's, ``(n, c)``, any range.
        style_columns: the style's, ``(m, c)``; constant.

    Returns:
        0-d tensor in [0, 2], dimensionless, differentiable in ``columns`` through the nearest pairs.

    Raises:
        SettingsError: the two differ in ``c``.

    Note:
        Columns that are noise beside a mean activation of 1 fade to 0 instead of taking a random direction.

    Source:
        Kolkin et al., CVPR 2019, eq. 7-9.

    Example:
        >>> x = torch.rand(16, 8)
        >>> float(remd_loss(x, x))
        0.0
    """
    check_channels(columns, style_columns.shape[1])
    output, style = unit_columns(columns), unit_columns(style_columns)
    halves, style_halves = half_squares(output.detach()), half_squares(style)

    def costs(rows: slice) -> Tensor:
        return half_squared_distances(output[rows], halves[rows], style, style_halves)

    nearest_style, nearest_output = _nearest_both_ways(costs, len(output), style, matrices=1)
    return torch.maximum(
        half_squares(output - style[nearest_style]).mean(),
        half_squares(output[nearest_output] - style).mean(),
    )


def palette_loss(colors: Tensor, style_colors: Tensor) -> Tensor:
    """Relaxed earth mover's distance between two sets of colours, under cosine plus Euclidean distance.

    Blind to where colours are and to how much of the picture each takes.

    Args:
        colors: the output's pixels, ``(n, 3)`` RGB in [0, 1].
        style_colors: the style's, ``(m, 3)``; constant.

    Returns:
        0-d tensor in [0, 2], dimensionless, differentiable in ``colors`` through the nearest pairs.

    Raises:
        SettingsError: either is not of 3 channels.

    Note:
        Kolkin et al. turn RGB into decorrelated axes first. Their axes are orthonormal, and neither distance sees a
        rotation, so we leave it out: the value is the same. The paper takes the Euclidean distance alone, its code the
        sum with the cosine; we follow the code, with the root mean square over channels as distance.

    Source:
        Kolkin et al., CVPR 2019, section 2.2.

    Example:
        >>> x = torch.rand(16, 3)
        >>> float(palette_loss(x, x))
        0.0
    """
    check_channels(colors, 3)
    check_channels(style_colors, 3)
    hues, style_hues = unit_columns(colors, noise=_DARK), unit_columns(style_colors, noise=_DARK)

    def costs(rows: slice) -> Tensor:
        apart = half_squared_distances(
            colors[rows], half_squares(colors[rows]), style_colors, half_squares(style_colors)
        )
        hues_apart = half_squared_distances(hues[rows], half_squares(hues[rows]), style_hues, half_squares(style_hues))
        return _rms(apart.clamp_min_(0)).add_(hues_apart)  # rounding can put a squared distance below 0

    def mean_cost(color: Tensor, hue: Tensor, style_color: Tensor, style_hue: Tensor) -> Tensor:
        return (_rms(half_squares(color - style_color)) + half_squares(hue - style_hue)).mean()

    nearest_style, nearest_output = _nearest_both_ways(costs, len(colors), style_colors, matrices=4)
    return torch.maximum(
        mean_cost(colors, hues, style_colors[nearest_style], style_hues[nearest_style]),
        mean_cost(colors[nearest_output], hues[nearest_output], style_colors, style_hues),
    )


def _rms(half_squared: Tensor) -> Tensor:
    """½‖x − y‖² of colours as a root mean square over channels, rounded off below a step of 8 bits."""
    mean_square = half_squared * (2 / 3)
    return mean_square / ((mean_square + _STEP**2).sqrt() + _STEP)  # √(x + s²) − s, without its cancellation


@torch.no_grad()
def _nearest_both_ways(
    costs: Callable[[slice], Tensor], n: int, style: Tensor, *, matrices: int
) -> tuple[Tensor, Tensor]:
    """Which of the style's m rows is cheapest for each of n, and which of n for each of m, in one pass over blocks.

    ``costs`` gives the rows asked for of the ``(n, m)`` cost matrix, holding ``matrices`` blocks of that size at most.
    """
    m = len(style)
    nearest_style = torch.empty(n, dtype=torch.long, device=style.device)
    nearest_output = torch.zeros(m, dtype=torch.long, device=style.device)
    lowest = style.new_full((m,), torch.inf)
    for rows in row_blocks(n, matrices * m * style.element_size()):
        block = costs(rows)
        nearest_style[rows] = block.min(1).indices
        values, indices = block.min(0)
        del block  # else it would live on while the next is made
        closer = values < lowest
        lowest = torch.where(closer, values, lowest)
        nearest_output = torch.where(closer, indices + rows.start, nearest_output)
    return nearest_style, nearest_output
