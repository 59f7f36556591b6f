"""The Gram loss: squared distance between second moments of activations.

Source: Gatys, Ecker, Bethge, CVPR 2016, eq. 4.
"""

from torch import Tensor

from impasto.losses.moments import Moments


def gram_loss(features: Moments, target: Moments) -> Tensor:
    """Mean squared distance between the Gram matrices of two activations.

    Blind to where things are, and to how the energy is spread between the mean and the variance of a channel.

    Args:
        features: moments of the output's activation, ``c`` channels.
        target: moments of the style's activation, ``c`` channels.

    Returns:
        0-d tensor ≥ 0, dimensionless, differentiable in ``features``.

    Note:
        Gatys et al. weigh by 1 / (4 c² n²) with undivided Gram matrices; ours are divided by n before, so the factor
        that differs is ¼.

    Example:
        >>> import torch
        >>> from impasto.losses import moments
        >>> x = moments(torch.rand(1, 8, 4, 4))
        >>> float(gram_loss(x, x))
        0.0
    """
    return (features.second - target.second).square().mean()
