"""DISTS: structure and texture similarity of two pictures, tolerant of texture that is drawn anew.

VGG-16 runs forward only. Source: Ding, Ma, Wang, Simoncelli, "Image Quality Assessment: Unifying Structure and Texture
Similarity", IEEE TPAMI 2022; weights of its package ``DISTS-pytorch``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from impasto.evaluation.adapters.ranges import in_unit_range, standardize
from impasto.evaluation.adapters.weights import read_weights
from impasto.evaluation.metric import Metric
from impasto.images import resize
from impasto.vgg.weights import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from impasto.evaluation.view import View

#: The shorter side of what is compared, as in the authors' script; smaller pictures stay as they are.
SHORTER_PX: Final = 256

#: Keeps flat channels from dividing by 0; as in the authors' code.
_EPS: Final = 1e-6
#: Where convolutions stand in VGG-16's list of layers, by stage; between two stages is a pooling.
_STAGES: Final = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))


class DISTS:
    """The picture itself and VGG-16's five stages, each channel weighted by α (texture) and β (structure).

    Args:
        vgg16: ``N.weight`` and ``N.bias`` of torchvision's ``features``; any widths.
        alpha: ``(1, c, 1, 1)`` for the channels of all stages, the picture's three first.
        beta: the same.
    """

    def __init__(self, vgg16: Mapping[str, Tensor], alpha: Tensor, beta: Tensor) -> None:
        self._vgg16 = vgg16
        total = alpha.sum() + beta.sum()
        self._alpha, self._beta = alpha.flatten() / total, beta.flatten() / total

    def __call__(self, first: Tensor, second: Tensor) -> float:
        """The distance of two pictures of one size: 0 if they are the same, about 1 if nothing is alike.

        Args:
            first: ``(1, 3, h, w)`` float32 RGB in [0, 1].
            second: the same.
        """
        textures, structures = [], []
        with torch.inference_mode():
            for a, b in zip(self._activations(first), self._activations(second), strict=True):
                a, b = a[0].flatten(1), b[0].flatten(1)  # (c, n)
                mean_a, mean_b = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
                # Centred first: the authors' E[ab] - E[a]E[b] is the same but loses digits in flat channels.
                a, b = a - mean_a, b - mean_b
                texture = (2 * mean_a * mean_b + _EPS) / (mean_a.square() + mean_b.square() + _EPS)
                covariance, variances = (a * b).mean(1), a.square().mean(1) + b.square().mean(1)
                textures.append(texture[:, 0])
                structures.append((2 * covariance + _EPS) / (variances + _EPS))
            alike = self._alpha @ torch.cat(textures) + self._beta @ torch.cat(structures)
        return max(0.0, 1 - float(alike))  # α and β add up to 1 but for rounding

    def _activations(self, pixels: Tensor) -> list[Tensor]:
        x = standardize(in_unit_range(pixels), IMAGENET_MEAN_RGB, IMAGENET_STD_RGB)
        found = [pixels]
        for stage in _STAGES:
            x = _l2_pool(x) if stage[0] else x
            for index in stage:
                x = F.conv2d(x, self._vgg16[f"{index}.weight"], self._vgg16[f"{index}.bias"], padding=1).relu()
            found.append(x)
        return found


def _l2_pool(x: Tensor) -> Tensor:
    """Root of the mean square under a 3×3 Hann window, every second pixel: the paper's remedy for aliasing."""
    hann = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(hann, hann).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


@lru_cache(maxsize=1)
def _network() -> DISTS:
    vgg16, weights = read_weights("vgg16", "features."), read_weights("dists-weights")
    return DISTS(vgg16, weights["alpha"], weights["beta"])


def dists(output: View, content: View, _style: View) -> float:
    """DISTS of output and content, reduced to a shorter side of :data:`SHORTER_PX`.

    Raises:
        WeightsError: a file is missing or not what it should be.
    """
    height, width = output.pixels.shape[-2:]
    factor = min(1.0, SHORTER_PX / min(height, width))
    size = round(height * factor), round(width * factor)
    return _network()(resize(output.pixels, *size), resize(content.pixels, *size))


METRIC: Final = Metric(
    name="dists",
    function=dists,
    meaning="how far structure and texture are from the content's",
    better="lower",
    span="0 (the content itself) to about 1",
    backbone="VGG-16",
    cost="2 passes; weights of the user's",
    blind_to="where in a texture its grains lie, by design; doing nothing is best",
    source="Ding et al., TPAMI 2022",
    default=False,
)
