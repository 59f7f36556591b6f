"""How far a frame is from earlier ones, where both show the same."""

from torch import Tensor


def temporal_loss(pixels: Tensor, earlier: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean squared difference, and its gradient.

    Args:
        pixels: ``(1, 3, h, w)`` in [0, 1], the frame.
        earlier: the same shape, an earlier painted frame moved to where its things are now.
        weight: ``(1, 1, h, w)`` in [0, 1], where it shows the same thing.

    Returns:
        The loss, a number ≥ 0, and its gradient with respect to ``pixels``.

    Source:
        Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", GCPR 2016, eq. 6.
    """
    difference = (pixels - earlier) * weight
    loss = (difference * (pixels - earlier)).mean()
    return loss, difference.mul_(2 / pixels.numel())
