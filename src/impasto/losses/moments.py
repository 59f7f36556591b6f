"""First and second moments of an activation over all its positions: what Gram and W2 losses compare.

One pass forward and one matrix product backward, in the activation's dtype but summed in float32.
Source: Gatys, Ecker, Bethge, CVPR 2016, eq. 3 (Gram matrix).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

#: Positions summed in one low-precision product. A bfloat16 product is rounded to 8 bits when it is written, so many
#: short products summed in float32 are far more exact than a long one, at the same speed.
_CHUNK = 1024


class Moments(NamedTuple):
    """Moments over positions, float32 (float64 for float64 activations)."""

    mean: Tensor
    """``(c,)``: E[f]."""
    second: Tensor
    """``(c, c)``: E[f fᵀ], the Gram matrix divided by the number of positions."""

    @property
    def covariance(self) -> Tensor:
        """``(c, c)``: E[f fᵀ] − E[f] E[f]ᵀ."""
        return self.second - torch.outer(self.mean, self.mean)


def moments(features: Tensor) -> Moments:
    """Mean and second moment of ``features`` over positions, differentiable.

    Args:
        features: ``(1, c, h, w)``, any range; fastest when channels last.
    """
    return Moments(*_Moments.apply(features))  # type: ignore[no-untyped-call]


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix divided by the number of positions: ``(1, c, h, w)`` to ``(c, c)``.

    Note:
        Gatys et al. do not divide; dividing makes pictures of different sizes comparable.

    Source:
        Gatys, Ecker, Bethge, CVPR 2016, eq. 3.
    """
    return moments(features).second


def blend_moments(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Moments of a mixture: several styles, each with its share.

    Args:
        parts: one per style, all with the same number of channels.
        weights: one per style, ≥ 0, at least one above 0; divided by their sum.

    Note:
        Second moments mix linearly, covariances do not, hence this class keeps the former.
    """
    total = sum(weights)
    shares = [weight / total for weight in weights]
    mean = sum((part.mean * share for part, share in zip(parts, shares, strict=True)), torch.zeros(()))
    second = sum((part.second * share for part, share in zip(parts, shares, strict=True)), torch.zeros(()))
    return Moments(mean, second)


def _rows(features: Tensor) -> Tensor:
    """``(1, c, h, w)`` as ``(h * w, c)``: a view when channels last."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        rows = _rows(features)  # (n, c)
        n, c = rows.shape
        ctx.save_for_backward(rows)
        ctx.shape = features.shape
        if rows.dtype.itemsize >= 4:
            return rows.mean(0), rows.mT @ rows / n
        mean = rows.mean(0, dtype=torch.float32)
        # Products of what is left after the (rounded) mean: rounding then errs by a share of the variance, not of the
        # mean's square, and a flat activation has no negative variance.
        origin = mean.to(rows.dtype)
        centred = rows - origin
        whole = n // _CHUNK * _CHUNK
        second = torch.zeros(c, c, dtype=torch.float32, device=rows.device)
        if whole:
            chunks = centred[:whole].reshape(-1, _CHUNK, c)
            second += torch.bmm(chunks.mT, chunks).sum(0, dtype=torch.float32)
        if whole < n:
            second += centred[whole:].mT @ centred[whole:]
        shift = mean - origin.float()
        second = second / n - torch.outer(shift, shift) + torch.outer(mean, mean)
        return mean, second

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_second: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        n, c = rows.shape
        both = ((grad_second + grad_second.mT) / n).to(rows.dtype)
        grad = torch.addmm((grad_mean / n).to(rows.dtype), rows, both)  # (n, c)
        _, _, h, w = ctx.shape
        return grad.view(1, h, w, c).permute(0, 3, 1, 2)
