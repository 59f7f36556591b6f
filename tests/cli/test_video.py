"""`impasto video`: what a user types, and what is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="needs the extra video")

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run


@pytest.fixture
def frames(folder: Path) -> Path:
    """A folder of five pictures."""
    clip = folder / "clip"
    clip.mkdir()
    for index in range(5):
        picture = np.roll(np.asarray(Image.open(folder / "content.png")), 3 * index, 1)
        Image.fromarray(picture).save(clip / f"{index:03}.png")
    return clip


def test_video_is_painted_and_judged(run: Run, frames: Path, folder: Path) -> None:
    done = run("video", frames, "style.png", "-o", "out.mkv", "--codec", "ffv1", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["frames"], report["width"], report["height"]) == (5, 96, 72)
    assert report["recipe"]["engine"] == "fast"
    judged = run("evaluate", "out.mkv", "--content", frames, "--style", "style.png", "--video", "--json")
    found = json.loads(judged.stdout)
    assert found["frames"] == 5
    assert found["warping_error"] > 0


def test_folder_becomes_a_folder(run: Run, frames: Path, folder: Path) -> None:
    assert run("video", frames, "style.png", "-o", "out").returncode == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        *(f"{i:06}.png" for i in range(1, 6)),
        "recipe.json",
    ]


def test_styles_over_time_are_read(run: Run, frames: Path) -> None:
    done = run("video", frames, "style.png", "-o", "out.mp4", "--style-keyframes", "0.1:content.png", "--json")
    assert [one["name"] for one in json.loads(done.stdout)["recipe"]["styles"]] == ["style.png", "content.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no style was given"),
        (("style.png", "--style-keyframes", "soon:style.png"), "give SECONDS:STYLE"),
        (("style.png", "--region", "m.png:style.png:s.png"), "give MASK:STYLE"),
        (("style.png", "--engine", "oil"), "no engine named 'oil'"),
        (("style.png", "--crf", "90"), "crf='90' cannot be used"),
        (("missing.png",), "missing.png"),
    ],
)
def test_refusals_are_one_sentence(run: Run, frames: Path, folder: Path, words: tuple[str, ...], said: str) -> None:
    done = run("video", frames, *words, "-o", "out.mp4")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "out.mp4").exists()


def test_file_that_is_no_video_is_named(run: Run, folder: Path) -> None:
    (folder / "clip.mp4").write_bytes(b"no video")
    done = run("video", "clip.mp4", "style.png", "-o", "out.mp4")
    assert done.returncode == 2
    assert "cannot read 'clip.mp4': it is no video" in done.stderr


def test_output_is_never_the_input(run: Run, folder: Path) -> None:
    (folder / "clip.mp4").write_bytes(b"precious")
    assert run("video", "clip.mp4", "style.png", "-o", "clip.mp4").returncode == 2
    assert (folder / "clip.mp4").read_bytes() == b"precious"


def test_pictures_options_are_not_for_videos(run: Run, folder: Path) -> None:
    done = run("evaluate", "out.mp4", "--content", "in.mp4", "--style", "style.png", "--video", "--controls")
    assert (done.returncode, "--controls is not for videos" in done.stderr) == (2, True)


def test_video_is_made_again_from_its_recipe(run: Run, frames: Path, folder: Path) -> None:
    assert run("video", frames, "style.png", "-o", "out.mp4").returncode == 0
    outcome = run("rerun", "out.mp4")
    assert outcome.returncode == 0, outcome.stderr
    assert "identical to out.mp4, byte for byte" in outcome.stderr
    assert (folder / "out-rerun.mp4").read_bytes() == (folder / "out.mp4").read_bytes()
