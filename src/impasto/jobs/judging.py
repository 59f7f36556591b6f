"""Judges results once they are there, when the worker has nothing better to do, and watches the figures for drift.

A result is judged at most once: if its worker dies meanwhile, that judgement is lost, and nothing is tried over and
over.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from impasto.errors import ImpastoError
from impasto.jobs import canary, order, outcomes, table, tally
from impasto.jobs.database import JOBS
from impasto.jobs.job import ASSET, Job
from impasto.jobs.watchdog import watched

if TYPE_CHECKING:
    from impasto.jobs.config import ServiceFile
    from impasto.jobs.durable import DurableJobs

logger = logging.getLogger("impasto")

Mode = Literal["sample", "all", "off"]

#: The quality log in the service's folder.
QUALITY_FILE: Final = "quality.sqlite"
#: Of what every result is judged by, what stands in the job and in the metrics. The log has everything.
SHOWN: Final = ("style_gain", "recognition", "content_distance", "noise_ratio")
#: With ``sample``, one result in so many.
_ONE_IN: Final = 10
_POLL_S: Final = 1.0
#: A job that waits is computed first, but no judgement waits for longer than this.
_PATIENCE_S: Final = 300.0
#: A judgement that takes longer hangs, and ends its worker, whose job could not begin.
_HANGS_S: Final = 600.0
#: Drift is looked for after so many judgements.
_DRIFT_EVERY: Final = 10


def is_due(job: Job[Any], mode: Mode) -> bool:
    """Whether a result is to be judged: with ``sample`` one in ten, by a hash of its id, and all of a canary's."""
    if mode == "sample":
        in_sample = int(hashlib.sha256(job.id.encode()).hexdigest()[:8], 16) % _ONE_IN == 0
        return in_sample or (job.variant or {}).get("arm") == "canary"
    return mode == "all"


def mark(connection: sa.Connection, job: Job[Any], mode: Mode) -> None:
    """Say that a result that was just made is to be judged, if it is."""
    if job.kind == "picture" and is_due(job, mode):
        connection.execute(sa.update(JOBS).where(JOBS.c.id == job.id).values(judging="due"))


class Judge:
    """Judges beside a worker, in a thread of its own.

    Args:
        jobs: whose results.
        at_work: held by the worker while it computes, and here while a result is judged: never both at once.
        leaving: set when the worker ends.
        config: which windows are compared for drift.
    """

    def __init__(
        self, jobs: DurableJobs, at_work: threading.Lock, leaving: threading.Event, config: ServiceFile
    ) -> None:
        self._jobs, self._at_work, self._leaving, self._config = jobs, at_work, leaving, config
        self._judged = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Judge from now on."""
        self._thread.start()

    def _run(self) -> None:
        while not self._leaving.wait(_POLL_S):
            try:
                self.judge_next()
            except sa.exc.SQLAlchemyError as error:
                logger.warning("a judgement could not be kept: %s", error)

    def judge_next(self) -> None:
        """Judge the result that waits longest, unless a job waits too."""
        with self._jobs.engine.connect() as connection:
            job = table.longest_due(connection)
            is_idle = not order.waiting(connection)
        if job is None:
            return
        overdue = time.time() - (job.ended_s or 0) > _PATIENCE_S
        if not (is_idle or overdue) or not self._at_work.acquire(timeout=30 if overdue else 0):
            return
        try:
            self._judge(job)
        finally:
            self._at_work.release()

    def _judge(self, job: Job[Any]) -> None:
        with self._jobs.engine.begin() as connection:
            if not table.claim_judging(connection, job.id):
                return  # another worker judges it, or it was deleted
        try:
            with watched(_HANGS_S):
                quality = self._quality_of(job)
        except ImpastoError as error:
            logger.warning("the result of job %s cannot be judged: %s", job.id, error)
            return
        except Exception:
            logger.exception("the result of job %s cannot be judged", job.id)
            return
        with self._jobs.engine.begin() as connection:
            outcomes.write_quality(connection, job, quality, table.next_number(connection, "changed"))
            canary.look(connection, job)
        logger.info("the result of job %s is judged %s", job.id, quality["outcome"], extra={"job_id": job.id})
        self._judged += 1
        if self._judged % _DRIFT_EVERY == 0:
            watch_drift(self._jobs, job.request.engine_name, self._config)

    def _quality_of(self, job: Job[Any]) -> dict[str, Any]:
        """The verdict on a result; the quality log gets its row.

        Raises:
            ImpastoError: it cannot be judged.
        """
        from impasto import api

        made, store = canary.as_made(job).request, self._jobs.store
        found = api.evaluate(
            store.job(job.id).result(made.format),
            content=store.asset(made.content, owner=job.owner),
            style=[store.asset(one, owner=job.owner) if ASSET.fullmatch(one) else one for one in made.styles],
            log=store.home / QUALITY_FILE,
        )
        values = {name: float(found.values[name]) for name in SHOWN if name in found.values}
        return {
            "outcome": found.verdict.outcome,
            "reasons": list(found.verdict.reasons),
            "values": {name: round(value, 4) for name, value in values.items() if math.isfinite(value)},
        }


def watch_drift(jobs: DurableJobs, engine: str, config: ServiceFile) -> None:
    """Compare the last results of an engine with its first ones, and keep what is found for ``/metrics``.

    Nothing is said before there are as many rows as both windows need.
    """
    from impasto.evaluation.drift import drift
    from impasto.evaluation.quality_log import QualityLog

    windows = config.drift
    with QualityLog(jobs.store.home / QUALITY_FILE, "read") as log:
        first = log.rows(engine=engine, last=-(windows.reference + windows.recent))
        recent = log.rows(engine=engine, last=windows.recent)
    if len(first) < windows.reference + windows.recent:
        return
    report = drift(first[: windows.reference], recent)
    with jobs.engine.begin() as connection:
        tally.put(connection, "drifted", {"engine": engine}, len(report.reasons))
        for found in report.metrics:
            tally.put(connection, "drift_psi", {"engine": engine, "metric": found.name}, found.psi)
    for reason in report.reasons:
        logger.warning("drift of engine %s: %s", engine, reason)
