"""Strength after the fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from impasto import api
from impasto.errors import InputError, SettingsError
from impasto.images import read, resize

if TYPE_CHECKING:
    from pathlib import Path

QUICK = {"image_size": 48, "scales": [48], "steps": 2, "layers": ["relu1_1"], "style_loss": "w2"}


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory, content, style) -> Path:
    folder = tmp_path_factory.mktemp("blend")
    for name, array in (("content", content), ("style", style)):
        Image.fromarray(array).save(folder / f"{name}.png")
    api.stylize(folder / "content.png", folder / "style.png", **QUICK).save(folder / "painted.png")
    return folder


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_blend_lies_between_content_and_painted(painted: Path, share: float) -> None:
    mixed = api.blend(painted / "content.png", painted / "painted.png", share=share)
    full = read(painted / "painted.png").pixels
    below = resize(read(painted / "content.png").pixels, *full.shape[-2:])
    assert (mixed.picture.pixels - (below + share * (full - below))).abs().max() <= 0.501 / 255
    assert mixed.recipe.blend == share


def test_recipe_of_a_blend_makes_it_again(painted: Path) -> None:
    api.blend(painted / "content.png", painted / "painted.png", share=0.3).save(painted / "mixed.png")
    recipe = api.read_recipe(painted / "mixed.png")
    api.rerun(recipe, painted / "content.png", painted / "style.png").save(painted / "again.png")
    assert (painted / "again.png").read_bytes() == (painted / "mixed.png").read_bytes()
    with pytest.raises(InputError, match="a blend already"):
        api.blend(painted / "content.png", painted / "mixed.png", share=0.5)


def test_picture_that_was_not_blended_says_nothing_of_it(painted: Path) -> None:
    assert "blend" not in api.read_recipe(painted / "painted.png").to_json()


def test_what_cannot_be_blended_is_refused(painted: Path) -> None:
    with pytest.raises(SettingsError, match=r"share is 1\.5"):
        api.blend(painted / "content.png", painted / "painted.png", share=1.5)
    with pytest.raises(InputError, match="holds no recipe"):
        api.blend(painted / "content.png", painted / "style.png", share=0.5)
    with pytest.raises(InputError, match=r"was painted from content\.png"):
        api.blend(painted / "style.png", painted / "painted.png", share=0.5)
