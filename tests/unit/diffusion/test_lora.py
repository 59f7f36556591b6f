"""LoRAs: what a file says, alpha under both families of names, on and off a model without a trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests import tiny_hub
from torch.testing import assert_close

import impasto
from impasto.engines.diffusion.loading import load_base, load_style
from impasto.engines.diffusion.lora import check_lora, encode_lora, lora_facts, under_other_names
from impasto.engines.diffusion.painter import Painter, Request
from impasto.engines.diffusion.training.adapter import add_lora, lora_matrices
from impasto.errors import WeightsError
from impasto.settings import DreamBoothTraining

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CPU = torch.device("cpu")
ALPHA, RANK = 8.0, 4


def about(**changes: object) -> dict[str, object]:
    given = {"name": "t", "family": "sdxl", "model": "sdxl", "trigger": "in ink", "alpha": ALPHA}
    return {**given, "settings": {"rank": RANK}, **changes}


@torch.no_grad()
def seen(unet: object) -> Tensor:
    """What a UNet makes of some noise."""
    dice = torch.Generator().manual_seed(1)
    return unet(  # type: ignore[operator]
        torch.randn(1, 4, 8, 8, generator=dice),
        torch.tensor([500]),
        encoder_hidden_states=torch.randn(1, 77, 32, generator=dice),
        added_cond_kwargs={"text_embeds": torch.zeros(1, 16), "time_ids": torch.zeros(1, 6)},
    ).sample


@pytest.fixture(scope="module")
def made(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor, Tensor, Tensor]:
    """A LoRA with alpha twice its rank; what the UNet that was trained makes of noise, without and with it, and with an
    alpha that is the rank."""
    folder = tmp_path_factory.mktemp("lora")
    unet = load_base(hub / tiny_hub.SDXL, torch.float32).unet
    plain = seen(unet)
    add_lora(unet, DreamBoothTraining(rank=RANK, alpha=ALPHA, seed=3), "sdxl")
    assert torch.equal(seen(unet), plain), "a LoRA that was not trained changes nothing"
    down, up = lora_matrices(unet)
    for matrix in up.values():
        matrix.copy_(torch.randn(matrix.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    for matrix in (*down.values(), *up.values()):
        matrix.copy_(matrix.half())  # as the file has them: a network of drawn numbers magnifies what is rounded
    path = folder / "lora.safetensors"
    path.write_bytes(encode_lora(down, up, alpha=ALPHA, family="sdxl", about=about()))
    worn = seen(unet)
    for matrix in up.values():
        matrix.mul_(RANK / ALPHA)
    return path, plain, worn, seen(unet)


@pytest.mark.parametrize("names", ["diffusers", "kohya"])
def test_alpha_counts_for_whoever_loads_the_file(hub: Path, made, tmp_path: Path, names: str) -> None:
    path, plain, worn, as_if_alpha_were_the_rank = made
    other = tmp_path / "other.safetensors"
    other.write_bytes(under_other_names(path, names))  # type: ignore[arg-type]
    pipeline = load_base(hub / tiny_hub.SDXL, torch.float32)
    load_style(pipeline, other)  # tensors alone: no header is read
    found = seen(pipeline.unet)
    assert_close(found, worn, atol=1e-4, rtol=1e-4)
    assert float((as_if_alpha_were_the_rank - worn).abs().mean()) > 0.01
    pipeline.unload_lora_weights()
    assert torch.equal(seen(pipeline.unet), plain)


def test_kohya_file_says_the_true_alpha_and_diffusers_header_the_rank(made, tmp_path: Path) -> None:
    path = made[0]
    other = tmp_path / "k.safetensors"
    other.write_bytes(under_other_names(path, "kohya"))
    alphas = [tensor for name, tensor in load_file(other).items() if name.endswith(".alpha")]
    assert len(alphas) == len(lora_facts(other).modules)
    assert {float(alpha) for alpha in alphas} == {ALPHA}
    with safe_open(other, "pt") as file:
        header = file.metadata()
    assert (header["ss_network_alpha"], header["ss_network_dim"]) == ("8", "4")
    assert header["ss_base_model_version"] == "sdxl_base_v1-0"
    assert header["modelspec.trigger_phrase"] == "in ink"
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["lora_adapter_metadata"])
    assert config["unet.lora_alpha"] == config["unet.r"] == RANK
    assert lora_facts(path).trigger == "in ink"


@pytest.mark.parametrize("names", ["diffusers", "kohya"])
def test_lora_of_another_family_is_refused_before_anything_is_loaded(hub: Path, made, tmp_path, names: str) -> None:
    other = tmp_path / "lora.safetensors"
    other.write_bytes(under_other_names(made[0], names))  # type: ignore[arg-type]
    check_lora(lora_facts(other), hub / tiny_hub.SDXL)
    with pytest.raises(WeightsError, match=r"made for another model than stable-diffusion-v1-5.*trained on sdxl"):
        check_lora(lora_facts(other), hub / tiny_hub.SD15)


def test_lora_under_stabilitys_names_is_known_by_the_width_of_its_text(hub: Path, tmp_path: Path) -> None:
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    path = tmp_path / "foreign.safetensors"
    save_file({f"{key}.lora_down.weight": torch.zeros(2, 32), f"{key}.lora_up.weight": torch.zeros(32, 2)}, path)
    check_lora(lora_facts(path), hub / tiny_hub.SDXL)
    with pytest.raises(WeightsError, match="made for another model"):
        check_lora(lora_facts(path), hub / tiny_hub.SD15)
    with pytest.raises(WeightsError, match="not written by impasto"):
        under_other_names(path, "kohya")


def test_file_that_is_no_lora_says_so(hub: Path, tmp_path: Path, content) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"something": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="is no LoRA"):
        impasto.stylize(content, content, engine="diffusion", lora=str(path), image_size=64)
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match="is a pickle"):
        lora_facts(tmp_path / "x.bin")


def request() -> Request:
    return Request(
        height=64, width=64, prompt="a cat", negative_prompt="", start=None, denoise=1.0, timetable=2, control=None,
        control_scale=0.4, embeds=(), masks=None, scales=(), guidance_scale=5.0, scheduler="euler", seed=3,
    )  # fmt: skip


@pytest.mark.parametrize("rung", ["whole", "offload", "groups"])
def test_lora_is_put_on_and_taken_off_without_a_trace(hub: Path, made, tmp_path: Path, rung) -> None:
    painter = Painter(hub / tiny_hub.SDXL, "sdxl", None, None, 0, CPU, torch.float32, rung)

    def painted() -> Tensor:
        return painter.paint(request(), None, lambda *_: None)

    plain = painted()
    broken = tmp_path / "broken.safetensors"
    tensors = {name: tensor[..., :-1].contiguous() for name, tensor in load_file(made[0]).items()}
    save_file(tensors, broken)
    with pytest.raises(WeightsError, match="does not fit"):
        painter.wear(broken, 1.0)
    assert not getattr(painter.unet, "peft_config", None), "a load that failed leaves nothing behind"
    assert torch.equal(painted(), plain)
    painter.wear(made[0], 1.0)
    worn = painted()
    assert not torch.equal(worn, plain)
    painter.wear(made[0], 0.0)
    assert_close(painted(), plain, atol=1e-5, rtol=1e-5)
    painter.wear(made[0], 1.0)
    assert torch.equal(painted(), worn)
    painter.wear(None, 1.0)
    assert torch.equal(painted(), plain)


def test_lora_paints_with_a_reference_besides(made, paint, pixels, style) -> None:
    """Where an adapter is asked for; by itself it needs none, and the words that call it are said."""
    alone = paint(lora=str(made[0]))
    assert alone.recipe.settings["lora"] == "lora.safetensors"
    assert torch.equal(alone.picture.pixels, pixels(look=255 - style, lora=str(made[0]))), "the reference is not seen"
    assert not torch.equal(alone.picture.pixels, pixels(lora=str(made[0]), lora_scale=0.5))
    both = [pixels(look=look, lora=str(made[0]), adapter="base") for look in (style, 255 - style)]
    assert not torch.equal(*both)
    assert not torch.equal(both[0], pixels())
    assert torch.equal(pixels(), pixels(adapter="base")), "and the next run without it has none"
    said = pixels(lora=str(made[0]), prompt="in ink")
    assert torch.equal(alone.picture.pixels, said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"adapter": "none"}, "adapter=none needs a LoRA"),
        ({"lora": "x.safetensors", "preserve": "strict"}, "preserve=strict shows the content to an IP-Adapter"),
        ({"lora": "x.safetensors", "adapter": "none", "ip_adapter": "y"}, "adapter=none uses none"),
        ({"lora": None, "memory": "fp8"}, "memory=fp8 cannot be used with a LoRA"),
        ({"lora": "missing.safetensors"}, "missing.safetensors is missing"),
    ],
)
def test_what_contradicts_a_lora_is_said(made, paint, monkeypatch, settings, said: str) -> None:
    if "memory" in settings:
        settings = {**settings, "lora": str(made[0])}
        monkeypatch.setattr("impasto.engines.diffusion.plan.choose_rung", lambda *_: "fp8")  # as on a small GPU
    with pytest.raises((impasto.SettingsError, WeightsError), match=said):
        paint(**settings)
