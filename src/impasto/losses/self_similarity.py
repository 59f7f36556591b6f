"""The self-similarity loss: content as which positions are alike, whatever they look like.

    mean over i, j of | D_ij / s_j − Dᶜ_ij / sᶜ_j |

D_ij is the cosine distance of columns i and j, s_j its mean over i, and ᶜ marks the content's. With u the columns of
unit length less their mean, D_ij = ½‖u_i − u_j‖² and s_j = ½ (‖u_j‖² + mean ‖u‖²): the means need no pass over the
matrix and do not cancel where all columns are alike.
Source: Kolkin, Salavon, Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and Self-Similarity", CVPR 2019,
eq. 11.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.errors import SettingsError
from impasto.losses.columns import half_squared_distances, half_squares, row_blocks, unit_columns

#: The least mean cosine distance that a column is divided by: where columns differ by less, it is noise.
_ALIKE = 1e-4
#: Blocks alive at once: two distance matrices, the slopes, and one in between.
_MATRICES = 4


def self_similarity_loss(columns: Tensor, content_columns: Tensor) -> Tensor:
    """Mean absolute difference between two sets' cosine distances among themselves, relative to each column's mean.

    Lets colour and texture change freely as long as what was alike stays alike. Blind to the scale of columns, and to
    whatever the two pictures share as a whole.

    Args:
        columns: the output's, ``(n, c)``, any range. Time grows with n²: 2048 are enough.
        content_columns: the content's at the same positions in the same order, ``(n, c)``; constant.

    Returns:
        0-d tensor in [0, 2), dimensionless, differentiable in ``columns``.

    Raises:
        SettingsError: the shapes differ.

    Note:
        Kolkin et al. divide by each column's sum and the total by n²; dividing by its mean instead, as their code does,
        leaves a value that does not shrink with n.

    Source:
        Kolkin et al., CVPR 2019, eq. 11.

    Example:
        >>> x = torch.rand(16, 8)
        >>> float(self_similarity_loss(x, x))
        0.0
    """
    if columns.shape != content_columns.shape:
        raise SettingsError(
            f"the content's columns have shape {tuple(content_columns.shape)}, expected {tuple(columns.shape)} as the "
            "output's; take both at the same positions of the same layer"
        )
    loss: Tensor = _Difference.apply(*_centred(columns), *_centred(content_columns))  # type: ignore[no-untyped-call]
    return loss


def _centred(columns: Tensor) -> tuple[Tensor, Tensor]:
    """u, ``(n, c)``, and 1 / s, ``(n,)``, of the formulas above."""
    units = unit_columns(columns)
    units = units - units.mean(0)
    halves = half_squares(units)
    return units, 1 / (halves + halves.mean()).clamp_min(_ALIKE)


class _Difference(torch.autograd.Function):
    """Mean over i, j of | D_ij w_j − Dᶜ_ij wᶜ_j |; the gradient is taken in the same pass, so no matrix is kept."""

    @staticmethod
    def forward(ctx: Any, units: Tensor, weights: Tensor, content_units: Tensor, content_weights: Tensor) -> Tensor:
        n = len(units)
        halves, content_halves = half_squares(units), half_squares(content_units)
        wanted = any(ctx.needs_input_grad[:2])
        total = units.new_zeros(())
        grad_units, grad_weights = torch.zeros_like(units), torch.zeros_like(weights)
        for rows in row_blocks(n, _MATRICES * n * units.element_size()):
            distances = half_squared_distances(units[rows], halves[rows], units, halves)
            content_distances = half_squared_distances(
                content_units[rows], content_halves[rows], content_units, content_halves
            )
            # Rows are divided here and columns below: D is symmetric, so that each block yields both. A fused multiply
            # and subtract would round the two sides differently, and equal ones would not give 0.
            signs = (distances * weights[rows, None]).sub_(content_distances * content_weights[rows, None])
            total += signs.abs().sum()
            if not wanted:
                continue
            signs.sign_()
            grad_weights[rows] = torch.linalg.vecdot(signs, distances)
            slopes = signs.mul_(weights[rows, None])
            # From here on `distances` and `content_distances` are what the columns' normalisation makes of them.
            distances.mul_(weights).sub_(content_distances.mul_(content_weights))
            slopes += distances.sign_().mul_(weights)
            # ∂/∂u_i of Σ_j B_ij ½‖u_i − u_j‖² with B symmetric and each pair met twice
            grad_units[rows] = slopes.sum(1, keepdim=True) * units[rows] - slopes @ units
        ctx.save_for_backward(grad_units / n**2, grad_weights / n**2)
        result: Tensor = total / n**2
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_units, grad_weights = ctx.saved_tensors
        return grad * grad_units, grad * grad_weights, None, None
