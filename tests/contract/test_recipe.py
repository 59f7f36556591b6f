"""Every engine's recipe makes the picture again, and tells nothing that is nobody's business."""

from __future__ import annotations

import getpass
import platform

import pytest
import torch
from PIL import Image

import impasto
from impasto.recipe import Recipe


def test_recipe_names_what_went_in(quick, content, style, tmp_path) -> None:
    Image.fromarray(content).save(tmp_path / "content.png")
    recipe = quick(tmp_path / "content.png", [style, 255 - style], style_weights=(1, 3)).recipe
    assert (recipe.content.name, recipe.content.width, recipe.content.height) == ("content.png", 64, 48)
    assert [(style.width, style.height) for style in recipe.styles] == [(72, 56)] * 2
    hashes = {recipe.content.sha256, *(style.sha256 for style in recipe.styles)}
    assert len(hashes) == 3
    assert all(len(each) == 64 for each in hashes)
    assert (recipe.scales[-1].width, recipe.scales[-1].height) == (64, 48)
    assert recipe.environment.torch == torch.__version__
    assert len(recipe.weights.sha256) == 64


def test_recipe_holds_the_loss_by_term_at_every_step_of_a_short_run(quick, content, style) -> None:
    result = quick(content, style)
    told = [(scale.scale_px, step) for scale in result.recipe.trace for step in scale.steps]
    assert told == [(point.scale_px, point.step) for point in result.trace]
    figures = [
        {name: values[index] for name, values in scale.terms.items()}
        for scale in result.recipe.trace
        for index in range(len(scale.steps))
    ]
    assert figures == [pytest.approx(dict(point.terms), rel=1e-3) for point in result.trace]


def test_recipe_survives_json(quick, content, style) -> None:
    recipe = quick(content, style, init="noise", seed=2**63 - 1, content_weight=1 / 3).recipe
    text = recipe.to_json()
    assert "\n" not in text
    assert Recipe.from_json(text) == recipe
    assert Recipe.from_json(text).to_json() == text


def test_recipe_holds_no_folders_users_or_dates(quick, needs, content, style, tmp_path) -> None:
    needs("init")
    folder = tmp_path / "private-folder"
    folder.mkdir()
    paths = [folder / name for name in ("content.png", "style.png", "init.png")]
    for path, picture in zip(paths, (content, style, style), strict=True):
        Image.fromarray(picture).save(path)
    text = quick(str(paths[0]), paths[1], init=str(paths[2])).recipe.to_json()
    assert "init.png" in text
    for secret in ("private-folder", str(tmp_path), "/", "\\", platform.node(), f'"{getpass.getuser()}"'):
        assert secret not in text


def test_recipe_of_the_same_call_is_the_same_wherever_the_files_lie(quick, content, style, tmp_path) -> None:
    recipes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.fromarray(content).save(tmp_path / name / "content.png")
        recipes.append(quick(tmp_path / name / "content.png", style).recipe.to_json())
    assert recipes[0] == recipes[1]


def _again(result: impasto.Stylization, *pictures, **named) -> impasto.Stylization:
    """From what a file would hold."""
    return impasto.rerun(Recipe.from_json(result.recipe.to_json()), *pictures, **named)


@pytest.mark.parametrize(
    "settings",
    [{}, {"init": "noise", "seed": 9}, {"init": "style"}, {"image_size": 53, "scales": None}, {"steps": 0}],
    ids=str,
)
def test_rerun_gives_the_same_pixels_and_recipe(quick, content, style, settings) -> None:
    first = quick(content, style, **settings)
    again = _again(first, content, style)
    assert torch.equal(again.picture.pixels, first.picture.pixels)
    assert again.recipe == first.recipe


def test_rerun_with_several_styles_and_an_init_gives_the_same_pixels(quick, needs, content, style) -> None:
    needs("init")
    start = content[::-1].copy()
    first = quick(content, [style, 255 - style], style_weights=(1, 2), init=start)
    assert first.recipe.init is not None
    again = _again(first, content, [style, 255 - style], init=start)
    assert torch.equal(again.picture.pixels, first.picture.pixels)
    assert again.recipe == first.recipe


@pytest.mark.parametrize("at", [1, 3])
def test_rerun_of_a_stopped_run_gives_the_same_pixels(quick, content, style, at: int) -> None:
    token = impasto.CancelToken()
    seen: list[impasto.Progress] = []

    def stop(progress: impasto.Progress) -> None:
        seen.append(progress)
        if len(seen) == at:
            token.stop()

    first = quick(content, style, steps=4, cancel=token, on_progress=stop)
    assert first.stopped_early
    again = _again(first, content, style)
    assert torch.equal(again.picture.pixels, first.picture.pixels)
    assert again.recipe == first.recipe


def test_rerun_of_a_chained_run_gives_the_same_pixels(quick, content, style) -> None:
    """The content was itself a result that never was a file."""
    painted = quick(content, style).picture
    first = quick(painted, style)
    assert torch.equal(_again(first, painted, style).picture.pixels, first.picture.pixels)


def test_rerun_from_the_saved_file_gives_the_same_file(quick, content, style, tmp_path) -> None:
    first = quick(content, style).save(tmp_path / "first.png")
    again = impasto.rerun(impasto.read_recipe(first), content, style).save(tmp_path / "again.png")
    assert again.read_bytes() == first.read_bytes()


def test_rerun_reports_and_can_be_cancelled(quick, content, style) -> None:
    recipe = quick(content, style).recipe
    seen: list[impasto.Progress] = []
    impasto.rerun(recipe, content, style, on_progress=seen.append)
    assert seen[-1].fraction == 1
    token = impasto.CancelToken()
    token.cancel()
    with pytest.raises(impasto.Cancelled):
        impasto.rerun(recipe, content, style, cancel=token)
