"""A :class:`JobEngine` without a database, a worker or a disk: what the contract means, in a page."""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from impasto.jobs.job import Job, JobRequest
from impasto.jobs.refusals import (
    IdempotencyError,
    JobStateError,
    OverloadedError,
    UnknownAssetError,
    UnknownJobError,
)

if TYPE_CHECKING:
    from impasto.jobs.job import State
    from impasto.jobs.keys import Quota


class FakeJobs:
    """Jobs in a dictionary.

    Args:
        assets: by owner, ids that there are.
        queued: jobs that may wait.
    """

    def __init__(self, assets: dict[str, set[str]], *, queued: int = 100) -> None:
        self._assets, self._queued = assets, queued
        self._jobs: dict[str, Job] = {}
        self._order: list[str] = []
        self._keys: dict[tuple[str, str], str] = {}
        self._count = itertools.count(1)

    def submit(
        self, request: JobRequest, *, owner: str, idempotency_key: str | None = None, quota: Quota | None = None
    ) -> Job:
        if missing := set(request.assets) - self._assets.get(owner, set()):
            raise UnknownAssetError(f"there is no asset {missing}")
        if idempotency_key is not None and (known := self._keys.get((owner, idempotency_key))):
            if self._jobs[known].request != request:
                raise IdempotencyError("used for another request")
            return self._jobs[known]
        self._admit(owner, quota)
        job = Job(secrets.token_hex(16), owner, "queued", request, time.time(), next(self._count))
        self._jobs[job.id] = job
        self._order.append(job.id)
        if idempotency_key is not None:
            self._keys[owner, idempotency_key] = job.id
        return job

    def get(self, job_id: str, *, owner: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise UnknownJobError("there is no such job")
        return job

    def jobs(self, *, owner: str, state: State | None = None, limit: int = 50, before: str | None = None) -> list[Job]:
        names = self._order if before is None else self._order[: self._order.index(self.get(before, owner=owner).id)]
        mine = [self._jobs[name] for name in reversed(names) if self._jobs[name].owner == owner]
        return [job for job in mine if state in (None, job.state)][:limit]

    def changed_since(self, changed: int, *, owner: str, limit: int = 100) -> list[Job]:
        mine = [job for job in self._jobs.values() if job.owner == owner and job.changed > changed]
        return sorted(mine, key=lambda job: job.changed)[:limit]

    def position(self, job: Job) -> int | None:
        if job.state != "queued":
            return None
        before = self._order[: self._order.index(job.id)]
        return sum(self._jobs[name].state == "queued" for name in before)

    def cancel(self, job_id: str, *, owner: str, keep: bool) -> Job:
        job = self.get(job_id, owner=owner)
        if job.state == "queued":
            return self.change(job, state="cancelled", ended_s=time.time(), wanted="discard")
        if job.is_over or job.wanted == "discard":
            return job
        return self.change(job, wanted="keep" if keep else "discard")

    def retry(self, job_id: str, *, owner: str, quota: Quota | None = None) -> Job:
        job = self.get(job_id, owner=owner)
        if job.state not in ("failed", "cancelled"):
            raise JobStateError("only a failed or cancelled job can be tried again")
        self._admit(owner, quota)
        self._order.remove(job_id)
        self._order.append(job_id)
        return self.change(job, state="queued", runs=job.runs + 1, wanted=None, error=None, ended_s=None)

    def close(self) -> None:
        pass

    def change(self, job: Job, **changes: object) -> Job:
        """What a worker would do."""
        changed = replace(job, changed=next(self._count), **changes)
        self._jobs[job.id] = changed
        return changed

    def _admit(self, owner: str, quota: Quota | None) -> None:
        waiting = sum(job.owner == owner and job.state == "queued" for job in self._jobs.values())
        if quota is not None and quota.waiting is not None and waiting >= quota.waiting:
            raise OverloadedError("yours are enough", reason="waiting", retry_after_s=5)
        if sum(job.state == "queued" for job in self._jobs.values()) >= self._queued:
            raise OverloadedError("the queue is full", reason="queue", retry_after_s=5)
