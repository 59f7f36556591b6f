"""``impasto batch``: plan, run, report, exit codes, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.cli.conftest import save_picture

import impasto

Run = Callable[..., CompletedProcess[str]]

PACK = """
name = "Spring"
styles = ["wave.png"]
level = false

[[channels]]
name = "story"
width = 24
height = 40
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a pack and two photos; the user's own places are empty."""
    for variable in ("IMPASTO_STYLES", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "user" / variable))
    monkeypatch.setenv("IMPASTO_PROVENANCE", str(tmp_path / "papers"))
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(2):
        save_picture(Path(f"photos/{number}.png"), width=80, height=64, seed=number)
    save_picture(Path("wave.png"), width=72, height=72, seed=9)
    Path("brand.toml").write_text(PACK)
    return tmp_path


WORDS = ("batch", "brand.toml", "photos", "-o", "out", "--workers", "1")


def test_batch_paints_signs_reports_and_goes_on(run: Run) -> None:
    assert run("provenance", "init").returncode == 0
    first = run(*WORDS, "--json", "--sign", "local")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert document["name"] == "Spring"
    assert (document["counts"]["done"], document["warnings"]) == (2, [])
    assert [row["outputs"][1] for row in document["rows"]] == ["story/0--wave.jpg", "story/1--wave.jpg"]
    assert all(Path("out", name).exists() for row in document["rows"] for name in row["outputs"])
    assert run("verify", *(Path("out", name) for row in document["rows"] for name in row["outputs"])).returncode == 0
    assert first.stderr.splitlines()[0] == "2 to paint, 0 there already, 0 rejected"
    assert first.stderr.splitlines()[-1].endswith("; out/report.html")
    second = run(*WORDS)
    assert second.stderr.splitlines()[0] == "0 to paint, 2 there already, 0 rejected"
    assert (second.returncode, second.stdout) == (0, "")
    assert run(*WORDS, "--quiet").stderr == ""


def test_plan_says_what_would_be_done_and_writes_nothing(run: Run) -> None:
    Path("photos/text.png").write_text("no picture")
    done = run(*WORDS, "--plan")
    assert done.returncode == 0
    left_out, counts, costs = done.stderr.splitlines()
    assert left_out == "left out text.png: it cannot be read: it is no picture"
    assert counts == "2 to paint, 0 there already, 0 rejected"
    assert costs.startswith("1 worker of about ")
    document = json.loads(run(*WORDS, "--plan", "--json").stdout)
    assert [job["picture"] for job in document["to_paint"]] == ["0", "1"]
    assert document["problems"] == [{"name": "text.png", "reason": "it cannot be read: it is no picture"}]
    assert not Path("out").exists()


def test_failed_row_is_told_and_only_it_is_tried_again(run: Run) -> None:
    data = Path("photos/1.png").read_bytes()
    Path("photos/1.png").write_bytes(data[: len(data) // 2])
    done = run(*WORDS)
    assert done.returncode == 2
    assert "failed: 1 as wave: " in done.stderr.splitlines()[-1]
    assert "1 done" in done.stderr
    Path("photos/1.png").write_bytes(data)
    again = run(*WORDS, "--failed")
    assert (again.returncode, again.stderr.splitlines()[0]) == (0, "1 to paint, 1 there already, 0 rejected")


def test_style_and_manifest_in_place_of_pack_and_pictures(run: Run) -> None:
    Path("rows.csv").write_text("picture,strength\nphotos/0.png,0.5\n")
    done = run("batch", "wave.png", "--manifest", "rows.csv", "-o", "out", "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert (row["style"], row["strength"]) == ("wave", 0.5)


def test_decisions_are_kept_and_honoured(run: Run) -> None:
    [row, _] = json.loads(run(*WORDS, "--json").stdout)["rows"]
    Path("mine.json").write_text(json.dumps({row["slot"]: {"decision": "reject", "key": row["key"]}}))
    done = run(*WORDS, "--decisions", "mine.json")
    assert done.stderr.splitlines()[0] == "0 to paint, 1 there already, 1 rejected"
    assert Path("out/rejected", row["outputs"][0]).exists()
    assert run(*WORDS).stderr.splitlines()[0] == "0 to paint, 1 there already, 1 rejected"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("batch", "none.toml", "photos", "-o", "out"),
            "the pack 'none.toml' cannot be read: No such file or directory",
        ),
        (("batch", "nowhere", "photos", "-o", "out"), "there is no style 'nowhere'"),
        (("batch", "brand.toml", "-o", "out"), "give either pictures, or a manifest that names them"),
        (("batch", "brand.toml", "photos", "-o", "photos/out"), "lies in the input 'photos'"),
        (("batch", "brand.toml", "nowhere", "-o", "out"), "nowhere: there is no such file or folder"),
        (("batch", "brand.toml", "photos", "-o", "brand.toml"), "'brand.toml' is a file; give a folder with --output"),
        (("batch", "brand.toml", "--manifest", "brand.toml", "-o", "out"), "the manifest 'brand.toml' has no rows"),
        (("batch", "brand.toml", "photos", "-o", "nothing://x"), "'nothing://x' cannot be opened: Protocol not known"),
    ],
)
def test_what_cannot_be_run_is_refused(run: Run, words: tuple[str, ...], sentence: str, shop: Path) -> None:
    before = sorted(shop.rglob("*"))
    done = run(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(shop.rglob("*")) == before


def test_file_of_somebody_else_needs_overwrite(run: Run) -> None:
    Path("out/story").mkdir(parents=True)
    Path("out/story/0--wave.jpg").write_text("mine")
    done = run(*WORDS)
    assert done.returncode == 2
    assert "is there already and is not this campaign's" in done.stderr
    assert Path("out/story/0--wave.jpg").read_text() == "mine"
    assert run(*WORDS, "--overwrite").returncode == 0


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(run: Run, shop: Path) -> None:
    for number in range(2, 40):
        save_picture(Path(f"photos/{number}.png"), width=80, height=64, seed=number)
    with subprocess.Popen(
        [sys.executable, "-m", "impasto", *WORDS],
        cwd=shop,
        env={**os.environ, "PYTHONPATH": str(Path(impasto.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        journal = Path("out/campaign.jsonl")
        while not (journal.exists() and journal.read_bytes().count(b"\n")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130, rest
    finished = journal.read_bytes().count(b"\n")
    assert 0 < finished < 40
    assert f"{40 - finished} missing; out/report.html" in rest.splitlines()[-1]
    for photo in sorted(Path("photos").iterdir())[finished + 1 :]:
        photo.unlink()
    again = run(*WORDS)
    assert again.returncode == 0
    assert again.stderr.splitlines()[0] == f"1 to paint, {finished} there already, 0 rejected"
