"""What the style losses compare with: each part's styles, seen once through the network."""

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from impasto.engines.optimize.readings import Reading, Statistics, draw_positions, sample_count
from impasto.engines.parts import Part, Source
from impasto.losses import (
    Moments,
    NearestTarget,
    SlicedTarget,
    W2Target,
    blend_moments,
    gram_loss,
    mean_std_loss,
    nearest_loss,
    remd_loss,
    swd_loss,
    w2_loss,
)
from impasto.vgg import VGG19, Passage, layer_weights
from impasto.vgg.layers import stride

#: Which losses need moments, and which need columns.
ON_MOMENTS: Final = frozenset({"w2", "gram", "moments"})
ON_COLUMNS: Final = frozenset({"swd", "nn", "remd"})

#: A weight of 1 should be felt about alike in every loss: the cosine distances of nn and remd are small numbers with
#: small slopes beside w2's squared activations. Measured as the ratio of gradients (docs/engines/optimize.md).
UNITS: Final = {"w2": 1.0, "gram": 1.0, "moments": 1.0, "swd": 1.0, "nn": 2.0, "remd": 2.0}

#: A style loss with its target inside it.
StyleLoss = Callable[[Statistics], Tensor]

#: Directions of the sliced Wasserstein loss.
_DIRECTIONS: Final = 128


def style_losses(
    net: VGG19,
    part: Part,
    layers: Sequence[str],
    names: Sequence[str],
    *,
    samples: int,
    strip_mb: float | None,
    seed: int,
) -> dict[str, dict[str, StyleLoss]]:
    """Look at a part's styles, and give for each layer each loss by name.

    Args:
        net: the network.
        part: at the size of the scale.
        layers: the style layers.
        names: of the losses.
        samples: columns of a 512-channel layer.
        strip_mb: see :class:`Passage`.
        seed: of the columns and directions.
    """
    generator = torch.Generator().manual_seed(seed)
    total = sum(source.share for source in part.sources)
    shares = [source.share / total for source in part.sources]
    seen = [
        _look(net, source, layers, names, round(samples * share), strip_mb, generator)
        for source, share in zip(part.sources, shares, strict=True)
    ]
    found: dict[str, dict[str, StyleLoss]] = {}
    for layer in layers:
        moments = Moments(torch.empty(0), torch.empty(0, 0))
        if not ON_MOMENTS.isdisjoint(names):
            moments = blend_moments([statistics[layer].moments for statistics in seen], shares)
        columns = torch.cat([statistics[layer].columns for statistics in seen])
        found[layer] = {name: _loss(name, moments, columns, generator) for name in names}
    return found


def _look(
    net: VGG19,
    source: Source,
    layers: Sequence[str],
    names: Sequence[str],
    samples: int,
    strip_mb: float | None,
    generator: torch.Generator,
) -> dict[str, Statistics]:
    """One style's statistics by layer."""
    height, width = source.pixels.shape[-2:]
    weights = {} if source.mask is None else layer_weights(source.mask, layers)
    readings = {}
    for layer in layers:
        positions = None
        if not ON_COLUMNS.isdisjoint(names):
            size = (height // stride(layer), width // stride(layer))
            positions = draw_positions(weights.get(layer), size, sample_count(layer, samples, 1.0), generator)
        moments = not ON_MOMENTS.isdisjoint(names)
        readings[layer] = Reading(weights.get(layer), positions, moments=moments, dtype=net.dtype)
    Passage(net, layers, strip_mb=strip_mb).forward(
        source.pixels, lambda layer, features, first_row: readings[layer].add(features, first_row), backward=False
    )
    found = {}
    for layer, reading in readings.items():
        moments_, columns = reading.result()
        found[layer] = Statistics(Moments(*(part.detach() for part in moments_)), columns.detach())
    return found


def _loss(name: str, moments: Moments, columns: Tensor, generator: torch.Generator) -> StyleLoss:
    """A loss against that target."""
    if name == "w2":
        w2 = W2Target.of(moments)
        return lambda seen: w2_loss(seen.moments, w2)
    if name == "gram":
        return lambda seen: gram_loss(seen.moments, moments)
    if name == "moments":
        return lambda seen: mean_std_loss(seen.moments, moments)
    if name == "swd":
        sliced = SlicedTarget.of(columns, directions=_DIRECTIONS, generator=generator)
        return lambda seen: swd_loss(seen.columns, sliced)
    if name == "nn":
        nearest = NearestTarget.of(columns)
        return lambda seen: nearest_loss(seen.columns, nearest)
    return lambda seen: remd_loss(seen.columns, columns)
