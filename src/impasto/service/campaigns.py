"""Campaigns over HTTP: what ``impasto batch`` does, as a job that outlives its worker."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import FileResponse, JSONResponse
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field

from impasto.jobs.campaign import CampaignRequest, lay_out
from impasto.jobs.job import Job
from impasto.service.context import Allowed, Context, Owner, Service
from impasto.service.documents import CampaignAnswer, Campaigns, Decisions, Plan, answer, errors, page, picture
from impasto.service.native import MEDIA
from impasto.service.problems import Problem
from impasto.service.views import job_view

if TYPE_CHECKING:
    from impasto.batch.job import Result

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"], responses=errors(400, 404, 408, 409, 413, 507))

#: The page has scripts of its own, by their hashes, and nothing to load. Here it gets no origin either, so that what
#: is in it reads and changes nothing of the service.
_HARMLESS: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads"
)


class CampaignSubmission(CampaignRequest):
    """A campaign, or only the question what it would be."""

    plan_only: bool = Field(False, description="say what would be done and what it would cost; nothing is kept")


class Decide(BaseModel):
    """What a person says of one picture in one style."""

    model_config = ConfigDict(extra="forbid")
    decision: Literal["approve", "reject", "redo"]
    key: str = Field("", max_length=64, description="of the output that was looked at; by default the last one")
    strength: float | None = Field(None, ge=0, le=1, description="to paint again with")
    note: str = Field("", max_length=2000)


@router.post(
    "", status_code=202, responses={**answer(202, CampaignAnswer, "It is taken."), **answer(200, Plan, "Its plan.")}
)
def submit(
    asked: CampaignSubmission,
    service: Service,
    owner: Owner,
    quota: Allowed,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Take a campaign: 202 with where it is; or 200 with its plan, if that is all that was asked for."""
    request = CampaignRequest(**asked.model_dump(exclude={"plan_only"}))
    if asked.plan_only:
        return JSONResponse(_planned(service, request, owner))
    job = service.jobs.submit_campaign(request, owner=owner, idempotency_key=idempotency_key, quota=quota)
    return JSONResponse(_view(service, job), 202, headers={"Location": f"/v1/campaigns/{job.id}"})


@router.get("", responses=answer(200, Campaigns, "Campaigns."))
def list_campaigns(
    service: Service,
    owner: Owner,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """Your campaigns, newest first; ``next`` is what the next page's ``before`` is."""
    found = service.jobs.campaigns(owner=owner, limit=limit, before=before)
    return {
        "campaigns": [_view(service, job) for job in found],
        "next": found[-1].id if len(found) == limit else None,
    }


@router.get("/{campaign_id}", responses=answer(200, CampaignAnswer, "The campaign."))
def get_campaign(campaign_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """Where a campaign stands, row by row, and why rows failed."""
    job = service.jobs.campaign(campaign_id, owner=owner)
    rows = _rows(service, job)
    files = f"/v1/campaigns/{job.id}/files"
    return {
        **_view(service, job),
        "failures": [
            {"picture": row.picture, "style": row.style, "reason": row.reason.replace(str(service.jobs.store.home), "")}
            for row in rows.values()
            if row.status == "failed"
        ],
        "rows": [
            {
                "slot": row.slot,
                "key": row.key,
                "picture": row.picture,
                "style": row.style,
                "outcome": row.outcome,
                "reasons": row.reasons,
                "strength": row.strength,
                "values": row.values,
                "files": [f"{files}/{name}" for name in row.outputs],
            }
            for row in rows.values()
            if row.status == "done"
        ],
    }


@router.get("/{campaign_id}/report", response_class=FileResponse, responses=page("The page."))
def report(campaign_id: str, service: Service, owner: Owner) -> Response:
    """The page of a campaign whose last run has ended: everything is in it, and nothing is loaded."""
    path = _folder(service, service.jobs.campaign(campaign_id, owner=owner)) / "report.html"
    if not path.is_file():
        raise Problem(404, "not_found", "there is no report yet; it is written when the campaign's run ends")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": _HARMLESS})


@router.get(
    "/{campaign_id}/files/{name:path}",
    response_class=FileResponse,
    responses=picture(tuple(MEDIA.values()), "The picture."),
)
def file(campaign_id: str, name: str, service: Service, owner: Owner) -> Response:
    """One of the pictures of a campaign, at full size or for a channel."""
    job = service.jobs.campaign(campaign_id, owner=owner)
    path = _folder(service, job) / name
    if not any(name in row.outputs for row in _rows(service, job).values()) or not path.is_file():
        raise Problem(404, "not_found", f"the campaign has no file {name[:200]!r}")
    return FileResponse(path)


@router.post("/{campaign_id}/decisions", responses=answer(200, Decisions, "They are kept."))
def decide(
    campaign_id: str,
    asked: Annotated[dict[str, Decide | None], Field(min_length=1, max_length=2000)],
    service: Service,
    owner: Owner,
) -> dict[str, Any]:
    """Say what becomes of pictures, by their ``slot``; null takes it back. The next run does it."""
    from impasto.batch.journal import DECISIONS, Decision, read_decisions, write_decisions  # PyTorch comes with it

    job = service.jobs.campaign(campaign_id, owner=owner)
    rows, place = _rows(service, job), _folder(service, job)
    fresh: dict[str, Decision | None] = {}
    for slot, said in asked.items():
        row = rows.get(slot)
        if row is None:
            raise Problem(422, "invalid", f"the campaign has no picture with the slot {slot[:80]!r}", param=slot[:80])
        if said is not None and said.decision == "approve" and row.status == "failed":
            raise Problem(422, "invalid", f"{row.picture} as {row.style} failed: there is nothing to approve")
        fresh[slot] = None if said is None else Decision(**{**said.model_dump(), "key": said.key or row.key})
    with FileLock(place.parent / "decisions.lock"):
        merged = {**read_decisions(place / DECISIONS), **fresh}
        kept = {slot: one for slot, one in merged.items() if one is not None}
        write_decisions(place, kept)
    return {"decisions": {slot: one.model_dump() for slot, one in kept.items()}}


def decisions_of(service: Context, campaign_id: str, owner: str) -> dict[str, str]:
    """What was decided so far, by slot."""
    from impasto.batch.journal import DECISIONS, read_decisions

    place = _folder(service, service.jobs.campaign(campaign_id, owner=owner))
    return {slot: one.decision for slot, one in read_decisions(place / DECISIONS).items()}


@router.post("/{campaign_id}/run", status_code=202, responses=answer(202, CampaignAnswer, "It waits."))
def run(campaign_id: str, service: Service, owner: Owner, quota: Allowed) -> dict[str, Any]:
    """Run a campaign that has ended again: what is missing, what failed, and what was decided."""
    service.jobs.campaign(campaign_id, owner=owner)
    return _view(service, service.jobs.retry(campaign_id, owner=owner, quota=quota))


@router.post("/{campaign_id}/stop", status_code=202, responses=answer(202, CampaignAnswer, "It ends."))
def stop(campaign_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """End a campaign after the row that it is at; what is painted stays, and gets its report."""
    service.jobs.campaign(campaign_id, owner=owner)
    return _view(service, service.jobs.cancel(campaign_id, owner=owner, keep=True))


@router.delete("/{campaign_id}", status_code=204, response_class=Response)
def delete(campaign_id: str, service: Service, owner: Owner) -> None:
    """Remove a campaign that has ended, with all its pictures."""
    service.jobs.campaign(campaign_id, owner=owner)
    service.jobs.delete(campaign_id, owner=owner)


def _planned(service: Context, request: CampaignRequest, owner: str) -> dict[str, Any]:
    from impasto import api

    for name in request.library_styles:
        api.get_style(name)
    with tempfile.TemporaryDirectory(dir=service.jobs.store.home, prefix="plan-") as place:
        pack, manifest = lay_out(request, service.jobs.store, owner, Path(place))
        plan = api.plan_campaign(pack, manifest=manifest, output=Path(place) / "campaign", workers=1)
        return {
            "name": pack.name,
            "to_paint": [{"picture": row.picture, "style": row.style, "files": list(row.outputs)} for row in plan.jobs],
            "problems": [{"name": one.name, "reason": one.reason.replace(place, "")} for one in plan.problems],
            "notes": list(plan.notes),
            "memory_mb": round(plan.memory_mb),
            "disk_mb": round(plan.disk_mb, 1),
            "free_disk_mb": round(plan.free_disk_mb),
            "seconds": round(plan.seconds, 1),
        }


def _folder(service: Context, job: Job[CampaignRequest]) -> Path:
    return service.jobs.store.job(job.id).campaign


def _rows(service: Context, job: Job[CampaignRequest]) -> "dict[str, Result]":
    """What came of each picture in each style at last, by slot."""
    from impasto.batch.journal import read_rows  # PyTorch comes with it

    return {row.slot: row for row in read_rows(_folder(service, job)).values()}


def _view(service: Context, job: Job[Any]) -> dict[str, Any]:
    return job_view(job, service.jobs.position(job))
