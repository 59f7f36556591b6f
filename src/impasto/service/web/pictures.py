"""Pictures for pages: small ones of uploads, styles and results, and a result laid over its photo."""

import threading
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response

from impasto.jobs.intake import small_picture
from impasto.jobs.job import Job
from impasto.service.context import Context, Service
from impasto.service.native import MEDIA
from impasto.service.problems import Problem
from impasto.service.web.entry import Visitor
from impasto.styles import style_pictures

router = APIRouter(prefix="/studio", include_in_schema=False)

#: A few sizes only, or every number would be kept as a file of its own.
_SIZES: Final = (160, 400, 1600)

#: Pictures of 4096 px take a gigabyte for a moment.
_ONE_AT_A_TIME: Final = threading.Lock()

_Longer = Annotated[int, Query(description="longer side in pixels")]


@router.get("/pictures/assets/{asset}")
def of_asset(asset: str, service: Service, owner: Visitor, px: _Longer = 400) -> Response:
    """An upload."""
    return _small(service, service.jobs.store.asset(asset, owner=owner), px)


@router.get("/pictures/styles/{name}")
def of_style(name: str, service: Service, owner: Visitor, px: _Longer = 400) -> Response:  # noqa: ARG001
    """A style of the library."""
    shown = style_pictures().get(name)
    if shown is None:
        raise Problem(404, "not_found", f"there is no style {name[:80]!r}")
    return _small(service, shown, px)


@router.get("/pictures/jobs/{job_id}")
def of_job(job_id: str, service: Service, owner: Visitor, px: _Longer = 400) -> Response:
    """A result."""
    job = _done(service, job_id, owner)
    # Inside the job's folder, so that it goes when the job is deleted.
    folder = service.jobs.store.job(job.id)
    return _small(service, folder.result(job.request.format), px, folder.path / "small")


@router.get("/pictures/jobs/{job_id}/so-far")
def so_far(job_id: str, service: Service, owner: Visitor) -> Response:
    """What there is of a job: the picture so far, or its photo before the first."""
    job = service.jobs.get(job_id, owner=owner)
    preview = service.jobs.store.job(job.id).preview
    if preview.is_file():
        return FileResponse(preview, media_type="image/jpeg")
    return _small(service, service.jobs.store.asset(job.request.content, owner=owner), 400)


@router.get("/jobs/{job_id}/blend")
def blend(job_id: str, service: Service, owner: Visitor, share: Annotated[float, Query(ge=0, le=1)]) -> Response:
    """A file of the result laid over its photo, with a recipe that says so: strength after the fact."""
    from impasto import api

    job = _done(service, job_id, owner)
    store = service.jobs.store
    kind = job.request.format
    with _ONE_AT_A_TIME:
        mixed = api.blend(store.asset(job.request.content, owner=owner), store.job(job.id).result(kind), share=share)
    name = f"impasto-{job.id[:8]}-{round(100 * share)}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(mixed.encoded(kind), media_type=MEDIA[kind], headers=headers)


def _done(service: Context, job_id: str, owner: str) -> Job:
    job = service.jobs.get(job_id, owner=owner)
    if job.state != "done":
        raise Problem(409, "wrong_state", f"the job has no result: it is {job.state}")
    return job


def _small(service: Context, file: Path, px: int, cache: Path | None = None) -> Response:
    if px not in _SIZES:
        raise Problem(422, "invalid", f"px may be {', '.join(map(str, _SIZES))}", param="px")
    made = small_picture(file, cache or service.jobs.store.small, px)
    # What an address shows changes never (uploads, results) or seldom (styles).
    headers = {"Cache-Control": "private, max-age=3600"}
    return FileResponse(made, media_type="image/webp", headers=headers)
