"""A brand pack: what it may say, and the exact sentence where it says something else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.batch.conftest import STORY, save_photo

from impasto.errors import InputError, SettingsError
from impasto.styles import make_pack, read_pack

PACK_KEYS = "channels, colors, engine, format, gates, level, name, naming, pack, protect, quality, settings, styles"
COLORS = "which is no colour; allowed are #RRGGBB and #RGB with the digits 0-9 and a-f; write it like '#e63946'"


def refused(**rules: Any) -> str:
    """What is said of a pack that cannot be."""
    with pytest.raises(SettingsError) as caught:
        make_pack({"styles": ["mosaic"], **rules}, "brand.toml")
    text = str(caught.value)
    assert text.startswith("brand.toml: ")
    return text.removeprefix("brand.toml: ")


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"color": {}}, f"there is no 'color'; there are {PACK_KEYS}"),
        ({"protect": {"face": True}}, "there is no 'protect.face'; there are faces, feather, mask"),
        (
            {"channels": [STORY | {"size": 3}]},
            "there is no 'channels.0.size'; there are background, fit, format, height, name, quality, width",
        ),
        ({"pack": 2}, "pack: input should be 1"),
        ({"styles": []}, "styles: tuple should have at least 1 item after validation, not 0"),
        ({"styles": ["mosaic", "mosaic"]}, "the style 'mosaic' is there twice; leave one out"),
        ({"colors": {"keep": ["#12"]}}, f"colors.keep: has '#12', {COLORS}"),
        ({"colors": {"reach": ["red"]}}, f"colors.reach: has 'red', {COLORS}"),
        ({"colors": {"reach_tolerance": float("nan")}}, "colors.reach_tolerance: input should be a finite number"),
        (
            {"protect": {"mask": "{style}.png"}},
            "protect.mask: '{style}.png' has a place that is not known; there is {picture}",
        ),
        ({"format": "gif"}, "format: input should be 'png', 'jpg', 'webp', 'avif' or 'tif'"),
        ({"channels": [{"width": 24, "height": 40}]}, "channels.0.name: field required"),
        ({"channels": [STORY | {"width": 3}]}, "channels.0.width: input should be greater than or equal to 16"),
        ({"channels": [STORY, STORY]}, "there are two channels named 'story'; give each its own name"),
        (
            {"channels": [STORY, STORY | {"name": "Story"}]},  # one folder on some systems
            "there are two channels named 'story'; give each its own name",
        ),
        (
            {"channels": [STORY | {"name": "Pictures"}]},
            "channels.0.name: 'Pictures' is a folder of the campaign's own; give another name",
        ),
        ({"naming": "best"}, "naming: 'best' is the same for every picture; put {picture} or {key} into it"),
        (
            {"naming": "{photo}"},
            "naming: '{photo}' has a place that is not known; there are {picture}, {style}, {channel}, {key}",
        ),
        (
            {"styles": ["mosaic", "watercolour"], "naming": "{picture}"},
            "naming '{picture}' is the same for every style; put {style} or {key} into it",
        ),
        (
            {"colors": {"reach": ["#1d3557"]}, "settings": {"color": "luminance"}},
            "colors.reach and settings.color or settings.palette say different things; give one of them",
        ),
        ({"settings": {"strength": 2}}, "strength=2 cannot be used: input should be less than or equal to 1"),
        ({"settings": {"palette": ["#fff"]}}, "palette and color=palette belong together; give both or neither"),
        ({"engine": "slow"}, "no engine named 'slow'; there are diffusion, fast, optimize"),
        ({"quality": "best"}, "no quality named 'best'; there are draft, standard, fine"),
        (
            {"engine": "fast", "quality": "fine"},
            "quality fine is painted by engine optimize, not fast; give one of the two",
        ),
        (
            {"format": "jpg", "settings": {"bit_depth": 16}},
            "format 'jpg' holds 8 bits a channel, settings.bit_depth is 16; use png or tif",
        ),
        (
            {"gates": {"style_gain": {"review_below": "much"}}},
            "gates.style_gain.review_below: input should be a valid number, unable to parse string as a number",
        ),
    ],
)
def test_mistake_in_a_pack_is_named_with_what_is_allowed(rules: dict[str, Any], sentence: str) -> None:
    assert refused(**rules) == sentence


def test_unknown_setting_is_listed_with_those_that_there_are() -> None:
    text = refused(settings={"strenght": 1})
    assert text.startswith("no setting named 'strenght'; engine fast has bit_depth, color, color_when, device")
    assert text.endswith("strength, style_scale, style_weights, tile_size")


@pytest.mark.parametrize(
    "name", ["../story", "/story", "a/b", "", ".hidden", "story ", "Con", "lpt1", "x" * 65, "sto\nry"]
)
def test_name_of_a_channel_is_that_of_a_folder_on_every_system(name: str) -> None:
    sentence = f"channels.0.name: {name!r} is no name for a folder; use up to 64 letters, digits, spaces, - and _"
    assert refused(channels=[STORY | {"name": name}]) == sentence


@pytest.mark.parametrize(
    "naming", ["../{picture}", "{picture}/x", "{picture}:x", ".{picture}", "{picture}\n", "{picture"]
)
def test_naming_that_is_no_plain_file_name_is_refused(naming: str) -> None:
    assert refused(naming=naming).startswith("naming: ")


def test_brands_colours_become_settings() -> None:
    pack = make_pack({"styles": "mosaic", "colors": {"reach": ["#1d3557"]}, "settings": {"image_size": 64}}, "x")
    assert pack.styles == ("mosaic",)
    assert pack.run == ("fast", {"image_size": 64, "color": "palette", "palette": ("#1d3557",)})
    engine, settings = make_pack({"styles": ["mosaic"], "quality": "standard", "settings": {"steps": 3}}, "x").run
    assert (engine, settings) == ("optimize", {"init": "fast", "steps": 3})


def test_pack_that_is_no_toml_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "brand.toml"
    with pytest.raises(InputError, match=r"the pack '.*brand.toml' cannot be read: No such file or directory"):
        read_pack(path)
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match="cannot be read: it is no text; give a TOML file"):
        read_pack(path)
    path.write_text("styles = [\nname = 1")
    with pytest.raises(SettingsError, match=r"is no TOML: .*\(at line 2, column \d+\)"):
        read_pack(path)
    path.write_text('styles = ["mosaic"]\nstyle = "mosaic"')
    with pytest.raises(SettingsError, match=r"brand.toml: there is no 'style'; there are channels, colors"):
        read_pack(path)


def test_paths_in_a_pack_are_from_where_it_lies(tmp_path: Path) -> None:
    brand = tmp_path / "brand"
    save_photo(brand / "wave.png", 0)
    (brand / "net.safetensors").write_bytes(b"weights")
    (brand / "pack.toml").write_text(
        'styles = ["wave.png", "mosaic"]\n'
        'settings = { model = "net.safetensors" }\n'
        'protect = { mask = "m/{picture}.png" }\n'
    )
    pack = read_pack(brand / "pack.toml")
    assert pack.styles == (str(brand / "wave.png"), "mosaic")
    assert pack.settings == {"model": str(brand / "net.safetensors")}
    assert pack.protect.mask == str(brand / "m/{picture}.png")


def test_pack_in_the_head_of_the_module_is_one() -> None:
    from impasto.styles import pack as module

    text = str(module.__doc__).partition("\n\n")[2]
    path = Path("brand.toml")
    path.write_text(text, encoding="utf-8")
    pack = read_pack(path)
    assert pack.name == "Spring 2027"
    assert pack.protect.faces
    assert pack.gates == {"style_gain": {"review_below": 0.25}}


def test_pack_in_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs" / "batch.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    Path("brand.toml").write_text(block, encoding="utf-8")
    pack = read_pack(Path("brand.toml"))
    assert pack.styles == ("spring", "mosaic")
    assert [channel.name for channel in pack.channels] == ["story", "shop"]
