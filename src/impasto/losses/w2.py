"""The W2 loss: optimal transport between Gaussians fitted to activations.

    W2² = ‖μ − μₜ‖² + tr(Σ + Σₜ − 2 (Σₜ^½ Σ Σₜ^½)^½)

With any factor R of the style's covariance, Σₜ = R Rᵀ, the eigenvalues of Rᵀ Σ R are those of Σₜ^½ Σ Σₜ^½, so one
symmetric eigendecomposition of a k × k matrix gives the value, and ∂ tr(M^½)/∂Σ = ½ R M^{-½} Rᵀ the gradient; k is the
number of directions that hold the style's variance, not the number of channels.
Source: Dowson, Landau, "The Fréchet distance between multivariate normal distributions", 1982; as a style loss in
crowsonkb/style-transfer-pytorch, which iterates Newton-Schulz on c × c matrices instead.
"""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from impasto.losses.moments import Moments

#: Added to both covariances' diagonals: activations have a mean of about 1, so this is a hundredth of one.
_RIDGE = 1e-4
#: The share of the style's variance that the kept directions hold.
_KEPT_VARIANCE = 0.999


class W2Target(NamedTuple):
    """What the W2 loss needs of a style, made once."""

    mean: Tensor
    """``(c,)``."""
    factor: Tensor
    """``(c, k)``: R with R Rᵀ = Σₜ + ridge, up to the share of variance that is dropped."""
    trace: Tensor
    """0-d: tr Σₜ of what is kept."""

    @classmethod
    def of(cls, style: Moments, *, kept_variance: float = _KEPT_VARIANCE) -> Self:
        """Factor a style's covariance once, in float64."""
        covariance = style.covariance.double()
        values, vectors = torch.linalg.eigh(
            covariance + _RIDGE * torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
        )
        values = values.clamp_min(0)
        # eigh sorts ascending: drop the smallest directions as long as their sum stays below the share allowed.
        kept = values.cumsum(0) > (1 - kept_variance) * values.sum()
        factor = vectors[:, kept] * values[kept].sqrt()
        dtype = style.mean.dtype
        return cls(style.mean, factor.to(dtype), values[kept].sum().to(dtype))


def w2_loss(features: Moments, target: W2Target) -> Tensor:
    """Squared 2-Wasserstein distance between two Gaussians, divided by the number of channels.

    Blind to where things are and to everything but means and covariances; unlike the Gram loss it grows linearly, not
    with the fourth power, with the activations, so that no single strong channel rules it.

    Args:
        features: moments of the output's activation, ``c`` channels.
        target: the style's, ``c`` channels.

    Returns:
        0-d tensor ≥ 0 up to rounding, dimensionless, differentiable in ``features``.

    Source:
        Dowson, Landau 1982, eq. 1.
    """
    covariance = features.covariance
    trace = covariance.diagonal().sum()
    overlap: Tensor = _TraceSqrt.apply(covariance, target.factor)  # type: ignore[no-untyped-call]
    means = (features.mean - target.mean).square().sum()
    return (means + trace + target.trace - 2 * overlap) / len(target.mean)


class _TraceSqrt(torch.autograd.Function):
    """tr((Rᵀ (Σ + ridge) R)^½)."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, factor: Tensor) -> Tensor:
        inner = factor.mT @ covariance @ factor + _RIDGE * (factor.mT @ factor)
        values, vectors = torch.linalg.eigh((inner + inner.mT) / 2)
        # Directions that the output lacks altogether would have an infinite slope; the floor bounds it.
        roots = values.clamp_min(values[-1].clamp_min(1e-12) * 1e-7).sqrt()
        ctx.save_for_backward(factor, vectors, roots)
        total: Tensor = roots.sum()
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        factor, vectors, roots = ctx.saved_tensors
        half = factor @ (vectors / roots.sqrt())
        return grad / 2 * (half @ half.mT), None
