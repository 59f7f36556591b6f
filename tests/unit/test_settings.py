"""Every setting: its default holds, its bounds are enforced, and the message names it."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from impasto.errors import SettingsError
from impasto.settings import LAYERS, OptimizeSettings

GOOD = [
    ("image_size", (16, 16384, None)),
    ("style_weights", ((1.0,), (0.0, 2.0), None)),
    ("content_weight", (0, 1e6)),
    ("style_weight", (0, 3)),
    ("tv_weight", (0, 0.5)),
    ("style_loss", ("w2", "gram")),
    ("style_scale", (0.1, 4)),
    ("init", ("content", "noise", "style", "picture.png")),
    ("optimizer", ("adam", "lbfgs")),
    ("learning_rate", (1e-9, 1)),
    ("steps", (0, 100_000)),
    ("scales", ((16,), (128, 256), None)),
    ("pooling", ("max", "average", "l2")),
    ("seed", (0, 2**63 - 1)),
    ("time_budget", (1e-6, 1e9, None)),
    ("device", ("auto", "cpu", "cuda", "cuda:1", "mps")),
    ("dtype", ("auto", "float32", "bfloat16")),
    ("vgg_weights", ("caffe.pth", None)),
    ("layers", ("relu1_1", {"relu5_4": 2})),
    ("content_layers", (["relu4_2", "relu3_1=0.5"],)),
]
BAD = [
    ("image_size", (15, 16385, 0, -1, 64.5, math.nan, math.inf, "large")),
    ("style_weights", ((), (-1.0,), (0.0, 0.0), (math.nan,), (math.inf, 1.0), (1e308, 1e308), "a,b")),
    ("content_weight", (-1e-9, math.nan, math.inf, -math.inf, "much", None)),
    ("style_weight", (-1, math.nan, math.inf)),
    ("tv_weight", (-1, math.nan, math.inf)),
    ("style_loss", ("adain", "", None)),
    ("style_scale", (0.09, 4.01, 0, -1, math.nan, math.inf)),
    ("init", ("", None)),
    ("optimizer", ("sgd", "")),
    ("learning_rate", (0, -0.1, 1.01, math.nan, math.inf)),
    ("steps", (-1, 100_001, 1.5, math.nan, math.inf)),
    ("scales", ((), (256, 128), (128, 128), (15, 64), (64, 16385), (math.nan,))),
    ("pooling", ("median", "")),
    ("seed", (-1, 2**63, 0.5, math.nan)),
    ("time_budget", (0, -1, math.nan, math.inf)),
    ("device", ("gpu", "cuda:", "cuda:-1", "cpu:0x", "")),
    ("dtype", ("float16", "float64", "")),
    ("layers", ("", {}, [], "relu9_9", "relu1_1,relu1_1", "relu1_1=-1", "relu1_1=nan", "relu1_1=inf", "relu1_1=", 3)),
    ("content_layers", ("conv4_2", {"relu4_2": -1}, {"relu4_2": math.nan}, {21: 1.0})),
]


def _each(table: list[tuple[str, tuple[object, ...]]]) -> list[tuple[str, object]]:
    return [(name, value) for name, values in table for value in values]


def test_tables_above_hold_every_setting() -> None:
    assert {name for name, _ in GOOD} == set(OptimizeSettings.model_fields)
    assert {name for name, _ in BAD} == set(OptimizeSettings.model_fields) - {"vgg_weights"}  # any text is a path


@pytest.mark.parametrize(("name", "value"), _each(GOOD), ids=str)
def test_setting_at_its_bounds_is_taken(name: str, value: object) -> None:
    settings = OptimizeSettings.of(**{name: value})
    assert OptimizeSettings.of(**settings.model_dump()) == settings


@pytest.mark.parametrize(("name", "value"), _each(BAD), ids=str)
def test_setting_beyond_its_bounds_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"^{name}=") as caught:
        OptimizeSettings.of(**{name: value})
    assert "\n" not in str(caught.value)


def test_setting_defaults_are_complete_and_described() -> None:
    settings = OptimizeSettings.of()
    assert settings.model_dump().keys() == OptimizeSettings.model_fields.keys()
    assert all(field.description for field in OptimizeSettings.model_fields.values())
    assert settings == OptimizeSettings.of()


@pytest.mark.parametrize("name", ["content_wieght", "cls", "self", "model_config", ""])
def test_setting_that_is_unknown_lists_the_known_ones(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        OptimizeSettings.of(**{name: 1})
    assert repr(name) in str(caught.value)
    assert all(known in str(caught.value) for known in OptimizeSettings.model_fields)


def test_settings_cannot_be_changed() -> None:
    settings = OptimizeSettings.of()
    with pytest.raises(ValidationError):
        settings.steps = 3
    with pytest.raises(ValidationError):
        settings.brush = 3


def test_settings_do_not_share_their_tables() -> None:
    table = {"relu1_1": 1.0}
    settings = OptimizeSettings.of(layers=table)
    table["relu2_1"] = 1.0
    assert dict(settings.layers) == {"relu1_1": 1.0}
    assert OptimizeSettings.of().layers is not OptimizeSettings.of().layers


@pytest.mark.parametrize(
    ("given", "table"),
    [
        ("relu1_1", {"relu1_1": 1.0}),
        ("relu1_1,relu4_1=0.5", {"relu1_1": 1.0, "relu4_1": 0.5}),
        (" relu1_1 , relu4_1=0.5 ,", {"relu1_1": 1.0, "relu4_1": 0.5}),
        ("relu4_1=1e-3", {"relu4_1": 0.001}),
        (["relu1_1", "relu4_1=2"], {"relu1_1": 1.0, "relu4_1": 2.0}),
        ({"relu1_1": 3}, {"relu1_1": 3.0}),
        (",".join(LAYERS), dict.fromkeys(LAYERS, 1.0)),
    ],
)
def test_layers_as_text_list_or_table(given: object, table: dict[str, float]) -> None:
    assert OptimizeSettings.of(layers=given).layers == table


def test_layers_that_are_unknown_list_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'relu6_1'.*relu1_1, .*relu5_4"):
        OptimizeSettings.of(layers="relu1_1,relu6_1")


def test_layer_names_are_the_papers() -> None:
    assert LAYERS[0] == "relu1_1"
    assert LAYERS[-1] == "relu5_4"
    assert len(LAYERS) == len(set(LAYERS)) == 16
