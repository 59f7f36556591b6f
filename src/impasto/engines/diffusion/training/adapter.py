"""The LoRA on a UNet: which layers have one, its matrices by name.

Source: Hu et al., "LoRA", ICLR 2022. Which block of SDXL carries style: Wang et al., "InstantStyle", 2024; Frenkel et
al., "Implicit Style-Content Separation using B-LoRA", ECCV 2024, who train a content block beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.engines.diffusion.blocks import read_blocks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from impasto.engines.diffusion.registry import Family
    from impasto.settings import DreamBoothTraining

_LAYERS: Final = ("to_q", "to_k", "to_v", "to_out.0")
_DOWN, _UP = ".lora_A.default.weight", ".lora_B.default.weight"


def add_lora(unet: Any, settings: DreamBoothTraining, family: Family) -> None:
    """Freeze a UNet and give it a LoRA that does nothing yet: its second matrices are 0."""
    from peft import LoraConfig

    targets: Any = list(_LAYERS)
    if settings.target == "style_block":
        blocks = "|".join(re.escape(block) for block in read_blocks("style", family))
        targets = rf"({blocks})\..*\.({'|'.join(re.escape(layer) for layer in _LAYERS)})"
    alpha = settings.rank if settings.alpha is None else settings.alpha
    config = LoraConfig(r=settings.rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=targets)  # type: ignore[no-untyped-call,unused-ignore]
    unet.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        unet.add_adapter(config)
    for parameter in lora_parameters(unet).values():
        parameter.data = parameter.data.float()  # whatever the UNet is kept in


def lora_parameters(unet: Any) -> dict[str, nn.Parameter]:
    """What is trained, by name."""
    return {name: parameter for name, parameter in unet.named_parameters() if name.endswith((_DOWN, _UP))}


def lora_matrices(unet: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The first and the second matrices by the UNet's layer."""
    named = {name: parameter.detach() for name, parameter in lora_parameters(unet).items()}
    down = {name.removesuffix(_DOWN): each for name, each in named.items() if name.endswith(_DOWN)}
    up = {name.removesuffix(_UP): each for name, each in named.items() if name.endswith(_UP)}
    return down, up
