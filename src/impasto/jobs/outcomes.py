"""What is counted when a job ends, and what its owner then does with it.

Everything here happens inside a transaction of the caller.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from impasto.jobs import tally
from impasto.jobs.database import JOBS

if TYPE_CHECKING:
    from impasto.jobs.job import Job

#: Of this impasto.
VERSION: Final = version("impasto")


def engine_of(job: Job[Any]) -> str:
    """What a job is counted under: its engine's name, or ``campaign``."""
    return str(job.request.engine_name) if job.kind == "picture" else job.kind


def count_end(connection: sa.Connection, job: Job[Any]) -> None:
    """Count a job that has just ended.

    ``reason`` is the error's code: few, and none of them a client's words.
    """
    engine = engine_of(job)
    reason = job.error["code"] if job.error else "asked" if job.state == "cancelled" else ""
    tally.add(connection, "jobs", {"engine": engine, "state": job.state, "reason": reason})
    ended = job.ended_s or time.time()
    if not job.runs:  # of a job that was tried again nobody knows when it began to wait
        waited = (job.started_s or ended) - job.created_s
        tally.observe(connection, "job_seconds", {"engine": engine, "phase": "waiting"}, waited)
    if job.started_s is not None:
        tally.observe(connection, "job_seconds", {"engine": engine, "phase": "computing"}, ended - job.started_s)
    if job.metrics is not None and job.kind == "picture":
        tally.put(connection, "peak_memory_mb", {"engine": engine}, job.metrics["peak_memory_mb"])
        tally.observe(connection, "step_seconds_per_mp", {"engine": engine}, job.metrics["step_seconds_per_mp"])
    if job.state in ("done", "failed"):
        for labels in _arm(job):
            tally.add(connection, "canary_failures", labels, float(job.state == "failed"))
            tally.add(connection, "canary_jobs", labels)


def count_resumed(connection: sa.Connection) -> None:
    """Count a job that is gone on with, after its worker had ended or after a pause."""
    tally.add(connection, "resumed", {})


def write_quality(connection: sa.Connection, job: Job[Any], quality: dict[str, Any], changed: int) -> None:
    """Keep what the judge says of a job, and count it."""
    connection.execute(
        sa.update(JOBS).where(JOBS.c.id == job.id).values(quality=quality, judging="judged", changed=changed)
    )
    engine = engine_of(job)
    made_by = (job.variant or {}).get("impasto", VERSION)
    tally.add(connection, "verdicts", {"engine": engine, "outcome": quality["outcome"], "version": made_by})
    for name, value in quality["values"].items():
        tally.observe(connection, "quality", {"engine": engine, "metric": name}, value)
    for labels in _arm(job):
        tally.add(connection, "canary_not_ok", labels, float(quality["outcome"] != "ok"))
        tally.add(connection, "canary_judged", labels)


def signal(connection: sa.Connection, job: Job[Any], said: Literal["kept", "discarded"]) -> None:
    """Count what somebody does with a result, by the version that made it: the first thing counts, and once.

    ``kept`` is a result that was fetched as a file or starred, ``discarded`` one that was deleted without.
    """
    if job.state != "done":
        return
    first = sa.update(JOBS).where(JOBS.c.id == job.id, JOBS.c.signal.is_(None)).values(signal=said)
    if connection.execute(first).rowcount:
        made_by = (job.variant or {}).get("impasto", VERSION)
        labels = {"engine": engine_of(job), "signal": said, "version": made_by}
        tally.add(connection, "signals", labels)


def _arm(job: Job[Any]) -> list[dict[str, str]]:
    """The labels of the job in the comparison with a canary, if it takes part in one."""
    known = job.variant or {}
    return [{"canary": known["canary"], "arm": known["arm"]}] if "canary" in known else []
