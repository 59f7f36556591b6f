"""Whether results have changed: metrics and verdicts of recent rows against those of a reference window.

Pure functions of numbers. Three questions are asked: has a metric's distribution another shape (population stability
index), has its level moved and since when (EWMA control chart), do more or fewer results need a look (rates). How far
chance alone goes is found by shuffling the rows of both windows, for all metrics together.

It takes rows to be independent. Many results of one style in a row are not; they are a change of what goes in, and
show as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import stats

from impasto.errors import InputError
from impasto.evaluation.charts import (
    PSI_LARGE,
    EwmaAlarm,
    bin_of,
    counts,
    edges,
    ewma,
    ewma_alarm,
    index_of,
    rate_change,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from impasto.evaluation.quality_log import QualityRow

    Values = NDArray[np.float64]
    Indices = NDArray[np.intp]

#: The fewest rows that say something: the reference's centre is then known within a seventh of a σ, and the recent
#: rows fill four bins of five.
MIN_REFERENCE: Final = 50
MIN_RECENT: Final = 20

#: How often windows of the same kind may be called changed: by any of the metrics, and by any of the rates.
METRIC_ALARMS: Final = 0.02
RATE_ALARMS: Final = 0.005

_SHUFFLES: Final = 499
_MOST_BINS: Final = 10
_ROWS_PER_BIN: Final = 5


@dataclass(frozen=True)
class MetricDrift:
    """What was found of one metric."""

    name: str
    median_then: float
    median_now: float
    psi: float
    psi_limit: float
    """What chance does not pass, and never below :data:`PSI_LARGE`."""
    alarm: EwmaAlarm | None
    """Its row counts from 0 in the recent window."""
    drifted: bool
    words: str


@dataclass(frozen=True)
class RateDrift:
    """The share of results that were not ok, or were rejected, then and now."""

    name: Literal["not ok", "rejected"]
    then: float
    now: float
    low: float
    """Of the difference now − then, at the confidence that leaves :data:`RATE_ALARMS` for both rates."""
    high: float
    drifted: bool
    words: str


@dataclass(frozen=True)
class DriftReport:
    """Whether the recent rows are like the reference."""

    reference: int
    """Rows."""
    recent: int
    metrics: tuple[MetricDrift, ...]
    """Those that drifted first."""
    rates: tuple[RateDrift, ...]
    ignored: tuple[str, ...]
    """Metrics that could not be compared, each with the reason."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The words of what drifted."""
        findings: tuple[RateDrift | MetricDrift, ...] = (*self.rates, *self.metrics)
        return tuple(found.words for found in findings if found.drifted)

    @property
    def outcome(self) -> Literal["ok", "review"]:
        """``review`` if anything drifted."""
        return "review" if self.reasons else "ok"


def drift(reference: Sequence[QualityRow], recent: Sequence[QualityRow], *, seed: int = 0) -> DriftReport:
    """Compare recent results with a reference window, metric by metric.

    A metric takes part if both windows have enough finite values of it. Its moving average is taken of normal scores:
    each value's rank in both windows, as a quantile of the normal distribution, so that one extreme value weighs little
    however extreme it is.

    Both windows' rows are shuffled 499 times. Index and largest excursion of the average, of every metric, are put on
    one scale by their mean and spread over the shuffles; what only half of :data:`METRIC_ALARMS` of the shuffles pass
    with any metric is the limit of all. So it holds for any number, distribution and dependence of metrics.

    Args:
        reference: at least :data:`MIN_REFERENCE` rows of a time when all was well.
        recent: at least :data:`MIN_RECENT` rows, in the order in which they were made.
        seed: of the shuffles.

    Returns:
        The findings; ``review`` if anything drifted.

    Raises:
        InputError: a window is too small, or the rows come from several engines.

    Note:
        Measured on 100 synthetic streams each, 20 dependent metrics, one of which moves by one σ. Windows of the same
        kind: 0 to 4 false alarms. The shift is found in 84 of 100 with 100 reference and 50 recent rows, in 95 with 200
        and 50, in all with 500 and 100; half of the charts' alarms come by row 21 to 26, 95 % by row 42, 41 and 57. Two
        σ are found in all, by row 14. Skewed, heavy-tailed and mostly-zero metrics beside it cost a few: 74, 89, 100.

    Source:
        Limits for all statistics at once by permutation: Westfall and Young, "Resampling-Based Multiple Testing", Wiley
        1993, with the largest standardised statistic. Normal scores: van der Waerden, 1952. A chart that runs for ever
        has one limit for all times; ours covers one window and starts afresh with the next.
    """
    _check_windows(reference, recent)
    compared, ignored = _comparable(reference, recent)
    metrics = _metrics(compared, len(reference), seed)
    rates = (
        _rate("not ok", reference, recent, lambda row: row.outcome != "ok"),
        _rate("rejected", reference, recent, lambda row: row.outcome == "reject"),
    )
    return DriftReport(
        reference=len(reference),
        recent=len(recent),
        metrics=tuple(sorted(metrics, key=lambda found: not found.drifted)),
        rates=rates,
        ignored=ignored,
    )


def _check_windows(reference: Sequence[QualityRow], recent: Sequence[QualityRow]) -> None:
    """Refuse windows that say nothing.

    Raises:
        InputError: too few rows, or several engines.
    """
    for name, rows, needed in (("reference", reference, MIN_REFERENCE), ("recent", recent, MIN_RECENT)):
        if len(rows) < needed:
            raise InputError(
                f"the {name} window has {len(rows)} rows, but at least {needed} are needed to tell a change from "
                "chance; choose a longer one, or wait for more results"
            )
    engines = sorted({row.engine for row in (*reference, *recent)})
    if len(engines) > 1:
        raise InputError(
            f"the rows come from several engines ({', '.join(engines)}), whose values differ from each other anyway; "
            "choose the rows of one engine"
        )


def _comparable(
    reference: Sequence[QualityRow], recent: Sequence[QualityRow]
) -> tuple[dict[str, Values], tuple[str, ...]]:
    """The metrics with enough finite values in both windows, a value or NaN for each row; and why not the others."""
    compared, ignored = {}, []
    rows = (*reference, *recent)
    for name in dict.fromkeys(name for row in rows for name in row.values):
        values = np.array([row.values.get(name, math.nan) for row in rows], float)
        finite = np.isfinite(values)
        then, now = int(finite[: len(reference)].sum()), int(finite[len(reference) :].sum())
        if then >= MIN_REFERENCE and now >= MIN_RECENT:
            compared[name] = np.where(finite, values, math.nan)
        else:
            ignored.append(
                f"{name}: the reference window has {then} finite values of it, the recent one {now}; "
                f"{MIN_REFERENCE} and {MIN_RECENT} are needed"
            )
    return compared, tuple(ignored)


def _metrics(compared: Mapping[str, Values], split: int, seed: int) -> list[MetricDrift]:
    """Every metric's finding; rows before ``split`` are the reference's."""
    if not compared:
        return []
    rows = next(iter(compared.values())).size
    orders = np.tile(np.arange(rows), (_SHUFFLES + 1, 1))
    np.random.default_rng(seed).permuted(orders[1:], axis=1, out=orders[1:])  # the first is how it was
    charts = {name: _Chart.of(values, split, orders) for name, values in compared.items()}
    statistics = np.array([(chart.indices, chart.peaks) for chart in charts.values()])  # (k, 2, shuffles + 1)
    mean, spread = statistics.mean(-1, keepdims=True), statistics.std(-1, keepdims=True)
    # Half the alarms for each kind: chance throws the index further than the average, which would share its limit.
    largest = ((statistics - mean) / np.where(spread > 0, spread, 1)).max(0)[:, 1:]
    passed = np.sort(largest, -1)[:, -int(METRIC_ALARMS / 2 * (_SHUFFLES + 1))]
    limits = mean[..., 0] + passed * spread[..., 0]
    return [
        _metric(name, compared[name], split, chart, *limit)
        for (name, chart), limit in zip(charts.items(), limits.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class _Chart:
    """A metric's index and moving average as the rows were, and how far both go when the rows are shuffled."""

    indices: Values
    """``(shuffles + 1,)``; the first is the true one."""
    peaks: Values
    """The same of the average's largest distance from the centre."""
    distances: Values
    """``(m,)``: the true average, over the recent rows that have a value."""

    @classmethod
    def of(cls, values: Values, split: int, orders: Indices) -> _Chart:
        """Both statistics for each order of the rows."""
        finite = np.isfinite(values)
        there = int(finite[:split].sum())
        places = np.cumsum(finite) - 1  # of a row among those that have a value
        orders = places[orders[finite[orders]]].reshape(len(orders), -1)
        found = values[finite]
        inner = edges(found[:there], min(_MOST_BINS, (found.size - there) // _ROWS_PER_BIN))
        bins = bin_of(found, inner)[orders]
        indices = index_of(
            counts(bins[:, :there], inner.size + 1),
            counts(bins[:, there:], inner.size + 1),
        )
        scores = stats.norm.ppf(stats.rankdata(found) / (found.size + 1))[orders]
        sigma = scores[:, :there].std(-1, ddof=1)
        distances = ewma(
            scores[:, there:],
            center=scores[:, :there].mean(-1),
            sigma=np.where(sigma > 0, sigma, np.inf),  # a metric that never varied has no σ; its index shows a change
            center_error=1 / math.sqrt(there),
        )
        return cls(indices, np.abs(distances).max(-1), distances[0])


def _metric(name: str, values: Values, split: int, chart: _Chart, psi_chance: float, limit: float) -> MetricDrift:
    """One metric's finding at these limits."""
    then, now = np.nanmedian(values[:split]), np.nanmedian(values[split:])
    index, psi_limit = float(chart.indices[0]), max(PSI_LARGE, psi_chance)
    alarm = ewma_alarm(chart.distances, limit=limit)
    medians = f"median {then:.3g} then, {now:.3g} now"
    if alarm:
        alarm = EwmaAlarm(int(np.flatnonzero(np.isfinite(values[split:]))[alarm.row]), alarm.direction)
        way = {"up": "higher", "down": "lower"}[alarm.direction]
        words = f"{name} is {way} than it was, seen from recent row {alarm.row + 1} on ({medians})"
    elif index > psi_limit:
        words = (
            f"{name} is spread differently than it was: PSI {index:.2f}, by chance at most {psi_limit:.2f} ({medians})"
        )
    else:
        words = f"{name} is as it was ({medians})"
    drifted = alarm is not None or index > psi_limit
    return MetricDrift(name, float(then), float(now), index, psi_limit, alarm, drifted, words)


def _rate(
    name: Literal["not ok", "rejected"],
    reference: Sequence[QualityRow],
    recent: Sequence[QualityRow],
    is_one: Callable[[QualityRow], bool],
) -> RateDrift:
    """The share of one kind of verdict, then and now."""
    before, after = (sum(map(is_one, reference)), len(reference)), (sum(map(is_one, recent)), len(recent))
    low, high = rate_change(before, after, confidence=1 - RATE_ALARMS / 2)
    then, now = before[0] / before[1], after[0] / after[1]
    drifted = low > 0 or high < 0
    words = f"{then:.0%} of the results were {name} then, {now:.0%} are now"
    if drifted:
        words += f": {'more' if now > then else 'fewer'} than chance explains"
    return RateDrift(name, then, now, low, high, drifted, words)
