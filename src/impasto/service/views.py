"""Jobs as clients see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.jobs.campaign import CampaignRequest
    from impasto.jobs.job import Job


def job_view(job: Job[Any], position: int | None) -> dict[str, Any]:
    """A job as JSON; links lead to all that can be done with it."""
    return _campaign_view(job, position) if job.kind == "campaign" else _picture_view(job, position)


def _picture_view(job: Job, position: int | None) -> dict[str, Any]:
    place = f"/v1/jobs/{job.id}"
    links = {"self": place}
    if job.state == "running":
        links |= {"preview": f"{place}/preview"}
    if job.is_over:
        links |= {"result": f"{place}/result"} if job.state == "done" else {"retry": f"{place}/retry"}
    else:
        links |= {"stop": f"{place}/stop", "cancel": f"{place}/cancel", **_verbs(job)}
    return {
        **_standing(job, position),
        "metrics": job.metrics,
        "request": job.request.model_dump(mode="json"),
        "links": links,
    }


def _campaign_view(job: Job[CampaignRequest], position: int | None) -> dict[str, Any]:
    place, found = f"/v1/campaigns/{job.id}", job.metrics or {}
    links = {"self": place, "report": f"{place}/report", "decisions": f"{place}/decisions"}
    links |= {"run": f"{place}/run"} if job.is_over else {"stop": f"{place}/stop", **_verbs(job)}
    return {
        **_standing(job, position),
        "name": job.request.title,
        "counts": found.get("counts"),
        "problems": found.get("problems", []),
        "stopped_early": found.get("stopped_early", False),
        "inputs": len(job.request.inputs),
        "links": links,
    }


def _verbs(job: Job[Any]) -> dict[str, str]:
    """What can be done with any job that has not ended."""
    place = f"/v1/jobs/{job.id}"
    links = {"resume": f"{place}/resume"} if job.state == "paused" else {"pause": f"{place}/pause"}
    return links | ({"move": f"{place}/move"} if job.state == "queued" else {})


def _standing(job: Job[Any], position: int | None) -> dict[str, Any]:
    """What is said of any job."""
    return {
        "id": job.id,
        "state": job.state,
        "position": position,
        "progress": job.progress,
        "error": job.error,
        "ending": None if job.is_over else job.wanted,
        "starred": job.starred,
        "quality": job.quality,
        "variant": {name: (job.variant or {}).get(name) for name in ("impasto", "canary", "arm")},
        "chunks": job.chunks,
        "created_at": time_of(job.created_s),
        "started_at": time_of(job.started_s),
        "ended_at": time_of(job.ended_s),
    }


def time_of(seconds: float | None) -> str | None:
    """A moment as clients see it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
