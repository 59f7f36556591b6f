"""One strength for each variant from who beat whom, and how far raters agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Added to the wins of either side of every comparison: half a vote.
PRIOR: Final = 0.5

_TOLERANCE: Final = 1e-9
_MAX_STEPS: Final = 10_000


def bradley_terry(wins: NDArray[np.float64], *, prior: float = PRIOR) -> NDArray[np.float64]:
    """Strengths under which the wins are most likely, if i beats j with probability 1 / (1 + exp(θj − θi)).

    Args:
        wins: ``(..., v, v)`` ≥ 0, how often the row's variant beat the column's; the diagonal does not count. Leading
            dimensions are fitted each on their own.
        prior: wins added to both sides of every comparison, > 0. With it a variant that never lost, or that met only
            some of the others, has a finite strength too.

    Returns:
        ``(..., v)`` logits with mean 0.

    Raises:
        ValueError: ``wins`` is not square, or ``prior`` is not above 0.

    Note:
        The prior is the one departure from the source: it pulls strengths together a little, and the less the more
        votes there are. A clean sweep of 10 to 0 gives log(10.5 / 0.5) = 3.0.

    Source:
        Hunter, "MM algorithms for generalized Bradley-Terry models", Annals of Statistics 32, 2004, eq. 3.

    Example:
        >>> bradley_terry(np.array([[0.0, 30.0], [10.0, 0.0]])).round(3).tolist()
        [0.533, -0.533]
    """
    variants = wins.shape[-1]
    if wins.ndim < 2 or wins.shape[-2] != variants:
        raise ValueError(f"wins must be (..., v, v), but are {wins.shape}")
    if prior <= 0:
        raise ValueError(f"prior is {prior}, but must be above 0")
    others = 1.0 - np.eye(variants)
    wins = (wins + prior) * others
    total = wins.sum(-1)
    met = wins + wins.swapaxes(-1, -2)
    strengths = np.zeros(wins.shape[:-1])
    for _ in range(_MAX_STEPS):
        worth = np.exp(strengths)
        updated = np.log(total / (met / (worth[..., :, None] + worth[..., None, :])).sum(-1))
        updated -= updated.mean(-1, keepdims=True)
        change = np.abs(updated - strengths).max(initial=0.0)
        strengths = updated
        if change < _TOLERANCE:
            break
    return strengths


def covariance(
    wins: NDArray[np.float64], strengths: NDArray[np.float64], *, prior: float = PRIOR
) -> NDArray[np.float64]:
    """How uncertain strengths are if every vote is independent: the inverse of the information.

    Args:
        wins: ``(v, v)``, what the strengths were fitted to.
        strengths: ``(v,)`` logits.
        prior: as they were fitted with.

    Returns:
        ``(v, v)`` covariances of the strengths with mean 0.

    Example:
        >>> wins = np.array([[0.0, 30.0], [10.0, 0.0]])
        >>> found = covariance(wins, bradley_terry(wins))
        >>> float(found[0, 0] + found[1, 1] - 2 * found[0, 1]).__round__(3)  # 1/30.5 + 1/10.5
        0.128
    """
    met = (wins + wins.T + 2 * prior) * (1.0 - np.eye(len(wins)))
    rate = expit(strengths[:, None] - strengths[None, :])
    information = -met * rate * (1 - rate)
    np.fill_diagonal(information, -information.sum(1))
    # The strengths have one degree of freedom less than there are variants.
    return np.linalg.pinv(information, hermitian=True).astype(np.float64)


def fleiss_kappa(counts: NDArray[np.int64]) -> float | None:
    """Agreement of raters beyond chance: 1 is full, 0 is what chance gives.

    Args:
        counts: ``(trials, categories)``, how many raters chose each category. Trials may have different numbers of
            raters; those with fewer than two do not count.

    Returns:
        At most 1; None where no trial has two raters, or all of them always chose the same category.

    Note:
        Fleiss has the same number of raters for every trial; here each trial's agreement is taken over its own.
        With two raters it is Scott's π, which differs from Cohen's κ only where the two prefer different categories.

    Source:
        Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76, 1971, eq. 2-7.

    Example:
        >>> fleiss_kappa(np.array([[2, 0], [0, 2], [1, 1], [2, 0]])).__round__(3)
        0.467
    """
    shared = counts[counts.sum(-1) >= 2]
    if not len(shared):
        return None
    raters = shared.sum(-1)
    agreement = float((((shared**2).sum(-1) - raters) / (raters * (raters - 1))).mean())
    chance = float(((shared.sum(0) / shared.sum()) ** 2).sum())
    return None if chance == 1.0 else (agreement - chance) / (1 - chance)
