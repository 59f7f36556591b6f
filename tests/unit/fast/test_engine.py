"""Engine fast from pictures to pictures, with a small network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.unit.fast.conftest import networks
from torch.testing import assert_close

import impasto
from impasto.engines.fast.model import save_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paint(model_file: Path):
    def call(*pictures: object, **settings: object) -> impasto.Stylization:
        return impasto.stylize(*pictures, engine="fast", **{"model": str(model_file), "dtype": "float32", **settings})

    return call


def test_output_has_the_contents_own_size(paint, content, style) -> None:
    result = paint(content, style)
    assert (result.picture.width, result.picture.height) == (64, 48)
    assert [(s.width, s.height, s.steps) for s in result.recipe.scales] == [(64, 48, 1)]


def test_strength_goes_from_the_photo_to_the_full_style(paint, content, style) -> None:
    pictures = [paint(content, style, strength=strength).picture.pixels for strength in (0, 0.1, 0.5, 1)]
    assert_close(pictures[0], torch.from_numpy(content.copy()).permute(2, 0, 1) / 255)
    left = [float((each - pictures[-1]).abs().mean()) for each in pictures]
    assert all(later < earlier for earlier, later in zip(left, left[1:], strict=False))


def test_mixed_styles_lie_between_them(paint, content, style) -> None:
    other = 255 - style
    ends = [paint(content, each).picture.pixels for each in (style, other)]
    mixed = paint(content, [style, other], style_weights=(1, 3)).picture.pixels
    assert float((mixed - ends[1]).abs().mean()) < float((mixed - ends[0]).abs().mean())
    assert torch.equal(paint(content, [style, other], style_weights=(1, 0)).picture.pixels, ends[0])


def test_region_without_a_style_around_it_leaves_the_photo(paint, content, style) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 32:] = 255
    found = paint(content, [], regions=[(mask, style)]).picture.pixels
    photo = torch.from_numpy(content.copy()).permute(2, 0, 1) / 255
    assert_close(found[..., :30], photo[..., :30])
    assert float((found[..., 34:] - photo[..., 34:]).abs().mean()) > 0.02


def test_regions_with_styles_of_their_own(paint, content, style) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, :32] = 255
    both = paint(content, style, regions=[(mask, 255 - style)]).picture.pixels
    plain, other = paint(content, style).picture.pixels, paint(content, 255 - style).picture.pixels
    right = [float((both - each)[..., 44:].abs().mean()) for each in (plain, other)]
    left = [float((both - each)[..., :20].abs().mean()) for each in (plain, other)]
    assert right[0] < right[1]
    assert left[1] < left[0]


@pytest.mark.parametrize("color", ["luminance", "linear", "histogram"])
def test_colours_of_the_content_are_kept_where_asked_for(paint, content, style, color: str) -> None:
    photo = torch.from_numpy(content.copy()).permute(2, 0, 1) / 255
    kept = paint(content, 255 - style, color=color).picture.pixels
    plain = paint(content, 255 - style).picture.pixels
    assert float((kept - photo).mean((1, 2)).norm()) < float((plain - photo).mean((1, 2)).norm())


def test_tiles_give_nearly_the_whole_picture(paint, content, style) -> None:
    whole = paint(content, style, memory="whole").picture.pixels
    tiles = paint(content, style, memory="tiles", tile_size=32)
    assert tiles.recipe.scales[0].steps == 4
    assert_close(tiles.picture.pixels, whole, atol=1.5 / 255, rtol=0)


def test_sixteen_bits_are_finer(paint, content, style) -> None:
    coarse, fine = (paint(content, style, bit_depth=depth).picture.pixels for depth in (8, 16))
    assert float((coarse - fine).abs().max()) <= 0.5 / 255 + 1e-5
    assert not torch.equal(coarse, fine)


def test_model_of_one_style_paints_it_whatever_picture_is_given(paint, content, style, tmp_path: Path) -> None:
    net, encoder = networks()
    code = encoder(torch.from_numpy(style.copy()).permute(2, 0, 1)[None] / 255)
    save_model(tmp_path / "one.safetensors", net, code, {})
    one = {"model": str(tmp_path / "one.safetensors")}
    first = paint(content, style, **one)
    assert torch.equal(first.picture.pixels, paint(content, 255 - style, **one).picture.pixels)
    assert first.recipe.settings["model"] == "one.safetensors"
    half = paint(content, style, strength=0.5, **one).picture.pixels
    photo = torch.from_numpy(content.copy()).permute(2, 0, 1) / 255
    assert_close(half, (photo + first.picture.pixels) / 2, atol=1.1 / 255, rtol=0)


def test_rerun_with_another_model_is_refused(paint, content, style, tmp_path: Path) -> None:
    recipe = paint(content, style).recipe
    with pytest.raises(impasto.InputError, match="model"):
        impasto.rerun(recipe, content, style)
    other = tmp_path / "small2.safetensors"
    save_model(other, *networks(seed=1), {})
    with pytest.raises(impasto.InputError, match="SHA-256"):
        impasto.rerun(recipe, content, style, model=str(other))


def test_picture_that_does_not_fit_is_refused_before_it_is_painted(paint, content, style, monkeypatch) -> None:
    monkeypatch.setattr("impasto.engines.fast.engine.free_memory_mb", lambda _: 200)
    with pytest.raises(impasto.OutOfMemoryError, match="memory=tiles"):
        paint(content, style, image_size=16384, memory="whole")


def test_tiles_are_taken_where_the_whole_would_not_fit(content, style, monkeypatch) -> None:
    monkeypatch.setattr("impasto.engines.fast.engine.free_memory_mb", lambda _: 1500)
    planned = [impasto.plan(content, style, engine="fast", image_size=size) for size in (512, 4096)]
    assert [plan.memory for plan in planned] == ["whole", "tiles"]


def test_start_by_the_fast_engine_is_part_of_the_recipe(content, style) -> None:
    settings = {"image_size": 48, "scales": (48,), "steps": 1, "layers": "relu1_1", "init": "fast"}
    first = impasto.stylize(content, style, **settings)
    assert first.recipe.init is None
    assert first.recipe.start is not None
    again = impasto.rerun(impasto.Recipe.from_json(first.recipe.to_json()), content, style)
    assert torch.equal(again.picture.pixels, first.picture.pixels)
    assert again.recipe == first.recipe
    assert not torch.equal(
        first.picture.pixels, impasto.stylize(content, style, **{**settings, "init": "content"}).picture.pixels
    )


def test_start_that_another_network_painted_is_refused(content, style) -> None:
    settings = {"image_size": 48, "scales": (48,), "steps": 1, "layers": "relu1_1", "init": "fast"}
    recipe = impasto.stylize(content, style, **settings).recipe
    changed = recipe.model_copy(update={"start": recipe.start.model_copy(update={"sha256": "0" * 64})})
    with pytest.raises(impasto.InputError, match="first picture"):
        impasto.rerun(changed, content, style)


@pytest.mark.parametrize(("quality", "engine"), [("draft", "fast"), ("standard", "optimize"), ("fine", "optimize")])
def test_quality_chooses_the_engine(quality: str, engine: str, content, style) -> None:
    small = {} if engine == "fast" else {"scales": (48,), "steps": 1, "layers": "relu1_1"}
    recipe = impasto.stylize(content, style, quality=quality, image_size=48, **small).recipe
    assert recipe.engine == engine
    assert (recipe.start is not None) == (quality == "standard")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"quality": "best"}, "no quality named 'best'"),
        ({"quality": "draft", "engine": "optimize"}, "painted by engine fast"),
        ({"quality": "draft", "steps": 3}, "no setting named 'steps'; engine fast has"),
        ({"engine": "fast", "init": "noise"}, "no setting named 'init'"),
    ],
)
def test_what_does_not_go_together_is_refused(asked, says: str, content, style) -> None:
    with pytest.raises(impasto.SettingsError, match=says):
        impasto.stylize(content, style, **asked)


def test_onnx_runtime_paints_what_torch_paints(content, style) -> None:
    painted = {
        runtime: impasto.stylize(content, style, engine="fast", runtime=runtime, **settings)
        for runtime, settings in (("torch", {"dtype": "float32"}), ("onnx", {}))
    }
    assert_close(painted["onnx"].picture.pixels, painted["torch"].picture.pixels, atol=1.1 / 255, rtol=0)
    for runtime, result in painted.items():
        assert result.recipe.settings["runtime"] == runtime
        assert result.recipe.environment.dtype == "float32"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"memory": "tiles"}, "memory=tiles"),
        ({"dtype": "bfloat16"}, "dtype=bfloat16"),
        ({"model": "mine.safetensors"}, "a model of one's own"),
        ({"regions": [(np.eye(48, 64, dtype=np.uint8) * 255, np.full((32, 32, 3), 99, np.uint8))]}, "regions"),
    ],
)
def test_what_onnx_runtime_cannot_do_is_refused(asked, says: str, content, style) -> None:
    with pytest.raises(impasto.SettingsError, match=f"runtime=onnx cannot be combined with {says}"):
        impasto.stylize(content, style, engine="fast", runtime="onnx", **asked)


def test_shipped_graphs_are_those_of_the_shipped_weights() -> None:
    """They are a few kB beside the weights, and made from them."""
    from importlib.resources import files

    from impasto.engines.fast.onnx import onnx_graphs

    data = files("impasto.engines.fast").joinpath("data")
    graphs = onnx_graphs(location="any-style.safetensors")
    assert data.joinpath("any-style.transfer.onnx").read_bytes() == graphs.transfer
    assert data.joinpath("any-style.encoder.onnx").read_bytes() == graphs.encoder
    assert sum(file.stat().st_size for file in data.iterdir()) < 3_000_000
