"""Change the size of pixels: antialiased bicubic, and the size that fits a longer side.

It knows nothing of files or alpha; `Picture.with_pixels` uses it for both.
"""

import torch.nn.functional as F
from torch import Tensor


def resize(pixels: Tensor, height: int, width: int) -> Tensor:
    """Pixels at another size: antialiased bicubic, clamped to [0, 1].

    The same size gives the same pixels back, bit for bit, so a chain of scales may call it freely.

    Args:
        pixels: ``(c, h, w)`` or ``(b, c, h, w)``, floating point, [0, 1].
        height: wanted height in pixels, at least 1.
        width: wanted width in pixels, at least 1.

    Returns:
        The same number of dimensions and the same dtype, ``height`` by ``width``.

    Example:
        >>> import torch
        >>> resize(torch.rand(3, 8, 6), 4, 3).shape
        torch.Size([3, 4, 3])
    """
    if pixels.shape[-2:] == (height, width):
        return pixels
    batched = pixels if pixels.dim() == 4 else pixels[None]
    resized = F.interpolate(batched, (height, width), mode="bicubic", align_corners=False, antialias=True)
    resized = resized.clamp(0.0, 1.0)  # bicubic overshoots at edges
    return resized if pixels.dim() == 4 else resized[0]


def fit_size(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """The size with this longer side and the nearest whole-pixel aspect ratio; enlarges as well as reduces.

    Args:
        height: height in pixels, at least 1.
        width: width in pixels, at least 1.
        longer_side: wanted longer side in pixels, at least 1.

    Returns:
        ``(height, width)``, neither below 1 pixel.

    Example:
        >>> fit_size(1000, 2000, 512)
        (256, 512)
    """
    longer = max(height, width)
    # Whole numbers round halves up; round() would send 2.5 to 2 and 3.5 to 4.
    fitted_height = (2 * height * longer_side + longer) // (2 * longer)
    fitted_width = (2 * width * longer_side + longer) // (2 * longer)
    return max(1, fitted_height), max(1, fitted_width)


def cover(pixels: Tensor, height: int, width: int) -> Tensor:
    """``pixels`` resampled and cropped around the middle so that they fill ``height`` × ``width`` undistorted."""
    factor = max(height / pixels.shape[-2], width / pixels.shape[-1])
    tall, wide = max(height, round(pixels.shape[-2] * factor)), max(width, round(pixels.shape[-1] * factor))
    top, left = (tall - height) // 2, (wide - width) // 2
    return resize(pixels, tall, wide)[..., top : top + height, left : left + width]
