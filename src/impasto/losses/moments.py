"""First and second moments of an activation over all its positions: what Gram and W2 losses compare.

One pass forward and one matrix product backward, in the activation's dtype but summed in float32.
Source: Gatys, Ecker, Bethge, CVPR 2016, eq. 3 (Gram matrix).
"""

from collections.abc import Iterator, Sequence
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


class MomentSums:
    """Moments gathered some positions at a time, each position with a weight of its own if there are any.

    Args:
        channels: ``c``.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._origin: Tensor | None = None
        self._total = 0.0

    def add(self, rows: Tensor, weights: Tensor | None = None) -> None:
        """Take in the columns ``rows`` ``(n, c)`` of n positions, with weights ``(n,)`` ≥ 0 of the same dtype."""
        if self._origin is None:
            # Products of what is left after a (rounded) mean: rounding then errs by a share of the variance, not of
            # the mean's square, and a flat activation has no negative variance.
            self._origin = _sums(rows, torch.ones_like(rows[:1, 0]).expand(len(rows))).div_(len(rows)).to(rows.dtype)
            wide = _wide(rows.dtype)
            self._first = torch.zeros(self._channels, dtype=wide, device=rows.device)
            self._products = torch.zeros(self._channels, self._channels, dtype=wide, device=rows.device)
        centred = rows - self._origin
        weighted = centred if weights is None else centred * weights[:, None]
        self._first += _sums(centred, torch.ones_like(rows[:, 0]) if weights is None else weights)
        for left, right in _chunks(weighted, centred):
            self._products += torch.bmm(left.mT, right).sum(0, dtype=self._products.dtype)
        self._total += len(rows) if weights is None else float(weights.sum(dtype=self._first.dtype))

    def result(self) -> Moments:
        """The moments of all that was taken in: at least one position of a weight above 0."""
        assert self._origin is not None  # noqa: S101 — add() came before
        origin = self._origin.to(self._first.dtype)
        shift = self._first / self._total
        mean = origin + shift
        second = self._products / self._total - torch.outer(shift, shift) + torch.outer(mean, mean)
        return Moments(mean, second)


def moments_gradient(rows: Tensor, total: float, grad: Moments) -> Tensor:
    """Gradient with respect to columns of a loss on their moments, for positions of weight 1.

    Args:
        rows: ``(n, c)``.
        total: sum of the weights of all positions.
        grad: the loss's gradient with respect to mean and second moment.

    Returns:
        ``(n, c)`` in the dtype of ``rows``; a position of another weight has that times as much.
    """
    both = ((grad.second + grad.second.mT) / total).to(rows.dtype)
    return torch.addmm((grad.mean / total).to(rows.dtype), rows, both)


def columns_of(features: Tensor) -> Tensor:
    """``(1, c, h, w)`` as ``(h * w, c)``: a view when channels last."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def _wide(dtype: torch.dtype) -> torch.dtype:
    """What values of a dtype are summed in."""
    return dtype if dtype.itemsize >= 4 else torch.float32


def _chunks(left: Tensor, right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both cut into batches ``(b, n, …)`` of so many positions, and one of those left over."""
    size = _CHUNK if left.dtype.itemsize < 4 else len(left)
    whole = len(left) // size * size
    if whole:
        yield left[:whole].unflatten(0, (-1, size)), right[:whole].unflatten(0, (-1, size))
    if whole < len(left):
        yield left[None, whole:], right[None, whole:]


def _sums(rows: Tensor, weights: Tensor) -> Tensor:
    """Σ weight · row over positions; as products, which are ten times as fast as a sum in bfloat16."""
    wide = _wide(rows.dtype)
    total = torch.zeros(rows.shape[1], dtype=wide, device=rows.device)
    for left, right in _chunks(weights[:, None], rows):
        total += torch.bmm(left.mT, right).sum(0, dtype=wide)[0]
    return total


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        rows = columns_of(features)
        ctx.save_for_backward(rows)
        ctx.shape = features.shape
        sums = MomentSums(rows.shape[1])
        sums.add(rows)
        return sums.result()

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_second: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        grad = moments_gradient(rows, len(rows), Moments(grad_mean, grad_second))
        _, _, h, w = ctx.shape
        return grad.view(1, h, w, -1).permute(0, 3, 1, 2)
