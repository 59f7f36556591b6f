"""``--workdir``: a run that was ended goes on with the same command and ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import impasto

Run = Callable[..., subprocess.CompletedProcess[str]]

SOURCE = str(Path(impasto.__file__).parents[1])

#: impasto with checkpoints as often as it can write them: tests do not wait for seconds.
OFTEN = """
import impasto.engines.checkpoint as checkpoint
checkpoint._EVERY_S = checkpoint._PAUSE = 0.0
from impasto.cli.main import main
raise SystemExit(main())
"""

CHECKPOINT = Path("work/checkpoint.safetensors")

#: Long enough to be interrupted, short enough to be finished.
LONG = ("--image-size", "64", "--scales", "48,64", "--steps", "15")


def words(output: str, *options: str) -> list[str]:
    return ["stylize", "content.png", "style.png", "-o", output, *LONG, *options]


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own that has kept a checkpoint."""
    with subprocess.Popen(
        [sys.executable, "-c", OFTEN, *words("out.png", "--workdir", "work", *options)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while not CHECKPOINT.exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.002)
            yield process
        finally:
            process.kill()


@pytest.fixture
def checkpoint(folder: Path) -> Path:
    """What a run that was killed left behind."""
    with running():
        pass
    return folder / CHECKPOINT


@pytest.mark.parametrize(
    "options",
    [(), ("--style-loss", "nn", "--samples", "64"), ("--optimizer", "adam", "--init", "noise", "--bit-depth", "16")],
)
@pytest.mark.usefixtures("folder")
def test_killed_run_goes_on_and_ends_with_the_same_bytes(run: Run, options: tuple[str, ...]) -> None:
    with running(*options) as process:
        process.send_signal(signal.SIGKILL)
    assert not Path("out.png").exists()
    assert run(*words("whole.png", *options)).returncode == 0
    resumed = run(*words("out.png", "--workdir", "work", *options))
    assert resumed.returncode == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()
    assert not CHECKPOINT.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.usefixtures("folder")
def test_cancelled_run_says_how_it_goes_on_and_keeps_its_checkpoint(run: Run, number: int, code: int) -> None:
    with running("--optimizer", "adam", "--steps", "100000") as process:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr.splitlines()[-1] == "cancelled; the same command goes on from work"
    assert CHECKPOINT.exists()
    assert not Path("out.png").exists()


@pytest.mark.usefixtures("checkpoint")
def test_checkpoint_of_another_run_is_refused(run: Run) -> None:
    kept = CHECKPOINT.read_bytes()
    outcome = run(*words("out.png", "--workdir", "work", "--seed", "7"))
    assert outcome.returncode == 2
    assert "is of another run" in outcome.stderr
    assert "use another workdir, or remove this one" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert CHECKPOINT.read_bytes() == kept


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.999])
def test_truncated_checkpoint_is_refused(run: Run, checkpoint: Path, keep: float) -> None:
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    outcome = run(*words("out.png", "--workdir", "work"))
    assert outcome.returncode == 2
    assert "is damaged" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not Path("out.png").exists()


@pytest.mark.usefixtures("folder")
def test_workdir_in_use_is_refused(run: Run) -> None:
    with running("--optimizer", "adam", "--steps", "100000"):
        outcome = run(*words("other.png", "--workdir", "work"))
    assert outcome.returncode == 2
    assert "another run is at work in 'work'" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("place", ["file", "file/below"])
@pytest.mark.usefixtures("folder")
def test_workdir_that_is_a_file_is_refused(run: Run, place: str) -> None:
    Path("file").write_text("mine")
    outcome = run(*words("out.png", "--workdir", place))
    assert outcome.returncode == 2
    assert f"cannot use '{place}' as workdir" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert Path("file").read_text() == "mine"


@pytest.mark.usefixtures("folder")
def test_workdir_and_time_budget_contradict_each_other(run: Run) -> None:
    outcome = run(*words("out.png", "--workdir", "work", "--time-budget", "9"))
    assert outcome.returncode == 2
    assert "workdir and time_budget cannot be combined" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not Path("work").exists()
