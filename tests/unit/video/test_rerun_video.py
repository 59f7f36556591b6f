"""A video again, from the recipe inside it: in every kind of file, with regions and styles that follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto import api
from impasto.errors import InputError
from impasto.hashes import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def styles(tmp_path: Path) -> list[Path]:
    """A dark blue one and a light red one."""
    paths = []
    for name, color in (("blue", (20, 30, 120)), ("red", (240, 120, 90))):
        noise = np.random.default_rng(1).integers(-20, 20, (64, 64, 3))
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray((np.array(color) + noise).clip(0, 255).astype(np.uint8)).save(paths[-1])
    return paths


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out.webp", "frames"])
def test_every_kind_of_video_holds_its_recipe_and_can_be_made_again(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path, name: str
) -> None:
    source = clip(times=range(0, 200, 40))
    done = impasto.stylize_video(source, styles[0], tmp_path / name, smooth=0.3)
    recipe = impasto.read_recipe(done.output)
    assert recipe == done.recipe
    assert api.of_video(recipe)
    again = api.rerun_video(recipe, source, [styles[0]], tmp_path / f"again-{name}")
    assert again.recipe == recipe
    assert api.largest_difference(done.output, again.output) == 0


def test_video_of_regions_and_keyframes_is_made_again_by_the_files_that_its_recipe_names(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path
) -> None:
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    Image.fromarray(left).save(tmp_path / "mask.png")
    source, options = clip(), {"regions": [(tmp_path / "mask.png", styles[0])], "codec": "ffv1"}
    done = impasto.stylize_video(source, styles[0], tmp_path / "out.mkv", keyframes=[(0.2, styles[1])], **options)
    recipe = impasto.read_recipe(done.output)
    assert recipe.times == (0.0, 0.2)
    assert recipe.regions[0].mask.sha256 == file_sha256(tmp_path / "mask.png")
    again = api.rerun_video(
        recipe, source, styles, tmp_path / "again.mkv", regions=[(tmp_path / "mask.png", styles[0])]
    )
    assert again.recipe == recipe
    assert api.largest_difference(done.output, again.output) == 0


def test_difference_of_two_videos_is_found(clip: Callable[..., Path], styles: list[Path], tmp_path: Path) -> None:
    source = clip()
    ways = {"one": {"smooth": 0.3}, "other": {"smooth": 0.3, "strength": 0.5}, "shorter": {"end": 0.2}}
    made = {
        name: impasto.stylize_video(source, styles[0], tmp_path / f"{name}.mkv", codec="ffv1", **settings).output
        for name, settings in ways.items()
    }
    apart = api.largest_difference(made["one"], made["other"])
    assert apart is not None
    assert apart > 5
    assert api.largest_difference(made["one"], made["shorter"]) is None


def test_another_video_and_another_style_are_refused(
    clip: Callable[..., Path], styles: list[Path], tmp_path: Path
) -> None:
    source = clip()
    recipe = impasto.stylize_video(source, styles[0], tmp_path / "out.mkv").recipe
    other = clip("other.mp4", title="another")
    with pytest.raises(InputError, match=r"other.mp4 is not the clip.mp4 that the recipe names"):
        api.rerun_video(recipe, other, [styles[0]], tmp_path / "again.mkv")
    with pytest.raises(InputError, match=r"red.png is not the blue.png that the recipe names"):
        api.rerun_video(recipe, source, [styles[1]], tmp_path / "again.mkv")
    with pytest.raises(InputError, match="the recipe names 1 styles and 0 regions"):
        api.rerun_video(recipe, source, styles, tmp_path / "again.mkv")
    assert not (tmp_path / "again.mkv").exists()
