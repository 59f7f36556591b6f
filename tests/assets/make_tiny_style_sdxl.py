"""Makes ``tiny-style-sdxl``: a toy model of SDXL's shape with a style adapter that has really learnt its trade.

Its world are pictures of 16x16 px: one of four shapes (the content, named by the prompt) in a ground and a figure
colour with one of three textures (the style, shown by a reference). A reference always shows another shape, so that
the adapter has to learn the style. In a part of the steps only the blocks that InstantStyle names are on, so that they
carry the style alone. The VAE's weights are written, not trained: its latents are the pixels.

    python tests/assets/make_tiny_style_sdxl.py --workdir out/tiny-style    # about ten minutes of one core

Ended and called again it goes on from its last checkpoint, with the same numbers: batch and noise of a step depend on
the seed and the step alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, DDPMScheduler, EulerDiscreteScheduler, StableDiffusionXLPipeline
from diffusers import UNet2DConditionModel as UNet
from safetensors.torch import load_file, save_file
from tests.tiny_hub import adapter, byte_tokenizer, text_config
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

SIDE = 16
SHAPES = ("disc", "square", "triangle", "cross")
TEXTURES = ("flat", "hatch", "dots")
TEXT, CLIP = 32, 48
#: What is multiplied onto latents, so that their spread is about 1.
SCALING = 3.0
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
#: Which blocks have the adapter: all of them, or those of ``--blocks style``.
STYLE_BLOCK = "up_blocks.0.attentions.1."


def shape_mask(shape: int, center: Tensor, size: float) -> Tensor:
    """``(16, 16)``, 1 inside the shape."""
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    x, y = (x - center[0]) / size, (y - center[1]) / size
    inside = (
        x**2 + y**2 < 1,
        torch.maximum(x.abs(), y.abs()) < 0.85,
        (y < 0.75) & (y > 2 * x.abs() - 1),
        ((x.abs() < 0.3) & (y.abs() < 1)) | ((y.abs() < 0.3) & (x.abs() < 1)),
    )[shape]
    return inside.float()


def draw(shape: int, colors: Tensor, texture: int, dice: torch.Generator) -> Tensor:
    """One picture ``(3, 16, 16)`` in [0, 1].

    Args:
        shape: index in ``SHAPES``.
        colors: ``(2, 3)``: of the ground and of the figure.
        texture: index in ``TEXTURES``.
        dice: where the shape lies, how large it is, and where the texture begins.
    """
    center = 8 + 3 * (torch.rand(2, generator=dice) - 0.5)
    size = 4.5 + 1.5 * float(torch.rand(1, generator=dice))
    shift = int(torch.randint(4, (1,), generator=dice))
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    mark = (
        torch.zeros(SIDE, SIDE),
        ((x + y + shift) % 4 < 2).float(),
        ((x + shift) % 3 + (y + shift) % 3 == 0).float(),
    )
    inside = shape_mask(shape, center, size) * (1 - 0.6 * mark[texture])
    return colors[0, :, None, None] * (1 - inside) + colors[1, :, None, None] * inside


def batch(seed: int, step: int, count: int) -> tuple[Tensor, Tensor, list[str], torch.Generator]:
    """Pictures and their references, ``(count, 3, 16, 16)`` each, their prompts, and the dice that go on from there."""
    dice = torch.Generator().manual_seed(seed * 1_000_003 + step)
    pictures, references, prompts = [], [], []
    for _ in range(count):
        colors = torch.rand(2, 3, generator=dice)
        texture = int(torch.randint(len(TEXTURES), (1,), generator=dice))
        shape, other = torch.randperm(len(SHAPES), generator=dice)[:2].tolist()
        pictures.append(draw(shape, colors, texture, dice))
        references.append(draw(other, colors, texture, dice))
        prompts.append(SHAPES[shape])
    return torch.stack(pictures), torch.stack(references), prompts, dice


def identity_vae() -> AutoencoderTiny:
    """Latents that are the pixels: the first three channels pixels less ½, the fourth 0."""
    vae = AutoencoderTiny(
        encoder_block_out_channels=(4,),
        decoder_block_out_channels=(4,),
        num_encoder_blocks=(1,),
        num_decoder_blocks=(1,),
        scaling_factor=SCALING,
    )
    for parameter in vae.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        first, last = vae.encoder.layers[0], vae.encoder.layers[-1]
        inward, outward = vae.decoder.layers[0], vae.decoder.layers[-1]
        for channel in range(3):
            for conv in (first, last, inward, outward):
                conv.weight[channel, channel, 1, 1] = 1.0
        last.bias[:3] = -0.5
        # A decoder squashes by 3 tanh(x / 3), and its blocks keep what is positive: hence the detour by +1.
        inward.bias[:3] = 1.0
        outward.weight *= 1.005
        outward.bias[:3] = 0.5 - 1.005
    return vae


def new_pipeline(seed: int) -> tuple[StableDiffusionXLPipeline, CLIPVisionModelWithProjection]:
    """The untrained model with its adapter, and the encoder of references."""
    torch.manual_seed(seed)
    unet = UNet(
        sample_size=SIDE,
        block_out_channels=(24, 40, 48),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 2, 3),
        use_linear_projection=True,
        cross_attention_dim=2 * TEXT,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=TEXT + 6 * 8,
        norm_num_groups=8,
    )
    words = byte_tokenizer()
    pipeline = StableDiffusionXLPipeline(
        vae=identity_vae(),
        text_encoder=CLIPTextModel(text_config(words, width=TEXT)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(words, width=TEXT, projection_dim=TEXT)),
        tokenizer=words,
        tokenizer_2=words,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULE),
        add_watermarker=False,
    )
    vision = CLIPVisionConfig(
        hidden_size=CLIP,
        intermediate_size=2 * CLIP,
        num_hidden_layers=2,
        num_attention_heads=3,
        image_size=SIDE,
        patch_size=4,
        projection_dim=CLIP,
    )
    tensors = adapter(unet, plus=False, width=CLIP, gain=0.2)
    groups: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = tensor
    pipeline.load_ip_adapter(groups, subfolder="", weight_name="adapter.safetensors", image_encoder_folder=None)
    return pipeline, CLIPVisionModelWithProjection(vision)


def adapter_tensors(unet: UNet) -> dict[str, Tensor]:
    """The adapter that a UNet carries, under the published files' names."""
    projection = unet.encoder_hid_proj.image_projection_layers[0]
    tensors = {
        "image_proj.proj.weight": projection.image_embeds.weight,
        "image_proj.proj.bias": projection.image_embeds.bias,
        "image_proj.norm.weight": projection.norm.weight,
        "image_proj.norm.bias": projection.norm.bias,
    }
    for index, (name, processor) in enumerate(unet.attn_processors.items()):
        if name.endswith("attn2.processor"):
            tensors[f"ip_adapter.{index}.to_k_ip.weight"] = processor.to_k_ip[0].weight
            tensors[f"ip_adapter.{index}.to_v_ip.weight"] = processor.to_v_ip[0].weight
    return tensors


@torch.no_grad()
def text_of(pipeline: StableDiffusionXLPipeline) -> dict[str, tuple[Tensor, Tensor]]:
    """For every shape's name what the text encoders say; they stay as they were drawn."""
    spoken = {}
    for shape in SHAPES:
        embeds, _, pooled, _ = pipeline.encode_prompt(shape, do_classifier_free_guidance=False)
        spoken[shape] = (embeds[0], pooled[0])
    return spoken


def set_blocks(unet: UNet, *, style_only: bool) -> None:
    """Switch the adapter on everywhere, or in the style block alone."""
    for name, processor in unet.attn_processors.items():
        if name.endswith("attn2.processor"):
            processor.scale = [0.0 if style_only and not name.startswith(STYLE_BLOCK) else 1.0]


def train(workdir: Path, *, steps: int, count: int, seed: int) -> None:
    """Train, with a checkpoint every hundred steps, and write the model beside this file."""
    pipeline, vision = new_pipeline(seed)
    unet, spoken, noising = pipeline.unet, text_of(pipeline), DDPMScheduler(**SCHEDULE)
    mean, spread = (torch.tensor(each)[:, None, None] for each in _clip_statistics())
    named = {f"unet.{name}": each for name, each in unet.named_parameters()}
    named |= {f"vision.{name}": each for name, each in vision.named_parameters()}
    for parameter in named.values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(named.values(), lr=2e-3, weight_decay=1e-4)
    average = {name: each.detach().clone() for name, each in named.items()}
    checkpoint = workdir / "checkpoint.safetensors"
    done = _restore(checkpoint, named, average, optimizer) if checkpoint.exists() else 0
    time_ids = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]] * count, dtype=torch.float32)
    began = time.process_time()
    for step in range(done + 1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = (
                2e-3
                * min(1, step / 50)
                * (0.02 + 0.98 * (1 + torch.cos(torch.tensor(step / steps * 3.1416)).item()) / 2)
            )
        pictures, references, prompts, dice = batch(seed, step, count)
        latents = F.pad(pictures - 0.5, (0, 0, 0, 0, 0, 1)) * SCALING
        noise = torch.randn(latents.shape, generator=dice)
        times = torch.randint(1000, (count,), generator=dice)
        keep_text, keep_style = (torch.rand(2, count, 1, generator=dice) > 0.15).float()
        texts = torch.stack([spoken[prompt][0] for prompt in prompts]) * keep_text[..., None]
        pooled = torch.stack([spoken[prompt][1] for prompt in prompts]) * keep_text
        embeds = vision((references - mean) / spread).image_embeds * keep_style
        set_blocks(unet, style_only=bool(torch.rand(1, generator=dice) < 0.4))
        predicted = unet(
            noising.add_noise(latents, noise, times),
            times,
            encoder_hidden_states=texts,
            added_cond_kwargs={"text_embeds": pooled, "time_ids": time_ids, "image_embeds": [embeds[:, None]]},
        ).sample
        loss = F.mse_loss(predicted, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(named.values(), 1.0)
        optimizer.step()
        with torch.no_grad():
            rate = min(0.995, step / (step + 20))
            for name, parameter in named.items():
                average[name].lerp_(parameter, 1 - rate)
        if step % 50 == 0 or step == steps:
            print(f"step {step}: loss {loss.item():.4f}, {time.process_time() - began:.0f} CPU seconds", flush=True)
        if step % 100 == 0 or step == steps:
            _keep(checkpoint, named, average, optimizer, step)
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(average[name])
    write(pipeline, vision, Path(__file__).with_name("tiny-style-sdxl"))


def write(pipeline: StableDiffusionXLPipeline, vision: CLIPVisionModelWithProjection, folder: Path) -> None:
    """The model in float16, as a folder that ``--model`` takes."""
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in adapter_tensors(pipeline.unet).items()}
    pipeline.unload_ip_adapter()
    pipeline.to(torch.float16).save_pretrained(folder)
    vision.half().save_pretrained(folder / "ip_adapter" / "image_encoder")
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SIDE).save_pretrained(
        folder / "ip_adapter" / "image_encoder"
    )
    save_file(tensors, folder / "ip_adapter" / "ip-adapter_sdxl.safetensors")


def _clip_statistics() -> tuple[list[float], list[float]]:
    processor = CLIPImageProcessorPil()
    return list(processor.image_mean), list(processor.image_std)


def _keep(
    path: Path, named: dict[str, Tensor], average: dict[str, Tensor], optimizer: torch.optim.Optimizer, step: int
) -> None:
    tensors = {f"now.{name}": each.detach() for name, each in named.items()}
    tensors |= {f"average.{name}": each for name, each in average.items()}
    for name, each in named.items():
        for part, tensor in optimizer.state[each].items():
            tensors[f"{part}.{name}"] = tensor
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path.with_suffix(".new"), metadata={"progress": json.dumps({"step": step})})
    path.with_suffix(".new").replace(path)


def _restore(path: Path, named: dict[str, Tensor], average: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
    tensors = load_file(path)
    with torch.no_grad():
        for name, each in named.items():
            each.copy_(tensors[f"now.{name}"])
            average[name].copy_(tensors[f"average.{name}"])
            optimizer.state[each] = {
                part: tensors[f"{part}.{name}"].clone()
                for part in ("step", "exp_avg", "exp_avg_sq")
                if f"{part}.{name}" in tensors
            }
    steps: Tensor = next(iter(optimizer.state.values()))["step"]
    return int(steps)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    train(asked.workdir, steps=asked.steps, count=asked.batch, seed=asked.seed)
