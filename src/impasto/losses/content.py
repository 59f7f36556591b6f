"""The content loss: squared distance between activations, position by position.

Source: Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, eq. 1.
"""

from torch import Tensor

from impasto.errors import SettingsError


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance between two activations of the same shape.

    Args:
        features: activations of the output, ``(1, c, h, w)``, any dtype.
        target: activations of the content, same shape.

    Returns:
        0-d float32 tensor ≥ 0 (float64 for float64 input), differentiable in ``features``.

    Raises:
        SettingsError: the shapes differ.

    Note:
        The mean, where Gatys et al. take half the sum: the weight does not depend on the picture's size.

    Example:
        >>> import torch
        >>> x = torch.rand(1, 8, 4, 4)
        >>> float(content_loss(x, x))
        0.0
    """
    if features.shape != target.shape:
        raise SettingsError(
            f"content activations have shape {tuple(target.shape)}, expected {tuple(features.shape)} as the output's"
        )
    # The difference is taken in the activations' own dtype (exact for close values), its square summed wider.
    difference = features - target
    wide = difference if difference.dtype.itemsize >= 4 else difference.float()
    return wide.square().mean()
