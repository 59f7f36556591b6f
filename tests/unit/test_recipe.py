"""The recipe as text: whole, and nothing but a recipe."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError

from impasto.errors import InputError
from impasto.images import Picture, encode
from impasto.recipe import Environment, Recipe, RegionSource, Scale, ScaleTrace, Source, Weights, condense


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
        trace=(ScaleTrace(scale_px=32, steps=(1, 2, 3), terms={"tv": (0.5, 1e-12, 0.0)}),),
    )


#: Names as long as the engine's longest, twelve of them.
LONG_TERMS = [f"content self_similarity relu{block}_{conv}" for block in (2, 3, 4, 5) for conv in (1, 2, 3)]


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


def test_recipe_made_before_there_was_a_trace_is_read(recipe: Recipe) -> None:
    old = {name: value for name, value in json.loads(recipe.to_json()).items() if name != "trace"}
    assert Recipe.from_json(json.dumps(old)) == recipe.model_copy(update={"trace": ()})


def test_condense_keeps_a_short_run_whole_with_four_digits() -> None:
    points = [(px, step, {"tv": step / 3, "style": 1e-9 * px / step}) for px in (32, 64) for step in (1, 2, 3)]
    coarse, fine = condense(points)
    assert (coarse.scale_px, fine.scale_px, coarse.steps) == (32, 64, (1, 2, 3))
    assert coarse.terms["tv"] == (0.3333, 0.6667, 1.0)
    assert fine.terms["style"] == pytest.approx([64e-9, 32e-9, 64e-9 / 3], rel=1e-3)


def test_condense_spreads_the_steps_of_a_long_run_and_keeps_both_ends() -> None:
    (scale,) = condense((256, step, {"tv": 1.0 / step}) for step in range(1, 501))
    assert (scale.steps[0], scale.steps[-1], len(scale.steps)) == (1, 500, 64)
    gaps = {after - before for before, after in zip(scale.steps, scale.steps[1:], strict=False)}
    assert gaps <= {7, 8}


def test_condense_of_no_steps_is_empty() -> None:
    assert condense([]) == ()


@pytest.mark.parametrize("scales", [1, 6, 40, 600])
def test_recipe_of_the_longest_runs_still_fits_into_a_jpeg(recipe: Recipe, scales: int) -> None:
    points = (
        (64 + px, step, dict.fromkeys(LONG_TERMS, -1.2345e-11 * step)) for px in range(scales) for step in range(1, 501)
    )
    long = recipe.model_copy(update={"trace": condense(points)})
    assert encode(Picture(torch.zeros(3, 8, 8)), ".jpg", metadata=long.to_json())
    assert Recipe.from_json(long.to_json()) == long
    assert all(scale.steps[-1] == 500 for scale in long.trace)
    assert len(long.trace) == (scales if scales < 600 else 0)


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
        ({"trace": [{"scale_px": 0, "steps": [], "terms": {}}]}, r"trace\.0\.scale_px"),
        ({"trace": [{"scale_px": 9, "steps": [1, 2], "terms": {"tv": [1.0]}}]}, "1 figures for 2 steps"),
    ],
)
def test_recipe_that_was_changed_is_refused_with_the_place(
    recipe: Recipe, change: dict[str, object], where: str
) -> None:
    text = json.dumps(json.loads(recipe.to_json()) | change)
    with pytest.raises(InputError, match=where):
        Recipe.from_json(text)
