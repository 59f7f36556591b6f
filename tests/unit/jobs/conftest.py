"""Workers as processes of their own, on a SQLite file and, where its programs are, on PostgreSQL."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from tests.databases import database, postgres

import impasto
from impasto.jobs.admission import Limits
from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import Job, JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["database", "postgres"]

OWNER = "somebody"

#: A worker whose chunks are short, so that a small picture has many. ``before`` runs first.
WORKER = """
import sys, time, signal, pathlib
import impasto.jobs.chunks as chunks
chunks.CHUNK_S = 0.0
chunks._WORTH = 0.0
import impasto.jobs.worker as worker
worker._BEAT_S = 0.2
{before}
from impasto.jobs.durable import DurableJobs
home, database, slot = sys.argv[1:]
one = worker.Worker(DurableJobs(pathlib.Path(home), database=database or None), slot, silence_s=1.5)
signal.signal(signal.SIGTERM, lambda *_: one.leave())
one.run()
"""

#: Every step takes a moment, so that there is time to kill.
SLOW = """
from impasto.engines.optimize.run import Run
report = Run._report
Run._report = lambda *args, **named: (report(*args, **named), time.sleep(0.05))[0]
"""


@pytest.fixture
def jobs(database: str | None, tmp_path: Path) -> Iterator[DurableJobs]:
    engine = DurableJobs(tmp_path / "home", database=database)
    yield engine
    engine.close()


@pytest.fixture
def file_jobs(tmp_path: Path) -> Iterator[DurableJobs]:
    """On a file, without a worker."""
    engine = DurableJobs(tmp_path / "home", limits=Limits(free_disk_mb=0, free_memory_mb=0))
    yield engine
    engine.close()


@pytest.fixture
def work(jobs: DurableJobs, database: str | None) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a worker; all are gone at the end."""
    processes = []

    def start(slot: str = "one", *, before: str = "") -> subprocess.Popen[bytes]:
        source = Path(impasto.__file__).parents[1]
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER.format(before=before), jobs.store.home, database or "", slot],
            env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def picture(array: object, size: tuple[int, int]) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(array).resize(size).save(kept, "PNG")
    return kept.getvalue()


@pytest.fixture
def request_for(content, style) -> Callable[..., JobRequest]:
    """A small job whose pictures are in an engine's store: two scales of twelve steps."""

    def make(jobs: DurableJobs, /, **changes: object) -> JobRequest:
        photo, painting = (
            jobs.store.keep(picture(array, size), owner=OWNER)
            for array, size in ((content, (64, 48)), (style, (72, 56)))
        )
        settings = {
            "image_size": 64,
            "scales": [48, 64],
            "steps": 12,
            "layers": ["relu1_1", "relu2_1"],
            "style_loss": "w2",
        }
        return JobRequest.of(**{"content": photo, "styles": (painting,), "settings": settings, **changes})

    return make


@pytest.fixture
def request_of(jobs: DurableJobs, request_for) -> Callable[..., JobRequest]:
    return partial(request_for, jobs)


def until(jobs: DurableJobs, job: Job, is_so: Callable[[Job], bool], seconds: float = 90) -> Job:
    """The job once that is so."""
    deadline = time.monotonic() + seconds
    while not is_so(found := jobs.get(job.id, owner=OWNER)):
        assert time.monotonic() < deadline, found
        assert not found.is_over, found
        time.sleep(0.02)
    return found
