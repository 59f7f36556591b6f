"""Jobs on processes of this machine: each comes back once, whatever the others do to their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.unit.batch.conftest import job_of

from impasto.batch.job import Result
from impasto.batch.local import LocalRunner
from impasto.progress import Cancelled, CancelToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from impasto.batch.job import Job


#: What the jobs of a run do.
KINDS = ("plain", "kill", "plain", "plain")


def note(job: Job) -> Result:
    """Leave a mark that this ran; a job may ask for its process to die, every time or once."""
    place = Path(job.place)
    with (place / job.key).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if job.style == "once" and len(runs(place, job.key)) == 1:
        os._exit(1)
    if job.style == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return Result.done(job)


def linger(job: Job) -> Result:
    """Leave a mark, and take longer than any test."""
    (Path(job.place) / job.key).write_text(f"{os.getpid()}\n")
    time.sleep(600)
    return Result.done(job)


def runs(place: Path, key: str) -> list[str]:
    """The processes in which a job ran."""
    return (place / key).read_text().splitlines() if (place / key).exists() else []


def jobs_of(place: Path, *styles: str) -> list[Job]:
    """Jobs with the keys 0, 1, …."""
    return [job_of(place, key=str(number), style=style) for number, style in enumerate(styles)]


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    with LocalRunner(1, CancelToken()) as call:
        found = [job.key for job, result in call(note, jobs_of(tmp_path, "a", "b")) if result]
    assert found == ["0", "1"]
    assert runs(tmp_path, "0") == [str(os.getpid())]


def test_process_that_dies_takes_nothing_with_it(tmp_path: Path) -> None:
    with LocalRunner(2, CancelToken()) as call:
        found = [(job.key, result and result.status) for job, result in call(note, jobs_of(tmp_path, *KINDS))]
    assert sorted(found) == [("0", "done"), ("1", None), ("2", "done"), ("3", "done")]
    # Given up when a process died for the second time while it was under way; it may not have begun the first time.
    assert 1 <= len(runs(tmp_path, "1")) <= 2
    assert all(str(os.getpid()) not in runs(tmp_path, key) for key in "0123")


def test_job_whose_process_died_once_is_done_in_the_next(tmp_path: Path) -> None:
    with LocalRunner(2, CancelToken()) as call:
        [(_, result)] = call(note, jobs_of(tmp_path, "once"))
    assert result
    assert len(runs(tmp_path, "0")) == 2


def test_processes_stay_from_one_call_to_the_next_and_finish_what_they_began(tmp_path: Path) -> None:
    token = CancelToken()
    with LocalRunner(2, token) as call:
        assert len(list(call(note, jobs_of(tmp_path, *"abcd")))) == 4
        found = []
        for job, _ in call(note, jobs_of(tmp_path, *"abcdef")):
            found.append(job.key)
            token.stop()
    assert len({process for key in "012345" for process in runs(tmp_path, key)}) <= 2
    began = [key for key in "012345" if len(runs(tmp_path, key)) == (2 if key < "4" else 1)]
    assert sorted(found) == began
    assert len(began) < 6


ENDLESS = """
import sys
from pathlib import Path
from tests.unit.batch.test_local import jobs_of, linger
from impasto.batch.local import LocalRunner
from impasto.progress import CancelToken
if __name__ == "__main__":
    with LocalRunner(2, CancelToken()) as call:
        list(call(linger, jobs_of(Path(sys.argv[1]), "a", "b")))
"""


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    paths = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    command = [sys.executable, str(tmp_path / "endless.py"), str(tmp_path)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}) as owner:
        try:
            until(lambda: bool(runs(tmp_path, "0") and runs(tmp_path, "1")))
        finally:
            owner.kill()
    workers = [int(pid) for key in "01" for pid in runs(tmp_path, key)]
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


def until(found: Callable[[], bool], limit_s: float = 90) -> None:
    """Wait for something."""
    end = time.monotonic() + limit_s
    while not found():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def test_stopped_run_in_this_process_begins_no_more(tmp_path: Path) -> None:
    token = CancelToken()
    with LocalRunner(1, token) as call:
        for _ in call(note, jobs_of(tmp_path, *"abc")):
            token.stop()
    assert not (tmp_path / "1").exists()


def test_cancelled_run_ends(tmp_path: Path) -> None:
    token = CancelToken()
    with LocalRunner(1, token) as call:
        coming = call(note, jobs_of(tmp_path, *"abc"))
        next(coming)
        token.cancel()
        with pytest.raises(Cancelled):
            next(coming)
    assert not (tmp_path / "1").exists()
