"""LPIPS with AlexNet, version 0.1: how different two pictures look, as people judged distortions of photographs.

The network runs forward only. Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep
Features as a Perceptual Metric", CVPR 2018, eq. 1; weights of its package ``lpips``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from impasto.evaluation.adapters.ranges import in_unit_range, standardize
from impasto.evaluation.adapters.weights import read_weights
from impasto.evaluation.metric import Metric
from impasto.images import fit_size, resize
from impasto.vgg.weights import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from impasto.evaluation.view import View

#: Larger pictures are reduced to this longer side, at which style transfer is commonly compared; none is enlarged.
LONGER_PX: Final = 512

_EPS: Final = 1e-10
#: Where convolutions stand in AlexNet's list of layers, with stride, padding, and whether max pooling goes before.
_CONVOLUTIONS: Final = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))


class LPIPS:
    """AlexNet's five ReLUs and a weight for each of their channels.

    Args:
        alexnet: ``N.weight`` and ``N.bias`` of torchvision's ``features``; any widths.
        heads: ``linK.model.1.weight``, ``(1, c, 1, 1)``, not negative. They weigh squared differences, as in the
            authors' code; eq. 1 would have the weights squared too.
    """

    def __init__(self, alexnet: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        self._alexnet, self._heads = alexnet, heads

    def __call__(self, first: Tensor, second: Tensor) -> float:
        """The distance of two pictures of one size: 0 if they are the same, about 1 if nothing is alike.

        Args:
            first: ``(1, 3, h, w)`` float32 RGB in [0, 1].
            second: the same.
        """
        with torch.inference_mode():
            # Each picture in its own pass: identical inputs then give identical bits, and 0 is 0.
            pairs = zip(self._activations(first), self._activations(second), strict=True)
            distances = [
                F.conv2d((a - b).square(), self._heads[f"lin{level}.model.1.weight"]).mean()
                for level, (a, b) in enumerate(pairs)
            ]
        return float(sum(distances))

    def _activations(self, pixels: Tensor) -> list[Tensor]:
        # The package takes [-1, 1] and its own shift and scale; on [0, 1] these are ImageNet's mean and deviation.
        x = standardize(in_unit_range(pixels), IMAGENET_MEAN_RGB, IMAGENET_STD_RGB)
        found = []
        for index, stride, padding, pooled in _CONVOLUTIONS:
            x = F.max_pool2d(x, 3, 2) if pooled else x
            x = F.conv2d(x, self._alexnet[f"{index}.weight"], self._alexnet[f"{index}.bias"], stride, padding).relu()
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + _EPS))
        return found


@lru_cache(maxsize=1)
def _network() -> LPIPS:
    return LPIPS(read_weights("alexnet", "features."), read_weights("lpips-heads"))


def lpips(output: View, content: View, _style: View) -> float:
    """LPIPS of output and content, at most :data:`LONGER_PX` long.

    Raises:
        WeightsError: a file is missing or not what it should be.
    """
    height, width = output.pixels.shape[-2:]
    size = fit_size(height, width, min(LONGER_PX, max(height, width)))
    return _network()(resize(output.pixels, *size), resize(content.pixels, *size))


METRIC: Final = Metric(
    name="lpips",
    function=lpips,
    meaning="how different from the content it looks",
    better="lower",
    span="0 (the content itself) to about 1",
    backbone="AlexNet",
    cost="2 passes; weights of the user's",
    blind_to="abstraction that was wanted: it counts as error, and doing nothing is best",
    source="Zhang et al., CVPR 2018",
    default=False,
)
