"""CLIP's picture encoder: how near two pictures are in what they show, and a little in how they look.

Any vision transformer in OpenAI's naming runs, forward only: its sizes are read from the tensors' shapes. Source:
Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from impasto.evaluation.adapters.ranges import in_unit_range, standardize
from impasto.evaluation.adapters.weights import read_weights
from impasto.evaluation.metric import Metric
from impasto.images import resize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from impasto.evaluation.view import View

_MEAN_RGB: Final = (0.48145466, 0.4578275, 0.40821073)
_STD_RGB: Final = (0.26862954, 0.26130258, 0.27577711)
#: Channels of one attention head, in every model that OpenAI published.
_HEAD: Final = 64


class VisionTransformer:
    """CLIP's vision transformer up to the class token, then one projection.

    Args:
        tensors: by OpenAI's names, such as ``conv1.weight`` and ``transformer.resblocks.0.ln_1.weight``.
        projection: ``(width, features)``.
    """

    def __init__(self, tensors: Mapping[str, Tensor], projection: Tensor) -> None:
        self._tensors, self._projection = tensors, projection
        self._patch_px = tensors["conv1.weight"].shape[-1]
        self._heads = len(tensors["class_embedding"]) // _HEAD
        self._blocks = sum(key.endswith(".ln_1.weight") for key in tensors)
        #: What it was trained at, in pixels.
        self.side_px = round((len(tensors["positional_embedding"]) - 1) ** 0.5) * self._patch_px

    def __call__(self, pixels: Tensor) -> Tensor:
        """The features of a picture, a vector of length 1.

        Args:
            pixels: ``(1, 3, h, w)`` float32 RGB in [0, 1]. Its shorter side is brought to :attr:`side_px` and the
                middle square is cut out, as OpenAI does, but without rounding to 8 bits in between.
        """
        with torch.inference_mode():
            x = standardize(_middle_square(in_unit_range(pixels), self.side_px), _MEAN_RGB, _STD_RGB)
            x = F.conv2d(x, self._tensors["conv1.weight"], stride=self._patch_px).flatten(2).mT  # (1, n, width)
            x = torch.cat([self._tensors["class_embedding"].view(1, 1, -1), x], 1)
            x = self._norm(x + self._tensors["positional_embedding"], "ln_pre")
            for index in range(self._blocks):
                x = self._block(x, f"transformer.resblocks.{index}")
            return F.normalize(self._norm(x[0, 0], "ln_post") @ self._projection, dim=0)

    def _block(self, x: Tensor, name: str) -> Tensor:
        heads = self._linear(self._norm(x, f"{name}.ln_1"), f"{name}.attn.in_proj_")
        query, key, value = heads.unflatten(-1, (3, self._heads, _HEAD)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self._linear(attended, f"{name}.attn.out_proj.")
        y = self._linear(self._norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc.")
        # OpenAI trained with this approximation of GELU; the exact one gives other features.
        return x + self._linear(y * torch.sigmoid(1.702 * y), f"{name}.mlp.c_proj.")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._tensors[f"{name}weight"], self._tensors[f"{name}bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])


def _middle_square(pixels: Tensor, side_px: int) -> Tensor:
    height, width = pixels.shape[-2:]
    shorter = min(height, width)
    pixels = resize(pixels, height * side_px // shorter, width * side_px // shorter)
    top, left = ((size - side_px) // 2 for size in pixels.shape[-2:])
    return pixels[..., top : top + side_px, left : left + side_px]


@lru_cache(maxsize=1)
def _network() -> VisionTransformer:
    tensors = read_weights("clip", "visual.")
    return VisionTransformer(tensors, tensors["proj"])


def clip(output: View, _content: View, style: View) -> float:
    """Cosine of the CLIP features of output and style, 224 px in the middle of each.

    Raises:
        WeightsError: the file is missing or not what it should be.
    """
    net = _network()
    return float(net(output.pixels) @ net(style.pixels))


METRIC: Final = Metric(
    name="clip",
    function=clip,
    meaning="cosine of CLIP's features of output and style",
    better="higher",
    span="-1 to 1 (the style picture itself); unrelated pictures often have 0.5",
    backbone="CLIP",
    cost="2 passes; weights of the user's",
    blind_to="what lies outside the middle square; it rises when the style's motif is copied",
    source="Radford et al., ICML 2021",
    default=False,
)
