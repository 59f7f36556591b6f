"""What the votes of a study show: which raters count, how strong each variant is, and whether that decides anything.

Below the number of votes that the protocol fixed it says how many are missing and nothing else: looking at results on
the way and stopping when they please finds differences that are not there.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy.special import expit
from scipy.stats import binomtest, norm

from impasto.evaluation.study.bradley_terry import bradley_terry, covariance, fleiss_kappa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from impasto.evaluation.study.protocol import Question, Study
    from impasto.evaluation.study.votes import Vote, VoteRecord

#: Attention trials that a rater must have right, of six.
MIN_RIGHT: Final = 5

#: Share of the group's median response time below which a rater did not look.
MIN_SPEED: Final = 0.5

#: One rater's taste is nobody else's.
MIN_RATERS: Final = 2

#: Two-sided, over all comparisons of a question together.
LEVEL: Final = 0.05

_RESAMPLES: Final = 2000

Interval = tuple[float, float]
Outcome = Literal["first", "second", "equal", "open"]


@dataclass(frozen=True)
class RaterReport:
    """One rater, and whether their votes count."""

    rater: str
    votes: int
    """Attention trials not among them."""
    attention: int
    right: int
    """Attention trials answered as they should be."""
    median_s: float
    kept: bool
    reason: str
    """Why they do not count; empty if they do."""


@dataclass(frozen=True)
class Comparison:
    """How often the first of two variants was chosen over the second."""

    first: str
    second: str
    wins: int
    votes: int
    wilson: Interval | None
    """95 % of the share of wins, as if all votes were independent; None without votes."""
    win_rate: float
    """That the first wins, by the strengths."""
    interval: Interval
    """Of ``win_rate``, over pairs and raters; all of a question's hold together with 95 %."""
    outcome: Outcome


@dataclass(frozen=True)
class StyleRow:
    """How often a variant was chosen on pairs of one style, against whichever other."""

    style: str
    variant: str
    wins: int
    votes: int


@dataclass(frozen=True)
class QuestionResult:
    """What the votes on one question show; empty while votes are missing."""

    question: Question
    votes: int
    """Valid ones."""
    needed: int
    strengths: Mapping[str, tuple[float, float, float]]
    """By variant: low, estimate, high; logits with mean 0, 95 % over pairs and raters."""
    comparisons: tuple[Comparison, ...]
    styles: tuple[StyleRow, ...]
    kappa: float | None
    """Fleiss' κ between raters against a chance of ½, over trials that at least two of them saw."""
    shared_trials: int
    verdict: str

    @property
    def missing(self) -> int:
        """Valid votes until there is a verdict."""
        return max(0, self.needed - self.votes)

    @property
    def complete(self) -> bool:
        """Whether there is a verdict; if not, ``verdict`` says what it needs."""
        return bool(self.strengths)


@dataclass(frozen=True)
class StudyResult:
    """What a study shows."""

    raters: tuple[RaterReport, ...]
    questions: tuple[QuestionResult, ...]
    damaged: tuple[int, ...]
    """Lines of the file that are no votes."""
    foreign: int
    """Votes under another protocol, or on pictures that this one does not have; they do not count."""

    @property
    def complete(self) -> bool:
        """Whether every question has its verdict."""
        return all(question.complete for question in self.questions)


def analyse(study: Study, record: VoteRecord, *, seed: int | None = None) -> StudyResult:
    """Keep the raters who looked, and say what their votes show.

    A rater counts with at least five of the six attention trials right and a median response time of at least half the
    median over those raters.

    Args:
        study: the protocol.
        record: its votes, in any order.
        seed: of the bootstrap; by default the study's.

    Returns:
        For each question the strengths, comparisons and agreement, or what is missing for them.

    Note:
        An interval is the wider one, on either side, of the bootstrap's and of that for independent votes by the
        information of the fit: resampling a clean sweep gives the same sweep again, and no width.

    Source:
        Bradley and Terry, Biometrika 39, 1952; intervals by resampling raters and pairs independently of each other:
        Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007, which is known to be on the wide side.
    """
    known = {
        (pair.name, first.sha256, second.sha256): (pair.name, i, j)
        for pair in study.pairs
        for i, first in enumerate(pair.outputs)
        for j, second in enumerate(pair.outputs)
        if i != j
    }
    of_study = [
        vote
        for vote in record.votes
        if vote.protocol == study.digest and (vote.attention or (vote.pair, vote.left, vote.right) in known)
    ]
    raters = _raters(of_study)
    kept = {rater.rater for rater in raters if rater.kept}
    choices: dict[str, list[_Choice]] = defaultdict(list)
    for vote in of_study:
        if vote.rater in kept and not vote.attention:
            pair, left, right = known[vote.pair, vote.left, vote.right]
            winner, loser = (left, right) if vote.choice == "left" else (right, left)
            choices[vote.question].append(_Choice(vote.rater, pair, winner, loser))
    seed = study.seed if seed is None else seed
    return StudyResult(
        raters=raters,
        questions=tuple(_question(study, question, choices[question], seed) for question in study.questions),
        damaged=record.damaged,
        foreign=len(record.votes) - len(of_study),
    )


@dataclass(frozen=True)
class _Choice:
    rater: str
    pair: str
    winner: int
    loser: int

    @property
    def comparison(self) -> tuple[int, int]:
        return min(self.winner, self.loser), max(self.winner, self.loser)


def _raters(votes: Sequence[Vote]) -> tuple[RaterReport, ...]:
    """Every rater, by name; first attention, then speed among those who paid it."""
    by_rater: dict[str, list[Vote]] = defaultdict(list)
    for vote in sorted(votes, key=lambda vote: vote.rater):
        by_rater[vote.rater].append(vote)
    speed = {rater: median(vote.ms for vote in theirs) / 1000 for rater, theirs in by_rater.items()}
    right = {rater: sum(vote.choice == vote.answer for vote in theirs) for rater, theirs in by_rater.items()}
    attentive = [speed[rater] for rater in by_rater if right[rater] >= MIN_RIGHT]
    limit = MIN_SPEED * median(attentive) if attentive else 0.0
    reports = []
    for rater, theirs in by_rater.items():
        asked = sum(vote.attention for vote in theirs)
        reason = ""
        if right[rater] < MIN_RIGHT:
            wrong = asked - right[rater]
            reason = f"{wrong} attention trials wrong" if wrong > 1 else f"{asked} of 6 attention trials so far"
        elif speed[rater] < limit:
            reason = f"median {speed[rater]:.1f} s, below half the group's ({2 * limit:.1f} s)"
        reports.append(RaterReport(rater, len(theirs) - asked, asked, right[rater], speed[rater], not reason, reason))
    return tuple(reports)


def _question(study: Study, question: Question, choices: Sequence[_Choice], seed: int) -> QuestionResult:
    """The result for one question, or what is missing for it."""
    missing, raters = study.votes - len(choices), len({choice.rater for choice in choices})
    if missing > 0 or raters < MIN_RATERS:
        verdict = (
            f"no verdict: needs {study.votes} valid votes, has {len(choices)}; {missing} are missing"
            if missing > 0
            else f"no verdict: needs valid votes of {MIN_RATERS} raters, has {raters}"
        )
        return QuestionResult(question, len(choices), study.votes, {}, (), (), None, 0, verdict)
    counts = _counts(choices, len(study.variants))
    wins = counts.sum((0, 1))
    strengths = bradley_terry(wins)
    drawn = bradley_terry(_resampled(counts, seed))
    spread = covariance(wins, strengths)
    each = [
        _interval(drawn[:, index], float(strengths[index]), float(spread[index, index]), LEVEL)
        for index in range(len(study.variants))
    ]
    comparisons = tuple(_comparison(study, pair, wins, strengths, drawn, spread) for pair in study.comparisons)
    kappa, shared = _agreement(choices)
    return QuestionResult(
        question,
        len(choices),
        study.votes,
        {
            name: (low, float(strengths[index]), high)
            for index, (name, (low, high)) in enumerate(zip(study.variants, each, strict=True))
        },
        comparisons,
        tuple(_styles(study, choices)),
        kappa,
        shared,
        _verdict(study.variants, comparisons, study.margin),
    )


def _counts(choices: Sequence[_Choice], variants: int) -> NDArray[np.float64]:
    """``(raters, pairs, v, v)``: how often the row's variant beat the column's, for whom and where."""
    raters = {rater: index for index, rater in enumerate(sorted({choice.rater for choice in choices}))}
    pairs = {pair: index for index, pair in enumerate(sorted({choice.pair for choice in choices}))}
    counts = np.zeros((len(raters), len(pairs), variants, variants))
    for choice in choices:
        counts[raters[choice.rater], pairs[choice.pair], choice.winner, choice.loser] += 1
    return counts


def _resampled(counts: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """``(resamples, v, v)``: the wins with raters and pairs drawn with replacement, each on their own."""
    rng = np.random.default_rng(seed)
    raters, pairs = counts.shape[:2]
    drawn_raters = rng.multinomial(raters, np.full(raters, 1 / raters), _RESAMPLES).astype(float)
    drawn_pairs = rng.multinomial(pairs, np.full(pairs, 1 / pairs), _RESAMPLES).astype(float)
    wins: NDArray[np.float64] = np.einsum("kr,kp,rpij->kij", drawn_raters, drawn_pairs, counts, optimize=True)
    return wins


def _interval(drawn: NDArray[np.float64], estimate: float, variance: float, level: float) -> Interval:
    """The wider of the bootstrap's interval and the one for independent votes, on either side; logits."""
    low, high = np.quantile(drawn, (level / 2, 1 - level / 2))
    reach = float(norm.isf(level / 2)) * math.sqrt(variance)
    return min(float(low), estimate - reach), max(float(high), estimate + reach)


def _comparison(
    study: Study,
    pair: tuple[int, int],
    wins: NDArray[np.float64],
    strengths: NDArray[np.float64],
    drawn: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> Comparison:
    """Two variants; the interval is wider where there are more comparisons (Bonferroni)."""
    i, j = pair
    gap = float(strengths[i] - strengths[j])
    variance = float(spread[i, i] + spread[j, j] - 2 * spread[i, j])
    reach = _interval(drawn[:, i] - drawn[:, j], gap, variance, LEVEL / len(study.comparisons))
    low, high = (float(expit(bound)) for bound in reach)
    won, votes = int(wins[i, j]), int(wins[i, j] + wins[j, i])
    wilson = binomtest(won, votes).proportion_ci(1 - LEVEL, method="wilson") if votes else None
    outcome: Outcome = "open"
    if low >= 0.5 - study.margin and high <= 0.5 + study.margin:
        outcome = "equal"
    elif low > 0.5:
        outcome = "first"
    elif high < 0.5:
        outcome = "second"
    return Comparison(
        study.variants[i],
        study.variants[j],
        won,
        votes,
        (float(wilson.low), float(wilson.high)) if wilson else None,
        float(expit(gap)),
        (low, high),
        outcome,
    )


def _verdict(variants: Sequence[str], comparisons: Sequence[Comparison], margin: float) -> str:
    """What all comparisons together allow one to say, in a sentence."""
    beaten: dict[str, set[str]] = {name: set() for name in variants}
    outcomes = Counter(comparison.outcome for comparison in comparisons)
    equal = [comparison for comparison in comparisons if comparison.outcome == "equal"]
    for comparison in comparisons:
        if comparison.outcome == "first":
            beaten[comparison.first].add(comparison.second)
        elif comparison.outcome == "second":
            beaten[comparison.second].add(comparison.first)
    for name, others in beaten.items():
        if len(others) == len(variants) - 1:
            return f"{name} is better than {' and '.join(other for other in variants if other != name)}"
    if len(equal) == outcomes.total():
        return f"no difference that matters: every win rate is within {margin:g} of 1/2"
    shown = [f"{name} is better than {' and '.join(sorted(others))}" for name, others in beaten.items() if others]
    shown += [f"{row.first} and {row.second} do not differ so that it matters" for row in equal]
    return "; ".join([*shown, "the rest is open"] if outcomes["open"] else shown) if shown else "no difference shown"


def _agreement(choices: Sequence[_Choice]) -> tuple[float | None, int]:
    """κ, and over how many trials that two raters or more saw.

    Either variant counts as the first category once. Which is called first is our choice, and as sides are random, a
    rater who does not look agrees with others half the time. With fixed names κ would be 0 for raters who all prefer
    the same variant.
    """
    seen: dict[tuple[str, tuple[int, int]], list[int]] = defaultdict(lambda: [0, 0])
    for choice in choices:
        seen[choice.pair, choice.comparison][choice.winner > choice.loser] += 1
    counts = np.array(list(seen.values()), dtype=np.int64).reshape(-1, 2)
    return fleiss_kappa(np.concatenate([counts, counts[:, ::-1]])), int((counts.sum(1) >= 2).sum())


def _styles(study: Study, choices: Sequence[_Choice]) -> Iterable[StyleRow]:
    """For each style and variant its wins and votes."""
    names = {pair.name: (pair.style_key, pair.style_name) for pair in study.pairs}
    wins = Counter((names[choice.pair], choice.winner) for choice in choices)
    votes = wins + Counter((names[choice.pair], choice.loser) for choice in choices)
    for style in sorted(set(names.values()), key=lambda style: style[1]):
        for index, variant in enumerate(study.variants):
            if votes[style, index]:
                yield StyleRow(style[1], variant, wins[style, index], votes[style, index])
