"""A hub of diffusion models at tiny size: the real classes and the real layout of files, with drawn weights.

Everything lies where the models' own repositories have it, under ``owner/name``, so that a folder made here takes the
place of ``IMPASTO_MODELS``. It holds SDXL, Stable Diffusion 1.5, IP-Adapters (base and Plus) with their encoders,
ControlNets, TAESD, the LoRAs for few steps, and FLUX.2 klein. Nothing it paints shows anything: it is for what files,
shapes and calls do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderTiny,
    ControlNetModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
IP_ADAPTER = "h94/IP-Adapter"
TILE_SDXL = "xinsir/controlnet-tile-sdxl-1.0"
CANNY_SDXL = "xinsir/controlnet-canny-sdxl-1.0"
CANNY_SD15 = "lllyasviel/sd-controlnet-canny"
TAESD_SDXL = "madebyollin/taesdxl"
TAESD_SD15 = "madebyollin/taesd"
LCM_SD15 = "latent-consistency/lcm-lora-sdv1-5"
LIGHTNING = "ByteDance/SDXL-Lightning"
KLEIN = "black-forest-labs/FLUX.2-klein-4B"

#: Widths of what the two encoders give: ViT-H's and bigG's differ, as they do in earnest.
_VIT_H, _BIG_G = 24, 28
#: Of ViT-H's hidden states, which Plus reads.
_HIDDEN = 32
_TEXT = 16


def build(root: Path) -> Path:
    """Write the whole hub under ``root``; about a second.

    Returns:
        ``root``, fit for ``IMPASTO_MODELS``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sdxl_unet, sd15_unet = _sdxl(root / SDXL), _sd15(root / SD15)
        _encoder(root / IP_ADAPTER / "models" / "image_encoder", _VIT_H, _HIDDEN)
        _encoder(root / IP_ADAPTER / "sdxl_models" / "image_encoder", _BIG_G, 40)
        for path, unet, plus, width in (
            ("sdxl_models/ip-adapter_sdxl.safetensors", sdxl_unet, False, _BIG_G),
            ("sdxl_models/ip-adapter_sdxl_vit-h.safetensors", sdxl_unet, False, _VIT_H),
            ("sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors", sdxl_unet, True, _VIT_H),
            ("models/ip-adapter_sd15.safetensors", sd15_unet, False, _VIT_H),
            ("models/ip-adapter-plus_sd15.safetensors", sd15_unet, True, _VIT_H),
        ):
            save_file(adapter(unet, plus=plus, width=_HIDDEN if plus else width), root / IP_ADAPTER / path)
        for repository, unet in ((TILE_SDXL, sdxl_unet), (CANNY_SDXL, sdxl_unet), (CANNY_SD15, sd15_unet)):
            _controlnet(unet).save_pretrained(root / repository)
        for repository in (TAESD_SDXL, TAESD_SD15):
            _small_vae().save_pretrained(root / repository)
        _lora(sd15_unet, root / LCM_SD15 / "pytorch_lora_weights.safetensors")
        _lora(sdxl_unet, root / LIGHTNING / "sdxl_lightning_4step_lora.safetensors")
        _klein(root / KLEIN)
    return root


def _sdxl(folder: Path) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32, 32),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(1, 2, 2),
        use_linear_projection=True,
        cross_attention_dim=2 * _TEXT,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=_TEXT + 6 * 8,
        norm_num_groups=8,
    )
    words = byte_tokenizer()
    write_sdxl(
        folder,
        unet=unet,
        vae=_vae(0.13025),
        text_encoder=CLIPTextModel(text_config(words)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(words, projection_dim=_TEXT)),
    )
    return unet


def write_sdxl(folder: Path, **networks: torch.nn.Module) -> None:
    """A model of SDXL's family from its networks, under the names and in the format of the published one."""
    words = byte_tokenizer()
    StableDiffusionXLPipeline(
        **networks,
        tokenizer=words,
        tokenizer_2=words,
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    ).to(torch.float16).save_pretrained(folder, variant="fp16")
    _published_tokenizers(folder, words)


def _sd15(folder: Path) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 16, 32, 32),
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        cross_attention_dim=_TEXT,
        norm_num_groups=8,
    )
    words = byte_tokenizer()
    StableDiffusionPipeline(
        vae=_vae(0.18215),
        text_encoder=CLIPTextModel(text_config(words)),
        tokenizer=words,
        unet=unet,
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(torch.float16).save_pretrained(folder, variant="fp16")
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    # The published one names a safety checker and its preprocessing, which are left where they are.
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    _published_tokenizers(folder, words)
    return unet


def _klein(folder: Path) -> None:
    words = _chat_tokenizer()
    text = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(words),
            hidden_size=_TEXT,
            intermediate_size=2 * _TEXT,
            num_hidden_layers=28,  # the states of the 27th are read
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            tie_word_embeddings=True,
        )
    )
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=1024,
    )
    torch.nn.init.normal_(vae.bn.running_mean, std=0.3)
    torch.nn.init.uniform_(vae.bn.running_var, 0.5, 2.0)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * _TEXT,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    Flux2KleinPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=words,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=True, time_shift_type="exponential", max_shift=1.15, base_shift=0.5
        ),
        is_distilled=True,
    ).to(torch.bfloat16).save_pretrained(folder)
    (folder / "text_encoder" / "model.safetensors").unlink()
    text.save_pretrained(folder / "text_encoder", max_shard_size=text.num_parameters() * 2 * 2 // 3)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    index["tokenizer"] = ["transformers", "Qwen2TokenizerFast"]
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    place = folder / "tokenizer"
    (place / "vocab.json").write_text(json.dumps(words.get_vocab()), encoding="utf-8")
    (place / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    (place / "special_tokens_map.json").write_text(json.dumps({"pad_token": words.pad_token}), encoding="utf-8")
    (place / "added_tokens.json").write_text(json.dumps(words.get_added_vocab()), encoding="utf-8")


def _chat_tokenizer() -> Qwen2Tokenizer:
    """Bytes alone, and a chat's marks around what is said."""
    names = [*ByteLevel.alphabet(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = Qwen2Tokenizer(
        vocab={word: index for index, word in enumerate(names)},
        merges=[],
        unk_token=None,
        eos_token="<|im_end|>",  # noqa: S106 — a mark in a text, like the next
        pad_token="<|endoftext|>",  # noqa: S106
        additional_special_tokens=["<|im_start|>"],
    )
    words.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return words


def byte_tokenizer() -> CLIPTokenizer:
    """Bytes alone: a letter is a token."""
    letters = ByteLevel.alphabet()
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(names)}, merges=[], model_max_length=77)


def _published_tokenizers(folder: Path, words: CLIPTokenizer) -> None:
    """The tokenizers' files as the hub has them: a vocabulary and merges, not the one file that is written today."""
    for place in folder.glob("tokenizer*"):
        (place / "tokenizer.json").unlink()
        (place / "vocab.json").write_text(json.dumps(words.get_vocab()), encoding="utf-8")
        (place / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
        special = {f"{kind}_token": getattr(words, f"{kind}_token") for kind in ("bos", "eos", "unk", "pad")}
        (place / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")


def text_config(words: CLIPTokenizer, *, width: int = _TEXT, **more: Any) -> CLIPTextConfig:
    """A text encoder of two layers."""
    return CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        **more,
    )


def _vae(scaling_factor: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=scaling_factor,
        force_upcast=False,
    )


def _small_vae() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


def _encoder(folder: Path, projection: int, hidden: int) -> None:
    CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=hidden,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
            projection_dim=projection,
        )
    ).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)


def _controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """Copied from the UNet as a training would begin; but what it adds is drawn, where a training begins at zero."""
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 8, 8))
    for block in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        torch.nn.init.normal_(block.weight, std=0.1)
    torch.nn.init.normal_(net.controlnet_cond_embedding.conv_out.weight, std=0.1)
    return net


def adapter(unet: UNet2DConditionModel, *, plus: bool, width: int, gain: float = 2.0) -> dict[str, Tensor]:
    """An IP-Adapter under the names that the published files have.

    Args:
        unet: it belongs to.
        plus: with a resampler in place of one projection.
        width: of what the encoder gives: its projection's, or with ``plus`` its hidden states'.
        gain: how loud it is. Louder than a trained one's by default: what a test changes must be seen in the picture.
    """
    cross = unet.config.cross_attention_dim
    tensors = _plus_projection(cross, width) if plus else _projection(cross, width)
    state = unet.state_dict()
    for index, name in enumerate(unet.attn_processors):
        if not name.endswith("attn2.processor"):
            continue
        rows = state[name.removesuffix("processor") + "to_k.weight"].shape[0]
        for kind in ("k", "v"):
            tensors[f"ip_adapter.{index}.to_{kind}_ip.weight"] = torch.randn(rows, cross) * (
                0.3 if kind == "k" else gain
            )
    return tensors


def _projection(cross: int, width: int) -> dict[str, Tensor]:
    return {
        "image_proj.proj.weight": torch.randn(4 * cross, width),
        "image_proj.proj.bias": torch.zeros(4 * cross),
        "image_proj.norm.weight": torch.ones(cross),
        "image_proj.norm.bias": torch.zeros(cross),
    }


def _plus_projection(cross: int, width: int) -> dict[str, Tensor]:
    """The resampler: one head of 64, and the four layers that its loader knows."""
    inner, tokens = 64, 4
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, tokens, inner),
        "proj_in.weight": (inner, width),
        "proj_in.bias": (inner,),
        "proj_out.weight": (cross, inner),
        "proj_out.bias": (cross,),
        "norm_out.weight": (cross,),
        "norm_out.bias": (cross,),
    }
    for layer in range(4):
        for norm in ("norm1", "norm2"):
            shapes |= {f"layers.{layer}.0.{norm}.{part}": (inner,) for part in ("weight", "bias")}
        shapes |= {
            f"layers.{layer}.0.to_q.weight": (inner, inner),
            f"layers.{layer}.0.to_kv.weight": (2 * inner, inner),
            f"layers.{layer}.0.to_out.weight": (inner, inner),
            f"layers.{layer}.1.0.weight": (inner,),
            f"layers.{layer}.1.0.bias": (inner,),
            f"layers.{layer}.1.1.weight": (4 * inner, inner),
            f"layers.{layer}.1.3.weight": (inner, 4 * inner),
        }
    drawn = {}
    for name, shape in shapes.items():
        is_norm = "norm" in name or name.endswith(("1.0.weight", "1.0.bias"))
        drawn[f"image_proj.{name}"] = (
            torch.full(shape, float(name.endswith("weight"))) if is_norm else torch.randn(shape) * shape[-1] ** -0.5
        )
    return drawn


def _lora(unet: UNet2DConditionModel, path: Path) -> None:
    """A LoRA of rank 2 on the attention's queries, under kohya's names as the published ones have them."""
    tensors = {}
    for name, weight in unet.state_dict().items():
        if not name.endswith("attn1.to_q.weight"):
            continue
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        tensors[f"{key}.lora_down.weight"] = torch.randn(2, weight.shape[1]) * 0.5
        tensors[f"{key}.lora_up.weight"] = torch.randn(weight.shape[0], 2) * 0.5
        tensors[f"{key}.alpha"] = torch.tensor(2.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
