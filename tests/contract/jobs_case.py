"""Every JobEngine with a worker's hands: the fake, DBOS on a file and DBOS on PostgreSQL."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.fake_jobs import FakeJobs
from tests.databases import database_of, postgres

from impasto.jobs import order, table
from impasto.jobs.admission import Limits
from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import Job, JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from impasto.jobs.engine import JobEngine

__all__ = ["postgres"]

A, B = "anna", "ben"
QUEUED = 6


@dataclass
class Case:
    """An engine with the same picture for both owners, and a worker's hands."""

    engine: JobEngine
    asset: str
    begin: Callable[[Job], Any]
    end: Callable[[Job, str], Any]
    claim: Callable[[], str | None]
    finish_chunk: Callable[[Job], Any]

    def request(self, **changes: object) -> JobRequest:
        return JobRequest.of(**{"content": self.asset, "styles": (self.asset,), **changes})

    def submit(self, owner: str = A, **changes: Any) -> Job:
        return self.engine.submit(self.request(), owner=owner, **changes)


@pytest.fixture(params=["fake", "sqlite", "postgres"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "fake":
        asset = "0" * 64
        fake = FakeJobs({A: {asset}, B: {asset}}, queued=QUEUED)
        yield Case(
            fake,
            asset,
            lambda job: fake.change(job, state="running"),
            lambda job, state: fake.change(job, state=state, error={"code": "x"} if state == "failed" else None),
            fake.claim,
            lambda job: fake.change(fake.get(job.id, owner=A), chunks=1, **put_aside(fake.get(job.id, owner=A))),
        )
        return
    url = database_of(request, request.param)
    engine = DurableJobs(tmp_path, database=url, limits=Limits(queued=QUEUED, free_disk_mb=0, free_memory_mb=0))
    asset, _ = (engine.store.keep(b"a picture", owner=owner) for owner in (A, B))

    def end(job: Job, state: Any) -> None:
        with engine.engine.begin() as connection:
            table.end(connection, job.id, state, error={"code": "x"} if state == "failed" else None)

    def begin(job: Job) -> None:
        with engine.engine.begin() as connection:
            table.begin(connection, job.id)

    def claim() -> str | None:
        with engine.engine.begin() as connection:
            found = order.claim(connection, str(time.time_ns()))
        return None if found is None else found[0]

    def finish_chunk(job: Job) -> None:
        with engine.engine.begin() as connection:
            table.finish_chunk(connection, job.id, 0)
            order.put_aside(connection, job.id)

    yield Case(engine, asset, begin, end, claim, finish_chunk)
    engine.close()


def put_aside(job: Job) -> dict[str, object]:
    return {"state": "paused", "wanted": None} if job.wanted == "pause" else {}
