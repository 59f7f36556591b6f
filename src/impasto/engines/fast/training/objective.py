"""What a transfer network is trained for: the content's shapes, the style's statistics, and a steady picture.

Per style, every layer's distance is divided by the style's own statistics, so that one weight serves calm and loud
styles alike (Cheng, Liang, Tan, Shen, "Style-Aware Normalized Loss for Improving Arbitrary Style Transfer", CVPR 2021,
eq. 6). Means and deviations count by their distance, not by its square: a square hardly presses on a layer that is
nearly met, such as relu1_1, which knows the picture's colour. Shapes are compared after instance normalisation, which
takes colour and contrast out of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses import Moments, blend_moments, moments
from impasto.vgg import VGG19, activations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.settings import TrainSettings

#: Layers whose statistics are matched, at the picture's size.
_FINE: Final = ("relu1_1", "relu2_1", "relu3_1")
#: Layers whose statistics are matched at half its size: strokes twice as large, for a fourth of the work.
_COARSE: Final = ("relu2_1", "relu3_1", "relu4_1")
#: Layers at which shapes are held, of the picture and of it at half its size: contours, and what they enclose.
_FINE_CONTENT: Final = ("relu3_1",)
_COARSE_CONTENT: Final = ("relu3_1", "relu4_1")
#: The last layer that the loss network needs.
DEEPEST: Final = _COARSE[-1]

#: Of a variance before the root, as in :func:`impasto.losses.mean_std_loss`.
_RIDGE: Final = 1e-4


#: What the style's two parts count against each other: means and deviations at six layers, and how channels go
#: together there, which is strokes rather than colours.
_STATISTICS: Final = 0.5
_COVARIANCE: Final = 1.6
#: Colours stay between black and white.
_RANGE: Final = 10.0
#: No lattice of every second pixel: the output is unfolded from 2×2 pixels a place, which nothing else keeps alike.
_LATTICE: Final = 3000.0
#: Folded pixels over which a lattice is looked for: strokes are not that regular for so long.
_LATTICE_PX: Final = 8


#: What the loss network found in a content: ``(c, h, w)`` of every content layer, instance-normalised.
ContentTarget = tuple[Tensor, ...]


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
        return [_style_target(found) for found in self._moments(pictures)]

    @torch.no_grad()
    def style_target(self, pictures: Sequence[Tensor]) -> StyleTarget:
        """What one style asks for that some whole pictures ``(1, 3, h, w)`` share: the moments over all of them."""
        found = [self._moments(picture)[0] for picture in pictures]
        return _style_target([blend_moments(layer, [1.0] * len(layer)) for layer in zip(*found, strict=True)])

    @torch.no_grad()
    def content_targets(self, pictures: Tensor) -> list[ContentTarget]:
        """What ``(b, 3, n, n)`` contents ask for, one target each, in half precision."""
        fine = activations(self._net, pictures, _FINE_CONTENT)
        coarse = activations(self._net, F.avg_pool2d(pictures, 2), _COARSE_CONTENT)
        shapes = [each.to(torch.bfloat16) for each in _shapes(fine, coarse)]
        return [tuple(each[index] for each in shapes) for index in range(len(pictures))]

    def __call__(
        self, output: Tensor, contents: Sequence[ContentTarget], styles: Sequence[StyleTarget]
    ) -> dict[str, Tensor]:
        """Weighted terms of painted pictures ``(b, 3, n, n)`` against a content and a style each."""
        fine = activations(self._net, output, _FINE)
        coarse = activations(self._net, F.avg_pool2d(output, 2), _COARSE)
        statistics, covariance = output.new_zeros(()), output.new_zeros(())
        for index, target in enumerate(styles):
            for layer, features in enumerate([*fine.values(), *coarse.values()]):
                found = moments(features[index : index + 1])
                mean, deviation, wanted = (kind[layer].float() for kind in target)
                statistics = statistics + _share(found.mean, mean) + _share(_deviation(found), deviation)
                own = found.covariance
                both = own.square().sum() + wanted.square().sum()
                covariance = covariance + (own - wanted).square().sum() / both.clamp_min(_RIDGE)
        shapes = zip(_shapes(fine, coarse), zip(*contents, strict=True), strict=True)
        content = torch.stack([(own - torch.stack(held).float()).square().mean() for own, held in shapes]).sum()
        rough = output.diff(dim=2).square().mean() + output.diff(dim=3).square().mean()
        settings, style = self._settings, self._settings.style_weight / len(styles)
        return {
            "content": settings.content_weight * content,
            "statistics": style * _STATISTICS * statistics,
            "covariance": style * _COVARIANCE * covariance,
            "tv": settings.tv_weight * rough,
            "range": _RANGE * (output - output.clamp(0, 1)).square().mean(),
            "lattice": _LATTICE * lattice(output),
        }

    def _moments(self, pictures: Tensor) -> list[list[Moments]]:
        """For each picture its moments at the fine layers, then at the coarse ones."""
        fine = activations(self._net, pictures, _FINE)
        coarse = activations(self._net, F.avg_pool2d(pictures, 2), _COARSE)
        layers = [*fine.values(), *coarse.values()]
        return [[moments(layer[index : index + 1]) for layer in layers] for index in range(len(pictures))]


def _style_target(found: Sequence[Moments]) -> StyleTarget:
    """What moments ask for, layer by layer."""
    parts = [(m.mean, _deviation(m), m.covariance) for m in found]
    return StyleTarget(*(tuple(t.to(torch.bfloat16) for t in kind) for kind in zip(*parts, strict=True)))


def lattice(pictures: Tensor) -> Tensor:
    """Mean squared amplitude of what goes up and down with every second pixel, over some places in a row.

    Args:
        pictures: ``(b, 3, h, w)``; both sides even, at least 16.
    """
    padded = F.pad(pictures, (1, 1, 1, 1), mode="reflect")
    # What is left has no ramps, whose four pixels differ too.
    sharp = pictures - F.avg_pool2d(F.avg_pool2d(padded, 2, stride=1), 2, stride=1)
    return F.avg_pool2d(F.pixel_unshuffle(sharp, 2), _LATTICE_PX, stride=_LATTICE_PX // 2).square().mean()


def _shapes(fine: Mapping[str, Tensor], coarse: Mapping[str, Tensor]) -> list[Tensor]:
    """The content layers without colour and contrast: means 0 and deviations 1 in every channel."""
    layers = [*(fine[name] for name in _FINE_CONTENT), *(coarse[name] for name in _COARSE_CONTENT)]
    return [F.instance_norm(layer.float()) for layer in layers]


def _share(found: Tensor, wanted: Tensor) -> Tensor:
    """Distance as a share of what is wanted."""
    return ((found - wanted).square().sum() / wanted.square().sum().clamp_min(_RIDGE) + _RIDGE).sqrt()


def _deviation(found: Moments) -> Tensor:
    """Standard deviation of each channel."""
    variance = found.second.diagonal() - found.mean.square()
    return (variance.clamp_min(0) + _RIDGE).sqrt()
