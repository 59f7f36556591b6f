"""Waiting for workers and for jobs, as long as somebody is there to hear of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from impasto.agents.watch import WATCH, CallerGoneError
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from impasto.jobs.durable import DurableJobs
    from impasto.jobs.job import Job

_POLL_S: Final = 0.15
#: A worker that was just started needs so long to say that it is there.
WORKER_WAIT_S: Final = 25.0


class NoWorkerError(ImpastoError):
    """Nobody would paint the picture; nothing was kept."""


def need_worker(jobs: DurableJobs) -> None:
    """Wait for a worker that is starting.

    Raises:
        NoWorkerError: there is none.
        CallerGoneError: nobody waits any more.
    """
    watch, end = WATCH.get(), time.monotonic() + WORKER_WAIT_S
    while not jobs.workers():
        if time.monotonic() > end:
            raise NoWorkerError(
                "no worker is running, so nobody would paint the picture, and nothing was kept; ask whoever runs the "
                "service to start one (impasto worker), then call again"
            )
        watch.report(0, "waiting for a worker to start")
        if watch.gone.wait(_POLL_S):
            raise CallerGoneError


def wait_for(
    jobs: DurableJobs, job: Job[Any], seconds: float, progress: Callable[[Job[Any]], tuple[float, str]], *, drop: bool
) -> Job[Any]:
    """The job once it has ended, or as it is when the time is up.

    Args:
        jobs: where it is.
        job: which.
        seconds: how long.
        progress: the share of a job that is done, and a few words.
        drop: whether the job is dropped if the caller goes away: it was begun for this caller alone.

    Raises:
        CallerGoneError: nobody waits any more.
    """
    watch, end = WATCH.get(), time.monotonic() + seconds
    again = jobs.campaign if job.kind == "campaign" else jobs.get
    while not job.is_over and (left := end - time.monotonic()) > 0:
        if watch.gone.wait(min(_POLL_S, left)):
            if drop:
                jobs.cancel(job.id, owner=job.owner, keep=False)
            raise CallerGoneError
        job = again(job.id, owner=job.owner)
        watch.report(*progress(job))
    return job
