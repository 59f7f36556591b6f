"""VGG-19 by layer name: weights, precision, and one fast pass forward and back."""

from functools import lru_cache

import torch

from impasto.settings import Pooling
from impasto.vgg.calibrate import PACKAGED_SCALES, measure_scales
from impasto.vgg.network import VGG19
from impasto.vgg.precision import Precision, choose_precision
from impasto.vgg.weights import VGGWeights, load_weights

__all__ = ["VGG19", "Precision", "VGGWeights", "choose_precision", "load_network"]


@lru_cache(maxsize=1)
def load_network(
    path: str | None = None,
    *,
    pooling: Pooling = "max",
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[VGG19, VGGWeights]:
    """The network, ready to run, and the weights it was made of; the last one loaded is kept for the next call.

    Args:
        path: of torchvision's or Caffe's full-precision file; ``None``: the packaged 8-bit weights.
        pooling: see :class:`VGG19`.
        device: where to compute.
        dtype: of the activations.

    Raises:
        WeightsError: the weights are missing or not what they should be.
    """
    weights = load_weights(path)
    scales = PACKAGED_SCALES if path is None else measure_scales(weights)
    return VGG19(weights, scales, pooling=pooling, device=device, dtype=dtype), weights
