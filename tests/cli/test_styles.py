"""``impasto styles``, and styles by name wherever one is asked for."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from impasto import api
from impasto.styles import get_style, make_look, write_style

Run = Callable[..., CompletedProcess[str]]

ONE_PASS = ("--engine", "fast", "--image-size", "64", "--quiet")
HOUSE = 8


@pytest.fixture(autouse=True)
def library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own library and cache, in the working directory."""
    monkeypatch.setenv("IMPASTO_STYLES", str(folder / "library"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    return folder / "library"


def _said(done: CompletedProcess[str], *words: str) -> None:
    """It was refused in one sentence that has these words."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("impasto: error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def _settings(run: Run, file: str) -> dict[str, object]:
    return json.loads(run("info", file, "--json").stdout)["settings"]


def test_style_is_added_listed_shown_and_removed(run: Run) -> None:
    added = run(
        "styles", "add", "spring", "style.png", "content.png", "--licence", "mine", "--set", "fast.strength=0.8"
    )
    assert (added.returncode, added.stdout, added.stderr) == (0, "", "added spring\n")
    lines = run("styles", "list").stdout.splitlines()
    assert len(lines) == 1 + HOUSE
    assert lines[0].split() == ["spring", "2", "picture(s)"]
    shown = run("styles", "show", "spring").stdout
    for word in ("spring", "01-style.png", "02-content.png", "mine", "'strength': 0.8"):
        assert word in shown
    assert run("styles", "remove", "spring", "--quiet").stderr == ""
    assert len(run("styles", "list").stdout.splitlines()) == HOUSE
    _said(run("styles", "remove", "spring"), "there is no style 'spring'", "there are none")


def test_list_and_show_as_json_say_the_same(run: Run) -> None:
    words = (
        "--set",
        "optimize.steps=3",
        "--set",
        "optimize.style_loss=gram",
        "--threshold",
        "style_gain.review_below=off",
    )
    assert run("styles", "add", "spring", "style.png", *words).returncode == 0
    listed = json.loads(run("styles", "list", "--json").stdout)["styles"]
    assert [style["name"] for style in listed][:2] == ["spring", "flow_strokes"]
    assert len(listed) == 1 + HOUSE
    shown = json.loads(run("styles", "show", "spring", "--json").stdout)
    assert shown == listed[0]
    assert shown["settings"] == {"optimize": {"steps": 3, "style_loss": "gram"}}
    assert shown["thresholds"] == {"style_gain": {"review_below": "off"}}
    assert shown["licence"] == ""
    assert shown["trained"] == []
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in shown["palette"])
    assert Path(shown["references"][0]).read_bytes() == Path("style.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "strength=0.8"), ["--set 'strength=0.8' cannot be read", "fast.strength=0.8"]),
        (("--set", "fast.strength"), ["cannot be read"]),
        (("--set", "fast.strength="), ["cannot be read"]),
        (("--set", ".strength=1"), ["cannot be read"]),
        (("--set", "oil.strength=0.8"), ["no engine named 'oil'"]),
        (("--set", "fast.wetness=1"), ["no setting named 'wetness'"]),
        (("--set", "fast.strength=2"), ["strength"]),
        (("--set", "fast.strength=nan"), ["strength"]),
        (("--set", "fast.strength=much"), ["strength"]),
        (("--set", "fast.device=cpu"), ["device belongs to a call or a machine"]),
        (
            ("--threshold", "style_gain=0.2"),
            ["--threshold 'style_gain=0.2' cannot be read", "style_gain.review_below=0.2"],
        ),
        (("--threshold", "beauty.review_below=0.2"), ["'beauty', which is no metric"]),
        (("--threshold", "style_gain.below=0.2"), ["the gate 'style_gain' in thresholds is no rule"]),
        (("--threshold", "style_gain.review_below=low"), ["thresholds.style_gain.review_below"]),
    ],
)
def test_setting_or_threshold_that_is_none_is_refused(
    run: Run, library: Path, words: tuple[str, str], said: list[str]
) -> None:
    _said(run("styles", "add", "spring", "style.png", *words), *said)
    assert not library.exists()


def test_names_that_cannot_be_given_are_refused(run: Run, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _said(run("styles", "add", "My Style", "style.png"), "'My Style' is no name for a style")
    _said(run("styles", "add", "mosaic", "style.png", "--overwrite"), "comes with impasto; choose another")
    assert run("styles", "add", "spring", "style.png").returncode == 0
    _said(run("styles", "add", "spring", "content.png"), "there is a style 'spring' already", "--overwrite")
    assert run("styles", "add", "spring", "content.png", "--overwrite").returncode == 0
    assert [path.name for path in get_style("spring").references] == ["01-content.png"]
    monkeypatch.setenv("IMPASTO_STYLES", "style.png")
    _said(run("styles", "add", "spring", "style.png"), "cannot make the folder 'style.png'")


def test_house_style_paints_by_its_name_and_rerun_finds_it(run: Run) -> None:
    assert run("stylize", "content.png", "mosaic", "-o", "out.png", *ONE_PASS).returncode == 0
    assert api.read_recipe("out.png").styles[0].name == "mosaic.jpg"
    again = run("rerun", "out.png")
    assert "identical to out.png, byte for byte" in again.stderr, again.stderr


def test_style_brings_its_settings_and_the_command_wins(run: Run) -> None:
    words = ("--set", "fast.strength=0.5", "--set", "fast.style_scale=2")
    assert run("styles", "add", "spring", "style.png", *words).returncode == 0
    assert run("stylize", "content.png", "spring", "-o", "a.png", *ONE_PASS).returncode == 0
    assert run("stylize", "content.png", "spring", "-o", "b.png", "--strength", "1", *ONE_PASS).returncode == 0
    assert run("stylize", "content.png", "spring", "mosaic", "-o", "c.png", *ONE_PASS).returncode == 0
    found = [_settings(run, file) for file in ("a.png", "b.png", "c.png")]
    assert [(one.get("strength"), one.get("style_scale")) for one in found] == [(0.5, 2), (1, 2), (1, 1)]
    assert "identical to a.png" in run("rerun", "a.png").stderr  # from the library, whatever else is named style.png


def test_file_of_a_styles_name_comes_first(run: Run, folder: Path) -> None:
    (folder / "mosaic").write_bytes((folder / "style.png").read_bytes())
    assert run("stylize", "content.png", "mosaic", "-o", "out.png", *ONE_PASS).returncode == 0
    assert api.read_recipe("out.png").styles[0].name == "mosaic"
    assert json.loads(run("styles", "show", "mosaic", "--json").stdout)["licence"] == "CC0-1.0"


@pytest.mark.parametrize("word", ["mosaik", "x" * 300])
def test_word_that_is_no_style_is_refused_with_those_that_are(run: Run, folder: Path, word: str) -> None:
    for words in (
        ("stylize", "content.png", word, "-o", "out.png"),
        ("styles", "show", word),
        ("styles", "export", word, "-o", "out.impasto"),
        ("styles", "card", word, "-o", "out.html"),
        ("evaluate", "content.png", "--content", "content.png", "--style", word),
    ):
        _said(run(*words), f"there is no style '{word}'; there are flow_strokes, ", "folders and archives of styles")
    assert not list(folder.glob("out*"))


def test_output_is_judged_by_the_name_and_the_thresholds_of_its_style(run: Run) -> None:
    words = ("--threshold", "visible_change.reject_above=0.001")
    assert run("styles", "add", "spring", "style.png", *words).returncode == 0
    assert run("stylize", "content.png", "style.png", "-o", "out.png", *ONE_PASS).returncode == 0
    by_file, by_name = (
        json.loads(run("evaluate", "out.png", "--content", "content.png", "--style", style, "--json").stdout)
        for style in ("style.png", "spring")
    )
    assert by_name["values"] == by_file["values"]
    assert not [reason for reason in by_file["reasons"] if "expected at most 0.001" in reason]
    assert [reason for reason in by_name["reasons"] if "visible_change" in reason and "at most 0.001" in reason]
    assert by_name["outcome"] == "reject"
    gated = run("stylize", "content.png", "spring", "-o", "gated.png", *ONE_PASS, "--gate", "--json")
    assert gated.returncode == 4
    assert [one for one in json.loads(gated.stdout)["gate"]["reasons"] if "at most 0.001" in one]


def test_region_takes_a_style_by_its_name(run: Run) -> None:
    mask = Image.new("L", (96, 72))
    mask.paste(255, (0, 0, 48, 72))
    mask.save("left.png")
    assert run("stylize", "content.png", "-o", "out.png", "--region", "left.png:mosaic", *ONE_PASS).returncode == 0
    (region,) = api.read_recipe("out.png").regions
    assert region.style.name == "mosaic.jpg"
    assert "identical to out.png, byte for byte" in run("rerun", "out.png").stderr
    assert run("styles", "add", "both", "style.png", "content.png").returncode == 0
    _said(
        run("stylize", "content.png", "-o", "two.png", "--region", "left.png:both", *ONE_PASS),
        "a region takes one picture, and the style both has 2",
    )


def test_archive_is_exported_painted_with_and_imported(run: Run, folder: Path, library: Path) -> None:
    assert run("styles", "add", "spring", "style.png", "--set", "fast.strength=0.5").returncode == 0
    exported = run("styles", "export", "spring", "-o", "spring.impasto")
    assert (exported.returncode, exported.stderr) == (0, "spring.impasto\n")
    assert run("styles", "remove", "spring").returncode == 0
    assert run("stylize", "content.png", "spring.impasto", "-o", "a.png", *ONE_PASS).returncode == 0
    assert _settings(run, "a.png")["strength"] == 0.5
    assert list(library.iterdir()) == []
    imported = run("styles", "import", "spring.impasto", "--name", "summer")
    assert (imported.returncode, imported.stderr) == (0, "added summer\n")
    assert run("stylize", "content.png", "summer", "-o", "b.png", *ONE_PASS).returncode == 0
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    _said(run("styles", "import", "spring.impasto", "--name", "summer"), "there is a style 'summer' already")
    assert run("styles", "import", "spring.impasto", "--name", "summer", "--overwrite").returncode == 0
    assert run("styles", "import", "spring.impasto", "--quiet").stderr == ""
    assert sorted(path.name for path in library.iterdir()) == ["spring", "summer"]


def test_archive_that_is_hostile_is_refused_in_a_sentence(run: Run, folder: Path, library: Path) -> None:
    (folder / "bad.impasto").write_bytes(b"PK no archive")
    _said(run("styles", "import", "bad.impasto"), "'bad.impasto' cannot be unpacked")
    _said(run("stylize", "content.png", "bad.impasto", "-o", "out.png", *ONE_PASS), "'bad.impasto' cannot be unpacked")
    assert not [path for place in (library, folder / "cache") for path in place.rglob("*") if path.is_file()]


def test_style_of_the_library_is_trained_passed_on_and_painted_with(run: Run, folder: Path, library: Path) -> None:
    (folder / "photos").mkdir()
    (folder / "photos" / "photo.png").write_bytes((folder / "content.png").read_bytes())
    training = ("--photos", "photos", "--steps", "2", "--batch", "1", "--size", "64", "--stability-weight", "0")
    assert run("styles", "add", "spring", "style.png", "--licence", "mine").returncode == 0
    _said(run("styles", "train", "spring", "content.png", *training), "there is a style 'spring' already")
    _said(run("styles", "train", "summer", *training), "no style of your own named 'summer'; give the pictures")
    done = run("styles", "train", "spring", *training, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert run("styles", "list").stdout.splitlines()[0].endswith("trained for fast")
    assert get_style("spring").look.licence == "mine"
    assert run("stylize", "content.png", "spring", "-o", "out.png", *ONE_PASS).returncode == 0
    assert _settings(run, "out.png")["model"] == "fast.safetensors"
    assert "identical to out.png, byte for byte" in run("rerun", "out.png").stderr  # its network is found too
    run("styles", "export", "spring", "-o", "spring.impasto")
    run("styles", "import", "spring.impasto", "--name", "again")
    assert run("stylize", "content.png", "again", "-o", "again.png", *ONE_PASS).returncode == 0
    assert (folder / "again.png").read_bytes() == (folder / "out.png").read_bytes()
    assert (library / "again" / "MODEL_CARD.md").read_bytes() == (library / "spring" / "MODEL_CARD.md").read_bytes()


def test_card_shows_the_style_and_photos_painted_in_it(run: Run, folder: Path) -> None:
    words = ("--licence", "mine", "--set", "fast.strength=0.5", "--threshold", "style_gain.review_below=0.123")
    assert run("styles", "add", "spring", "style.png", *words).returncode == 0
    done = run("styles", "card", "spring", "-o", "spring.html", "--photo", "content.png")
    assert (done.returncode, done.stderr) == (0, "spring.html\n")
    page = (folder / "spring.html").read_text()
    for text in ("<h1>spring</h1>", "1 picture", "mine", "fast strength</dt><dd>0.5", "0.123", "content.png as spring"):
        assert text in page
    for color in get_style("spring").palette:
        assert f'fill="{color}"' in page
    assert "<dt>style_gain</dt>" in page
    assert page.count("<img ") == page.count('<img src="data:image/jpeg;base64,') == 3
    assert str(folder) not in page
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) == []


def test_card_of_a_house_style_needs_no_photo(run: Run, folder: Path) -> None:
    assert run("styles", "card", "mosaic", "-o", "mosaic.html", "--quiet").stderr == ""
    page = (folder / "mosaic.html").read_text()
    assert page.count("<img ") == 1
    assert "Painted by" not in page
    _said(run("styles", "card", "mosaic", "-o", "mosaic.txt"), "mosaic.txt")


def test_card_of_a_strangers_style_runs_nothing(run: Run, folder: Path) -> None:
    evil = "<script>alert(1)</script>"
    look = make_look(licence=evil, thresholds={evil: {evil: 1}})
    write_style(folder / "evil", evil, [folder / "style.png"], look=look)
    assert run("styles", "card", "evil", "-o", "evil.html").returncode == 0
    page = (folder / "evil.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "\x1b" not in run("styles", "show", "evil").stdout
