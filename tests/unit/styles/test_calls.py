"""Styles as calls take them: as pictures, with what one brings that stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from impasto.api.styles import add_style as add_checked
from impasto.api.styles import pictures_of, resolved, sole_picture, thresholds_of
from impasto.api.training import style_to_train
from impasto.errors import InputError, SettingsError
from impasto.styles import add_style, get_style, make_look, read_style

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_settings_of_a_style_that_stands_alone_apply_and_those_given_win(references: list[Path]) -> None:
    look = make_look(settings={"optimize": {"steps": 3, "content_weight": 0.1}, "fast": {"strength": 0.5}})
    style = add_style("spring", references, look)
    pictures, settings = resolved("optimize", ["spring"], {"content_weight": 0.2})
    assert pictures == list(style.references)
    assert settings == {"steps": 3, "content_weight": 0.2}
    assert resolved("fast", ["spring"], {})[1] == {"strength": 0.5}
    pictures, settings = resolved("optimize", ["spring", references[0]], {})
    assert (len(pictures), settings) == (3, {})
    assert style.look.settings["optimize"] == {"steps": 3, "content_weight": 0.1}


def test_network_of_a_style_paints_in_its_engine_and_stands_alone(spring: Path, references: list[Path]) -> None:
    assert resolved("fast", ["spring"], {})[1] == {"strength": 0.8, "model": str(spring / "fast.safetensors")}
    assert resolved("optimize", ["spring"], {})[1] == {}
    for styles, settings in ((["spring", references[0]], {}), (["spring"], {"model": "other.safetensors"})):
        with pytest.raises(SettingsError, match="spring was trained as one style for engine fast; give it alone"):
            resolved("fast", styles, settings)


def test_pictures_of_styles_stand_in_their_order(spring: Path, references: list[Path]) -> None:
    first, second = read_style(spring).references
    array = np.zeros((4, 4, 3), dtype=np.uint8)
    *paths, last = pictures_of([references[1], "spring", array])
    assert paths == [references[1], first, second]
    assert last is array
    assert sole_picture("mosaic") == get_style("mosaic").references[0]
    with pytest.raises(SettingsError, match="a region takes one picture, and the style spring has 2"):
        sole_picture("spring")


def test_bare_word_is_a_style_and_a_name_with_an_extension_a_picture(spring: Path) -> None:
    with pytest.raises(InputError, match="there is no style 'sprang'; there are spring, "):
        pictures_of("sprang")
    assert pictures_of("sprang.png") == ["sprang.png"]
    assert pictures_of("no/where") == ["no/where"]


def test_thresholds_are_of_a_style_that_stands_alone(spring: Path, references: list[Path]) -> None:
    assert thresholds_of("spring") == {"style_gain": {"review_below": 0.2}}
    assert thresholds_of(["spring"]) == {"style_gain": {"review_below": 0.2}}
    for styles in (["spring", "mosaic"], "mosaic", str(references[0]), []):
        assert thresholds_of(styles) == {}


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"beauty": {"review_below": 0.2}}, "'beauty', which is no metric"),
        ({"style_gain": {"below_review": 0.2}}, "no rule"),
        ({"style_gain": {"review_below": 0.1, "reject_below": 0.2}}, "must lie beyond"),
        ({"style_gain": {"review_below": float("nan")}}, "no rule"),
        ({"style_gain": {"review_below": "low"}}, "review_below"),
    ],
)
def test_thresholds_that_are_none_are_not_added(
    library: Path, references: list[Path], thresholds: dict[str, dict[str, object]], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        add_checked("spring", references, thresholds=thresholds)
    assert not library.exists()


def test_style_to_train_is_one_of_the_library_or_new(spring: Path, library: Path, references: list[Path]) -> None:
    assert style_to_train("summer", references) == (library / "summer", references)
    for words, name, pictures in (
        ("there is a style 'spring' already, with its pictures", "spring", references),
        ("no style of your own named 'mosaic'; give the pictures", "mosaic", []),
        ("comes with impasto", "mosaic", references),
        ("is no name for a style", "Summer", references),
    ):
        with pytest.raises(InputError, match=words):
            style_to_train(name, pictures)
