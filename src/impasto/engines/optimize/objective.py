"""The function that is minimised at one scale, and its gradient."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.losses import (
    Moments,
    W2Target,
    blend_moments,
    content_loss,
    gram_loss,
    moments,
    total_variation,
    w2_loss,
)
from impasto.settings import OptimizeSettings
from impasto.vgg import VGG19


class Objective:
    """content_weight · content + style_weight · style + tv_weight · total variation, at one picture size.

    Every part is a mean, over positions or channels, so the weights mean the same at every size; layer weights are
    divided by their sum. Layers whose weight is 0 are not computed.

    Args:
        net: the network.
        content: ``(1, 3, h, w)`` in [0, 1], at this scale.
        styles: one ``(1, 3, h', w')`` per style, at this scale.
        shares: one per style.
        settings: weights, layers and the kind of style loss.
    """

    def __init__(
        self, net: VGG19, content: Tensor, styles: Sequence[Tensor], shares: Sequence[float], settings: OptimizeSettings
    ) -> None:
        self._net = net
        self._tv_weight = settings.tv_weight
        self._content_weights = _scaled(settings.content_layers, settings.content_weight)
        self._style_weights = _scaled(settings.layers, settings.style_weight)
        self._layers = tuple(dict.fromkeys([*self._style_weights, *self._content_weights]))
        self.terms: dict[str, float] = {}
        with torch.no_grad():
            self._content = net.features(content, tuple(self._content_weights)) if self._content_weights else {}
            blended = _style_moments(net, styles, shares, tuple(self._style_weights))
            self._style: dict[str, Moments | W2Target] = {
                layer: W2Target.of(target) if settings.style_loss == "w2" else target
                for layer, target in blended.items()
            }

    def __call__(self, pixels: Tensor) -> tuple[float, Tensor]:
        """Loss and gradient at ``pixels``, ``(1, 3, h, w)``; the weighted parts are left in ``terms``."""
        pixels = pixels.detach().requires_grad_()
        loss = self._forward(pixels)
        loss.backward()
        if pixels.grad is None:
            return float(loss.detach()), torch.zeros_like(pixels)
        return float(loss.detach()), pixels.grad

    def measure(self, pixels: Tensor) -> float:
        """Loss alone."""
        with torch.no_grad():
            return float(self._forward(pixels))

    def _forward(self, pixels: Tensor) -> Tensor:
        features = self._net.features(pixels, self._layers) if self._layers else {}
        parts: dict[str, Tensor] = {}
        for layer, weight in self._content_weights.items():
            parts[f"content {layer}"] = weight * content_loss(features[layer], self._content[layer])
        for layer, weight in self._style_weights.items():
            target = self._style[layer]
            found = moments(features[layer])
            distance = w2_loss(found, target) if isinstance(target, W2Target) else gram_loss(found, target)
            parts[f"style {layer}"] = weight * distance
        if self._tv_weight > 0:
            parts["tv"] = self._tv_weight * total_variation(pixels)
        self.terms = {name: float(part.detach()) for name, part in parts.items()}
        return torch.stack(list(parts.values())).sum() if parts else pixels.sum() * 0


def _scaled(layers: Mapping[str, float], weight: float) -> dict[str, float]:
    """Each layer's part of ``weight``; layers that have none are dropped."""
    total = sum(layers.values())
    return {layer: weight * share / total for layer, share in layers.items() if weight * share > 0}


def _style_moments(
    net: VGG19, styles: Sequence[Tensor], shares: Sequence[float], layers: tuple[str, ...]
) -> dict[str, Moments]:
    """Per layer the moments of all styles together."""
    if not layers:
        return {}
    found = [{layer: moments(f) for layer, f in net.features(style, layers).items()} for style in styles]
    return {layer: blend_moments([each[layer] for each in found], shares) for layer in layers}
