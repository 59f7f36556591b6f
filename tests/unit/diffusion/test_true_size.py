"""SDXL at its true size, with drawn weights: that the tiny one has its shape, and on a GPU what a run takes.

What it paints is noise; what is looked at is memory and time, by each way to spare memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from tests import tiny_hub
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

import impasto
from impasto.engines.diffusion.cost import RUNGS
from impasto.engines.diffusion.painter import forget

if TYPE_CHECKING:
    from pathlib import Path


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        use_linear_projection=True,
        cross_attention_dim=2048,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )


def _text(width: int, layers: int, heads: int, **more: Any) -> CLIPTextConfig:
    words = tiny_hub.byte_tokenizer()
    ends = {f"{kind}_token_id": getattr(words, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        **ends,
        **more,
    )


def _networks() -> dict[str, torch.nn.Module]:
    return {
        "unet": _unet(),
        "vae": AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=1024,
            scaling_factor=0.13025,
        ),
        "text_encoder": CLIPTextModel(_text(768, 12, 12)),
        "text_encoder_2": CLIPTextModelWithProjection(_text(1280, 32, 20, projection_dim=1280)),
    }


def _millions(network: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def test_true_size_has_the_published_numbers_of_parameters_and_adapter_indices() -> None:
    with init_empty_weights():
        networks = _networks()
        control = ControlNetModel.from_unet(networks["unet"], load_weights_from_unet=False)
    counts = {name: round(_millions(network), 1) for name, network in networks.items()}
    assert counts == {"unet": 2567.5, "vae": 83.7, "text_encoder": 123.1, "text_encoder_2": 694.7}
    assert round(_millions(control)) == 1251
    processors = [*networks["unet"].attn_processors]
    style = [index for index, name in enumerate(processors) if name.startswith("up_blocks.0.attentions.1.")]
    assert len(processors) == 140
    assert [index for index in style if processors[index].endswith("attn2.processor")] == [*range(69, 88, 2)]


def _drawn(network: torch.nn.Module) -> torch.nn.Module:
    """On the GPU in float16, with weights that keep numbers in range."""
    network = network.to_empty(device="cuda").half()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02) if parameter.dim() > 1 else torch.nn.init.zeros_(parameter)
    return network


@pytest.fixture(scope="module")
def true_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder of 12 GB."""
    folder = tmp_path_factory.mktemp("sdxl")
    with init_empty_weights():
        networks = _networks()
        vision = CLIPVisionConfig(
            hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, image_size=224,
            patch_size=14, projection_dim=1024,
        )  # fmt: skip
        encoder = CLIPVisionModelWithProjection(vision)
        control = ControlNetModel.from_unet(networks["unet"], load_weights_from_unet=False)
    drawn = {name: _drawn(network) for name, network in networks.items()}
    tiny_hub.write_sdxl(folder, **drawn)
    _drawn(encoder).save_pretrained(folder / "ip_adapter" / "image_encoder")
    _drawn(control).save_pretrained(folder / "controlnet_tile")
    tensors = tiny_hub.adapter(drawn["unet"].cpu(), plus=False, width=1024, gain=0.02)
    save_file(
        {name: tensor.half() for name, tensor in tensors.items()}, folder / "ip_adapter" / "ip-adapter_sdxl.safetensors"
    )
    torch.cuda.empty_cache()
    return folder


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("rung", RUNGS)
def test_every_way_to_spare_memory_keeps_within_what_was_said(
    true_size: Path, content, style, rung: str, record_property
) -> None:
    forget()
    torch.cuda.reset_peak_memory_stats()
    settings: dict[str, Any] = {"engine": "diffusion", "model": str(true_size), "memory": rung, "steps": 4}
    planned = impasto.plan(content, style, **settings)
    result = impasto.stylize(content, style, **settings)
    record_property("peak_mb", round(result.peak_memory_mb))
    record_property("estimated_mb", planned.memory_mb)
    record_property("seconds", round(result.timings["total"], 1))
    assert result.picture.pixels.shape == (3, 768, 1024)
    assert result.peak_memory_mb < 1.25 * planned.memory_mb
