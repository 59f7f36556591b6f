"""Finds the factors that bring every ReLU's mean activation to 1.

Caffe's VGG-19 has mean activations between 20 and 670, so a layer's raw loss says more about the layer than about the
style. The factors are measured once on a fixed artificial picture whose statistics are close to those of photographs:
a "dead leaves" picture, opaque discs of all sizes falling on each other.
Source: Gatys, Ecker, Bethge, CVPR 2016, section 2 (unit mean over images); Lee, Mumford, Huang, "Occlusion models for
natural images", IJCV 2001 (dead leaves). Gatys et al. average over ImageNet; we over one artificial picture.
"""

from typing import Final

import torch
from torch import Tensor

from impasto.settings import LAYERS
from impasto.vgg.network import VGG19
from impasto.vgg.passage import activations
from impasto.vgg.weights import VGGWeights


def dead_leaves(size_px: int = 224, *, leaves: int = 1500, seed: int = 0) -> Tensor:
    """A picture of overlapping discs with radii spread as r⁻³: ``(1, 3, size, size)`` float32 in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    smallest, largest = 2.0, size_px / 2
    uniform = torch.rand(leaves, generator=generator, dtype=torch.float32)
    radii = (largest**-2 + uniform * (smallest**-2 - largest**-2)) ** -0.5  # density ∝ r⁻³
    centres = torch.rand(leaves, 2, generator=generator, dtype=torch.float32) * size_px
    # Photographs vary more in brightness than in hue, hence one shared and one separate part.
    colours = 0.7 * torch.rand(leaves, 1, generator=generator, dtype=torch.float32) + 0.3 * torch.rand(
        leaves, 3, generator=generator, dtype=torch.float32
    )
    picture = torch.full((3, size_px, size_px), 0.5, dtype=torch.float32)
    for radius, (y, x), colour in zip(radii.tolist(), centres.tolist(), colours, strict=True):
        rows = torch.arange(max(0, int(y - radius)), min(size_px, int(y + radius) + 1))
        columns = torch.arange(max(0, int(x - radius)), min(size_px, int(x + radius) + 1))
        inside = (rows[:, None] - y) ** 2 + (columns[None, :] - x) ** 2 < radius**2
        box = picture[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        box[:, inside] = colour[:, None]
    return picture[None]


#: What :func:`measure_scales` finds for the packaged weights; a test makes them again.
PACKAGED_SCALES: Final = {
    "relu1_1": 0.05537, "relu1_2": 0.01164, "relu2_1": 0.008209, "relu2_2": 0.007382,
    "relu3_1": 0.006295, "relu3_2": 0.005494, "relu3_3": 0.002609, "relu3_4": 0.001692,
    "relu4_1": 0.001675, "relu4_2": 0.002621, "relu4_3": 0.005036, "relu4_4": 0.02447,
    "relu5_1": 0.02284, "relu5_2": 0.05406, "relu5_3": 0.1671, "relu5_4": 1.064,
}  # fmt: skip


def measure_scales(weights: VGGWeights) -> dict[str, float]:
    """For each layer the factor that brings its mean activation on :func:`dead_leaves` to 1."""
    net = VGG19(weights, {}, device=torch.device("cpu"), dtype=torch.float32)
    with torch.no_grad():
        found = activations(net, dead_leaves(), LAYERS)
    return {layer: 1 / float(activation.mean()) for layer, activation in found.items()}
