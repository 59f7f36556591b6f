"""``impasto sweep``: every combination painted, judged as saved, and kept when it is there already."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

import impasto
from impasto import api
from impasto.api.combinations import combinations_of
from impasto.errors import SettingsError
from impasto.progress import Cancelled, CancelToken

Run = Callable[..., CompletedProcess[str]]

SMALL = ("--image-size", "48", "--scales", "48", "--steps", "1")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("folder")
def test_sweep_leaves_pictures_table_and_page(run: Run) -> None:
    done = run("sweep", "content.png", "style.png", "--vary", "strength=0,1", "-o", "out", *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    assert names(Path("out")) == ["strength=0.png", "strength=1.png", "sweep.csv", "sweep.html"]
    document = json.loads(done.stdout)
    assert [cell["settings"] for cell in document["cells"]] == [{"strength": 0.0}, {"strength": 1.0}]
    untouched, full = document["cells"]
    assert untouched["outcome"] == "reject"
    assert untouched["values"]["visible_change"] == 0
    assert full["values"]["visible_change"] > 0
    # Judged on the saved file.
    assert full["values"] == impasto.evaluate("out/strength=1.png", content="content.png", style="style.png").values
    with Path("out/sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["strength"] for row in rows] == ["0", "1"]
    assert float(rows[1]["style_gain"]) == full["values"]["style_gain"]
    page = Path("out/sweep.html").read_text()
    assert page.count("data:image/jpeg") == 4
    assert "<svg" in page


@pytest.mark.usefixtures("folder")
def test_sweep_goes_on_with_what_is_missing_and_makes_the_same_bytes(run: Run) -> None:
    words = ("sweep", "content.png", "style.png", "--vary", "strength=0.5,1", "-o", "out", *SMALL)
    assert run(*words).returncode == 0
    kept, lost = Path("out/strength=0.5.png"), Path("out/strength=1.png")
    before, bytes_before = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    done = run(*words)
    assert done.stderr.splitlines()[0] == "1/2 strength=0.5"
    assert done.stderr.count("(kept)") == 1
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == bytes_before
    changed = run(*words, "--content-weight", "0.02")
    assert "(kept)" not in changed.stderr
    assert api.read_recipe(kept).settings["content_weight"] == 0.02


@pytest.mark.usefixtures("folder")
def test_sweep_of_two_settings_lists_what_failed_and_goes_on(run: Run) -> None:
    done = run(
        *("sweep", "content.png", "style.png", "-o", "out", "--image-size", "48", "--steps", "1", "--json"),
        *("--vary", "style-weights=1,1+1", "--vary", "scales=32+48,48"),
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert [cell["output"] is not None for cell in cells] == [True, True, False, False]
    assert cells[0]["settings"] == {"style_weights": [1.0], "scales": [32, 48]}
    assert "style_weights has 2 values for 1 styles" in cells[2]["problem"]
    assert names(Path("out")) == [
        "style_weights=1,scales=32+48.png",
        "style_weights=1,scales=48.png",
        "sweep.csv",
        "sweep.html",
    ]
    assert "style_weights has 2 values for 1 styles" in Path("out/sweep.html").read_text()


@pytest.mark.usefixtures("folder")
def test_sweep_in_which_everything_fails_ends_with_the_reason(run: Run) -> None:
    done = run("sweep", "content.png", "style.png", "--vary", "style_weights=1+1,2+1", "-o", "out", *SMALL)
    assert done.returncode == 2
    assert "impasto: error: style_weights has 2 values for 1 styles" in done.stderr
    assert names(Path("out")) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--vary", "strength=0,2"), "strength='2' cannot be used: input should be less than or equal to 1"),
        (("--vary", "strength=0,much"), "strength='much' cannot be used"),
        (("--vary", "strenght=0,1"), "no setting named 'strenght'; there are bit_depth, color"),
        (("--vary", "strength"), "--vary 'strength' has no values"),
        (("--vary", "strength="), "--vary 'strength=' has no values"),
        (("--vary", "strength=0,1", "--vary", "strength=1"), "--vary strength is given twice"),
        (("--vary", "strength=0.5,0.50"), "strength is to be 0.5 twice"),
        (("--vary", "strength=0,1", "--strength", "1"), "strength is varied and fixed to '1'"),
        (("--vary", "strength=1", "--vary", "steps=1", "--vary", "seed=1"), "3 settings are varied, one or two can be"),
        (("--vary", "color=style,palette"), "palette and color=palette belong together"),
        (("--vary", "strength=0,1", "--gates", "none.toml"), "the gates 'none.toml' cannot be read"),
    ],
)
def test_sweep_that_cannot_be_run_is_refused_before_the_first_run(
    run: Run, folder: Path, words: tuple[str, ...], sentence: str
) -> None:
    before = names(folder)
    done = run("sweep", "content.png", "style.png", "-o", "out", *SMALL, *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert names(folder) == before


def test_combinations_that_contradict_are_kept_apart_from_values_that_cannot_be() -> None:
    vary = {"color": ["style", "palette"], "palette": [None, "#ff0000"]}
    found = combinations_of(vary, {})
    assert [combination.label for combination in found] == [
        "color=style,palette=default",
        "color=style,palette=ff0000",
        "color=palette,palette=default",
        "color=palette,palette=ff0000",
    ]
    assert [isinstance(combination.checked, SettingsError) for combination in found] == [False, True, True, False]


def test_combinations_have_names_of_their_own_that_any_disk_can_hold() -> None:
    colors = [f"#{17 * number:06x}" for number in range(16)]
    found = combinations_of({"palette": [colors, colors[::-1]], "color": ["palette"]}, {})
    assert len({combination.label for combination in found}) == 2
    assert all(len(combination.label) < 140 for combination in found)
    layers = combinations_of({"style_loss": ["w2,nn=0.5"], "init": ["content", "a/b:c.png"]}, {})
    assert layers[1].label == "style_loss=w2+nn@0.5,init=a-b-c.png"


def test_sweep_that_is_cancelled_keeps_what_is_finished(folder: Path) -> None:
    token = CancelToken()

    def cancel_the_second(number: int, count: int, label: str) -> None:
        if number == 2:
            token.cancel()

    with pytest.raises(Cancelled):
        api.sweep(
            "content.png",
            "style.png",
            vary={"strength": [0.5, 1]},
            output="out",
            image_size=48,
            scales=[48],
            steps=1,
            on_start=cancel_the_second,
            cancel=token,
        )
    assert names(folder / "out") == ["strength=0.5.png"]


def test_ctrl_c_leaves_whole_pictures_only(folder: Path) -> None:
    words = ["sweep", "content.png", "style.png", "-o", "out", "--vary", "steps=1,100000", "--image-size", "48"]
    with subprocess.Popen(
        [sys.executable, "-m", "impasto", *words, "--scales", "48"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(impasto.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("2/2 steps=100000"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130, rest
    assert rest.splitlines()[-1] == "cancelled; 1 finished picture in out, the same command goes on"
    assert names(folder / "out") == ["steps=1.png"]


@pytest.mark.usefixtures("folder")
def test_sweep_starts_from_an_array() -> None:
    found = api.sweep(
        "content.png",
        "style.png",
        vary={"strength": (0.5,)},
        init=np.zeros((24, 32, 3), np.uint8),
        output="out",
        image_size=48,
        scales=(48,),
        steps=1,
    )
    assert [cell.problem for cell in found.cells] == [None]
