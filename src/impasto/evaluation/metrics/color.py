"""Colours of the output beside those of its inputs. Distances are Euclidean in OkLab; about 0.02 just shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.errors import InputError
from impasto.evaluation.swatches import palette_adherence

if TYPE_CHECKING:
    from impasto.evaluation.view import View

#: Of the log-chroma histograms: bins a side, their span, and the width of the kernel.
_BINS, _SPAN, _WIDTH = 64, 3.0, 0.02


def visible_change(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Mean colour difference between output and content, pixel by pixel of the twins: whether anything was done.

    What an eye cannot see is no style, whatever a network makes of it.
    """
    return float((output.lab - content.lab).norm(dim=0).mean())


def color_histogram(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Hellinger distance of the output's and the style's log-chroma histograms: 0 the same colours, 1 none in common.

    Source:
        Afifi, Brubaker, Brown, "HistoGAN", CVPR 2021, eq. 1-4: log-chroma planes of R, G and B, weighted by
        brightness, inverse-quadratic kernel, 64 bins, σ = 0.02.
    """
    ours, target = output.read(_histogram), style.read(_histogram)
    return float((ours.sqrt() - target.sqrt()).norm() / 2**0.5)


def color_cast(output: View, content: View, style: View) -> float:
    """How far the output's mean chroma lies from the way between the content's and the style's.

    A mixture of the two lies on the way; a tint that neither has does not.
    """
    point, start, end = (view.lab[1:].mean(1) for view in (output, content, style))
    way = end - start
    share = ((point - start) @ way / (way @ way).clamp_min(1e-9)).clamp(0, 1)
    return float((point - start - share * way).norm())


def color_kept(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Mean difference in chroma (a, b) between output and content, pixel by pixel of the twins.

    For runs that shall keep the content's colours; lightness is the style's to change.
    """
    return float((output.lab[1:] - content.lab[1:]).norm(dim=0).mean())


def palette_distance(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Mean distance of the output's colours to the nearest swatch of its palette.

    Raises:
        InputError: no palette was given.
    """
    if not output.swatches:
        raise InputError("palette_distance needs a palette; give one like '#1d3557,#e63946' with --palette")
    return palette_adherence(output, output.swatches).mean


def _histogram(view: View) -> Tensor:
    """``(3, 64, 64)`` that sum to 1: for each channel how its log ratios to the two others are spread."""
    colors = view.small[0].flatten(1).clamp_min(1e-3)
    brightness, logs = colors.norm(dim=0), colors.log()
    centres = torch.linspace(-_SPAN, _SPAN, _BINS)

    def near(ratio: Tensor) -> Tensor:
        return 1 / (1 + ((ratio[None] - centres[:, None]) / _WIDTH).square())

    planes = []
    for channel in range(3):
        first, second = (logs[channel] - logs[other] for other in range(3) if other != channel)
        planes.append((near(first) * brightness) @ near(second).T)
    histogram = torch.stack(planes)
    return histogram / histogram.sum()
