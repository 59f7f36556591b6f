"""The function that is minimised at one scale, and its gradient.

Two stages: the network's activations are read as statistics (readings.py), and the losses see only these. So the same
code evaluates a picture whole or in strips: forward, losses on statistics, their gradient put back onto the
activations, and backward.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.engines.optimize.readings import Reading, Statistics, damping, draw_positions, sample_count
from impasto.engines.optimize.targets import ON_COLUMNS, ON_MOMENTS, UNITS, style_losses
from impasto.engines.parts import Part
from impasto.losses import columns_of, palette_loss, self_similarity_loss, total_variation
from impasto.settings import OptimizeSettings
from impasto.vgg import VGG19, Passage, layer_weights
from impasto.vgg.layers import stride

#: Places between which self-similarity compares; its cost grows with their square.
_SELF_SIMILARITY_PLACES = 1024
#: A weight of 1 of self_similarity is felt about as much as one of mse (ratio of gradients, measured).
_SELF_SIMILARITY_UNIT = 8.0


class Objective:
    """content_weight · content + style_weight · style + tv_weight · total variation, at one picture size.

    Every loss is a mean, over positions or channels, so the weights mean the same at every size; layer weights are
    divided by their sum. A part of the picture counts by its area. Layers whose weight is 0 are not computed.

    Args:
        net: the network.
        content: ``(1, 3, h, w)`` in [0, 1], at this scale.
        parts: what is painted in which styles, at this scale.
        settings: weights, layers and losses.
        strip_mb: see :class:`Passage`.
    """

    def __init__(
        self,
        net: VGG19,
        content: Tensor,
        parts: Sequence[Part],
        settings: OptimizeSettings,
        *,
        strip_mb: float | None = None,
    ) -> None:
        self._settings, self._size = settings, (content.shape[-2], content.shape[-1])
        effect = settings.effect
        self._tv_weight = settings.tv_weight * effect
        self._content_weights = _scaled(settings.content_layers, settings.content_weight)
        self._content_losses = _scaled(settings.content_loss, 1.0)
        self._style_weights = _scaled(settings.layers, settings.style_weight * effect) if parts else {}
        self._losses = _scaled(settings.style_loss, 1.0)
        layers = tuple(dict.fromkeys([*self._style_weights, *self._content_weights]))
        self._passage = Passage(net, layers, strip_mb=strip_mb)
        self.terms: dict[str, float] = {}
        with torch.no_grad():
            self._content = self._content_activations(net, content, strip_mb)
            self._parts = [_PaintedPart(net, part, self, strip_mb) for part in parts] if self._style_weights else []
        self.redraw(0)

    @property
    def is_sampled(self) -> bool:
        """Whether some loss looks at sampled places only, so that :meth:`redraw` changes the function."""
        on_style = bool(self._parts) and not ON_COLUMNS.isdisjoint(self._losses)
        return on_style or (bool(self._content) and "self_similarity" in self._content_losses)

    def redraw(self, turn: int) -> None:
        """Draw the sampled places anew; the same ``turn`` gives the same places."""
        generator = torch.Generator().manual_seed(self._settings.seed + turn)
        for part in self._parts:
            part.draw(generator)
        self._places = {}
        if "self_similarity" in self._content_losses:
            for layer, target in self._content.items():
                size = (target.shape[-2], target.shape[-1])
                self._places[layer] = draw_positions(None, size, _SELF_SIMILARITY_PLACES, generator)

    def __call__(self, pixels: Tensor) -> tuple[float, Tensor]:
        """Loss and gradient at ``pixels``, ``(1, 3, h, w)``; the weighted parts are left in ``terms``."""
        pixels = pixels.detach().requires_grad_()
        reading = self._read(pixels, backward=True)
        loss = self._loss(pixels, reading)
        if loss.requires_grad:  # the activations' squared distance takes its gradient in reading.gradient
            loss.backward()
        grad = torch.zeros_like(pixels) if pixels.grad is None else pixels.grad
        through_net = self._passage.backward(reading.gradient)
        return float(loss.detach()), grad if through_net is None else grad.add_(through_net)

    def measure(self, pixels: Tensor) -> float:
        """Loss alone."""
        with torch.no_grad():
            return float(self._loss(pixels, self._read(pixels, backward=False)))

    def _read(self, pixels: Tensor, *, backward: bool) -> "_PictureReading":
        reading = _PictureReading(self._parts, self._content, self._content_losses, self._content_weights, self._places)
        self._passage.forward(pixels, reading.add, backward=backward)
        reading.finish()
        return reading

    def _loss(self, pixels: Tensor, reading: "_PictureReading") -> Tensor:
        terms: dict[str, Tensor] = {}
        for layer, weight in self._content_weights.items():
            share = self._content_losses.get("mse", 0.0)
            if share:
                terms[f"content {layer}"] = weight * share * reading.squares[layer]
            share = self._content_losses.get("self_similarity", 0.0) * _SELF_SIMILARITY_UNIT
            if share:
                own, content = reading.places[layer]
                terms[f"content self_similarity {layer}"] = weight * share * self_similarity_loss(own, content)
        for part, statistics in zip(self._parts, reading.statistics, strict=True):
            for layer, seen in statistics.items():
                for name, share in self._losses.items():
                    weight = self._style_weights[layer] * share * part.area * UNITS[name]
                    if name in ON_COLUMNS:
                        weight *= part.damping[layer]
                    loss = weight * part.losses[layer][name](seen)
                    label = f"style {layer}" if len(self._losses) == 1 else f"style {name} {layer}"
                    terms[label] = terms[label] + loss if label in terms else loss
            if "remd" in self._losses:
                weight = self._settings.style_weight * self._settings.effect * self._losses["remd"] * part.area
                loss = weight * palette_loss(part.colors_in(pixels), part.colors)
                terms["style palette"] = terms["style palette"] + loss if "style palette" in terms else loss
        if self._tv_weight > 0:
            terms["tv"] = self._tv_weight * total_variation(pixels)
        self.terms = {name: float(term.detach()) for name, term in terms.items()}
        return torch.stack(list(terms.values())).sum() if terms else pixels.sum() * 0

    def _content_activations(self, net: VGG19, content: Tensor, strip_mb: float | None) -> dict[str, Tensor]:
        rows: dict[str, list[Tensor]] = {layer: [] for layer in self._content_weights}
        if rows:
            Passage(net, tuple(rows), strip_mb=strip_mb).forward(
                content, lambda layer, features, _: rows[layer].append(features), backward=False
            )
        whole = {layer: torch.cat(parts, dim=-2) for layer, parts in rows.items()}
        return {layer: target.contiguous(memory_format=torch.channels_last) for layer, target in whole.items()}


class _PaintedPart:
    """A part at one scale: its style losses, how positions belong to it, and its sampled places."""

    def __init__(self, net: VGG19, part: Part, objective: Objective, strip_mb: float | None) -> None:
        settings, layers = objective._settings, tuple(objective._style_weights)
        self._size, self._samples, self._dtype = objective._size, settings.samples, net.dtype
        self._on_moments = not ON_MOMENTS.isdisjoint(objective._losses)
        self._on_columns = not ON_COLUMNS.isdisjoint(objective._losses)
        self.losses = style_losses(
            net,
            part,
            layers,
            tuple(objective._losses),
            samples=settings.samples,
            strip_mb=strip_mb,
            seed=settings.seed,
        )
        self._mask = part.mask
        self.area = 1.0 if part.mask is None else float(part.mask.mean())
        self._weights = {} if part.mask is None else layer_weights(part.mask, layers)
        # A small part may have no position of its own deep down; there is nothing to compare there.
        self.layers = tuple(
            layer for layer in layers if layer not in self._weights or float(self._weights[layer].sum()) >= 1
        )
        self.colors = torch.empty(0, 3)
        if "remd" in objective._losses:
            generator = torch.Generator().manual_seed(settings.seed)
            sampled = []
            for source in part.sources:
                weights = None if source.mask is None else source.mask[0, 0]
                size = (source.pixels.shape[-2], source.pixels.shape[-1])
                count = max(16, settings.samples // len(part.sources))
                sampled.append(columns_of(source.pixels)[draw_positions(weights, size, count, generator)])
            self.colors = torch.cat(sampled)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the places that losses on columns look at."""
        self._positions: dict[str, Tensor | None] = dict.fromkeys(self.layers)
        self.damping: dict[str, float] = {}
        if not self._on_columns:
            return
        for layer in self.layers:
            size = (self._size[0] // stride(layer), self._size[1] // stride(layer))
            count = sample_count(layer, self._samples, self.area, size[0] * size[1])
            drawn = draw_positions(self._weights.get(layer), size, count, generator)
            self._positions[layer], self.damping[layer] = drawn, damping(len(drawn), size[0] * size[1], self.area)
        count = max(16, round(self._samples * self.area))
        mask = None if self._mask is None else self._mask[0, 0]
        self._pixels = draw_positions(mask, self._size, count, generator)

    def readings(self) -> dict[str, Reading]:
        """What a pass has to read for this part."""
        return {
            layer: Reading(
                self._weights.get(layer), self._positions[layer], moments=self._on_moments, dtype=self._dtype
            )
            for layer in self.layers
        }

    def colors_in(self, pixels: Tensor) -> Tensor:
        """The sampled pixels of a picture, ``(n, 3)``."""
        return columns_of(pixels)[self._pixels]


class _PictureReading:
    """What one pass reads, and the gradient it sends back."""

    def __init__(
        self,
        parts: Sequence[_PaintedPart],
        content: Mapping[str, Tensor],
        content_losses: Mapping[str, float],
        content_weights: Mapping[str, float],
        places: Mapping[str, Tensor],
    ) -> None:
        self._readings = [part.readings() for part in parts]
        self._content = content
        self._mse = {
            layer: 2 * weight * content_losses.get("mse", 0.0) / content[layer].numel()
            for layer, weight in content_weights.items()
        }
        self._places = {
            layer: Reading(None, positions, moments=False, dtype=content[layer].dtype)
            for layer, positions in places.items()
        }
        self._at_places: dict[str, Statistics] = {}
        self._sums = {layer: torch.zeros((), device=target.device) for layer, target in content.items()}
        self.squares: dict[str, Tensor] = {}
        self.statistics: list[dict[str, Statistics]] = []
        self.places: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, layer: str, features: Tensor, first_row: int) -> None:
        """Read some rows of a layer."""
        for readings in self._readings:
            if layer in readings:
                readings[layer].add(features, first_row)
        if layer in self._content:
            if self._mse[layer]:
                # In the activations' own dtype (exact for close values), its square summed wider.
                difference = features - self._content[layer][..., first_row : first_row + features.shape[-2], :]
                wide = difference if difference.dtype.itemsize >= 4 else difference.float()
                self._sums[layer] = self._sums[layer] + wide.square().sum()
            if layer in self._places:
                self._places[layer].add(features, first_row)

    def finish(self) -> None:
        """Turn what was read into leaves of the losses' graph."""
        self.statistics = [
            {layer: reading.result() for layer, reading in readings.items()} for readings in self._readings
        ]
        self.squares = {layer: total / self._content[layer].numel() for layer, total in self._sums.items()}
        for layer, reading in self._places.items():
            self._at_places[layer] = reading.result()
            target = columns_of(self._content[layer])[reading.positions].float()
            self.places[layer] = (self._at_places[layer].columns, target)

    def gradient(self, layer: str, features: Tensor, first_row: int) -> Tensor | None:
        """The losses' gradient with respect to some rows of a layer, after they were sent back to the statistics."""
        grad: Tensor | None = None
        for readings, statistics in zip(self._readings, self.statistics, strict=True):
            if layer in readings:
                grad = _sum(grad, readings[layer].gradient(features, first_row, statistics[layer]))
        if layer in self._content:
            if self._mse[layer]:
                target = self._content[layer][..., first_row : first_row + features.shape[-2], :]
                grad = _sum(grad, (features - target).mul_(self._mse[layer]))
            if layer in self._places:
                grad = _sum(grad, self._places[layer].gradient(features, first_row, self._at_places[layer]))
        return grad


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one.add_(other)


def _scaled(shares: Mapping[str, float], weight: float) -> dict[str, float]:
    """Each one's part of ``weight``; those that have none are dropped."""
    total = sum(shares.values())
    return {name: weight * share / total for name, share in shares.items() if weight * share > 0}
