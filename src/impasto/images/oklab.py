"""OkLab: the space in which colours are compared and moved, and the way back that keeps to what sRGB can show.

Lightness L is in [0, 1], black to white; a and b are 0 for greys and within ±0.33 for everything in sRGB. A distance of
0.02 is about the smallest difference that shows between two patches side by side.
Source: Ottosson, "A perceptual color space for image processing", 2020. The transfer curve is that of IEC 61966-2-1.
"""

from collections.abc import Callable

import torch
from torch import Tensor

#: Pixels worked on at a time: temporaries stay in the cache, whatever the size of the picture.
CHUNK = 1 << 16

_LMS_FROM_RGB = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_LAB_FROM_ROOTS = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)

#: How far below 0, as a share of the grey of the same lightness, linear light may lie before chroma gives way. In OkLab
#: the edge of sRGB from blue to black is dented by 0.008; without the allowance the shades of pure blue would end on
#: either side of the dent, one like this and the next like that. Clipping what is left moves a colour by under 0.003.
_DENT = 0.012


def srgb_to_oklab(colors: Tensor) -> Tensor:
    """sRGB colours in OkLab, by way of linear light.

    Args:
        colors: ``(3, n)`` sRGB in [0, 1].

    Returns:
        ``(3, n)``: L, a, b.

    Example:
        >>> [round(value, 3) for value in srgb_to_oklab(torch.tensor([[1.0], [0.0], [0.0]])).flatten().tolist()]
        [0.628, 0.225, 0.126]
    """
    light = torch.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055).pow(2.4))
    roots = (_matrix(_LMS_FROM_RGB, colors) @ light).clamp_min(0).pow(1 / 3)
    return _matrix(_LAB_FROM_ROOTS, colors) @ roots


def oklab_to_srgb(lab: Tensor) -> Tensor:
    """OkLab colours in sRGB; what sRGB cannot show keeps its lightness and hue and gives up chroma.

    Clipping the channels instead would change all three: a blue too bright for sRGB turns cyan.

    Args:
        lab: ``(3, n)``: L, a, b, any values; L is clamped to [0, 1].

    Returns:
        ``(3, n)`` sRGB in [0, 1].
    """
    lightness = lab[:1].clamp(0, 1)
    to_roots, to_light = _matrix(_LAB_FROM_ROOTS, lab, inverse=True), _matrix(_LMS_FROM_RGB, lab, inverse=True)
    chroma = to_roots[:, 1:] @ lab[1:]  # what a and b add to the roots; L adds itself to each of them
    light = to_light @ (lightness + chroma).pow(3)
    outside = ~_fits(light, lightness)
    if bool(outside.any()):
        grey, chroma = lightness[:, outside], chroma[:, outside]
        kept = torch.zeros_like(grey)  # the largest share of the chroma that is known to fit: grey always does
        for halving in range(1, 11):
            tried = kept + 0.5**halving
            kept = torch.where(_fits(to_light @ (grey + tried * chroma).pow(3), grey), tried, kept)
        light[:, outside] = to_light @ (grey + kept * chroma).pow(3)
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.pow(1 / 2.4) - 0.055).clamp(0, 1)


def map_colors(function: Callable[..., Tensor], *pictures: Tensor) -> Tensor:
    """A function of colours over whole pictures, a piece at a time, so that its temporaries stay small.

    Args:
        function: takes one ``(3, m)`` per picture and returns ``(3, m)``; each colour on its own.
        pictures: ``(1, 3, h, w)``, all the same size.

    Returns:
        ``(1, 3, h, w)``.
    """
    flat = [picture.reshape(3, -1) for picture in pictures]
    result = torch.empty_like(flat[0], memory_format=torch.contiguous_format)
    for start in range(0, result.shape[1], CHUNK):
        piece = slice(start, start + CHUNK)
        result[:, piece] = function(*(colors[:, piece] for colors in flat))
    return result.view(pictures[0].shape)


def sample_colors(pixels: Tensor, weights: Tensor | None, count: int) -> Tensor:
    """Colours drawn evenly from all over a picture, each pixel as often as its weight says; the same in every run.

    Args:
        pixels: ``(1, 3, h, w)``.
        weights: ``(1, 1, h, w)`` ≥ 0. None, or 0 everywhere: every pixel counts the same.
        count: how many; more than there are pixels is fine.

    Returns:
        ``(3, count)`` on the CPU.
    """
    colors = pixels.reshape(3, -1)
    last = colors.shape[1] - 1
    # One place in each of `count` equal parts, never at the same distance: even steps would fall into few columns.
    places = (torch.arange(count, dtype=torch.float64) + golden_steps(count)) / count
    if weights is None or not bool(weights.any()):
        picked = (places * colors.shape[1]).long()
    else:
        summed = weights.reshape(-1).cpu().double().cumsum(0)
        picked = torch.searchsorted(summed, places * summed[-1], right=True)
    return colors[:, picked.clamp_max(last).to(colors.device)].cpu()


def golden_steps(count: int) -> Tensor:
    """``(count,)`` float64 in [0, 1): multiples of the golden ratio, which fill it evenly however many are taken."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) * 0.6180339887498949 % 1


def _fits(light: Tensor, lightness: Tensor) -> Tensor:
    """``(n,)``: whether sRGB can show linear light ``(3, n)`` that has lightness ``(1, n)``."""
    return (light.amin(0) >= -_DENT * lightness[0].pow(3) - 1e-6) & (light.amax(0) <= 1 + 1e-5)


def _matrix(rows: tuple[tuple[float, ...], ...], like: Tensor, *, inverse: bool = False) -> Tensor:
    """A matrix, or its inverse, in the dtype and on the device of ``like``."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    return (
        (matrix.inverse() if inverse else matrix).to(like.dtype).to(like.device)
    )  # in this order: not every device knows float64
