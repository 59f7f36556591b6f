"""The verbs of the queue: pause and go on, put in another order, end all at once, star and delete."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from impasto.jobs.job import JOB, Job
from impasto.service.context import Admin, Context, Owner, Service
from impasto.service.documents import Ended, JobAnswer, Queue, answer, errors
from impasto.service.problems import Problem
from impasto.service.views import job_view, time_of

router = APIRouter(prefix="/v1", tags=["queue"], responses=errors(400, 404, 408, 409, 413))


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Move(_Body):
    """Where a waiting job shall be among your own: give one of the two."""

    before: str | None = Field(None, pattern=f"^{JOB.pattern}$", description="id of another waiting job of yours")
    to: Literal["front", "back"] | None = None


class CancelAll(_Body):
    """Which of your jobs shall end."""

    states: list[Literal["queued", "paused", "running"]] = Field(["queued"], min_length=1)


class Change(_Body):
    """What can be changed of a job."""

    starred: bool = Field(description="starred jobs are kept from clean-ups")


@router.get("/queue", responses=answer(200, Queue, "The queue."))
def get_queue(service: Service, owner: Owner) -> dict[str, Any]:
    """Whether jobs are begun, and how many there are."""
    queue = service.jobs.queue(owner=owner)
    return {
        "paused": queue.paused_s is not None,
        "paused_at": time_of(queue.paused_s),
        "waiting": queue.waiting,
        "mine": queue.mine,
        "workers": service.jobs.workers(),
    }


@router.post("/queue/pause", responses=answer(200, Queue, "It is paused."))
def pause_queue(service: Service, owner: Owner, _: Admin) -> dict[str, Any]:
    """Begin no more jobs, also after a restart; those that run go on, and new ones are still taken."""
    service.jobs.pause_queue(paused=True)
    return get_queue(service, owner)


@router.post("/queue/resume", responses=answer(200, Queue, "It goes on."))
def resume_queue(service: Service, owner: Owner, _: Admin) -> dict[str, Any]:
    """Begin jobs again."""
    service.jobs.pause_queue(paused=False)
    return get_queue(service, owner)


@router.post("/queue/cancel", status_code=202, responses=answer(202, Ended, "They end."))
def cancel_all(service: Service, owner: Owner, asked: CancelAll | None = None) -> dict[str, Any]:
    """End your jobs and drop what they have: those that wait, or whichever ``states`` names."""
    found = service.jobs.cancel_all(owner=owner, states=(asked or CancelAll(states=["queued"])).states)
    return {"jobs": [_view(service, job) for job in found]}


@router.post("/jobs/{job_id}/pause", status_code=202, responses=answer(202, JobAnswer, "It was asked for."))
def pause(job_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """Put a job aside: at once while it waits; at its next chunk, with its checkpoint, while it runs."""
    return _view(service, service.jobs.pause(job_id, owner=owner))


@router.post("/jobs/{job_id}/resume", status_code=202, responses=answer(202, JobAnswer, "It waits again."))
def resume(job_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """Let a paused job go on from its checkpoint, when its old place in the queue has its turn."""
    return _view(service, service.jobs.resume(job_id, owner=owner))


@router.post("/jobs/{job_id}/move", responses=answer(200, JobAnswer, "It has its place."))
def move(job_id: str, asked: Move, service: Service, owner: Owner) -> dict[str, Any]:
    """Let a waiting job be begun earlier or later than your others; nobody else's job moves."""
    if (asked.before is None) == (asked.to is None):
        raise Problem(422, "invalid", "give either before, the id of a job, or to, front or back")
    return _view(service, service.jobs.move(job_id, owner=owner, to=asked.before or asked.to or "back"))


@router.patch("/jobs/{job_id}", responses=answer(200, JobAnswer, "It is so."))
def change(job_id: str, asked: Change, service: Service, owner: Owner) -> dict[str, Any]:
    """Star a job, or no longer."""
    return _view(service, service.jobs.star(job_id, owner=owner, starred=asked.starred))


@router.delete("/jobs/{job_id}", status_code=204, response_class=Response)
def delete_job(job_id: str, service: Service, owner: Owner) -> None:
    """Remove a job that has ended, with its files."""
    service.jobs.delete(job_id, owner=owner)


@router.delete("/assets/{asset_id}", status_code=204, response_class=Response)
def delete_asset(asset_id: str, service: Service, owner: Owner) -> None:
    """Remove an upload that no waiting, paused or running job of yours needs."""
    service.jobs.delete_asset(asset_id, owner=owner)


def _view(service: Context, job: Job[Any]) -> dict[str, Any]:
    return job_view(job, service.jobs.position(job))
