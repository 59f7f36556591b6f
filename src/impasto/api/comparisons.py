"""Versions compared on the same pairs: an engine with another, a release with the last one, a setting with its default.

Which pair it is matters more for a figure than which version, so outputs are matched by the content and the styles that
they were made of, and only differences within pairs are looked at.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

from impasto.api.sets import MAIN_METRICS, SetEvaluation, evaluate_set, style_name, thumbnail
from impasto.errors import InputError, SettingsError
from impasto.evaluation.manifest import check_source
from impasto.evaluation.metric import choose_metrics
from impasto.evaluation.pages import render, write_page
from impasto.evaluation.pages.plots import intervals
from impasto.evaluation.statistics import PairedResult, correct, paired

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from impasto.api.sets import Judged
    from impasto.evaluation.manifest import Problem
    from impasto.evaluation.metric import Metric
    from impasto.evaluation.statistics import Better

#: What a later version must not lose, unless other metrics are named.
GUARDS: Final = ("style_gain", "recognition")

_DIRECTIONS: Final[Mapping[str, Better]] = {"higher": "higher", "lower": "lower", "near 1": "lower"}


@dataclass(frozen=True)
class Contest:
    """Two versions on the pairs that both have; B is the later one, and differences are B − A."""

    a: str
    b: str
    matched: tuple[tuple[Judged, Judged], ...]
    unmatched: tuple[str, ...]
    """Outputs of either without one of the other to compare with, as ``version: name``."""
    results: Mapping[str, PairedResult]
    """By metric; p is corrected for all tests of the comparison. Of a metric that is best near 1, the differences are
    those of its distance from 1."""

    @property
    def identical(self) -> int:
        """How many of the matched outputs have the same pixels."""
        return sum(one.pixels_sha256 == other.pixels_sha256 for one, other in self.matched)

    def verdict(self, metric: str) -> str:
        """What may be said of a metric, with the evidence."""
        return self.results[metric].verdict(self.a, self.b)


@dataclass(frozen=True)
class Comparison:
    """Every version against every other."""

    versions: Mapping[str, SetEvaluation]
    """By name, in the order in which they were given."""
    metrics: tuple[Metric, ...]
    guards: tuple[str, ...]
    contests: tuple[Contest, ...]

    @property
    def losses(self) -> tuple[str, ...]:
        """Where a later version is worse than an earlier one in a metric that is guarded, as sentences."""
        return tuple(
            f"{guard}: {contest.verdict(guard)}"
            for contest in self.contests
            for guard in self.guards
            if contest.results[guard].outcome == "worse"
        )

    @property
    def tests(self) -> int:
        """How many tests p is corrected for."""
        return max((result.tests for contest in self.contests for result in contest.results.values()), default=1)

    def to_dict(self) -> dict[str, object]:
        """A JSON document."""
        return {
            "versions": {
                name: {
                    "source": str(found.source),
                    "judged": len(found.rows),
                    "problems": [vars(problem) for problem in found.problems],
                }
                for name, found in self.versions.items()
            },
            "contests": [
                {
                    "a": contest.a,
                    "b": contest.b,
                    "matched": len(contest.matched),
                    "identical": contest.identical,
                    "unmatched": list(contest.unmatched),
                    "metrics": {
                        name: {
                            "outcome": result.outcome,
                            "verdict": contest.verdict(name),
                            "better": result.better,
                            "pairs": result.n,
                            "median": _finite(result.median),
                            "median_interval": result.median_interval,
                            "mean": _finite(result.mean),
                            "mean_interval": result.mean_interval,
                            "wins": result.wins,
                            "ties": result.ties,
                            "losses": result.losses,
                            "margin": result.margin,
                            "sign_p": result.sign_p,
                            "wilcoxon_p": result.wilcoxon_p,
                            "corrected_p": result.p,
                        }
                        for name, result in contest.results.items()
                    },
                }
                for contest in self.contests
            ],
            "tests": self.tests,
            "guards": list(self.guards),
            "losses": list(self.losses),
        }

    def page(self) -> str:
        """Differences and pictures side by side, as one HTML page."""
        plots = [
            intervals(
                {
                    name: (result.median_interval[0], result.median, result.median_interval[1])
                    for name, result in contest.results.items()
                    if result.median_interval
                },
                x=f"difference {contest.b} − {contest.a}, median with 95 % interval",
            )
            for contest in self.contests
        ]
        return render(
            "compare.html",
            found=self,
            plots=plots,
            known={metric.name: metric for metric in self.metrics},
            main=[metric.name for metric in self.metrics],
            line_up=_line_up(self.versions),
            style_name=style_name,
            picture=thumbnail,
        )

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the page.

        Raises:
            OutputError: it cannot be written there.
        """
        return write_page(self.page(), path)


def compare(
    sources: Mapping[str, str | os.PathLike[str]],
    *,
    inputs: Sequence[str | os.PathLike[str]] = (),
    metrics: Iterable[str] | None = None,
    guards: Iterable[str] | None = None,
    margins: Mapping[str, float] | None = None,
    gates: str | os.PathLike[str] | None = None,
    seed: int = 0,
    on_result: Callable[[str, int, int, Judged | Problem], None] | None = None,
) -> Comparison:
    """Compare versions of the same outputs, every one with every other.

    Args:
        sources: two or more sets by the version's name, the oldest first; each as for :func:`evaluate_set`.
        inputs: folders in which contents and styles are looked for.
        metrics: which to compare; None: the main ones. More metrics need more pairs: p is corrected for all of them.
        guards: metrics that a later version must not lose; see :attr:`Comparison.losses`. They are always compared.
            None: :data:`GUARDS`.
        margins: by metric, the largest difference that does not matter; what is not named has 0.
        gates: a TOML file with other thresholds; None: the packaged ones.
        seed: of the bootstrap.
        on_result: called after each output with its version, its number, how many there are, and what came of it.

    Returns:
        Paired results by metric for every two versions. With fewer than six pairs there is no verdict.

    Raises:
        InputError: there are fewer than two versions, one is not there, or no two have an output of the same pair.
        SettingsError: a metric is unknown, a guard has no better direction, or a margin is below 0.

    Example:
        >>> found = compare({"old": "old/", "new": "new/"}, inputs=["photos/", "paintings/"])  # doctest: +SKIP
        >>> found.contests[0].verdict("style_gain")  # doctest: +SKIP
    """
    if len(sources) < 2:
        raise InputError(f"there is {len(sources)} version to compare; give two or more")
    asked, guarded = None if metrics is None else tuple(metrics), tuple(GUARDS if guards is None else guards)
    chosen = [metric.name for metric in _chosen(asked, guarded, margins or {})]  # refused before anything is judged
    for source in sources.values():
        check_source(Path(source))  # not only after an hour with the first one
    versions = {}
    for name, source in sources.items():

        def tell(number: int, count: int, result: Judged | Problem, name: str = name) -> None:
            if on_result:
                on_result(name, number, count, result)

        versions[name] = evaluate_set(source, inputs=inputs, metrics=chosen, gates=gates, seed=seed, on_result=tell)
    return compare_sets(versions, metrics=asked, guards=guarded, margins=margins, seed=seed)


def compare_sets(
    versions: Mapping[str, SetEvaluation],
    *,
    metrics: Iterable[str] | None = None,
    guards: Iterable[str] | None = None,
    margins: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Comparison:
    """The same of sets that are judged already; see :func:`compare`.

    Raises:
        InputError: no two versions have an output of the same pair.
        SettingsError: a metric is unknown, a guard has no better direction, or a margin is below 0.
    """
    guarded, limits = tuple(dict.fromkeys(GUARDS if guards is None else guards)), dict(margins or {})
    chosen = _chosen(metrics, guarded, limits)
    drafts = [(a, b, *_match(a, versions[a], b, versions[b])) for a, b in combinations(versions, 2)]
    if not any(matched for _, _, matched, _ in drafts):
        raise InputError(
            f"no two of {', '.join(versions)} have an output of the same content and style{_first_problem(versions)}; "
            "compare sets made from the same pictures"
        )
    results = [
        _paired(matched, metric, limits.get(metric.name, 0.0), seed) for _, _, matched, _ in drafts for metric in chosen
    ]
    corrected = iter(correct(results))
    contests = tuple(
        Contest(a, b, matched, unmatched, {metric.name: next(corrected) for metric in chosen})
        for a, b, matched, unmatched in drafts
    )
    return Comparison(dict(versions), chosen, guarded, contests)


def _chosen(names: Iterable[str] | None, guards: Sequence[str], margins: Mapping[str, float]) -> tuple[Metric, ...]:
    """The metrics that are compared, in the order in which they were asked for.

    Raises:
        SettingsError: one is unknown, a guard has no direction, or a margin is below 0 or of none of them.
    """
    wanted = list(dict.fromkeys([*(MAIN_METRICS if names is None else names), *guards]))
    known = {metric.name: metric for metric in choose_metrics(wanted)}
    for guard in guards:
        if known[guard].better not in _DIRECTIONS:
            good = [name for name in wanted if known[name].better in _DIRECTIONS]
            raise SettingsError(
                f"{guard} cannot be guarded: too much and too little of it are both bad; guard {', '.join(good)}"
            )
    for name, margin in margins.items():
        if name not in wanted:
            raise SettingsError(f"there is a margin for {name!r}, which is not compared; compare it or drop its margin")
        if not 0 <= margin < math.inf:
            raise SettingsError(f"the margin of {name} is {margin:g}; give 0 or more")
    return tuple(known[name] for name in wanted)


def _match(
    a: str, of_a: SetEvaluation, b: str, of_b: SetEvaluation
) -> tuple[tuple[tuple[Judged, Judged], ...], tuple[str, ...]]:
    """The outputs of the same content and styles in both sets, and what is left over, as ``version: name``.

    Where a set has several of a pair, those of the same name belong together.
    """
    matched, left = [], []
    ours, theirs = _by_pair(of_a.rows), _by_pair(of_b.rows)
    for pair in dict.fromkeys([*ours, *theirs]):
        first, second = ours.get(pair, []), theirs.get(pair, [])
        together = [(one, other) for one in first for other in second if one.entry.name == other.entry.name]
        if len(first) == len(second) == 1:
            together = [(first[0], second[0])]
        matched += together
        taken = {id(row) for two in together for row in two}
        left += [
            f"{name}: {row.entry.name}"
            for name, rows in ((a, first), (b, second))
            for row in rows
            if id(row) not in taken
        ]
    return tuple(matched), tuple(left)


def _paired(matched: Sequence[tuple[Judged, Judged]], metric: Metric, margin: float, seed: int) -> PairedResult:
    """The differences in a metric: one for each pair, the mean where a pair has several outputs."""
    by_pair: dict[object, list[tuple[float, float]]] = defaultdict(list)
    for one, other in matched:
        values = one.evaluation.values[metric.name], other.evaluation.values[metric.name]
        if metric.better == "near 1":
            values = abs(values[0] - 1), abs(values[1] - 1)
        by_pair[one.pair].append(values)
    means = [[fmean(side) for side in zip(*found, strict=True)] for found in by_pair.values()]
    return paired(
        [one for one, _ in means],
        [other for _, other in means],
        margin=margin,
        better=_DIRECTIONS.get(metric.better, "neither"),
        seed=seed,
    )


def _by_pair(rows: Iterable[Judged]) -> dict[tuple[str, tuple[str, ...]], list[Judged]]:
    found = defaultdict(list)
    for row in rows:
        found[row.pair].append(row)
    return found


def _line_up(versions: Mapping[str, SetEvaluation]) -> list[dict[str, list[Judged]]]:
    """For each pair that two versions or more have: the outputs by version."""
    sets = {name: _by_pair(found.rows) for name, found in versions.items()}
    pairs = dict.fromkeys(pair for found in sets.values() for pair in found)
    rows = [{name: found[pair] for name, found in sets.items() if pair in found} for pair in pairs]
    return [row for row in rows if len(row) > 1]


def _first_problem(versions: Mapping[str, SetEvaluation]) -> str:
    """What is wrong with the first output that could not be judged, as a part of a sentence."""
    problems = [f" ({name}: {problem.reason})" for name, found in versions.items() for problem in found.problems]
    return problems[0] if problems else ""


def _finite(value: float) -> float | None:
    """A figure as JSON can hold it."""
    return value if math.isfinite(value) else None
