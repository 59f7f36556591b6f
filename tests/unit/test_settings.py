"""Every setting: its default holds, its bounds are enforced, and the message names it."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from impasto.errors import SettingsError
from impasto.settings import LAYERS, PRESETS, OptimizeSettings

GOOD = [
    ("image_size", (16, 16384, None)),
    ("style_weights", ((1.0,), (0.0, 2.0), None)),
    ("content_weight", (0, 1e6)),
    ("style_weight", (0, 3)),
    ("tv_weight", (0, 0.5)),
    ("temporal_weight", (0, 100)),
    ("preset", ("faithful", "balanced", "painterly", "texture", "abstract", None)),
    ("strength", (0, 1)),
    ("style_loss", ("w2", "gram", "w2,gram=0.5", {"swd": 2, "nn": 0}, ["moments", "remd=1e-3"])),
    ("content_loss", ("mse", "self_similarity", "mse=0,self_similarity")),
    ("samples", (64, 65536)),
    ("style_rotation", ((0.0,), (-360, 360), (0, 45, 90))),
    ("color", ("style", "luminance", "linear", "histogram")),
    ("color_when", ("after", "before")),
    ("palette", (None,)),
    ("history", (1, 100)),
    ("bit_depth", (8, 16)),
    ("memory", ("auto", "whole", "strips")),
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
    ("temporal_weight", (-1, math.nan, math.inf)),
    ("preset", ("loud", "")),
    ("strength", (-1e-9, 1.01, math.nan, math.inf, None)),
    ("style_loss", ("adain", "", None, "w2=-1", "w2=0", "w2=nan", "w2=inf", "w2,w2", "w2=", {}, {"w2": 0, "nn": 0.0})),
    ("content_loss", ("l1", "", None, "mse=-1", "mse=0", "mse,mse", {"mse": math.inf})),
    ("samples", (63, 65537, 0, -1, 100.5, math.nan)),
    ("style_rotation", ((), (361,), (-361,), (math.nan,), (math.inf,), "a,b")),
    ("color", ("content", "", None)),
    ("color_when", ("during", "", None)),
    ("palette", ("", "#12", "#gggggg", ["#000000", "no"], [], ["#000000"] * 17, ((2.0, 0.0, 0.0),), ((0.5, 0.5),))),
    ("history", (0, 101, -1, 1.5, math.nan)),
    ("bit_depth", (1, 12, 32, "", None)),
    ("memory", ("little", "", None)),
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


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_sets_what_is_not_set_beside_it(preset: str) -> None:
    defaults, settings = OptimizeSettings.of().model_dump(), OptimizeSettings.of(preset=preset)
    own = OptimizeSettings.of(**PRESETS[preset]).model_dump()
    assert settings.model_dump() == {**own, "preset": preset}
    changed = {name for name in own if own[name] != defaults[name]}
    assert changed == set(PRESETS[preset])
    for name in changed:  # even where what is set beside it is the default
        beside = OptimizeSettings.of(**{"preset": preset, name: defaults[name]})
        assert getattr(beside, name) == defaults[name]


def test_preset_balanced_is_what_the_defaults_are() -> None:
    assert OptimizeSettings.of(preset="balanced") == OptimizeSettings.of().model_copy(update={"preset": "balanced"})


def test_preset_once_filled_in_is_not_filled_in_again() -> None:
    """A recipe holds every setting: a preset that changes later must not change what it makes."""
    settings = OptimizeSettings.of(preset="faithful", content_weight=7)
    assert OptimizeSettings.of(**settings.model_dump(mode="json")) == settings


def test_strength_has_an_effect_that_rises_from_nothing_to_all() -> None:
    effects = [OptimizeSettings.of(strength=strength / 20).effect for strength in range(21)]
    assert (effects[0], effects[-1]) == (0, 1)
    assert all(earlier < later for earlier, later in zip(effects, effects[1:], strict=False))


@pytest.mark.parametrize(
    ("given", "table"),
    [
        ("w2", {"w2": 1.0}),
        ("w2=1,nn=0.5", {"w2": 1.0, "nn": 0.5}),
        (["gram", "remd=2"], {"gram": 1.0, "remd": 2.0}),
        ({"swd": 3}, {"swd": 3.0}),
    ],
)
def test_style_loss_as_text_list_or_table(given: object, table: dict[str, float]) -> None:
    assert OptimizeSettings.of(style_loss=given).style_loss == table


def test_losses_that_are_unknown_list_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'adain'.*w2, .*remd"):
        OptimizeSettings.of(style_loss="adain")
    with pytest.raises(SettingsError, match=r"'l1'.*mse, self_similarity"):
        OptimizeSettings.of(content_loss="l1")


@pytest.mark.parametrize("given", ["#1d3557, #E63946", ["1d3557", "#e63946"], ("#1d3557", "#e63946")])
def test_palette_as_text_or_list(given: object) -> None:
    settings = OptimizeSettings.of(palette=given, color="palette")
    assert settings.palette is not None
    assert [[round(255 * value) for value in color] for color in settings.palette] == [[29, 53, 87], [230, 57, 70]]
    assert OptimizeSettings.of(**settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize("options", [{"color": "palette"}, {"palette": "#fff"}, {"palette": "#fff", "color": "linear"}])
def test_palette_and_its_color_belong_together(options: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=r"palette and color=palette belong together"):
        OptimizeSettings.of(**options)


def test_style_rotation_of_no_angle_says_what_leaves_a_style_as_it_is() -> None:
    with pytest.raises(SettingsError, match=r"style_rotation.*0 leaves"):
        OptimizeSettings.of(style_rotation=())


@pytest.mark.parametrize("angle", [45, 45.0, "45", (45,), ["45"]])
def test_style_rotation_takes_one_angle_as_it_is(angle: object) -> None:
    assert OptimizeSettings.of(style_rotation=angle).style_rotation == (45.0,)
