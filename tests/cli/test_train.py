"""``impasto train``: from pictures to a style's folder or a model's file, with what is wrong said in one sentence."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import impasto
from impasto.engines.fast.training import contents

Run = Callable[..., CompletedProcess[str]]

SOURCE = str(Path(impasto.__file__).parents[1])
TINY = ("--steps", "2", "--batch", "1", "--size", "64", "--stability-weight", "0")
STYLE = ("train", "style", "style.png", "-o", "mine", *TINY)


@pytest.fixture
def photos(folder: Path) -> Path:
    """The content as the only photo, beside what is no picture."""
    (folder / "photos").mkdir()
    (folder / "photos" / "photo.png").write_bytes((folder / "content.png").read_bytes())
    return folder / "photos"


def test_style_is_trained_and_painted_with(folder: Path, photos: Path, run: Run) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    done = run(*STYLE, "--photos", "photos", "--photos", "photos/broken.jpg=50", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["output"], document["steps"], document["stopped_early"]) == ("mine", 2, False)
    assert list(document["skipped"]) == ["broken.jpg"]
    assert "left out broken.jpg: " in done.stderr
    assert "step 2/2: loss " in done.stderr
    assert {path.name for path in (folder / "mine").iterdir()} == {
        "MODEL_CARD.md",
        "fast.safetensors",
        "references",
        "style.json",
        "thumbnail.webp",
    }
    assert {"losses.csv", "losses.png", "preview.png"} <= {path.name for path in (folder / "mine.work").iterdir()}
    assert str(folder) not in (folder / "mine" / "MODEL_CARD.md").read_text()
    painted = run("stylize", "content.png", "mine", "-o", "out.png", "--engine", "fast", "--quiet")
    assert painted.returncode == 0, painted.stderr
    recipe = json.loads(run("info", "out.png", "--json").stdout)
    assert recipe["weights"]["source"] == "fast.safetensors"


def test_style_without_photos_says_that_photos_help(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_COUNT", 4)
    monkeypatch.setattr(contents, "_SIDE", 96)
    done = run(*STYLE, "--trains", "code")
    assert done.returncode == 0, done.stderr
    assert "no photos were given" in done.stderr
    assert "--photos DIR" in done.stderr
    assert run(*STYLE, "--trains", "code", "--quiet").stderr == ""  # the same again: nothing is left to do


def test_any_style_is_trained_to_a_file(folder: Path, photos: Path, run: Run) -> None:
    words = ("train", "any-style", "--photos", "photos", "--paintings", "style.png", "-o", "m.safetensors", *TINY)
    done = run(*words, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (folder / "m.md").read_text().startswith("# m\n")
    painted = run(
        "stylize", "content.png", "style.png", "-o", "o.png", "--engine", "fast", "--model", "m.safetensors", "--quiet"
    )
    assert painted.returncode == 0, painted.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["style.png", "-o", "mine", "--photos", "empty"], "no picture is in 'empty'"),
        (["style.png", "-o", "mine", "--photos", "nowhere"], "'nowhere'; check its name"),
        (["gone.png", "-o", "mine", "--photos", "photos"], "gone.png"),
        (["style.png", "-o", "mine", "--photos", "photos", "--size", "128"], "style.png is 80x80 px, but 128 px"),
        (["style.png", "-o", "mine", "--photos", "photos", "--size", "70"], "size="),
        (["style.png", "-o", "mine", "--photos", "photos", "--steps", "0"], "steps="),
        (["style.png", "-o", "mine", "--photos", "photos", "--trains", "some"], "trains="),
        (["style.png", "-o", "photos", "--photos", "photos"], "'photos' is there already and is no style"),
        (["style.png", "-o", "nowhere/mine", "--photos", "photos"], "nowhere"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(
    folder: Path, photos: Path, run: Run, words: list[str], said: str
) -> None:
    (folder / "empty").mkdir()
    done = run("train", "style", "--size", "64", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("impasto: error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "mine").exists()


def test_style_that_was_changed_is_refused(folder: Path, photos: Path, run: Run) -> None:
    assert run(*STYLE, "--photos", "photos", "--quiet").returncode == 0
    (folder / "mine" / "fast.safetensors").write_bytes(b"other weights")
    done = run("stylize", "content.png", "mine", "-o", "out.png", "--engine", "fast")
    assert done.returncode == 2
    assert "it was changed; restore" in done.stderr
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize("verb", ["any-style", "style"])
def test_help_shows_the_settings_with_their_defaults(run: Run, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 300)
    text = run("train", verb, "--help").stdout
    for option in ("--steps ", "--batch ", "--learning-rate ", "--seed ", "--photos ", "--workdir ", "--leave-out "):
        assert option in text
    assert ("--trains " in text) == (verb == "style")
    assert ("--paintings " in text) == (verb == "any-style")


def test_ctrl_c_ends_early_keeps_what_was_learned_and_the_command_goes_on(folder: Path, photos: Path, run: Run) -> None:
    words = ["train", "style", "style.png", "-o", "mine", "--photos", "photos", "--batch", "1", "--size", "64"]
    with subprocess.Popen(
        [sys.executable, "-m", "impasto", *words, "--steps", "60", "--trains", "code", "--json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("step 50/60: "), first + process.stderr.read()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert 50 <= document["steps"] < 60
    assert "the same command goes on from mine.work" in stderr
    assert document["stopped_early"] is True
    done = run(*words, "--steps", "60", "--trains", "code", "--json")
    assert json.loads(done.stdout)["steps"] == 60
