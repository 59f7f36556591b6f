"""FLUX.2 klein, on the real classes at tiny size: what it is shown and told, what it refuses, how a run ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests import tiny_hub
from torch.testing import assert_close

import impasto
from impasto import api
from impasto.engines.diffusion import cost, registry
from impasto.engines.diffusion.editing import instruction, shown_pixels
from impasto.engines.diffusion.klein import EditRequest, KleinPainter, padded_size
from impasto.engines.diffusion.plan import gpu_precision
from impasto.engines.diffusion.preflight import check_base
from impasto.vgg import Precision

if TYPE_CHECKING:
    from impasto.engines.diffusion.cost import Rung

CPU = torch.device("cpu")
QUICK: dict[str, Any] = {"image_size": 64, "steps": 2, "dtype": "float32", "model": "flux2-klein"}


@pytest.fixture
def style(photograph) -> np.ndarray:
    """Large enough to be shown."""
    return photograph("coffee", 80, 96)


@pytest.fixture
def quick() -> dict[str, Any]:
    return QUICK


@pytest.fixture
def own(hub: Path, tmp_path: Path) -> Path:
    """A copy of the model in a folder of the user's."""
    return Path(shutil.copytree(hub / tiny_hub.KLEIN, tmp_path / "mine"))


def _request(steps: int = 2) -> EditRequest:
    pictures = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return EditRequest(64, 64, "in ink", tuple(pictures), steps, 1.0, 3)


def test_content_and_style_are_both_seen_and_the_seed_alone_decides_the_noise(pixels, content, style) -> None:
    first = pixels(seed=7)
    assert first.shape == (3, 48, 64)
    torch.manual_seed(1)  # which is nobody's noise
    assert torch.equal(pixels(seed=7), first)
    for other in (
        pixels(seed=8),
        pixels(None, 255 - style, seed=7),
        pixels(content[::-1].copy(), seed=7),
        pixels(seed=7, prompt="a house in ink"),
        pixels(seed=7, steps=3),
    ):
        assert not torch.equal(other, first)


def test_styles_are_shown_in_their_order_and_each_of_them_counts(pixels, style) -> None:
    other = 255 - style
    both = pixels(None, [style, other])
    assert not torch.equal(both, pixels(None, [style]))
    assert not torch.equal(both, pixels(None, [other, style]))
    assert not torch.equal(both, pixels(None, [style, other, style]))


@pytest.mark.parametrize("size", [(50, 38), (64, 47), (17, 64), (256, 20), (16, 256)])
def test_sides_that_the_model_cannot_paint_come_back_as_they_were(pixels, photograph, size) -> None:
    height, width = size
    painted = pixels(photograph("astronaut", height, width), image_size=max(size), steps=1)
    assert painted.shape == (3, height, width)


@pytest.mark.parametrize("size", [(1016, 16), (16, 4096), (64, 64), (65, 700), (1, 1)])
def test_padded_size_can_be_painted_and_shown(size: tuple[int, int]) -> None:
    height, width = padded_size(*size, 16)
    assert height % 16 == width % 16 == 0
    assert min(height, width) >= 64
    assert max(height, width) <= 8 * min(height, width)
    assert height >= size[0]
    assert width >= size[1]


def test_content_larger_than_the_model_is_shown_one_is_painted_at_its_size(pixels, photograph, style) -> None:
    """8 times as long as wide, and above a megapixel: what is shown is made smaller without becoming too narrow."""
    painted = pixels(photograph("astronaut", 384, 3072), image_size=3072, steps=1)
    assert painted.shape == (3, 384, 3072)


def test_picture_is_what_the_pipeline_itself_paints(hub: Path, paint, content, style) -> None:
    """Decoding of our own, a picture shown as it is, and an end by an exception after the last step change nothing."""
    from diffusers import Flux2KleinPipeline
    from PIL import Image

    pipeline = Flux2KleinPipeline.from_pretrained(hub / tiny_hub.KLEIN, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    square = content[:, :48].repeat(2, 0)[:64].repeat(2, 1)[:, :64].copy()  # sides that need no padding
    expected = pipeline(
        image=[Image.fromarray(square), Image.fromarray(style)],
        prompt=instruction("", 1),
        height=64,
        width=64,
        num_inference_steps=2,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images[0]
    assert_close(paint(square, seed=5).picture.pixels, expected, rtol=0, atol=1 / 255)


def test_previews_lead_to_the_picture(paint) -> None:
    seen: list[tuple[int, torch.Tensor]] = []
    result = paint(steps=3, on_progress=lambda progress: seen.append((progress.step, progress.preview())))
    assert [step for step, _ in seen] == [1, 2, 3]
    assert torch.equal(seen[-1][1], result.picture.pixels)
    far = [float((each - result.picture.pixels).abs().mean()) for _, each in seen]
    assert far[0] > far[1] > far[2] == 0


def test_what_is_expected_after_the_last_step_is_what_came_of_it(hub: Path) -> None:
    painter, told = KleinPainter(hub / tiny_hub.KLEIN, CPU, torch.float32, "whole"), []
    painter.paint(_request(steps=3), lambda *each: told.append(each))
    assert [step for step, _, _ in told] == [1, 2, 3]
    assert_close(told[-1][2], told[-1][1], rtol=0, atol=1e-5)
    assert float((told[0][2] - told[0][1]).abs().mean()) > 0.1


def test_networks_leave_the_device_when_a_run_ends_by_an_exception(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import Flux2KleinPipeline

    freed = []
    free = Flux2KleinPipeline.maybe_free_model_hooks
    monkeypatch.setattr(Flux2KleinPipeline, "maybe_free_model_hooks", lambda self: (freed.append(self), free(self)))

    def stop(*_: object) -> None:
        raise impasto.Cancelled("enough")

    painter = KleinPainter(hub / tiny_hub.KLEIN, CPU, torch.float32, "offload")
    with pytest.raises(impasto.Cancelled, match="enough"):
        painter.paint(_request(), stop)
    assert len(freed) == 1


def test_cancelled_or_stopped_run_leaves_the_model_as_it_was(paint, pixels) -> None:
    before = pixels()
    token = impasto.CancelToken()
    with pytest.raises(impasto.Cancelled):
        paint(cancel=token, on_progress=lambda _: token.cancel(), prompt="a dog", seed=3)
    assert torch.equal(pixels(), before)
    stop = impasto.CancelToken()
    kept = paint(cancel=stop, on_progress=lambda _: stop.stop(), steps=4)
    assert kept.stopped_early
    assert kept.recipe.scales[0].steps == 1
    assert kept.picture.pixels.shape == before.shape
    assert torch.equal(pixels(), before)


def test_recipe_holds_what_was_told_and_paints_the_same_again(paint, content, style) -> None:
    done = paint(seed=4)
    assert done.recipe.settings["prompt"] == instruction("", 1)
    assert done.recipe.weights.source == "flux2-klein (flux2-klein-base: Apache-2.0)"
    again = impasto.rerun(done.recipe, content, style)
    assert torch.equal(again.picture.pixels, done.picture.pixels)
    assert again.recipe == done.recipe


@pytest.mark.parametrize("name", ["transformer/config.json", "tokenizer/chat_template.jinja", "vae/config.json"])
def test_recipe_knows_another_model_by_every_file_that_counts(paint, own: Path, name: str) -> None:
    before = paint(model=str(own), steps=0).recipe.weights.sha256
    (own / name).write_text((own / name).read_text() + "\n")
    assert paint(model=str(own), steps=0).recipe.weights.sha256 != before


def test_own_words_are_told_in_place_of_the_default_ones(paint) -> None:
    assert "second image" in instruction("", 1)
    assert "other 3 images" in instruction("", 3)
    assert paint(prompt="Paint it in ink.").recipe.settings["prompt"] == "Paint it in ink."
    with pytest.raises(impasto.SettingsError, match=r"^prompt has \d+ tokens, but the model reads 512"):
        paint(prompt="x" * 600)


def test_no_steps_are_the_photo_and_colors_can_be_its_own(paint, pixels, content) -> None:
    photo = torch.from_numpy(content.copy()).permute(2, 0, 1) / 255
    assert torch.equal(paint(steps=0).picture.pixels, photo)
    assert not torch.equal(pixels(color="luminance"), pixels())


REFUSED: list[dict[str, Any]] = [
    {"adapter": "plus"}, {"blocks": "all"}, {"control": "none"}, {"control_model": "x"}, {"control_scale": 0.2},
    {"crop": "squash"}, {"init": "noise"}, {"ip_adapter": "x.safetensors"}, {"ip_adapter_scale": 1.0},
    {"lora_scale": 0.5}, {"negative_prompt": "blurred"}, {"preserve": "strict"}, {"scheduler": "lcm"},
    {"strength": 0.5}, {"style_weights": (1.0,)},
]  # fmt: skip


@pytest.mark.parametrize("settings", REFUSED, ids=lambda each: next(iter(each)))
def test_setting_that_it_has_no_use_for_is_refused(paint, own: Path, settings: dict[str, Any]) -> None:
    name = next(iter(settings))
    with pytest.raises(impasto.SettingsError) as caught:
        paint(**settings)
    assert str(caught.value) == (
        f"{name} cannot be used with model flux2-klein, which takes accept_license, bit_depth, color, color_when, "
        "device, dtype, guidance_scale, image_size, memory, model, palette, prompt, seed, steps; leave it out, or take "
        "model=sdxl"
    )
    with pytest.raises(impasto.SettingsError, match=f"{name} cannot be used with model mine"):
        paint(model=str(own), **settings)


def test_guidance_is_refused_where_the_model_was_distilled_and_used_where_not(paint, pixels, own: Path) -> None:
    with pytest.raises(impasto.SettingsError, match=r"guidance_scale=4 .* distilled .* \(at most 1\); leave it out"):
        paint(guidance_scale=4)
    assert torch.equal(pixels(guidance_scale=1), pixels())
    assert torch.equal(pixels(model=str(own)), pixels())
    index = json.loads((own / "model_index.json").read_text())
    (own / "model_index.json").write_text(json.dumps({**index, "is_distilled": False}))
    assert not torch.equal(pixels(model=str(own), guidance_scale=3), pixels(model=str(own), guidance_scale=1))
    plan = impasto.plan(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8), engine="diffusion",
                        model=str(own))  # fmt: skip
    assert plan.scales[0].steps == 50


def test_regions_and_pictures_that_cannot_be_shown_are_refused(paint, style) -> None:
    with pytest.raises(impasto.SettingsError, match="regions cannot be painted by model flux2-klein"):
        paint(regions=[(np.full((48, 64), 255, np.uint8), style)])
    with pytest.raises(impasto.ImageTooSmallError, match="40x63 px, but model flux2-klein needs 64 px"):
        paint(None, np.zeros((63, 40, 3), np.uint8))
    with pytest.raises(impasto.InputError, match=r"64x513 px, but .* 8 times as long as wide; crop it"):
        paint(None, np.zeros((513, 64, 3), np.uint8))


def test_training_and_pictures_from_words_are_refused(style, own: Path, tmp_path: Path) -> None:
    for model in ("flux2-klein", str(own)):
        with pytest.raises(impasto.SettingsError, match="repaints a content"):
            impasto.generate(style, "a harbour", model=model)
        with pytest.raises(impasto.SettingsError, match=r"(flux2-klein|mine) cannot be trained on here; use sdxl"):
            api.train_dreambooth([style_file(style, tmp_path, n) for n in range(3)], tmp_path / "new", model=model)


def style_file(style: np.ndarray, folder: Path, number: int) -> Path:
    """The style as a file, a little different each time."""
    from PIL import Image

    path = folder / f"style{number}.png"
    Image.fromarray(np.roll(style, number)).save(path)
    return path


def test_missing_file_says_name_size_and_place(paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    with pytest.raises(impasto.WeightsError) as caught:
        paint()
    for word in ("flux2-klein-base", "14.9 GiB", "Apache-2.0", str(tmp_path / tiny_hub.KLEIN), "impasto models"):
        assert word in str(caught.value)


def test_registry_knows_it_whole(hub: Path) -> None:
    assert [part.id for part in registry.parts_of("flux2-klein")] == ["flux2-klein-base"]
    assert api.model_paths("flux2-klein") == {"flux2-klein-base": hub / tiny_hub.KLEIN}
    states = api.verify_models(["flux2-klein"])
    assert {state.name for state in states} == set(registry.PARTS["flux2-klein-base"].files)
    assert api.download_models(["flux2-klein"]) == (hub / tiny_hub.KLEIN,)
    entry = next(entry for entry in api.list_models() if entry.id == "flux2-klein-base")
    assert (entry.licence, entry.commercial, entry.models) == ("Apache-2.0", True, ("flux2-klein",))


def test_folder_that_is_none_is_refused_before_anything_is_loaded(paint, own: Path) -> None:
    assert check_base(own) == "flux2-klein"
    shard = own / "text_encoder" / "model-00002-of-00002.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-9])
    with pytest.raises(impasto.WeightsError, match=r"model-00002.*no whole safetensors file"):
        paint(model=str(own))
    shard.unlink()
    with pytest.raises(impasto.WeightsError, match="cannot be loaded"):
        paint(model=str(own))
    shard.write_bytes(whole)
    weights = own / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(impasto.WeightsError, match="is a pickle"):
        paint(model=str(own))
    weights.with_suffix(".bin").rename(weights)
    config = own / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 20}))
    with pytest.raises(impasto.WeightsError, match=r"the transformer of .* is not that of a Flux2KleinPipeline"):
        paint(model=str(own))
    index = json.loads((own / "model_index.json").read_text())
    (own / "model_index.json").write_text(json.dumps({**index, "vae": ["mine.py", "Vae"]}))
    with pytest.raises(impasto.WeightsError, match="asks for code of its own"):
        paint(model=str(own))


@pytest.mark.parametrize("rung", ["offload", "fp8", "groups"])
def test_ways_to_spare_memory_paint_the_same(hub: Path, rung: Rung) -> None:
    """On the CPU too; fp8 rounds the weights."""
    pictures = []
    for kept in ("whole", rung):
        painter, told = KleinPainter(hub / tiny_hub.KLEIN, CPU, torch.float32, kept), []
        for _ in range(2):
            told.clear()
            painter.paint(_request(), lambda _, latents, __, told=told: told.append(latents))
        pictures.append(painter.decode(told[-1], 64, 64))
    assert float((pictures[0] - pictures[1]).abs().mean()) < (0.1 if rung == "fp8" else 1e-6)


def test_large_pictures_are_decoded_in_tiles_that_leave_no_seams(hub: Path) -> None:
    latents = torch.randn(1, 4 * 160, 16, generator=torch.Generator().manual_seed(0))
    at_once, in_tiles = (
        KleinPainter(hub / tiny_hub.KLEIN, CPU, torch.float32, rung).decode(latents, 64, 2560)
        for rung in ("whole", "offload")
    )
    assert in_tiles.shape == at_once.shape == (1, 3, 64, 2560)
    assert not torch.equal(in_tiles, at_once)
    assert float((in_tiles - at_once).abs().mean()) < 0.02


def test_memory_that_runs_out_steps_down_once_with_the_same_seed(paint, pixels) -> None:
    expected, failures = pixels(), [torch.OutOfMemoryError("CUDA out of memory")]

    def fail_once(_: object) -> None:
        if failures:
            raise failures.pop()

    assert torch.equal(paint(on_progress=fail_once).picture.pixels, expected)
    assert not failures


def test_estimates_know_its_size_and_what_it_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Published numbers of parameters, and what one and four styles of a megapixel add."""
    from types import SimpleNamespace

    (tmp_path / "transformer").mkdir()
    (tmp_path / "text_encoder").mkdir()
    published = {"transformer": 3_875_544_576, "text_encoder": 4_022_468_096, "vae": 84_000_000}
    monkeypatch.setattr(cost, "parameters", lambda folder: published[folder.name])
    sources: Any = SimpleNamespace(base=tmp_path, control=None, adapter=None, style=None, family="flux2-klein")
    square = SimpleNamespace(width=1024, height=1024)
    one, four = (
        cost.Sizes(sources, 0, shown_pixels(1024, 1024, [square] * count))  # type: ignore[list-item]
        for count in (1, 4)
    )
    assert [one.memory_mb(rung, 1024**2, 2) for rung in cost.RUNGS] == [21224, 11672, 11672, 5232, 3685]
    assert four.memory_mb("offload", 1024**2, 2) - one.memory_mb("offload", 1024**2, 2) == 3000
    monkeypatch.setattr(cost, "_speed", lambda *_: 1e12)
    ahead = [
        cost.seconds(
            sources, sizes, steps=4, places=(1024**2 + sizes.shown) // 64, guided=False, device=CPU,
            dtype=torch.bfloat16,
        )
        for sizes in (one, four)
    ]  # fmt: skip
    assert 1000 < ahead[0] < ahead[1] < 3000
    assert cost.choose_rung("auto", one, 1024**2, torch.device("cuda"), 2, 16_000) == "offload"


def test_gpu_without_bfloat16_computes_in_it_all_the_same() -> None:
    """Its text encoder leaves float16's range."""
    slow = Precision(torch.device("cuda"), torch.float32, "slow")
    assert gpu_precision(slow, "auto", "flux2-klein").dtype == torch.bfloat16
    assert gpu_precision(slow, "auto", "sdxl").dtype == torch.float16
    assert gpu_precision(slow, "float32", "flux2-klein").dtype == torch.float32
