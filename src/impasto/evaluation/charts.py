"""Figures of change: population stability index, EWMA control chart, difference of two rates.

Pure functions of numbers that know nothing of metrics; drift.py asks them about a quality log.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import signal, stats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]
    Indices = NDArray[np.intp]

#: λ, the weight of the newest row in the moving average. Small: a lasting shift of one σ shows soonest near 0.1, and a
#: single odd picture is no alarm.
EWMA_WEIGHT: Final = 0.1

#: Above it a population stability index is usually read as another distribution.
PSI_LARGE: Final = 0.25

_SMOOTHING: Final = 0.5


@dataclass(frozen=True)
class EwmaAlarm:
    """The first row at which the moving average left its limits."""

    row: int
    """From 0, in the rows that the chart was given."""
    direction: Literal["up", "down"]


def psi(reference: ArrayLike, recent: ArrayLike, *, bins: int = 10) -> float:
    """The population stability index: how much the shares differ of bins that hold equal shares of the reference.

    Σ (q − p) ln(q / p) over bins, p and q the shares of reference and recent. It sees any change of the distribution,
    not only of its middle, and does not see the order of rows. With few rows it is large by chance alone: about
    (bins − 1)(1/n + 1/m) for equal distributions, 0.45 with 10 bins, 100 and 25 rows.

    Args:
        reference: ``(n,)`` finite values.
        recent: ``(m,)`` finite values.
        bins: how many, 2 or more. A value that is more than a bin's share by itself gets a bin for itself, so that a
            metric that was always 0 and is no longer shows.

    Returns:
        ≥ 0, dimensionless. Usual reading: below 0.1 alike, up to 0.25 somewhat changed, above it changed.

    Source:
        Siddiqi, "Credit Risk Scorecards", Wiley 2006, also for the thresholds, which are custom and no theory; what
        chance gives: Yurdakul, "Statistical Properties of Population Stability Index", dissertation, Western Michigan
        University 2018. Adding ½ to each count, so that an empty bin does not give infinity, is ours.

    Example:
        >>> psi([1, 2, 3, 4], [4, 3, 2, 1], bins=2)
        0.0
        >>> psi(range(100), range(50, 150)) > PSI_LARGE
        True
    """
    then, now = np.asarray(reference, float), np.asarray(recent, float)
    inner = edges(then, bins)
    return float(index_of(counts(bin_of(then, inner), inner.size + 1), counts(bin_of(now, inner), inner.size + 1)))


def ewma(
    values: ArrayLike, *, center: ArrayLike, sigma: ArrayLike, weight: float = EWMA_WEIGHT, center_error: float = 0.0
) -> Values:
    """An exponentially weighted moving average, in its own standard deviations from the centre.

    z_i = λ x_i + (1 − λ) z_{i−1} from z_0 = center; its variance is σ² λ/(2 − λ) · (1 − (1 − λ)^{2i}). It sees small
    lasting shifts much sooner than single values do, and a sudden large one a little later.

    Args:
        values: ``(..., m)``, in their order along the last axis.
        center: ``(...)``, the mean while all was well.
        sigma: ``(...)``, the standard deviation of single values then, above 0.
        weight: λ in (0, 1], of the newest value.
        center_error: standard error of ``center`` as a share of σ; adds to the variance.

    Returns:
        ``(..., m)``, positive above the centre; N(0, 1) at each row while all is well and values are normal.

    Source:
        Roberts, "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1(3), 1959; exact variance as
        in Lucas and Saccucci, Technometrics 32(1), 1990. ``center_error`` is ours.
    """
    away = np.asarray(values, float) - np.asarray(center, float)[..., None]
    average = signal.lfilter([weight], [1, weight - 1], away, axis=-1)
    rows = np.arange(1, away.shape[-1] + 1)
    variance = weight / (2 - weight) * (1 - (1 - weight) ** (2 * rows)) + center_error**2
    return np.asarray(average / (np.asarray(sigma, float)[..., None] * np.sqrt(variance)), float)


def ewma_alarm(distances: ArrayLike, *, limit: float) -> EwmaAlarm | None:
    """The first row at which a control chart leaves ±L.

    Args:
        distances: ``(m,)``, of :func:`ewma`.
        limit: L, in standard deviations. A chart of one normal metric that runs for ever is called with 2.8 at λ = 0.1:
            one false alarm in 500 rows.

    Returns:
        Row and direction, or None.

    Example:
        >>> ewma_alarm(ewma([0, 0, 3, 3, 3], center=0, sigma=1, weight=0.25), limit=3)
        EwmaAlarm(row=3, direction='up')
    """
    found = np.asarray(distances, float)
    beyond = np.flatnonzero(np.abs(found) > limit)
    if not beyond.size:
        return None
    row = int(beyond[0])
    return EwmaAlarm(row, "up" if found[row] > 0 else "down")


def rate_change(then: tuple[int, int], now: tuple[int, int], *, confidence: float) -> tuple[float, float]:
    """The interval of a difference of two shares, now − then.

    Args:
        then: how many of how many.
        now: the same for the recent window.
        confidence: of the interval, in (0, 1).

    Returns:
        Low and high, in [−1, 1].

    Source:
        Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17,
        1998, method 10: from the two Wilson intervals.

    Example:
        >>> [round(bound, 2) for bound in rate_change((5, 100), (20, 50), confidence=0.95)]
        [0.21, 0.49]
    """
    before, after = (
        stats.binomtest(*share).proportion_ci(confidence_level=confidence, method="wilson") for share in (then, now)
    )
    p, q = then[0] / then[1], now[0] / now[1]
    low = q - p - math.hypot(q - after.low, before.high - p)
    high = q - p + math.hypot(after.high - q, p - before.low)
    return low, high


def edges(reference: Values, bins: int) -> Values:
    """Inner edges at the reference's quantiles; a bin is what is above one edge, up to the next and with it."""
    quantiles, times = np.unique(np.quantile(reference, np.arange(1, bins) / bins), return_counts=True)
    # A value that several quantiles fall on is a bin of its own: from just below it to itself.
    repeated = quantiles[times > 1]
    return np.unique(np.concatenate([quantiles, np.nextafter(repeated, -np.inf)]))


def bin_of(values: Values, inner: Values) -> Indices:
    """The number of each value's bin, by the inner edges."""
    return np.searchsorted(inner, values, "left")


def counts(numbers: Indices, bins: int) -> Indices:
    """How many values fall into each bin: ``(..., n)`` numbers of bins to ``(..., bins)``."""
    return np.stack([np.count_nonzero(numbers == one, axis=-1) for one in range(bins)], -1)


def index_of(then: Indices, now: Indices) -> Values:
    """The population stability index of two counts ``(..., bins)``."""
    p, q = then + _SMOOTHING, now + _SMOOTHING
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return np.asarray(((q - p) * np.log(q / p)).sum(-1), float)
