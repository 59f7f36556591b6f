"""Paired comparisons over (content, style) pairs: differences, intervals, tests, and what they allow one to say.

A pair is the unit everywhere: which pair it is explains most of how a stylization comes out, so two versions are
compared on the same pairs, and intervals resample pairs, not pictures. The tests and the bootstrap are scipy's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Interval = tuple[float, float]

#: Two-sided level of tests, and one minus the coverage of intervals.
LEVEL: Final = 0.05
#: Fewer pairs cannot reach :data:`LEVEL`, whatever they show: if all agree, p is 2 / 2**n.
MIN_PAIRS: Final = 6

Better = Literal["higher", "lower", "neither"]
Outcome = Literal["better", "worse", "higher", "lower", "equivalent", "undecided", "identical", "too few"]

_RESAMPLES: Final = 4999


@dataclass(frozen=True)
class PairedResult:
    """How B differs from A in one figure over the same pairs; differences are B − A."""

    n: int
    """Pairs with a finite figure on both sides."""
    median: float
    mean: float
    median_interval: Interval | None
    """95 %, by bootstrap over pairs; None with fewer than two."""
    mean_interval: Interval | None
    sign_p: float
    """Two-sided p of the sign test; differences within the margin do not count."""
    wilcoxon_p: float
    """Two-sided p of Wilcoxon's signed-rank test: the one that the verdict uses."""
    higher: int
    """Pairs in which B is higher than A by more than the margin."""
    ties: int
    lower: int
    margin: float = 0.0
    better: Better = "higher"
    tests: int = 1
    """How many tests were made at once; see :func:`correct`."""
    p: float = field(default=math.nan)
    """Wilcoxon's p after Holm's correction for ``tests``."""

    @property
    def wins(self) -> int:
        """Pairs in which B is better; of a figure without a direction, those in which it is higher."""
        return self.lower if self.better == "lower" else self.higher

    @property
    def losses(self) -> int:
        """Pairs in which B is worse."""
        return self.higher if self.better == "lower" else self.lower

    @property
    def outcome(self) -> Outcome:
        """What may be said of B: only what the corrected test and the interval both support."""
        if self.n and self.ties == self.n and self.margin == 0:
            return "identical"
        if self.n < MIN_PAIRS or self.median_interval is None:
            return "too few"
        low, high = self.median_interval
        if self.p < LEVEL and (low > self.margin or high < -self.margin):
            if self.better == "neither":
                return "higher" if low > 0 else "lower"
            return "better" if (low > 0) == (self.better == "higher") else "worse"
        if self.margin > 0 and -self.margin < low and high < self.margin:
            return "equivalent"
        return "undecided"

    def verdict(self, a: str = "A", b: str = "B") -> str:
        """The outcome as a sentence, with its evidence.

        Example:
            >>> paired([1, 2, 3], [2, 3, 4], seed=0).verdict("old", "new")
            'too few pairs (3) for a verdict; at least 6 are needed'
        """
        if self.outcome == "too few":
            return f"too few pairs ({self.n}) for a verdict; at least {MIN_PAIRS} are needed"
        if self.outcome == "identical":
            return f"{a} and {b} are identical in every pair, n = {self.n}"
        low, high = self.median_interval or (math.nan, math.nan)
        evidence = (
            f"median difference {self.median:+.3g}, 95 % interval {low:+.3g} to {high:+.3g}, "
            f"p {_p(self.p)}, n = {self.n}"
        )
        match self.outcome:
            case "equivalent":
                return f"{a} and {b} differ by less than {self.margin:g}: {evidence}"
            case "undecided" if self.n < (needed := pairs_needed(self.tests)):
                needs = f"for {self.tests} tests at once at least {needed} pairs are needed"
                return f"no difference shown: {evidence}; {needs}"
            case "undecided":
                return f"no difference shown: {evidence}"
            case _:
                return f"{b} is {self.outcome}: {evidence}"


def paired(
    a: Sequence[float], b: Sequence[float], *, margin: float = 0.0, better: Better = "higher", seed: int
) -> PairedResult:
    """What a figure's differences between two versions, pair by pair, show.

    Args:
        a: the figure for version A, one value per pair.
        b: the same for version B, in the same order. Pairs with a value that is not finite are left out.
        margin: the largest difference that does not matter, ≥ 0, in the figure's unit: such pairs are ties, a verdict
            needs an interval beyond it, and an interval within it means that the versions are equivalent.
        better: which direction is good; ``neither`` for figures where too much and too little are both bad.
        seed: of the bootstrap.

    Returns:
        Differences with intervals, both tests, and a verdict; p is not corrected yet, see :func:`correct`.

    Raises:
        ValueError: ``a`` and ``b`` differ in length.

    Source:
        Wilcoxon (1945), signed ranks, zero differences left out; percentile bootstrap (Efron, 1979). Not BCa, which has
        no value for the median of few or equal differences.

    Example:
        >>> paired([0] * 8, [1, 2, 3, 4, 5, 6, 7, 8], seed=0).wilcoxon_p
        0.0078125
    """
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} values and b {len(b)}; give one of each per pair")
    differences = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    differences = differences[np.isfinite(differences)]
    higher, lower = int((differences > margin).sum()), int((differences < -margin).sum())
    n = len(differences)
    p = float(stats.wilcoxon(differences).pvalue) if np.any(differences) else 1.0
    return PairedResult(
        n=n,
        median=float(np.median(differences)) if n else math.nan,
        mean=float(differences.mean()) if n else math.nan,
        median_interval=interval(differences, seed=seed),
        mean_interval=interval(differences, np.mean, seed=seed),
        sign_p=float(stats.binomtest(higher, higher + lower).pvalue) if higher + lower else 1.0,
        wilcoxon_p=p,
        higher=higher,
        ties=n - higher - lower,
        lower=lower,
        margin=margin,
        better=better,
        p=p,
    )


def correct(results: Sequence[PairedResult]) -> list[PairedResult]:
    """The results with p corrected by Holm for having made all of these tests at once.

    Those with too few pairs for a verdict were not tests and do not count.
    """
    tested = [result for result in results if result.outcome != "too few"]
    adjusted = iter(holm([result.wilcoxon_p for result in tested]))
    return [
        result if result.outcome == "too few" else replace(result, p=next(adjusted), tests=len(tested))
        for result in results
    ]


def holm(pvalues: Sequence[float]) -> list[float]:
    """p values adjusted so that the chance of even one false finding among them stays below the level.

    Args:
        pvalues: in [0, 1], in any order.

    Returns:
        One each, in the same order, in [0, 1].

    Source:
        Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    count = len(pvalues)
    adjusted, highest = [0.0] * count, 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda index: pvalues[index])):
        highest = max(highest, min(1.0, (count - rank) * pvalues[index]))
        adjusted[index] = highest
    return adjusted


def pairs_needed(tests: int) -> int:
    """The fewest pairs with which one of so many tests can come out significant at all, after Holm's correction.

    Example:
        >>> pairs_needed(1), pairs_needed(5)
        (6, 8)
    """
    return max(MIN_PAIRS, math.floor(math.log2(2 * max(1, tests) / LEVEL)) + 1)


def interval(
    values: Sequence[float] | NDArray[np.float64],
    statistic: Callable[..., float] = np.median,
    *,
    seed: int,
) -> Interval | None:
    """95 % percentile-bootstrap interval of a statistic of the values; None with fewer than two.

    Args:
        values: one per pair; those that are not finite are left out.
        statistic: takes an array and ``axis``.
        seed: the same values and seed give the same interval.
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if len(finite) < 2:
        return None
    found = stats.bootstrap(
        (finite,),
        statistic,
        n_resamples=_RESAMPLES,
        confidence_level=1 - LEVEL,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rank correlation, −1 to 1: whether y rises with x, whatever the curve; None where it is undefined.

    Undefined with fewer than three finite points, and when x or y does not vary.

    Example:
        >>> spearman([0, 0.5, 1], [3, 4, 40])
        1.0
        >>> spearman([0, 0.5, 1], [3, 3, 3]) is None
        True
    """
    points = [(left, right) for left, right in zip(x, y, strict=True) if math.isfinite(left) and math.isfinite(right)]
    if len(points) < 3:
        return None
    left, right = zip(*points, strict=True)
    if len(set(left)) == 1 or len(set(right)) == 1:
        return None
    return float(stats.spearmanr(left, right).statistic)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"
