"""How much of the style is in the output: gains between the content (0) and the style (1), and what must not be."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.evaluation.view import View, resized

#: Below it two pictures are of one look, and a share of their distance says nothing.
_LEAST_DISTANCE = 1e-4
_GAIN_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_DISTANCE_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu3_4", "relu4_3")
_GAIN_STAGES = ("stem", "stage1", "stage2", "stage3", "stage4", "stage5")
_LEAK_LAYER = "relu5_2"


def style_gain(output: View, content: View, style: View) -> float:
    """1 − d(output, style) / d(content, style): 0 for the untouched content, 1 for the style itself.

    d is the mean over relu1_1 … relu5_1 of ‖Δ[μ, σ]‖ / ‖[μ, σ] of the style‖, μ and σ the channels' means and
    deviations. As a share of the pair's own distance it can be compared between pairs, which a Gram distance cannot.

    Source:
        The statistics are those of Huang, Belongie, "Arbitrary Style Transfer in Real-time with AdaIN", ICCV 2017.
    """
    return _gain(*(view.read(_vgg_look) for view in (output, content, style)))


def style_gain_efficientnet(output: View, content: View, style: View) -> float:
    """:func:`style_gain` on EfficientNet-Lite0: a network that no loss of ours has seen."""
    return _gain(*(view.read(efficientnet_look) for view in (output, content, style)))


def style_gain_kept(output: View, content: View, style: View) -> float:
    """The share of the style gain that is left after JPEG of quality 60; 1 where there is no gain to lose.

    Strokes survive compression; noise and changes that only a network sees do not.
    """
    gain = style_gain(output, content, style)
    return 1.0 if gain < 0.02 else style_gain(output.jpeg, content, style) / gain


def style_distance(output: View, content: View, style: View) -> float:
    """Sliced Wasserstein distance to the style as a share of the content's: 1 untouched content, 0 the style.

    The mean over layers that no default loss reads of the 1-Wasserstein distances along 64 fixed directions.

    Source:
        Heitz et al., "A Sliced Wasserstein Loss for Neural Texture Synthesis", CVPR 2021, eq. 2; there squared.
    """
    ours, start, target = (view.read(_quantiles) for view in (output, content, style))
    shares = [
        (a - t).abs().mean() / (b - t).abs().mean().clamp_min(_LEAST_DISTANCE)
        for a, b, t in zip(ours, start, target, strict=True)
    ]
    return float(torch.stack(shares).mean())


def edge_style(output: View, content: View, style: View) -> float:
    """Partial correlation of the output's edges with the style's, stretched onto it, given the content's.

    Whether the style's own picture shows through. Edges that content and style share by chance do not count.
    """
    theirs = resized(style.edges, output.edges.shape)
    with_style, with_content = correlation(output.edges, theirs), correlation(output.edges, content.edges)
    between = correlation(content.edges, theirs)
    unexplained = (1 - with_content**2) * (1 - between**2)
    return (with_style - with_content * between) / unexplained**0.5 if unexplained > _LEAST_DISTANCE else 0.0


def leak(output: View, content: View, style: View) -> float:
    """How much of the style's objects (a face, an eye, a limb) stands in the output: 0 none, 1 the style itself.

    Each 3 × 3 patch of the output's relu5_2 is looked up in the style. It counts by how much more like the best place
    of the style it is than like the best place of the content or of the style's own tiles in random order: those keep
    the texture and lose the objects. Patches are centred on their picture's mean and compared by cosine.

    Against marks given by eye on 48 outputs (6 pairs with portraits as style): Spearman 0.84, within a pair 0.79 to
    0.97. Up to 0.02 nothing was seen, from 0.1 on a part of a face; between the two, look.
    """
    wanted, found, known = (view.read(_patches) for view in (style, output, content))
    innocent = torch.cat([known, *(view.read(_patches) for view in style.shuffles)], 1)

    def excess(patches: Tensor) -> Tensor:
        return ((patches.T @ wanted).amax(1) - (patches.T @ innocent).amax(1)).clamp(min=0).mean()

    return float(excess(found) / excess(wanted).clamp_min(_LEAST_DISTANCE))


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson correlation of two tensors of one shape; 0 where one of them is flat."""
    a, b = (values.flatten() - values.mean() for values in (one.double(), other.double()))
    scale = a.norm() * b.norm()
    return max(-1.0, min(1.0, float(a @ b / scale))) if scale > 1e-9 else 0.0


def _gain(output: list[Tensor], content: list[Tensor], style: list[Tensor]) -> float:
    before = _distance(content, style)
    return (before - _distance(output, style)) / before if before > _LEAST_DISTANCE else 0.0


def _vgg_look(view: View) -> list[Tensor]:
    return [_statistics(view.vgg[layer]) for layer in _GAIN_LAYERS]


def efficientnet_look(view: View) -> list[Tensor]:
    """For each of six stages of EfficientNet-Lite0, channels' means and deviations, ``(2 c,)``."""
    return [_statistics(view.efficientnet[stage]) for stage in _GAIN_STAGES]


def _statistics(features: Tensor) -> Tensor:
    """``(2 c,)``: means and deviations of the channels of ``(c, h, w)``."""
    values = features.flatten(1)
    mean = values.mean(1, keepdim=True)
    # In two passes: torch.std updates its mean with every value, which takes four times as long.
    variance = (values - mean).square_().sum(1) / (values.shape[1] - 1)
    return torch.cat([mean[:, 0], variance.sqrt()])


def _distance(ours: list[Tensor], target: list[Tensor]) -> float:
    return float(torch.stack([(a - b).norm() / b.norm() for a, b in zip(ours, target, strict=True)]).mean())


def _quantiles(view: View, directions: int = 64, levels: int = 256) -> list[Tensor]:
    """Activations along fixed directions at fixed quantiles: pictures differ in size, so in their number of places."""
    generator = torch.Generator().manual_seed(0)
    at = (torch.arange(levels) + 0.5) / levels
    found = []
    for features in (view.vgg[layer] for layer in _DISTANCE_LAYERS):
        vectors = F.normalize(torch.randn(directions, len(features), generator=generator), dim=1)
        ordered = (vectors @ features.flatten(1)).sort(1).values
        found.append(ordered[:, (at * ordered.shape[1]).long()])
    return found


def _patches(view: View) -> Tensor:
    """Unit columns ``(9 c, n)`` of the deepest activations, less their mean over the picture."""
    features = view.vgg[_LEAK_LAYER]
    centred = features - features.mean((1, 2), keepdim=True)
    return F.normalize(F.unfold(centred[None], 3)[0], dim=0)
