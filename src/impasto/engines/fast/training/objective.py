"""What a transfer network is trained for: the content's shapes, the style's statistics, and a steady picture.

Per style, every layer's distance is divided by the style's own statistics, so that one weight serves calm and loud
styles alike (Cheng, Liang, Tan, Shen, "Style-Aware Normalized Loss for Improving Arbitrary Style Transfer", CVPR 2021,
eq. 6). Shapes are compared after instance normalisation, which takes colour and contrast out of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses import Moments, moments
from impasto.vgg import VGG19, activations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.settings import TrainSettings

#: Layers whose statistics are matched, at the picture's size.
_FINE: Final = ("relu1_1", "relu2_1", "relu3_1")
#: The deepest is looked at in the picture at half its size: a fourth of the work, and strokes twice as large.
_COARSE: Final = "relu4_1"
_CONTENT: Final = "relu3_1"
#: The last layer that the loss network needs.
DEEPEST: Final = _COARSE

#: Of a variance before the root, as in :func:`impasto.losses.mean_std_loss`.
_RIDGE: Final = 1e-4


#: What the style's two parts count against each other: means and deviations at four layers, and how channels go
#: together there, which is strokes rather than colours.
_STATISTICS: Final = 1.5
_COVARIANCE: Final = 2.0
#: Colours stay between black and white.
_RANGE: Final = 10.0


class StyleTarget(NamedTuple):
    """What the loss network found in a style, by layer."""

    means: tuple[Tensor, ...]
    deviations: tuple[Tensor, ...]
    covariances: tuple[Tensor, ...]


class Objective:
    """The training loss on a loss network.

    Args:
        net: VGG-19 up to :data:`DEEPEST`.
        settings: the weights of its terms.
    """

    def __init__(self, net: VGG19, settings: TrainSettings) -> None:
        self._net, self._settings = net, settings

    @torch.no_grad()
    def style_targets(self, pictures: Tensor) -> list[StyleTarget]:
        """What ``(b, 3, n, n)`` styles ask for, one target each, in half precision."""
        targets = []
        for found in self._moments(pictures):
            parts = [(m.mean, _deviation(m), m.covariance) for m in found]
            targets.append(
                StyleTarget(*(tuple(t.to(torch.bfloat16) for t in kind) for kind in zip(*parts, strict=True)))
            )
        return targets

    @torch.no_grad()
    def content_targets(self, pictures: Tensor) -> list[Tensor]:
        """What ``(b, 3, n, n)`` contents ask for, ``(c, h, w)`` each, in half precision."""
        features = activations(self._net, pictures, (_CONTENT,))[_CONTENT]
        return list(F.instance_norm(features.float()).to(torch.bfloat16))

    def __call__(self, output: Tensor, contents: Sequence[Tensor], styles: Sequence[StyleTarget]) -> dict[str, Tensor]:
        """Weighted terms of painted pictures ``(b, 3, n, n)`` against a content and a style each."""
        fine = activations(self._net, output, _FINE)
        coarse = activations(self._net, F.avg_pool2d(output, 2), (_COARSE,))[_COARSE]
        statistics, covariance = output.new_zeros(()), output.new_zeros(())
        for index, target in enumerate(styles):
            for layer, features in enumerate([*fine.values(), coarse]):
                found = moments(features[index : index + 1])
                mean, deviation, wanted = (kind[layer].float() for kind in target)
                statistics = statistics + _share(found.mean, mean) + _share(_deviation(found), deviation)
                own = found.covariance
                both = own.square().sum() + wanted.square().sum()
                covariance = covariance + (own - wanted).square().sum() / both.clamp_min(_RIDGE)
        shapes = F.instance_norm(fine[_CONTENT].float())
        content = (shapes - torch.stack(list(contents)).float()).square().mean()
        rough = output.diff(dim=2).square().mean() + output.diff(dim=3).square().mean()
        settings, style = self._settings, self._settings.style_weight / len(styles)
        return {
            "content": settings.content_weight * content,
            "statistics": style * _STATISTICS * statistics,
            "covariance": style * _COVARIANCE * covariance,
            "tv": settings.tv_weight * rough,
            "range": _RANGE * (output - output.clamp(0, 1)).square().mean(),
        }

    def _moments(self, pictures: Tensor) -> list[list[Moments]]:
        """For each picture its moments at the fine layers, then at the coarse one."""
        fine = activations(self._net, pictures, _FINE)
        coarse = activations(self._net, F.avg_pool2d(pictures, 2), (_COARSE,))[_COARSE]
        layers = [*fine.values(), coarse]
        return [[moments(layer[index : index + 1]) for layer in layers] for index in range(len(pictures))]


def _share(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance as a share of what is wanted."""
    return (found - wanted).square().sum() / wanted.square().sum().clamp_min(_RIDGE)


def _deviation(found: Moments) -> Tensor:
    """Standard deviation of each channel."""
    variance = found.second.diagonal() - found.mean.square()
    return (variance.clamp_min(0) + _RIDGE).sqrt()
