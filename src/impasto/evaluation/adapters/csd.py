"""CSD, contrastive style descriptors: how near output and style are, to a CLIP that was trained further for style.

The authors state that the weights they uploaded do not reproduce their paper's figures. Only the style projection is
read; the content projection lies in the same file. Source: Somepalli et al., "Measuring Style Similarity in Diffusion
Models", ECCV 2024.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from impasto.evaluation.adapters.clip import VisionTransformer
from impasto.evaluation.adapters.weights import Tensors, read_weights
from impasto.evaluation.metric import Metric

if TYPE_CHECKING:
    from impasto.evaluation.view import View

_BACKBONE: Final = "backbone."


@lru_cache(maxsize=1)
def _network() -> VisionTransformer:
    tensors = read_weights("csd")
    backbone = {key.removeprefix(_BACKBONE): value for key, value in tensors.items() if key.startswith(_BACKBONE)}
    return VisionTransformer(Tensors(backbone, tensors.source), tensors["last_layer_style"])


def csd(output: View, _content: View, style: View) -> float:
    """Cosine of the style descriptors of output and style, 224 px in the middle of each.

    Raises:
        WeightsError: the file is missing or not what it should be.
    """
    net = _network()
    return float(net(output.pixels) @ net(style.pixels))


METRIC: Final = Metric(
    name="csd",
    function=csd,
    meaning="cosine of the CSD style descriptors of output and style",
    better="higher",
    span="-1 to 1 (the style picture itself)",
    backbone="CLIP",
    cost="2 passes of a large network, after its 2.4 GB were checked; weights of the user's",
    blind_to="what lies outside the middle square; it rises when the style's motif is copied",
    source="Somepalli et al., ECCV 2024",
    default=False,
)
