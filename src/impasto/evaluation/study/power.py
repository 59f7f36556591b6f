"""How many forced choices a win rate needs to show, worked out before the first vote."""

from __future__ import annotations

import math
from typing import Final

from scipy.stats import norm

#: How alike votes on the same two pictures are: the intraclass correlation of three people's grades of 10,000
#: stylizations (Kitov et al., 2024).
VOTE_CORRELATION: Final = 0.47


def votes_needed(
    win_rate: float, *, per_pair: float = 1.0, correlation: float = VOTE_CORRELATION, power: float = 0.8
) -> int:
    """Votes with which a true win rate shows as different from ½, at a two-sided level of 5 %.

    Args:
        win_rate: of one variant over another, in (0, 1), not ½.
        per_pair: votes that the same two pictures get; more than one tell less than as many on other pictures.
        correlation: intraclass correlation of these, in [0, 1].
        power: the chance that the difference shows, in (0, 1).

    Returns:
        For one comparison of two variants, at least 1.

    Raises:
        ValueError: ``win_rate`` is ½ or outside (0, 1).

    Source:
        One-sample test of a proportion by the normal approximation; design effect 1 + (m − 1) ρ: Kish, "Survey
        Sampling", 1965.

    Example:
        >>> votes_needed(0.55), votes_needed(0.6), votes_needed(0.7)
        (783, 194, 47)
        >>> votes_needed(0.6, per_pair=5)
        559
    """
    if not 0 < win_rate < 1 or win_rate == 0.5:
        raise ValueError(f"win_rate is {win_rate}, but must lie between 0 and 1 and not be 1/2")
    spread = norm.ppf(0.975) * 0.5 + norm.ppf(power) * math.sqrt(win_rate * (1 - win_rate))
    independent = (spread / (win_rate - 0.5)) ** 2
    return math.ceil(independent * max(1.0, 1 + (per_pair - 1) * correlation))


def detectable_rate(votes: float, *, per_pair: float = 1.0, correlation: float = VOTE_CORRELATION) -> float | None:
    """The smallest win rate, in whole per cent, that so many votes show; None if they show none below 99 %.

    Args:
        votes: on one comparison of two variants.
        per_pair: as in :func:`votes_needed`.
        correlation: as in :func:`votes_needed`.

    Example:
        >>> detectable_rate(200), detectable_rate(200, per_pair=8)
        (0.6, 0.71)
    """
    rates = (percent / 100 for percent in range(51, 100))
    return next(
        (rate for rate in rates if votes_needed(rate, per_pair=per_pair, correlation=correlation) <= votes), None
    )
