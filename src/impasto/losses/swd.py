"""The sliced Wasserstein loss: optimal transport of columns along random directions, where it is only sorting.

Source: Heitz, Vanhoey, Chambon, Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis", CVPR 2021.
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses.columns import check_channels


class SlicedTarget(NamedTuple):
    """What the sliced Wasserstein loss needs of a style, made once."""

    directions: Tensor
    """``(c, k)``: each column of length 1."""
    quantiles: Tensor
    """``(q, k)``: the style's projections in ascending order; row i lies at level (i + ½) / q."""

    @classmethod
    def of(cls, style_columns: Tensor, *, directions: int, generator: torch.Generator) -> Self:
        """Draw directions and sort a style along them.

        Args:
            style_columns: ``(m, c)``, any range; every one becomes a quantile, so q = m.
            directions: how many, ≥ 1. The loss's relative error falls with their root; ``c`` of them are plenty.
            generator: on the CPU, so that a seed gives the same directions on every device.
        """
        drawn = torch.randn(style_columns.shape[1], directions, generator=generator, dtype=torch.float32)
        units = F.normalize(drawn, dim=0).to(style_columns)
        return cls(units, (units.mT @ style_columns.mT).sort(dim=1).values.mT)


def swd_loss(columns: Tensor, target: SlicedTarget) -> Tensor:
    """Squared 2-Wasserstein distance between two sets of columns along one direction, averaged over directions.

    Sees the whole distribution, not only means and covariances as the W2 loss does; blind to where things are.

    Args:
        columns: the output's, ``(n, c)``, any range; n need not be the style's m.
        target: the style's, ``c`` channels.

    Returns:
        0-d tensor ≥ 0, dimensionless, differentiable in ``columns``.

    Raises:
        SettingsError: ``columns`` and ``target`` differ in ``c``.

    Note:
        As large as the W2 loss for shifts and for changes of contrast: along a random direction a squared distance is
        1/c of the whole on average, and the W2 loss divides by c. Smaller where only correlations differ, which most
        directions average out. Heitz et al. draw new directions at each step; ours stay with the target, so that
        solvers with a memory see one function. The style's quantiles are interpolated where n differs from m.

    Source:
        Heitz et al., CVPR 2021.

    Example:
        >>> x = torch.rand(16, 8)
        >>> target = SlicedTarget.of(x, directions=4, generator=torch.Generator().manual_seed(0))
        >>> float(swd_loss(x, target)) < 1e-9
        True
    """
    check_channels(columns, len(target.directions))
    projections = target.directions.mT @ columns.mT  # (k, n): rows are sorted faster than columns
    expected = target.quantiles.mT
    if expected.shape[1] != len(columns):
        # Levels (i + ½) / q are pixel centres on a line of length 1, which is what this resampling takes them for.
        expected = F.interpolate(expected[None], size=len(columns), mode="linear", align_corners=False)[0]
    return (projections.sort(dim=1).values - expected).square().mean()
