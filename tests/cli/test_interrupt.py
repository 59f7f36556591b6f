"""Ctrl-C and SIGTERM, on a real process: it is signalled as soon as it shows its first step."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import impasto
from impasto import api

Run = Callable[..., subprocess.CompletedProcess[str]]

SOURCE = str(Path(impasto.__file__).parents[1])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def command(*options: str) -> list[str]:
    words = ["stylize", "content.png", "style.png", "-o", "out.png", "--image-size", "64", "--scales", "64"]
    return [sys.executable, "-m", "impasto", *words, "--steps", "100000", *options]


def interrupted(folder: Path, *options: str, number: int = signal.SIGINT) -> tuple[int, str, list[str]]:
    """Start a run that would take hours, signal it at its first step: exit code, stdout and lines of stderr."""
    with subprocess.Popen(
        command(*options),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        plan, first = process.stderr.readline(), process.stderr.readline()
        assert plan.startswith("64×48 px in 1 scale, "), plan + first
        assert first.startswith("scale 1/1 "), first + process.stderr.read()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr.splitlines()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_cancels_and_leaves_nothing_behind(folder: Path, number: int, code: int) -> None:
    before = names(folder)
    outcome = interrupted(folder, "--save-every", "1", number=number)
    assert outcome == (code, "", ["cancelled; nothing was written"])
    assert names(folder) == before


def test_ctrl_c_with_keep_on_interrupt_saves_the_picture_so_far(folder: Path, run: Run) -> None:
    code, stdout, stderr = interrupted(folder, "--keep-on-interrupt", "--json", "--save-every", "3")
    assert code == 0
    assert stderr[0] == "interrupted: the picture is as far as it had come"
    document = json.loads(stdout)
    assert document["stopped_early"] is True
    assert 1 <= api.read_recipe(folder / "out.png").scales[0].steps < 100000
    assert names(folder) == ["content.png", "out.png", "style.png"]
    assert run("rerun", "out.png").stderr.splitlines()[-1].startswith("identical to")


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminal")
def test_terminal_gets_a_bar_that_goes_when_it_is_cancelled(folder: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": SOURCE, "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"scale 1/1" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 130
    assert "preparing" in text
    assert "64×48 px in 1 scale, about " in text
    assert "loss" in text
    assert "left" in text
    assert text.rstrip().endswith("cancelled; nothing was written")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back


def test_second_ctrl_c_ends_at_once_and_removes_the_preview(tmp_path: Path) -> None:
    program = """
import os, signal, sys, time
from pathlib import Path
from impasto.cli.run import handle_signals
from impasto.progress import CancelToken
token = CancelToken()
with handle_signals(token, keep=True, leftover=Path("left.preview.png")):
    os.kill(os.getpid(), signal.SIGINT)
    assert token.stopped
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
    (tmp_path / "left.preview.png").touch()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": SOURCE}, check=False, timeout=30
    )
    assert done.returncode == 130
    assert names(tmp_path) == []


def test_reader_that_goes_away_is_no_error(finished: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "impasto", "info", "--json", "out.png"],
        cwd=finished,
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
