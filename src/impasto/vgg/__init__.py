"""VGG-19 by layer name: weights, precision, and one fast pass forward and back."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from impasto.settings import LAYERS, Pooling
from impasto.vgg.calibrate import PACKAGED_SCALES, measure_scales
from impasto.vgg.network import VGG19
from impasto.vgg.passage import Passage, activations
from impasto.vgg.precision import Precision, choose_precision
from impasto.vgg.receptive import layer_weights
from impasto.vgg.weights import VGGWeights, load_weights

__all__ = [
    "VGG19",
    "LoadedNetwork",
    "Passage",
    "Precision",
    "VGGWeights",
    "activations",
    "choose_precision",
    "layer_weights",
    "load_network",
]


class LoadedNetwork(NamedTuple):
    """A network that is ready to run, and where its weights came from."""

    net: VGG19
    source: str
    """``caffe-8bit``, ``caffe`` or ``torchvision``."""
    sha256: str
    """Of the weights' file."""


def load_network(
    path: str | None = None,
    *,
    deepest: str = LAYERS[-1],
    pooling: Pooling = "max",
    device: torch.device,
    dtype: torch.dtype,
) -> LoadedNetwork:
    """The network, ready to run; the last two loaded are kept: one that paints, one that judges.

    Args:
        path: of torchvision's or Caffe's full-precision file; ``None``: the packaged 8-bit weights.
        deepest: the last layer that will be asked for; nothing behind it takes memory.
        pooling: see :class:`VGG19`.
        device: where to compute.
        dtype: of the activations.

    Raises:
        WeightsError: the weights are missing or not what they should be.
    """
    changed_ns = Path(path).stat().st_mtime_ns if path is not None and Path(path).exists() else 0
    return _load(path, changed_ns, deepest, pooling, device, dtype)


@lru_cache(maxsize=2)
def _load(
    path: str | None,
    changed_ns: int,  # noqa: ARG001 — part of the key: a file that has changed is read again
    deepest: str,
    pooling: Pooling,
    device: torch.device,
    dtype: torch.dtype,
) -> LoadedNetwork:
    # Kept for callers who want gradients too, whoever asked first.
    with torch.inference_mode(False):
        weights = load_weights(path)
        scales = PACKAGED_SCALES if path is None else measure_scales(weights)
        net = VGG19(weights, scales, deepest=deepest, pooling=pooling, device=device, dtype=dtype)
    return LoadedNetwork(net, weights.source, weights.sha256)
