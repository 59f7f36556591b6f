"""What a pass through the network reads off each layer for the losses, and their gradient put back onto it.

A style loss sees an activation only as statistics: moments, and columns at sampled positions, each for every part of
the picture. They are gathered strip by strip, so it does not matter whether the picture comes whole.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.losses import Moments, MomentSums, columns_of, moments_gradient
from impasto.vgg.layers import channels

_SPARSEST = 16
_MOST_COLUMNS = 131_072


class Statistics(NamedTuple):
    """Of one part of the picture at one layer; what no loss asks for is empty."""

    moments: Moments
    columns: Tensor
    """``(n, c)`` float32."""


class Reading:
    """One layer's statistics of one part of a picture.

    Args:
        weights: ``(h, w)`` how much of the part each position sees; None: all of it everywhere.
        positions: flat indices, ascending, of the columns that are wanted; None: no columns.
        moments: whether moments are wanted.
        dtype: of the activations.
    """

    def __init__(self, weights: Tensor | None, positions: Tensor | None, *, moments: bool, dtype: torch.dtype) -> None:
        # Rounded once, so that sums and gradients agree on them.
        self._weights = None if weights is None else weights.to(dtype)
        self.positions, self._wants_moments = positions, moments
        self._sums: MomentSums | None = None
        self._columns: list[Tensor] = []
        self._total = 0.0

    def add(self, features: Tensor, first_row: int) -> None:
        """Read some rows ``(1, c, rows, w)``; they come in order."""
        if first_row == 0:
            self._sums, self._columns, self._total = MomentSums(features.shape[1]), [], 0.0
        rows = columns_of(features)
        start = first_row * features.shape[-1]
        if self._wants_moments and self._sums is not None:
            weights = None if self._weights is None else self._weights.flatten()[start : start + len(rows)]
            self._sums.add(rows, weights)
            self._total += len(rows) if weights is None else float(weights.sum(dtype=torch.float32))
        if self.positions is not None:
            self._columns.append(rows[self.positions[self._inside(start, len(rows))] - start].float())

    def result(self) -> Statistics:
        """What was read since the first row; leaves of a new graph."""
        moments = Moments(torch.empty(0), torch.empty(0, 0))
        if self._wants_moments and self._sums is not None:
            moments = Moments(*(part.requires_grad_() for part in self._sums.result()))
        return Statistics(moments, torch.cat(self._columns or [torch.empty(0, 0)]).requires_grad_())

    def gradient(self, features: Tensor, first_row: int, statistics: Statistics) -> Tensor | None:
        """A loss's gradient with respect to some rows, from its gradient with respect to the statistics."""
        rows = columns_of(features)
        start = first_row * features.shape[-1]
        grad: Tensor | None = None
        mean, second = statistics.moments
        if second.grad is not None:
            grad_mean = torch.zeros_like(mean) if mean.grad is None else mean.grad
            grad = moments_gradient(rows, self._total, Moments(grad_mean, second.grad))
            if self._weights is not None:
                grad *= self._weights.flatten()[start : start + len(rows), None]
        if self.positions is not None and statistics.columns.grad is not None:
            grad = torch.zeros_like(rows) if grad is None else grad
            inside = self._inside(start, len(rows))
            places = (self.positions[inside] - start).to(grad.device)
            grad.index_add_(0, places, statistics.columns.grad[inside].to(grad.dtype))
        if grad is None:
            return None
        placed: Tensor = grad.view(1, *features.shape[2:], features.shape[1]).permute(0, 3, 1, 2)
        return placed

    def _inside(self, start: int, count: int) -> slice:
        """Which of the positions lie among ``count`` from ``start`` on."""
        assert self.positions is not None  # noqa: S101 — the callers have asked
        first, last = torch.searchsorted(self.positions, torch.tensor([start, start + count])).tolist()
        return slice(first, last)


def draw_positions(weights: Tensor | None, size: tuple[int, int], count: int, generator: torch.Generator) -> Tensor:
    """Flat indices of sampled positions, ascending: each weight's share of them, evenly spread.

    Args:
        weights: ``(h, w)`` ≥ 0, not all 0; None: the same everywhere.
        size: ``(h, w)``.
        count: how many at most; fewer where there are fewer positions.
        generator: on the CPU.
    """
    n = size[0] * size[1]
    if weights is None and count >= n:
        return torch.arange(n)
    # One draw in each of ``count`` equal slices of the total weight.
    draws = (torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float32)) / count
    if weights is None:
        return (draws.double() * n).long().clamp_(max=n - 1)
    cumulated = weights.flatten().cpu().double().cumsum(0)
    found: Tensor = torch.searchsorted(cumulated, draws.double() * cumulated[-1]).clamp_(max=n - 1).unique()
    return found


def sample_count(layer: str, samples: int, share: float, positions: int = 0) -> int:
    """How many columns of a layer to look at.

    At least so many that each layer costs alike (their number squared times channels); and one of ``_SPARSEST``
    positions, for a loss on few of many pulls so hard at each of them that it shows as a speck.

    Args:
        layer: its name.
        samples: of a 512-channel layer.
        share: of the picture that the part takes.
        positions: that the layer has.
    """
    least = max(16, round(samples * math.sqrt(512 / channels(layer)) * share))
    return max(least, min(_MOST_COLUMNS, round(positions * share / _SPARSEST)))


def damping(columns: int, positions: int, share: float) -> float:
    """What a loss on columns is multiplied by, so that none of them pulls harder than one in ``_SPARSEST`` would."""
    return min(1.0, _SPARSEST * columns / max(1.0, positions * share))
