"""A :class:`JobEngine` without a database, a worker or a disk: what the contract means, in a page."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from impasto.jobs.campaign import CampaignRequest
from impasto.jobs.job import Job, JobRequest, QueueState
from impasto.jobs.refusals import (
    IdempotencyError,
    JobStateError,
    OverloadedError,
    UnknownAssetError,
    UnknownJobError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

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
        self._line: list[str] = []
        self._paused_s: float | None = None
        self._keys: dict[tuple[str, str], str] = {}
        self._count = itertools.count(1)
        self._taking = threading.Lock()

    def submit(
        self,
        request: JobRequest,
        *,
        owner: str,
        idempotency_key: str | None = None,
        replace: bool = False,
        quota: Quota | None = None,
    ) -> Job:
        self._require(request, owner)
        with self._taking:
            if idempotency_key is not None and (known := self._keys.get((owner, idempotency_key))):
                if self._jobs[known].request != request:
                    raise IdempotencyError("used for another request")
                return self._jobs[known]
            if replace:
                self.cancel_all(owner=owner, states=("queued",))
            self._admit(owner, quota)
            kind = "campaign" if isinstance(request, CampaignRequest) else "picture"
            job = Job(secrets.token_hex(16), owner, "queued", request, time.time(), next(self._count), kind=kind)
            self._jobs[job.id] = job
            self._order.append(job.id)
            self._line.append(job.id)
            if idempotency_key is not None:
                self._keys[owner, idempotency_key] = job.id
            return job

    def submit_campaign(
        self, request: CampaignRequest, *, owner: str, idempotency_key: str | None = None
    ) -> Job[CampaignRequest]:
        return self.submit(request, owner=owner, idempotency_key=idempotency_key)

    def get(self, job_id: str, *, owner: str, kind: str = "picture") -> Job:
        job = self._any(job_id, owner)
        if job.kind != kind:
            raise UnknownJobError("there is no such job")
        return job

    def campaign(self, job_id: str, *, owner: str) -> Job[CampaignRequest]:
        return self.get(job_id, owner=owner, kind="campaign")

    def campaigns(self, *, owner: str, limit: int = 50, before: str | None = None) -> list[Job[CampaignRequest]]:
        return self._page(owner, "campaign", before)[:limit]

    def _any(self, job_id: str, owner: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise UnknownJobError("there is no such job")
        return job

    def _page(self, owner: str, kind: str, before: str | None) -> list[Job]:
        names = self._order if before is None else self._order[: self._order.index(self._any(before, owner).id)]
        mine = [self._jobs[name] for name in reversed(names)]
        return [job for job in mine if job.owner == owner and job.kind == kind]

    def jobs(
        self,
        *,
        owner: str,
        state: State | None = None,
        starred: bool | None = None,
        style: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Job]:
        return [
            job
            for job in self._page(owner, "picture", before)
            if state in (None, job.state) and starred in (None, job.starred) and style in (None, *job.request.styles)
        ][:limit]

    def changed_since(self, changed: int, *, owner: str, limit: int = 100) -> list[Job]:
        mine = [job for job in self._page(owner, "picture", None) if job.changed > changed]
        return sorted(mine, key=lambda job: job.changed)[:limit]

    def position(self, job: Job) -> int | None:
        if job.state != "queued":
            return None
        before = self._line[: self._line.index(job.id)]
        return sum(self._jobs[name].state == "queued" for name in before)

    def cancel(self, job_id: str, *, owner: str, keep: bool) -> Job:
        job = self._any(job_id, owner)
        if job.is_over or (keep and job.wanted == "discard"):
            return job
        if job.state != "running" and not (keep and job.chunks):
            return self.change(job, state="cancelled", ended_s=time.time(), wanted="discard")
        state = "queued" if job.state == "paused" else job.state
        return self.change(job, state=state, wanted="keep" if keep else "discard")

    def cancel_all(self, *, owner: str, states: Collection[State]) -> list[Job]:
        mine = [job for job in self._page(owner, "picture", None)[::-1] if job.state in states and not job.is_over]
        return [self.cancel(job.id, owner=owner, keep=False) for job in mine]

    def pause(self, job_id: str, *, owner: str) -> Job:
        job = self._open(job_id, owner)
        if job.state == "queued":
            return self.change(job, state="paused")
        return job if job.wanted or job.state == "paused" else self.change(job, wanted="pause")

    def resume(self, job_id: str, *, owner: str) -> Job:
        job = self._open(job_id, owner)
        if job.state == "paused":
            return self.change(job, state="queued")
        return self.change(job, wanted=None) if job.wanted == "pause" else job

    def move(self, job_id: str, *, owner: str, to: str) -> Job:
        places = [at for at, name in enumerate(self._line) if self._waits(name) and self._jobs[name].owner == owner]
        mine = [self._line[at] for at in places]
        for name in (job_id,) if to in ("front", "back") else (job_id, to):
            if name not in mine:
                self._any(name, owner)
                raise JobStateError("only jobs that wait can be moved")
        if to != job_id:
            mine.remove(job_id)
            mine.insert({"front": 0, "back": len(mine)}[to] if to in ("front", "back") else mine.index(to), job_id)
        for at, name in zip(places, mine, strict=True):
            self._line[at] = name
        return self._any(job_id, owner)

    def star(self, job_id: str, *, owner: str, starred: bool) -> Job:
        return self.change(self._any(job_id, owner), starred=starred)

    def delete(self, job_id: str, *, owner: str) -> None:
        if not self._any(job_id, owner).is_over:
            raise JobStateError("only a job that has ended can be deleted")
        del self._jobs[job_id]
        self._order.remove(job_id)
        self._line.remove(job_id)

    def delete_asset(self, asset: str, *, owner: str) -> None:
        if asset not in self._assets.get(owner, set()):
            raise UnknownAssetError("there is no such asset")
        if any(asset in job.request.assets for job in self._jobs.values() if job.owner == owner and not job.is_over):
            raise JobStateError("a job needs it")
        self._assets[owner].remove(asset)

    def queue(self, *, owner: str) -> QueueState:
        states = ("queued", "running", "paused")
        all_mine = [job.state for job in self._jobs.values() if job.owner == owner]
        mine = {state: all_mine.count(state) for state in states}
        return QueueState(self._paused_s, sum(map(self._waits, self._line)), mine)

    def pause_queue(self, *, paused: bool) -> None:
        self._paused_s = (self._paused_s or time.time()) if paused else None

    def retry(self, job_id: str, *, owner: str, quota: Quota | None = None) -> Job:
        job = self._any(job_id, owner)
        if job.state not in ("failed", "cancelled") and not (job.kind == "campaign" and job.is_over):
            raise JobStateError("only a failed or cancelled job can be tried again")
        self._require(job.request, owner)
        self._admit(owner, quota)
        self._order.remove(job_id)
        self._order.append(job_id)
        self._line.remove(job_id)
        self._line.append(job_id)
        return self.change(job, state="queued", runs=job.runs + 1, chunks=0, wanted=None, error=None, ended_s=None)

    def claim(self) -> str | None:
        """What a worker would begin next."""
        first = next((name for name in self._line if self._waits(name)), None) if self._paused_s is None else None
        if first is not None:
            self.change(self._jobs[first], state="running")
        return first

    def close(self) -> None:
        pass

    def change(self, job: Job, **changes: object) -> Job:
        """What a worker would do."""
        changed = replace(job, changed=next(self._count), **changes)
        self._jobs[job.id] = changed
        return changed

    def _waits(self, job_id: str) -> bool:
        return self._jobs[job_id].state == "queued"

    def _open(self, job_id: str, owner: str) -> Job:
        if (job := self._any(job_id, owner)).is_over:
            raise JobStateError("it has ended")
        return job

    def _require(self, request: JobRequest | CampaignRequest, owner: str) -> None:
        if isinstance(request, CampaignRequest):
            request.rules()
        if missing := set(request.assets) - self._assets.get(owner, set()):
            raise UnknownAssetError(f"there is no asset {missing}")

    def _admit(self, owner: str, quota: Quota | None) -> None:
        waiting = sum(job.owner == owner and job.state == "queued" for job in self._jobs.values())
        if quota is not None and quota.waiting is not None and waiting >= quota.waiting:
            raise OverloadedError("yours are enough", reason="waiting", retry_after_s=5)
        if sum(job.state == "queued" for job in self._jobs.values()) >= self._queued:
            raise OverloadedError("the queue is full", reason="queue", retry_after_s=5)
