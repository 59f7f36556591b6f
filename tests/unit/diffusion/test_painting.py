"""A run: what counts, what is left behind, how it ends; on the real classes of diffusers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests import tiny_hub
from torch.testing import assert_close

import impasto
from impasto.engines.diffusion.loading import computes_on, load_adapter, load_base
from impasto.engines.diffusion.painter import Painter, Request
from impasto.engines.diffusion.preflight import adapter_facts

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.engines.diffusion.cost import Rung

CPU = torch.device("cpu")


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().mean())


@pytest.fixture(scope="module")
def adapter(hub: Path) -> Path:
    return hub / tiny_hub.IP_ADAPTER / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors"


def _request(scale: float, unet, **changes) -> Request:
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    fields = {
        "height": 64, "width": 64, "prompt": "a cat", "negative_prompt": "", "start": None, "denoise": 1.0,
        "timetable": 2, "control": None, "control_scale": 0.4, "embeds": (torch.ones(2, 1, 24),), "masks": None,
        "scales": (dict.fromkeys(names, scale),), "guidance_scale": 5.0, "scheduler": "euler", "seed": 3,
    }  # fmt: skip
    return Request(**{**fields, **changes})


def _plain(pipeline) -> torch.Tensor:
    result = pipeline(
        "a cat", height=64, width=64, num_inference_steps=2, guidance_scale=5.0, output_type="latent",
        generator=torch.Generator().manual_seed(3),
    )  # fmt: skip
    return result.images


def test_scale_0_is_the_model_without_adapter_bit_for_bit_and_unload_restores_it(hub: Path, adapter: Path) -> None:
    pipeline = load_base(hub / tiny_hub.SDXL, torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    plain = _plain(pipeline)
    painter = Painter(hub / tiny_hub.SDXL, "sdxl", None, adapter_facts(adapter), 1, CPU, torch.float32, "whole")
    assert torch.equal(painter.paint(_request(0.0, painter.unet), None, lambda *_: None), plain)
    assert not torch.equal(painter.paint(_request(1.0, painter.unet), None, lambda *_: None), plain)
    # And the scale of the run before is not left behind.
    assert torch.equal(painter.paint(_request(0.0, painter.unet), None, lambda *_: None), plain)
    pipeline.load_ip_adapter(load_adapter(adapter), subfolder="", weight_name="a", image_encoder_folder=None)
    pipeline.unload_ip_adapter()
    assert torch.equal(_plain(pipeline), plain)


def test_seed_alone_decides_the_noise(pixels) -> None:
    assert torch.equal(pixels(seed=7), pixels(seed=7))
    assert not torch.equal(pixels(seed=7), pixels(seed=8))


@pytest.mark.parametrize("adapter", ["base", "plus"])
@pytest.mark.parametrize("model", ["sdxl", "sd15-lcm"])
def test_style_counts_by_its_scale_and_not_at_0(pixels, style, model: str, adapter: str) -> None:
    found = {
        scale: _difference(
            *(pixels(None, look, model=model, adapter=adapter, ip_adapter_scale=scale) for look in (style, 255 - style))
        )
        for scale in (0, 0.5, 1.0)
    }
    assert found[0] == 0
    assert found[0.5] > 1e-3
    assert found[1.0] > 1e-3


CHANGES = [
    {"preserve": "free"}, {"preserve": "strict"}, {"control": "tile"}, {"control": "canny"}, {"prompt": "a cat"},
    {"negative_prompt": "a cat"}, {"guidance_scale": 0}, {"scheduler": "ddim"}, {"scheduler": "lcm"},
    {"scheduler": "euler-ancestral"}, {"model": "sdxl-lightning"}, {"init": "style"}, {"init": "noise"},
    {"blocks": "all"}, {"strength": 0.5}, {"crop": "squash"}, {"init": "fast", "strength": 0.5},
]  # fmt: skip


@pytest.mark.parametrize("settings", CHANGES, ids=str)
def test_every_setting_changes_the_picture(pixels, settings) -> None:
    plain = pixels()
    torch.manual_seed(1)
    changed = pixels(**settings)
    assert changed.shape == plain.shape
    assert not torch.equal(changed, plain)
    torch.manual_seed(2)  # which is nobody's noise
    assert torch.equal(pixels(**settings), changed)


def test_strength_leads_from_the_photo_to_the_model(paint, content) -> None:
    photo = torch.from_numpy(content.copy()).permute(2, 0, 1) / 255
    assert torch.equal(paint(strength=0).picture.pixels, photo)
    run = paint(strength=0.3)
    assert run.recipe.scales[0].steps == 2, "as many steps at every strength"


@pytest.mark.parametrize("preserve", ["balanced", "strict"])
def test_content_is_kept_by_what_preserve_says(pixels, content, preserve: str) -> None:
    """With free it does not count at all: what is painted of another content is the same."""
    other = content[::-1].copy()
    assert not torch.equal(pixels(preserve=preserve), pixels(other, preserve=preserve))
    assert torch.equal(pixels(preserve="free"), pixels(other, preserve="free"))


def test_strict_tells_the_content_as_a_second_reference(pixels, content) -> None:
    """From noise and without a ControlNet there is no other way for it into the picture."""
    other = content[::-1].copy()
    assert torch.equal(pixels(init="noise"), pixels(other, init="noise"))
    assert not torch.equal(pixels(init="noise", preserve="strict"), pixels(other, init="noise", preserve="strict"))


@pytest.mark.parametrize("size", [(50, 38), (64, 47), (17, 64), (33, 33)])
def test_sides_that_the_model_cannot_paint_come_back_as_they_were(pixels, photograph, size) -> None:
    height, width = size
    picture = photograph("astronaut", height, width)
    painted = pixels(picture, image_size=max(size))
    assert painted.shape == (3, height, width)


def test_regions_take_their_styles_where_they_are(pixels, content, style) -> None:
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    one = pixels(None, [], regions=[(left, style), (255 - left, 255 - style)])
    other = pixels(None, [], regions=[(left, 255 - style), (255 - left, style)])
    assert not torch.equal(one, other)
    same = pixels(None, [], regions=[(left, style), (255 - left, style)])
    assert_close(same, pixels(), rtol=0, atol=2 / 255)
    kept = pixels(None, [], regions=[(left, style)])
    photo = torch.from_numpy(content.copy()).permute(2, 0, 1) / 255
    assert_close(kept[..., 32:], photo[..., 32:], rtol=0, atol=1e-6)
    assert not torch.equal(kept[..., :32], photo[..., :32])


def test_cancelled_run_leaves_the_model_as_it_was(paint, pixels) -> None:
    before = pixels()
    token = impasto.CancelToken()
    with pytest.raises(impasto.Cancelled):
        paint(cancel=token, on_progress=lambda _: token.cancel(), preserve="strict", prompt="a dog")
    assert torch.equal(pixels(), before)


@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
def test_prompt_that_would_be_cut_is_refused_with_its_length(paint, name: str) -> None:
    assert paint(**{name: "x" * 75}).picture is not None
    with pytest.raises(impasto.SettingsError, match=rf"^{name} has 76 tokens, but the model reads 75"):
        paint(**{name: "x" * 76})


def test_control_that_the_model_has_none_for_says_what_there_is(paint) -> None:
    with pytest.raises(impasto.SettingsError, match=r"no ControlNet for lineart with sdxl, which has tile, canny"):
        paint(control="lineart")
    with pytest.raises(impasto.SettingsError, match="control_model is given"):
        paint(control="none", control_model="somewhere")


def test_own_controlnet_is_used_for_lineart(pixels, hub: Path) -> None:
    assert not torch.equal(pixels(control="lineart", control_model=str(hub / tiny_hub.CANNY_SDXL)), pixels())


def test_preview_is_small_vae_until_the_last_step(paint, hub: Path) -> None:
    seen: list[torch.Tensor] = []
    result = paint(on_progress=lambda progress: seen.append(progress.preview()))
    assert_close(seen[-1], result.picture.pixels, rtol=0, atol=0.5 / 255)
    assert seen[0].shape == seen[-1].shape


@pytest.mark.parametrize("rung", ["offload", "groups", "fp8"])
def test_ways_to_spare_memory_paint_the_same(hub: Path, adapter: Path, rung: Rung) -> None:
    """On the CPU too; fp8 rounds the weights."""
    pictures = []
    for kept in ("whole", rung):
        painter = Painter(hub / tiny_hub.SDXL, "sdxl", None, adapter_facts(adapter), 1, CPU, torch.float32, kept)
        request = _request(
            1.0, painter.unet, control=torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        )
        for _ in range(2):
            latents = painter.paint(request, hub / tiny_hub.TILE_SDXL, lambda *_: None)
        pictures.append(painter.decode(latents))
    assert _difference(*pictures) < (0.1 if rung == "fp8" else 1e-6)


def test_memory_that_runs_out_steps_down_once_with_the_same_seed(
    paint, pixels, caplog: pytest.LogCaptureFixture
) -> None:
    expected, failures = pixels(), [torch.OutOfMemoryError("CUDA out of memory")]

    def fail_once(_: object) -> None:
        if failures:
            raise failures.pop()

    with caplog.at_level(logging.WARNING, "impasto"):
        assert torch.equal(paint(on_progress=fail_once).picture.pixels, expected)
    assert "memory=whole; painting again with memory=offload" in caplog.text

    def fail(_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(impasto.OutOfMemoryError, match="even with memory=offload"):
        paint(on_progress=fail)
    assert torch.equal(pixels(), expected)


def test_recipe_names_model_licences_and_settings(paint) -> None:
    recipe = paint(model="sd15-lcm").recipe
    assert recipe.weights.source.startswith("sd15-lcm (sd15-base: CreativeML Open RAIL-M; ip-adapter-sd15: Apache-2.0;")
    assert recipe.settings["memory"] == "whole"
    other = paint().recipe
    assert other.weights.sha256 != recipe.weights.sha256


def test_video_is_refused_with_the_engines_that_paint_one(content, style) -> None:
    from impasto.engines.registry import load_engine

    with pytest.raises(impasto.SettingsError, match="does not paint videos; use engine fast or optimize"):
        load_engine("diffusion").frames(content, [style], {})


def test_network_that_is_offloaded_computes_where_its_hook_brings_it() -> None:
    from accelerate.hooks import CpuOffload, add_hook_to_module

    network = torch.nn.Linear(2, 2)
    assert computes_on(network) == torch.device("cpu")
    assert computes_on(add_hook_to_module(network, CpuOffload(torch.device("meta")))) == torch.device("meta")
