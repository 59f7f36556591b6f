"""What no picture should have, whatever its style: flatness, clipping, noise, blur, grids and seams.

All at the output's full size; ratios are to the inputs at that size, because a style may be grainy or soft itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from impasto.evaluation.view import View

_EPSILON = 1e-6
_NOISE_SQUARE_PX = 8
#: Pictures of 8 bits have at least this much of noise: a flat one would make any ratio infinite.
_LEAST_NOISE = 1e-3
#: Steps across a border are compared with those of so many neighbours on each side.
_SEAM_REACH = 6
#: A seam is looked for in pieces of this length.
_SEAM_PIECE_PX = 32


def flatness(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Standard deviation of luminance: 0 is one flat tone."""
    return float(output.luminance.std())


def clipping(output: View, content: View, style: View) -> float:
    """Share of pixels that are pure black or white, above the larger share of the inputs."""
    ours, *inputs = (_clipped(view.pixels) for view in (output, content, style))
    return max(0.0, ours - max(inputs))


def noise_ratio(output: View, content: View, style: View) -> float:
    """Standard deviation of pixel noise in the smoothest tenth of the picture, as a multiple of the noisier input's.

    Source:
        Immerkær, "Fast Noise Variance Estimation", CVIU 1996: the mean magnitude behind a mask that takes away
        everything that is linear nearby. It counts fine texture as noise; that is why it is a ratio, and why we take
        the tenth percentile over squares of 8 px where he takes the mean over the picture: strokes leave smooth places,
        noise does not. On 48 outputs at most 1.6, under noise of σ = 0.08 at least 3.0; by the mean 0.8 and 1.3.
    """
    ours, *inputs = (_noise(view.luminance) for view in (output, content, style))
    return ours / max(*inputs, _LEAST_NOISE)


def sharpness(output: View, content: View, style: View) -> float:
    """Mean gradient of luminance as a multiple of the softer input's: below 1 the output is softer than both."""
    ours, *inputs = (_gradient(view.luminance) for view in (output, content, style))
    return ours / max(min(inputs), _EPSILON)


def checkerboard(output: View, content: View, style: View) -> float:
    """Power at the finest possible grid (every second row or column) beside the frequencies below it, over the inputs'.

    Strided and transposed convolutions leave such grids; pictures that were enlarged or compressed do not.
    """
    ours, *inputs = (_nyquist(view.luminance) for view in (output, content, style))
    return ours / max(1.0, *inputs)


def seam_ratio(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """The strongest straight seam: a jump in tone across a whole row or column, over those beside it and the content's.

    It needs no knowledge of where tiles meet. Steps are averaged with their sign over pieces of 32 px, so texture
    averages out and an offset between tiles does not; three quarters of the pieces must have it. On 14 stylizations
    without seams 0.9 to 2.1; with an offset of 0.05 at one column 1.6 to 6.0, median 2.8.
    """
    return max(_seam(output.luminance, content.luminance, axis) for axis in (0, 1))


def step_ratio(luminance: Tensor, axis: int) -> Tensor:
    """For every border between two rows (axis 0) or columns (1): its jump in tone over its neighbours'."""
    steps = luminance.diff(dim=0) if axis == 0 else luminance.diff(dim=1).T  # (borders, along)
    pieces = max(1, steps.shape[1] // _SEAM_PIECE_PX)
    along = steps.shape[1] // pieces
    jumps = steps[:, : pieces * along].unflatten(1, (pieces, along)).mean(2).abs()
    kernel = torch.ones(1, 1, 2 * _SEAM_REACH + 1)
    kernel[0, 0, _SEAM_REACH] = 0
    padded = F.pad(jumps.T[:, None], (_SEAM_REACH, _SEAM_REACH), mode="reflect")
    beside = F.conv1d(padded, kernel / kernel.sum())[:, 0].T
    found: Tensor = (jumps / beside.clamp_min(1 / 255)).quantile(0.25, dim=1)
    return found


def _seam(output: Tensor, content: Tensor, axis: int) -> float:
    ours, theirs = step_ratio(output, axis), step_ratio(content, axis)
    # A horizon is a seam of the content's own; a stylization may move it by a pixel or two.
    allowed = F.max_pool1d(theirs[None, None], 5, stride=1, padding=2)[0, 0].clamp_min(1)
    return float((ours / allowed)[_SEAM_REACH:-_SEAM_REACH].amax())


def _clipped(pixels: Tensor) -> float:
    return float(((pixels == 0).all(1) | (pixels == 1).all(1)).float().mean())


def _noise(luminance: Tensor) -> float:
    # The paper's 3×3 mask is the second difference down and across.
    magnitudes = luminance.diff(n=2, dim=0).diff(n=2, dim=1).abs()
    squares = F.avg_pool2d(magnitudes[None, None], _NOISE_SQUARE_PX).flatten()
    # Sorted, because torch.quantile takes no more than 16 million values.
    return math.sqrt(math.pi / 2) / 6 * float(squares.sort().values[len(squares) // 10])


def _gradient(luminance: Tensor) -> float:
    across, down = luminance[:-1].diff(dim=1), luminance[:, :-1].diff(dim=0)
    return float(torch.hypot(across, down).mean())


def _nyquist(luminance: Tensor) -> float:
    height, width = (side // 2 * 2 for side in luminance.shape)
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)
    cut = luminance[:height, :width]
    power = torch.fft.fft2((cut - cut.mean()) * window).abs().square()
    found = []
    for axis, side in ((0, height), (1, width)):
        spectrum = power.mean(1 - axis)
        frequency = torch.fft.fftfreq(side).abs()
        band = spectrum[(frequency >= 0.40) & (frequency <= 0.47)].mean()
        found.append(float(spectrum[frequency > 0.5 - 1.5 / side].mean() / band.clamp_min(1e-9)))
    return max(found)
