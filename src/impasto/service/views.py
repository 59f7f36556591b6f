"""Jobs as clients see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.jobs.job import Job


def job_view(job: Job, position: int | None) -> dict[str, Any]:
    """A job as JSON; links lead to all that can be done with it."""
    place = f"/v1/jobs/{job.id}"
    links = {"self": place}
    if job.state == "running":
        links |= {"preview": f"{place}/preview"}
    if job.is_over:
        links |= {"result": f"{place}/result"} if job.state == "done" else {"retry": f"{place}/retry"}
    else:
        links |= {"stop": f"{place}/stop", "cancel": f"{place}/cancel"}
        links |= {"resume": f"{place}/resume"} if job.state == "paused" else {"pause": f"{place}/pause"}
    if job.state == "queued":
        links |= {"move": f"{place}/move"}
    return {
        "id": job.id,
        "state": job.state,
        "position": position,
        "progress": job.progress,
        "metrics": job.metrics,
        "error": job.error,
        "ending": None if job.is_over else job.wanted,
        "starred": job.starred,
        "chunks": job.chunks,
        "created_at": time_of(job.created_s),
        "started_at": time_of(job.started_s),
        "ended_at": time_of(job.ended_s),
        "request": job.request.model_dump(mode="json"),
        "links": links,
    }


def time_of(seconds: float | None) -> str | None:
    """A moment as clients see it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
