"""How much of the content is left in the output: from pixels that match to shapes that are only drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.evaluation.metrics.style import correlation
from impasto.evaluation.view import resized
from impasto.images import fit_size

if TYPE_CHECKING:
    from impasto.evaluation.view import View

#: A place every 16 and every 32 px of the twin.
_RECOGNITION_STAGES = ("stage5", "stage7")
_LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_2")
_SELF_SIMILARITY_LAYER = "relu5_1"
_STRUCTURE_LAYER = "relu4_4"
#: Exponents of the five scales of MS-SSIM, finest first.
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: At 18 megapixels it would take 8 GB and most of the time of all metrics.
_MS_SSIM_LONGER_PX = 1024
#: Gaussian window of σ = 1.5 px, as in the papers.
_SSIM_WINDOW_PX = 11


def recognition(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Whether the same things are seen at the same places, however they are drawn: 1 the same, 0 nothing in common.

    The mean over two stages of EfficientNet-Lite0 and all places of the cosine between the activations of output and
    content, each picture's less its own mean: what a style adds everywhere does not count.

    Chosen among some 60 candidates by 307 preferences of one rater between outputs of the same content and style
    (docs/evaluation.md): it orders 92 % of them alike, and 97 % of those where contours are drawn anew rather than
    lost, of which correlation of edges gets 19 %.
    """
    alike = [
        (_directions(output.efficientnet[stage]) * _directions(content.efficientnet[stage])).sum(0).mean()
        for stage in _RECOGNITION_STAGES
    ]
    return max(0.0, float(torch.stack(alike).mean()))


def content_distance(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """LPIPS without its trained weights, on VGG-19: 0 the same picture, about 1.5 another one.

    The mean over five layers and all places of ‖Δ‖², activations normalised to unit length at every place.

    Source:
        Zhang et al., "The Unreasonable Effectiveness of Deep Features", CVPR 2018, eq. 1 with all w = 1 and the
        mean over layers for their sum; there VGG-16.
    """
    distances = [
        (_unit(output.vgg[layer]) - _unit(content.vgg[layer])).square().sum(0).mean() for layer in _LPIPS_LAYERS
    ]
    return float(torch.stack(distances).mean())


def self_similarity(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """How far apart the two tables of "which places look alike" are, relu5_1: 0 the same, up to 2.

    Source:
        Kolkin, Salavon, Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and Self-Similarity", CVPR 2019,
        eq. 4: cosine distances between all places, each row divided by its sum, L1; here summed over a row and
        averaged over rows, so that the number of places does not matter, and on one layer: on relu4_1 it agreed less
        with the eye (0.73 of preferences instead of 0.83).
    """
    tables = []
    for view in (output, content):
        columns = _unit(view.vgg[_SELF_SIMILARITY_LAYER]).flatten(1)
        distances = (1 - columns.T @ columns).clamp_min(0)
        tables.append(distances / distances.sum(1, keepdim=True).clamp_min(1e-8))
    return float((tables[0] - tables[1]).abs().sum(1).mean())


def structure(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Whether the same places look alike: correlation of two self-similarity tables, 1 the content's layout, 0 none.

    Cosines between all places of relu4_4, each picture centred on its own mean, so colour, contrast and texture that
    are everywhere do not count.
    """
    return max(0.0, correlation(*(_similarities(view.vgg[_STRUCTURE_LAYER]) for view in (output, content))))


def edge_content(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Pearson correlation of blurred Sobel magnitudes of luminance: 1 keeps every edge where it was, 0 none."""
    return correlation(output.edges, content.edges)


def ssim(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Structural similarity of the luminance of the twins.

    Source:
        Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", TIP 2004, eq. 13.
    """
    return _ssim(*(view.small_luminance[None, None] for view in (output, content)))[0]


def ms_ssim(output: View, content: View, style: View) -> float:  # noqa: ARG001
    """Multi-scale structural similarity of the luminance at up to 1024 px; fewer scales where the picture is small.

    A picture so long that this would leave fewer rows than the window has is taken larger.

    Source:
        Wang, Simoncelli, Bovik, "Multi-scale Structural Similarity", ACSSC 2003, eq. 7. Scales below the window's
        size are left out and the exponents divided by their sum.
    """
    height, width = output.luminance.shape
    longer, shorter = max(height, width), min(height, width)
    least = -(-_SSIM_WINDOW_PX * longer // shorter)
    size = fit_size(height, width, max(min(longer, _MS_SSIM_LONGER_PX), least))
    a, b = (resized(view.luminance, size)[None, None] for view in (output, content))
    parts: list[float] = []
    while len(parts) < len(_MS_SSIM_WEIGHTS) and min(a.shape[-2:]) >= _SSIM_WINDOW_PX:
        whole, contrast = _ssim(a, b)
        parts.append(contrast)
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    parts[-1] = whole  # luminance counts at the coarsest scale only
    weights = _MS_SSIM_WEIGHTS[: len(parts)]
    value = 1.0
    for part, weight in zip(parts, weights, strict=True):
        value *= max(part, 0.0) ** (weight / sum(weights))
    return value


def _ssim(a: Tensor, b: Tensor) -> tuple[float, float]:
    """SSIM, and its part that compares contrast and structure."""
    # Takes a second to import: whoever only paints does not wait for it.
    from torchmetrics.functional.image import structural_similarity_index_measure

    whole, contrast = structural_similarity_index_measure(a, b, data_range=1.0, return_contrast_sensitivity=True)
    return float(whole), float(contrast)


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features, dim=0)


def _directions(features: Tensor) -> Tensor:
    """Unit vectors at every place of ``(c, h, w)``, less their picture's mean; 0 where there is nothing."""
    return _unit(features - features.mean((1, 2), keepdim=True))


def _similarities(features: Tensor) -> Tensor:
    """Cosines between all pairs of places, activations centred on their mean."""
    columns = _directions(features).flatten(1)
    above = torch.triu_indices(columns.shape[1], columns.shape[1], 1)
    return (columns.T @ columns)[above[0], above[1]]
