"""The calls behind every door: pictures of any kind go in, and a rerun takes only what the recipe names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import impasto
from impasto import api
from impasto.engines.registry import engine_names
from impasto.recipe import Scale

QUICK = {"image_size": 48, "steps": 1}


@pytest.fixture(scope="module")
def made(content, style) -> impasto.Stylization:
    """A small run of one style."""
    return impasto.stylize(content, style, **QUICK)


def test_stylize_of_an_unknown_engine_lists_the_known_ones(content, style) -> None:
    with pytest.raises(impasto.SettingsError, match=f"'diffuse'.*{engine_names()[0]}"):
        impasto.stylize(content, style, engine="diffuse")


@pytest.mark.parametrize("kind", ["path", "text", "pillow", "array", "float array", "tensor", "picture"])
def test_stylize_starts_from_a_picture_of_any_kind(content, style, tmp_path, kind: str) -> None:
    start = style[:48, :64]
    Image.fromarray(start).save(tmp_path / "start.png")
    given = {
        "path": tmp_path / "start.png",
        "text": str(tmp_path / "start.png"),
        "pillow": Image.fromarray(start),
        "array": start.copy(),
        "float array": start.astype(np.float32) / 255,
        "tensor": torch.from_numpy(start.copy()).permute(2, 0, 1) / 255,
        "picture": api.read(start),
    }[kind]
    result = impasto.stylize(content, style, init=given, image_size=64, steps=0)
    assert torch.equal((result.picture.pixels * 255).round(), torch.from_numpy(start.copy()).permute(2, 0, 1).float())
    assert result.recipe.init is not None
    assert (result.recipe.init.width, result.recipe.init.height) == (64, 48)


def test_stylize_takes_regions_of_any_kind(content, style, tmp_path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 30:] = 255
    for name, picture in (("mask", mask), ("style", style), ("half", np.full((56, 72), 128, np.uint8))):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    half = np.full((56, 72), 128, np.uint8)
    kinds = [
        (mask, style, half),
        (str(tmp_path / "mask.png"), tmp_path / "style.png", tmp_path / "half.png"),
        (Image.fromarray(mask), Image.fromarray(style), Image.fromarray(half)),
        impasto.Region(api.read(mask), api.read(style), api.read(half)),
    ]
    pictures = [impasto.stylize(content, regions=[region], **QUICK).picture.pixels for region in kinds]
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    without = [
        impasto.stylize(content, regions=[r], **QUICK).picture.pixels for r in ((mask, style), (mask, style, None))
    ]
    assert torch.equal(*without)


def test_plan_takes_what_stylize_takes(made: impasto.Stylization, content, style, tmp_path) -> None:
    Image.fromarray(content).save(tmp_path / "content.png")
    for one, other in ((content, style), (str(tmp_path / "content.png"), [style]), (Image.fromarray(content), style)):
        plan = impasto.plan(one, other, **QUICK)
        assert plan.scales == made.recipe.scales
    assert impasto.plan(content, style, init=style, **QUICK).scales == made.recipe.scales
    with pytest.raises(impasto.SettingsError, match="'diffuse'"):
        impasto.plan(content, style, engine="diffuse")


def test_rerun_with_regions_that_the_recipe_lacks_is_refused(made: impasto.Stylization, content, style) -> None:
    with pytest.raises(impasto.InputError, match="0 regions"):
        impasto.rerun(made.recipe, content, style, regions=[(content, style)])


def test_rerun_with_another_picture_is_refused(made: impasto.Stylization, content, style) -> None:
    with pytest.raises(impasto.InputError, match="SHA-256"):
        impasto.rerun(made.recipe, 255 - content, style)
    with pytest.raises(impasto.InputError, match="SHA-256"):
        impasto.rerun(made.recipe, content, 255 - style)
    with pytest.raises(impasto.InputError, match="SHA-256"):
        impasto.rerun(made.recipe, style, content)


def test_rerun_with_too_many_or_too_few_styles_is_refused(made: impasto.Stylization, content, style) -> None:
    for styles in ([style, style], []):
        with pytest.raises(impasto.InputError, match="1 style"):
            impasto.rerun(made.recipe, content, styles)


def test_rerun_with_an_init_that_the_recipe_lacks_is_refused(made: impasto.Stylization, content, style) -> None:
    with pytest.raises(impasto.InputError, match="init"):
        impasto.rerun(made.recipe, content, style, init=content)


def test_rerun_without_the_init_that_the_recipe_names_is_refused(content, style) -> None:
    recipe = impasto.stylize(content, style, init=Image.fromarray(style), image_size=48, steps=0).recipe
    with pytest.raises(impasto.InputError, match="init"):
        impasto.rerun(recipe, content, style)
    with pytest.raises(impasto.InputError, match="SHA-256"):
        impasto.rerun(recipe, content, style, init=content)


def test_rerun_with_weights_that_the_recipe_lacks_is_refused(made: impasto.Stylization, content, style) -> None:
    with pytest.raises(impasto.InputError, match="vgg_weights"):
        impasto.rerun(made.recipe, content, style, vgg_weights="caffe.pth")


def test_rerun_with_other_weights_than_the_recipes_is_refused(content, style, weights, tmp_path) -> None:
    """A file of the same name that holds another network."""
    indices = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    names = [name.removesuffix(".weight") for name in weights.tensors if name.endswith(".weight")]
    table = {
        f"features.{index}.{part}": weights.tensors[f"{name}.{part}"].clone()
        for index, name in zip(indices, sorted(names), strict=True)
        for part in ("weight", "bias")
    }
    path = tmp_path / "caffe.safetensors"
    save_file(table, path)
    recipe = impasto.stylize(content, style, vgg_weights=str(path), **QUICK).recipe
    assert recipe.settings["vgg_weights"] == "caffe.safetensors"
    assert recipe.weights.source == "caffe"
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "caffe.safetensors"
    save_file({**table, "features.0.weight": table["features.0.weight"].flip(1).contiguous()}, other)
    try:
        with pytest.raises(impasto.ImpastoError, match=r"(?i)weights"):
            impasto.rerun(recipe, content, style, vgg_weights=str(other))
    finally:
        path.unlink()
        other.unlink()


@pytest.mark.parametrize(
    "scales",
    [
        (),
        (Scale.model_construct(width=0, height=0, steps=1),),
        (Scale.model_construct(width=-48, height=-36, steps=1),),
        (Scale.model_construct(width=4, height=3, steps=1), Scale(width=48, height=36, steps=0)),
        (Scale.model_construct(width=10_000_000, height=10_000_000, steps=1), Scale(width=48, height=36, steps=0)),
    ],
    ids=["none", "zero", "negative", "below-the-network", "petabytes"],
)
def test_rerun_of_a_recipe_with_impossible_scales_is_refused(
    made: impasto.Stylization, content, style, scales: tuple[Scale, ...]
) -> None:
    """A recipe comes inside a picture, from anyone."""
    recipe = made.recipe.model_copy(update={"scales": scales})
    with pytest.raises(impasto.ImpastoError):
        impasto.rerun(recipe, content, style)


@pytest.mark.parametrize("change", [{"steps": -1}, {"surprise": 1}, {"cls": 1}, {"image_size": "large"}], ids=str)
def test_rerun_of_a_recipe_with_impossible_settings_is_refused(
    made: impasto.Stylization, content, style, change: dict[str, object]
) -> None:
    recipe = made.recipe.model_copy(update={"settings": made.recipe.settings | change})
    with pytest.raises(impasto.SettingsError, match=next(iter(change))):
        impasto.rerun(recipe, content, style)


def test_rerun_of_an_engine_that_is_not_installed_is_refused(made: impasto.Stylization, content, style) -> None:
    with pytest.raises(impasto.SettingsError, match="'diffuse'"):
        impasto.rerun(made.recipe.model_copy(update={"engine": "diffuse"}), content, style)


def test_read_recipe_finds_what_save_wrote(made: impasto.Stylization, tmp_path) -> None:
    assert impasto.read_recipe(made.save(tmp_path / "out.png")) == made.recipe


def test_read_recipe_of_a_picture_without_one_is_refused(made: impasto.Stylization, tmp_path) -> None:
    path = made.save(tmp_path / "out.png", metadata="none")
    with pytest.raises(impasto.InputError, match="holds no recipe"):
        impasto.read_recipe(path)


def test_read_recipe_of_no_picture_is_refused(tmp_path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for path in (tmp_path / "text.png", tmp_path / "missing.png"):
        with pytest.raises(impasto.UnreadableImageError):
            impasto.read_recipe(path)
