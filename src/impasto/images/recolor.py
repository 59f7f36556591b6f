"""Recolour one picture after another: keep its chroma, match its colour statistics, match its histograms.

Every function serves before a run, the style recoloured after the content, and after it, the output recoloured after
either. Colours are moved, never pixels: what was one colour before is one colour afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto.images.oklab import CHUNK, golden_steps, map_colors, oklab_to_srgb, sample_colors, srgb_to_oklab
from impasto.images.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Colours looked at in each picture for its histograms.
_SAMPLES = 1 << 16

#: Points of a histogram that are carried over; between them a curve is straight.
_QUANTILES = 1024

#: Standard deviation of the blur of histograms, in OkLab: half of what shows.
_BLUR = 0.01

#: L, a and b of all sRGB colours lie between these; a curve has a value at every step.
_LOWEST, _HIGHEST, _STEPS = -0.4, 1.0, 4096


def keep_luminance(output: Tensor, content: Tensor) -> Tensor:
    """The lightness of ``output`` with the chroma of ``content``: the style's strokes in the content's own colours.

    In OkLab, not in YCbCr as is common: on four pairs of photographs and paintings, measured in CIELAB, lightness ends
    0.3 to 0.7 from that of ``output`` instead of 0.7 to 1.8, and hue 0.9° to 4.3° from that of ``content`` instead of
    1.4° to 6.4°. It shows in dark strokes, which YCbCr makes glow, and in bright skies, which it clips to cyan.

    Args:
        output: ``(1, 3, h, w)`` sRGB in [0, 1].
        content: ``(1, 3, h', w')`` sRGB in [0, 1]; resampled where its size differs.

    Returns:
        ``(1, 3, h, w)`` sRGB in [0, 1]. Colours that sRGB cannot show at their new lightness give up chroma.
    """

    def exchange(drawn: Tensor, colored: Tensor) -> Tensor:
        return oklab_to_srgb(torch.cat([srgb_to_oklab(drawn)[:1], srgb_to_oklab(colored)[1:]]))

    return map_colors(exchange, output, resize(content, output.shape[-2], output.shape[-1]))


class ColorStatistics(NamedTuple):
    """Mean and covariance of the colours of a picture, sRGB, float64 on the CPU."""

    mean: Tensor
    """``(3,)``, in [0, 1]."""
    covariance: Tensor
    """``(3, 3)``, symmetric."""

    @classmethod
    def of(cls, pixels: Tensor, weights: Tensor | None = None) -> ColorStatistics:
        """The statistics of a picture, or of the part of it that counts.

        Args:
            pixels: ``(1, 3, h, w)`` in [0, 1].
            weights: ``(1, 1, h, w)`` ≥ 0, such as alpha or a mask. None, or 0 everywhere: every pixel counts the same.
        """
        colors = pixels.reshape(3, -1)
        count = colors.shape[1]
        shares = None if weights is None or not bool(weights.any()) else weights.reshape(1, -1)
        pieces = [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
        total = count if shares is None else sum(float(shares[:, piece].sum()) for piece in pieces)
        mean, second = torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
        for piece in pieces:
            weighted = colors[:, piece] if shares is None else colors[:, piece] * shares[:, piece]
            mean += weighted.sum(1).cpu().double() / total
        for piece in pieces:  # around the mean, so that float32 rounds a share of the spread and not of the brightness
            centred = colors[:, piece] - mean.to(colors.dtype).to(colors.device).view(3, 1)
            weighted = centred if shares is None else centred * shares[:, piece]
            second += (weighted @ centred.mT).cpu().double() / total
        return cls(mean, second)

    @classmethod
    def blend(cls, parts: Sequence[ColorStatistics], shares: Sequence[float]) -> ColorStatistics:
        """The statistics of a mixture, several styles with a share each.

        Args:
            parts: one per picture.
            shares: one per picture, ≥ 0, at least one above 0; divided by their sum.
        """
        scaled = [share / sum(shares) for share in shares]
        mean = sum((share * part.mean for part, share in zip(parts, scaled, strict=True)), torch.zeros(()))
        second = torch.zeros(3, 3, dtype=torch.float64)
        for part, share in zip(parts, scaled, strict=True):
            apart = part.mean - mean  # what lies between the pictures adds to what lies within them
            second += share * (part.covariance + torch.outer(apart, apart))
        return cls(mean, second)


def match_linear(pixels: Tensor, target: ColorStatistics, *, source: ColorStatistics | None = None) -> Tensor:
    """The picture with the mean and covariance of other colours, by the linear map that moves colours least.

    Args:
        pixels: ``(1, 3, h, w)`` sRGB in [0, 1].
        target: what the colours shall have, up to clamping.
        source: what the colours have now; None: what is found in ``pixels``. Give it where only a part of the picture
            counts, or where one map shall serve several pictures.

    Returns:
        ``(1, 3, h, w)`` sRGB, clamped to [0, 1].

    Note:
        A near-grey picture is stretched as far as the target asks, its compression noise included; `match_histogram`
        holds back there.

    Source:
        Pitié, Kokaram, "The linear Monge-Kantorovitch linear colour mapping", CVMP 2007, eq. 11. In sRGB as it is, not
        in linear light. Both covariances get a floor of (1/255)², so that a flat picture has a root and an inverse.
    """
    source = ColorStatistics.of(pixels) if source is None else source
    floor = torch.eye(3, dtype=torch.float64) / 255**2
    root, inverse = _power(source.covariance + floor, 0.5), _power(source.covariance + floor, -0.5)
    matrix = inverse @ _power(root @ (target.covariance + floor) @ root, 0.5) @ inverse
    offset = target.mean - matrix @ source.mean
    scale, shift = (part.to(pixels.dtype).to(pixels.device) for part in (matrix, offset.view(3, 1)))
    return map_colors(lambda colors: torch.addmm(shift, scale, colors).clamp(0, 1), pixels)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    raised: Tensor = vectors @ values.clamp_min(1e-12).pow(exponent).diag() @ vectors.mT
    return raised


def match_histogram(
    pixels: Tensor,
    reference: Tensor,
    *,
    weights: Tensor | None = None,
    reference_weights: Tensor | None = None,
) -> Tensor:
    """The picture with the reference's histograms of L, a and b in OkLab, each carried over by a rising curve.

    It follows a reference further than `match_linear`: tones as well as spread. Channels are matched one by one, so the
    space must hold lightness, red to green and yellow to blue apart. OkLab does; sRGB does not, and in CIELAB a blue
    that gains or loses chroma turns purple.

    Args:
        pixels: ``(1, 3, h, w)`` sRGB in [0, 1].
        reference: ``(1, 3, h', w')`` sRGB in [0, 1].
        weights: ``(1, 1, h, w)`` ≥ 0: how much each pixel counts in the histograms; all of them are recoloured. None,
            or 0 everywhere: every pixel counts the same.
        reference_weights: ``(1, 1, h', w')``, the same for ``reference``.

    Returns:
        ``(1, 3, h, w)`` sRGB in [0, 1]. Colours that sRGB cannot show keep lightness and hue and give up chroma.

    Note:
        Both histograms are blurred by 0.01 first. A curve is then never steeper than the blur allows, and the grain of
        a flat sky does not become a pattern; pictures whose spread is of that size keep less than the reference's.
    """
    found, wanted = _quantiles(pixels, weights), _quantiles(reference, reference_weights)
    # Curves as tables over even steps: a place in them is one multiplication away. Beyond the ends they go on at 45°.
    steps = np.linspace(_LOWEST, _HIGHEST, _STEPS + 1)
    table = torch.empty(3, _STEPS + 1, dtype=pixels.dtype)
    for channel in range(3):
        x, y = (np.pad(values[channel], 1) for values in (found, wanted))
        x[0], y[0] = x[1] - 2, y[1] - 2
        x[-1], y[-1] = x[-2] + 2, y[-2] + 2
        table[channel] = torch.from_numpy(np.interp(steps, x, y))
    table = table.to(pixels.device)

    def match(colors: Tensor) -> Tensor:
        places = ((srgb_to_oklab(colors) - _LOWEST) * (_STEPS / (_HIGHEST - _LOWEST))).clamp(0, _STEPS)
        left = places.long().clamp_max(_STEPS - 1)
        low, high = table.gather(1, left), table.gather(1, left + 1)
        return oklab_to_srgb(torch.lerp(low, high, places - left))

    return map_colors(match, pixels)


def _quantiles(pixels: Tensor, weights: Tensor | None) -> NDArray[np.float64]:
    """``(3, _QUANTILES)``: rising values of L, a and b, blurred, each the mean of its share of the pixels."""
    values = srgb_to_oklab(sample_colors(pixels, weights, _SAMPLES)).double().sort(1).values
    # Neighbours in order get noise from everywhere in the bell, the same in every run: no histogram could be smoother.
    bell = torch.special.ndtri(golden_steps(_SAMPLES).clamp(1e-6, 1 - 1e-6))
    blurred = (values + _BLUR * bell).sort(1).values
    means: NDArray[np.float64] = blurred.view(3, _QUANTILES, -1).mean(2).numpy()
    return means
