"""The mean-and-deviation loss: each channel's two statistics, and nothing of how channels go together.

Source: Huang, Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017,
eq. 13; as a loss of its own in Li, Wang, Liu, Hou, "Demystifying Neural Style Transfer", IJCAI 2017.
"""

from torch import Tensor

from impasto.losses.columns import check_channels
from impasto.losses.moments import Moments

#: Added to each variance, as the W2 loss does: activations have a mean of about 1, so this is a hundredth of one. It
#: bounds the slope of the root, which is infinite at a flat channel.
_RIDGE = 1e-4


def mean_std_loss(features: Moments, target: Moments) -> Tensor:
    """Squared distances of means and of standard deviations, averaged over channels.

    Equal to the W2 loss when channels do not depend on each other. Blind to where things are and to correlations:
    palettes come through, strokes less.

    Args:
        features: moments of the output's activation, ``c`` channels.
        target: the style's, ``c`` channels.

    Returns:
        0-d tensor ≥ 0, dimensionless, differentiable in ``features``.

    Raises:
        SettingsError: ``features`` and ``target`` differ in ``c``.

    Note:
        Squared, as in Li et al.; Huang and Belongie sum the norms, whose slope does not vanish at the target. The mean
        over channels instead of the sum makes layers comparable.

    Source:
        Huang, Belongie, ICCV 2017, eq. 13.

    Example:
        >>> import torch
        >>> from impasto.losses import moments
        >>> x = moments(torch.rand(1, 8, 4, 4))
        >>> float(mean_std_loss(x, x))
        0.0
    """
    check_channels(features.mean[None], len(target.mean))
    means = (features.mean - target.mean).square()
    deviations = (_deviation(features) - _deviation(target)).square()
    return (means + deviations).mean()


def _deviation(part: Moments) -> Tensor:
    """``(c,)``: standard deviation of each channel."""
    # The diagonal only: `Moments.covariance` would make all c² entries. Rounding can put it below 0 on flat channels.
    variance = part.second.diagonal() - part.mean.square()
    return (variance.clamp_min(0) + _RIDGE).sqrt()
