"""What each rater sees: balanced parts of all comparisons, in an order and on sides that a seed decides.

All trials lie in one ring, in which every run as long as there are pairs holds each pair once and each comparison
equally often. A rater's block is a stretch of it, so that over raters every comparison comes equally often within every
pair.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.evaluation.study.protocol import Question, Side, Study, StudyPair, StudyPicture

#: Trials with a known answer among a rater's others, over all questions.
ATTENTION_TRIALS: Final = 6


@dataclass(frozen=True)
class Trial:
    """One choice between two pictures."""

    question: Question
    pair: StudyPair
    left: StudyPicture
    right: StudyPicture
    answer: Side | None = None
    """Where the answer is known: an attention trial, or an example."""
    reason: str = ""
    """Why that is the answer."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Names it among a rater's others; two attention trials may have the same pictures, on other pairs."""
        return self.question, self.pair.name, self.left.sha256, self.right.sha256

    def swapped(self) -> Trial:
        """The same with the sides exchanged."""
        other: dict[Side | None, Side | None] = {"left": "right", "right": "left", None: None}
        return replace(self, left=self.right, right=self.left, answer=other[self.answer])


def session(study: Study, rater: str, block: int) -> tuple[Trial, ...]:
    """A rater's trials in their order: question by question, attention trials among them, no pair twice in a row.

    The same arguments give the same trials, so that a rater can go on another day.

    Args:
        study: the protocol.
        rater: any name; another one gets another order and other sides.
        block: which part of the ring, from 0.
    """
    rng = _generator(study, rater, str(block))
    ring = _ring(study)
    stretch = [ring[(block * study.trials + place) % len(ring)] for place in range(study.trials)]
    trials: list[Trial] = []
    asked = [study.questions[index] for index in rng.permutation(len(study.questions))]
    for number, question in enumerate(asked):
        part = [
            Trial(question, study.pairs[pair], study.pairs[pair].outputs[i], study.pairs[pair].outputs[j])
            for pair, (i, j) in stretch
        ]
        part = _sides(part, rng)
        wanted = ATTENTION_TRIALS // len(asked) + (number < ATTENTION_TRIALS % len(asked))
        part += _sides(_attention(study, question, part, wanted, rng), rng)
        trials += _spread(part, trials[-1].pair if trials else None, rng)
    return tuple(trials)


def examples(study: Study) -> tuple[Trial, Trial]:
    """Two trials with their answers, to learn what the questions mean; the same for everybody."""
    rng = _generator(study, "examples")
    first, second = rng.permutation(len(study.pairs))[:2]
    asked = [question for question in ("content", "style", "overall") if question in study.questions]
    return (
        _known(study, asked[0], study.pairs[first], 0, rng),
        _known(study, asked[1 % len(asked)], study.pairs[second], 1, rng).swapped(),
    )


def _generator(study: Study, *words: str) -> np.random.Generator:
    """A generator of its own for these words."""
    digest = hashlib.sha256("\n".join((str(study.seed), *words)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _ring(study: Study) -> list[tuple[int, tuple[int, int]]]:
    """Every pair with every comparison once: the pairs in a fixed order, again and again, each time one further."""
    rng = _generator(study, "ring")
    pairs = rng.permutation(len(study.pairs)).tolist()
    comparisons = [study.comparisons[index] for index in rng.permutation(len(study.comparisons))]
    rounds = range(len(comparisons))
    return [(pair, comparisons[(place + turn) % len(rounds)]) for turn in rounds for place, pair in enumerate(pairs)]


def _sides(trials: Sequence[Trial], rng: np.random.Generator) -> list[Trial]:
    """Half of them, or one more or less, with the sides exchanged."""
    swap = rng.permutation(len(trials)) < len(trials) // 2 + (len(trials) % 2) * int(rng.integers(2))
    return [trial.swapped() if swapped else trial for trial, swapped in zip(trials, swap, strict=True)]


def _attention(
    study: Study, question: Question, trials: Sequence[Trial], wanted: int, rng: np.random.Generator
) -> list[Trial]:
    """Trials with known answers on the pairs that come least often, so that none comes too often to be spread."""
    uses = Counter(trial.pair.name for trial in trials)
    found: list[Trial] = []
    shuffled = [study.pairs[index] for index in rng.permutation(len(study.pairs))]
    variants = rng.permutation(len(study.variants)).tolist()
    for _ in range(wanted):
        pair = min(shuffled, key=lambda pair: uses[pair.name])
        uses[pair.name] += 1
        again = sum(trial.pair.name == pair.name for trial in found)
        found.append(_known(study, question, pair, variants[again % len(variants)], rng))
    return found


def _known(study: Study, question: Question, pair: StudyPair, variant: int, rng: np.random.Generator) -> Trial:
    """A trial whose right picture is on the left."""
    output = pair.outputs[variant]
    others = [study.pairs[index] for index in rng.permutation(len(study.pairs))]
    if question == "content":
        return Trial(question, pair, pair.content, output, "left", "it is the content itself, unchanged")
    if question == "style":
        others = [other for other in others if other.style_key != pair.style_key]
        if not others:  # one style only
            reason = "it is the style itself, and the other is the content, unchanged"
            return Trial(question, pair, pair.styles[0], pair.content, "left", reason)
        other = max(others, key=lambda other: other.content.sha256 == pair.content.sha256)
        return Trial(question, pair, output, other.outputs[variant], "left", "the other has another style")

    def strangeness(other: StudyPair) -> tuple[bool, bool]:
        return other.content.sha256 != pair.content.sha256, other.style_key != pair.style_key

    others = [other for other in others if any(strangeness(other))]
    other = max(others, key=strangeness)
    missing = ("content" if strangeness(other)[0] else "", "style" if strangeness(other)[1] else "")
    reason = f"the other has another {' and another '.join(filter(None, missing))}"
    return Trial(question, pair, output, other.outputs[variant], "left", reason)


def _spread(trials: Sequence[Trial], last: StudyPair | None, rng: np.random.Generator) -> list[Trial]:
    """In a random order in which a pair never follows itself, nor ``last``: most frequent pairs first.

    Every pair may be among them as often as another, or once more, and there must be two pairs at least.
    """
    waiting = [trials[index] for index in rng.permutation(len(trials))]
    previous = last.name if last else None
    ordered: list[Trial] = []
    while waiting:
        left = Counter(trial.pair.name for trial in waiting)
        chosen = max(waiting, key=lambda trial: (trial.pair.name != previous, left[trial.pair.name]))
        waiting.remove(chosen)
        previous = chosen.pair.name
        ordered.append(chosen)
    return ordered
