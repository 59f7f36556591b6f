"""Figures of a whole set of outputs: distance to a set of pictures, one look or many.

They take numbers read from views (:func:`embedding`, :func:`style_statistics`), not the views: a view keeps tens of
megabytes of activations, and a set of hundreds is read one picture at a time. No loss reads EfficientNet-Lite0, so none
of these figures is what an engine minimises. Figures per picture, and their intervals over pairs, are not made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from scipy import stats

from impasto.errors import InputError
from impasto.evaluation.metrics.style import efficientnet_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from impasto.evaluation.view import View

    Interval = tuple[float, float]


_LEVEL: Final = 0.95
#: Below it two sets of contents are one picture.
_LEAST_DISTANCE: Final = 1e-6


@dataclass(frozen=True)
class KernelDistance:
    """How far apart two sets of pictures are; about 0 for two draws from one source, without an upper end."""

    value: float
    """Below 0 by chance where the sets hardly differ."""
    interval: Interval
    """95 %."""
    outputs: int
    references: int


@dataclass(frozen=True)
class StyleConsistency:
    """How much a set's outputs differ in look, as a share of how much their contents do."""

    ratio: float
    """0: all outputs have one look; 1: they are as diverse as the photographs that they were made from."""
    interval: Interval | None
    """95 %; None where there are too few different pictures for one."""
    distances: tuple[float, ...]
    """Of each output, its mean distance to the others, on the scale of ``ratio``, whose mean over outputs it is."""
    farthest: int
    """Which output looks least like the others; with two outputs that is the first."""


def embedding(view: View) -> Tensor:
    """What :func:`kernel_distance` compares: EfficientNet-Lite0's ``head``, averaged over the picture; ``(1280,)``."""
    return view.efficientnet["head"].mean((1, 2))


def style_statistics(view: View) -> tuple[Tensor, ...]:
    """What :func:`style_consistency` compares: for each of six stages, channels' means and deviations, ``(2 c,)``."""
    return tuple(view.read(efficientnet_look))


def kernel_distance(outputs: Tensor, references: Tensor) -> KernelDistance:
    """Kernel inception distance (KID): how far a set of outputs is from a set of references, such as paintings.

    Read it next to the same figure for the untouched contents. The estimate has no bias at any size, but below about
    200 outputs the interval is wide, and it leaves out that outputs of one content or style resemble each other.
    Figures of another network (published ones come from Inception v3) are on another scale.

    Args:
        outputs: ``(n, d)``, one embedding per picture; n ≥ 3.
        references: ``(m, d)``; m ≥ 3.

    Returns:
        The unbiased estimate of MMD² under k(x, y) = (xᵀy / d + 1)³, with its interval.

    Raises:
        InputError: a set has fewer than three pictures, too few for an interval.

    Note:
        All pictures count at once; Bińkowski et al. average over random subsets, whose spread is no interval of the
        average. The interval is the estimate ± t · the jackknife's standard error, leaving out one picture of either
        set at a time. In simulations with 3 to 200 pictures per set it covered the true value in 94 to 99.9 % of runs.

    Source:
        Bińkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", ICLR 2018, eq. 4 and section 4; Efron, Stein,
        "The Jackknife Estimate of Variance", 1981.

    Example:
        >>> far = kernel_distance(torch.zeros(3, 2), torch.ones(3, 2))
        >>> far.value, far.interval
        (7.0, (7.0, 7.0))
    """
    n, m = len(outputs), len(references)
    for count, what in ((n, "the outputs"), (m, "the references")):
        if count < 3:
            raise InputError(
                f"{what} are {_pictures(count)}, but a distance between sets needs at least 3 on either side; "
                "give more, or judge pictures one by one"
            )
    x, y = outputs.double(), references.double()
    xx, yy = (_kernel(z, z).fill_diagonal_(0) for z in (x, y))  # a picture is not compared with itself: no bias
    xy = _kernel(x, y)
    within_x, within_y, across = xx.sum() / (n * (n - 1)), yy.sum() / (m * (m - 1)), xy.mean()
    without_x = (xx.sum() - 2 * xx.sum(1)) / ((n - 1) * (n - 2)) + within_y - 2 * (xy.sum() - xy.sum(1)) / ((n - 1) * m)
    without_y = within_x + (yy.sum() - 2 * yy.sum(1)) / ((m - 1) * (m - 2)) - 2 * (xy.sum() - xy.sum(0)) / (n * (m - 1))
    value = float(within_x + within_y - 2 * across)
    return KernelDistance(value, _jackknife(value, without_x, without_y), n, m)


def style_consistency(
    outputs: Sequence[tuple[Tensor, ...]], contents: Sequence[tuple[Tensor, ...]]
) -> StyleConsistency:
    """How alike a set's outputs are in look: their mean distance from each other as a share of their contents'.

    Colour and texture count, layout does not. Whether the look is the wanted one it cannot say: outputs that are all
    noisy or all grey are consistent too.

    Scale: outputs of one style 0.20 to 0.41, contents recoloured to one style 0.73 to 0.75, all 12 styles together 1.06
    (``optimize`` at its defaults; public paintings on 16 photographs, two or three per style).

    Args:
        outputs: :func:`style_statistics` of each output, two or more.
        contents: of the content of each, in the same order.

    Returns:
        The ratio with its interval over pairs (jackknife), and the output that stands out.

    Raises:
        InputError: there is only one output, or all contents are the same picture.

    Note:
        The distance of two pictures is the mean over stages of ‖a − b‖ / ½(‖a‖ + ‖b‖), a and b the means and deviations
        of the channels: the one of ``style_gain_efficientnet``, made symmetric.

    Source:
        The statistics are those of Huang, Belongie, "Arbitrary Style Transfer in Real-time with AdaIN", ICCV 2017.
    """
    n = len(outputs)
    if n < 2:
        raise InputError(
            f"the set has {_pictures(n)}, but consistency is between outputs; give two or more in the same style"
        )
    ours, theirs = _distances(outputs), _distances(contents)
    if theirs.sum() < _LEAST_DISTANCE:
        raise InputError(
            f"all {n} contents look the same, so there is nothing that their outputs' diversity could be a share of; "
            "give outputs of different contents"
        )
    ratio = float(ours.sum() / theirs.sum())
    left = theirs.sum() - 2 * theirs.sum(1)  # of the contents' distances, without each in turn
    interval = None
    if n > 2 and bool((left > _LEAST_DISTANCE).all()):
        low, high = _jackknife(ratio, (ours.sum() - 2 * ours.sum(1)) / left)
        interval = max(0.0, low), high
    shares = ours.sum(1) * n / theirs.sum()
    return StyleConsistency(ratio, interval, tuple(shares.tolist()), int(shares.argmax()))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """``(n, m)``: Bińkowski et al.'s polynomial kernel."""
    return (x @ y.mT / x.shape[1] + 1) ** 3


def _distances(pictures: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """``(n, n)``: of every picture from every other, the mean over stages; 0 on the diagonal."""
    found = []
    for stage in zip(*pictures, strict=True):
        vectors = torch.stack(stage).double()
        norms = vectors.norm(dim=1)
        # Not by matrix products, which leave a distance of 1e-7 between a picture and itself.
        apart = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist")
        found.append(apart / (norms[:, None] + norms).clamp_min(_LEAST_DISTANCE) * 2)
    return torch.stack(found).mean(0)


def _jackknife(value: float, *without: Tensor) -> Interval:
    """95 % interval of an estimate from one sample or more, given what it is without each picture of each sample."""
    variance = sum(float(each.var(correction=0)) * (len(each) - 1) for each in without)
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, min(len(each) for each in without) - 1)) * variance**0.5
    return value - reach, value + reach


def _pictures(count: int) -> str:
    return f"{count} picture" + "s" * (count != 1)
