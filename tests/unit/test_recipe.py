"""The recipe as text: whole, and nothing but a recipe."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from impasto.errors import InputError
from impasto.recipe import Environment, Recipe, RegionSource, Scale, Source, Weights


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        engine="optimize",
        content=Source(name="bücher ☃.png", sha256="a" * 64, width=64, height=48),
        styles=(Source(name='quote".jpg', sha256="b" * 64, width=10, height=20),),
        settings={"steps": 3, "layers": {"relu1_1": 0.1}, "scales": [32, 64], "time_budget": None},
        scales=(Scale(width=32, height=24, steps=3), Scale(width=64, height=48, steps=0)),
        weights=Weights(source="caffe-8bit", sha256="c" * 64),
        environment=Environment(
            impasto="0.1.0", torch="2.6", python="3.11", device="cpu", dtype="float32", cpu="AVX2", threads=2
        ),
        loss=1 / 3,
        terms={"tv": 1e-12, "style relu1_1": 1 / 3},
    )


def test_recipe_survives_json(recipe: Recipe) -> None:
    text = recipe.to_json()
    assert "\n" not in text
    assert Recipe.from_json(text) == recipe
    assert json.loads(text)["recipe"] == 1


def test_recipe_with_regions_and_an_init_survives_json(recipe: Recipe) -> None:
    one, other = recipe.content, recipe.styles[0]
    regions = (RegionSource(mask=one, style=other), RegionSource(mask=one, style=other, style_mask=one))
    full = recipe.model_copy(update={"regions": regions, "init": other, "styles": ()})
    assert Recipe.from_json(full.to_json()) == full


def test_recipe_made_before_there_were_regions_is_read(recipe: Recipe) -> None:
    old = {name: value for name, value in json.loads(recipe.to_json()).items() if name not in ("regions", "init")}
    assert Recipe.from_json(json.dumps(old)) == recipe


def test_recipe_cannot_be_changed(recipe: Recipe) -> None:
    with pytest.raises(ValidationError):
        recipe.loss = 0.0


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "text", "\0", '{"recipe": 1}', "[" * 100_000, "\ud800", '{"recipe": NaN}'],
    ids=lambda text: repr(text[:12]),
)
def test_recipe_from_garbage_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"recipe": 2}, "recipe"),
        ({"engine": None}, "engine"),
        ({"surprise": 1}, "surprise"),
        ({"content": {"name": "a"}}, "content"),
        ({"scales": [{"width": 32, "height": 32, "steps": -1}]}, r"scales\.0\.steps"),
        ({"loss": "low"}, "loss"),
        ({"regions": [{"mask": None}]}, r"regions\.0\.mask"),
        ({"styles": "none"}, "styles"),
    ],
)
def test_recipe_that_was_changed_is_refused_with_the_place(
    recipe: Recipe, change: dict[str, object], where: str
) -> None:
    text = json.dumps(json.loads(recipe.to_json()) | change)
    with pytest.raises(InputError, match=where):
        Recipe.from_json(text)
