"""The nearest-neighbour loss: each column of the output against the one in the style that is most like it.

Source: Kolkin, Kučera, Paris, Sýkora, Shechtman, Shakhnarovich, "Neural Neighbor Style Transfer", 2022: the centred
cosine distance, and feature splitting (each layer matched on its own, matches taken anew at each step).
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from impasto.losses.columns import check_channels, half_squares, row_blocks, unit_columns


class NearestTarget(NamedTuple):
    """What the nearest-neighbour loss needs of a style, made once."""

    directions: Tensor
    """``(m, c)``: columns less their mean, each of length 1 (less where there is only noise)."""

    @classmethod
    def of(cls, style_columns: Tensor) -> Self:
        """Centre and normalise a style's columns, ``(m, c)``, any range."""
        return cls(unit_columns(style_columns - style_columns.mean(0)))


def nearest_loss(columns: Tensor, target: NearestTarget) -> Tensor:
    """Cosine distance of each column to its nearest in the style, each set less its own mean; averaged over columns.

    Copies the style's details one by one instead of averaging them. Blind to where things are, to contrast and to
    mean colour, and to what part of the style is left out: guard colour with another loss.

    Args:
        columns: the output's, ``(n, c)``, any range; n need not be the style's m.
        target: the style's, ``c`` channels.

    Returns:
        0-d tensor in [0, 2], dimensionless, differentiable in ``columns``: through each column's match, which is a
        subgradient of the minimum, and through the output's mean, which is not held constant.

    Raises:
        SettingsError: ``columns`` and ``target`` differ in ``c``.

    Note:
        Columns that are noise beside a mean activation of 1 fade to 0 instead of taking a random direction.

    Source:
        Kolkin et al. 2022, feature splitting.

    Example:
        >>> x = torch.rand(16, 8)
        >>> float(nearest_loss(x, NearestTarget.of(x)))
        0.0
    """
    check_channels(columns, target.directions.shape[1])
    output = unit_columns(columns - columns.mean(0))
    matched = target.directions[_matches(output.detach(), target.directions)]
    return half_squares(output - matched).mean()


def _matches(output: Tensor, style: Tensor) -> Tensor:
    """``(n,)``: which row of ``style`` is nearest to each of ``output``."""
    found = torch.empty(len(output), dtype=torch.long, device=output.device)
    # u·v − ½‖v‖² as one product, of columns that are one longer: adding the offset apart would cost as much again.
    longer = torch.cat([style, -half_squares(style)[:, None]], 1).mT
    for rows in row_blocks(len(output), len(style) * output.element_size()):
        block = output[rows]
        found[rows] = (torch.cat([block, torch.ones_like(block[:, :1])], 1) @ longer).max(1).indices
    return found
