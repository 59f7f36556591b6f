"""The native API: uploads, jobs, and what can be asked for."""

import re
from typing import Annotated, Any, Final, get_args

from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from impasto.errors import first_problem
from impasto.jobs.fetch import fetch
from impasto.jobs.intake import take
from impasto.jobs.job import MAX_SIZE_PX, NOT_YOURS, Job, JobRequest, Served, State
from impasto.service.context import Allowed, Context, Owner, Service
from impasto.service.documents import (
    JOB_EXAMPLE,
    JOB_ID,
    Asset,
    Engines,
    JobAnswer,
    Jobs,
    Styles,
    answer,
    errors,
    picture,
)
from impasto.service.problems import Problem
from impasto.service.views import job_view
from impasto.settings import ENGINES, QUALITIES
from impasto.styles import list_styles

router = APIRouter(prefix="/v1", tags=["native"])

MEDIA: Final = {kind: f"image/{kind}" for kind in ("png", "jpeg", "webp", "avif", "tiff")}
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})(?:$|[,;\s])")


class AssetUrl(BaseModel):
    """Where a picture lies."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(max_length=2000, description="https or http, at its usual port; needs `serve --allow-url-fetch`")


_UPLOAD: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/json": {
                "schema": AssetUrl.model_json_schema(),
                "example": {"url": "https://example.org/photo.jpg"},
            },
        },
    }
}


@router.post(
    "/assets",
    status_code=201,
    responses={**answer(201, Asset, "It is kept."), **errors(400, 408, 413, 415, 504, 507)},
    openapi_extra=_UPLOAD,
)
async def upload(request: Request, service: Service, owner: Owner) -> JSONResponse:
    """Upload a picture, or name its URL.

    Its id is the SHA-256 of its bytes, and the same bytes again are kept once.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return JSONResponse(await _fetched(await request.body(), service, owner), 201)
    async with request.form(max_files=1, max_fields=8, max_part_size=64 << 10) as form:
        files = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
        if len(files) != 1:
            raise Problem(422, "invalid", "send one picture, as the form's field `file`", param="file")
        return JSONResponse(await keep_upload(files[0], service, owner), 201)


async def _fetched(body: bytes, service: Context, owner: str) -> dict[str, Any]:
    """Keep what lies at a URL.

    Raises:
        Problem: URLs are not taken here, or this is none.
        RefusedUrlError: it is not fetched.
        RefusedAssetError: it is no picture that is taken.
    """
    if not service.config.allow_url_fetch:
        raise Problem(400, "url_refused", "this service fetches no URLs; upload the file", param="url")
    try:
        asked = AssetUrl.model_validate_json(body)
    except ValidationError as error:
        place, reason = first_problem(error)
        raise Problem(422, "invalid", f"{place}: {reason}" if place else reason, param=place or None) from None
    async with service.fetching:
        data = await fetch(asked.url, most_bytes=service.config.max_upload_mb << 20, network=service.network)
    async with service.intake:
        return await run_sync(lambda: take(service.jobs.store, data, owner=owner, safety=service.config.safety))


async def keep_upload(file: UploadFile, service: Context, owner: str) -> dict[str, Any]:
    """Keep one uploaded file; the name that the client gave it is not looked at.

    Raises:
        Problem: it is larger than is taken.
        RefusedAssetError: it is no picture that is taken.
    """
    async with service.intake:
        data = await read_upload(file, service)
        return await run_sync(lambda: take(service.jobs.store, data, owner=owner, safety=service.config.safety))


async def read_upload(file: UploadFile, service: Context) -> bytes:
    """The bytes of one uploaded file.

    Raises:
        Problem: it is larger than is taken.
    """
    limit = service.config.max_upload_mb
    if file.size is not None and file.size > limit << 20:
        raise Problem(413, "too_large", f"the file has {file.size >> 20} MiB, and at most {limit} MiB are taken")
    return await file.read()


class Submission(JobRequest):
    """A job, and what becomes of those that wait."""

    replace: bool = Field(False, description="cancel your waiting jobs in the same move")


#: A job's id in a path.
JobId = Annotated[str, Path(examples=[JOB_ID])]


@router.post(
    "/jobs",
    status_code=202,
    responses={
        **answer(202, JobAnswer, "It is taken, and will end exactly once."),
        **answer(201, JobAnswer, "It has ended within the time that the client waited for."),
        **errors(400, 404, 408, 413),
    },
)
async def submit(
    asked: Annotated[Submission, Body(examples=[JOB_EXAMPLE])],
    service: Service,
    owner: Owner,
    quota: Allowed,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="the same key again gives the same job")
    ] = None,
    prefer: Annotated[str, Header(max_length=255, description="`wait=SECONDS`, at most 60")] = "",
) -> Response:
    """Take a job.

    202 with where it is, or 201 if ``Prefer: wait=SECONDS`` lived to see its end.
    """

    request = JobRequest.of(**asked.model_dump(exclude={"replace"}))

    def taken() -> tuple[Job, dict[str, Any]]:  # one thread for both
        job = service.jobs.submit(
            request, owner=owner, idempotency_key=idempotency_key, replace=asked.replace, quota=quota
        )
        return job, _view(service, job)

    job, view = await run_sync(taken, limiter=service.writing)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    if wish := _WAIT.search(prefer):
        seconds = min(float(wish[1]), service.config.longest_wait_s)
        job = await service.until(job, seconds)
        view = await run_sync(_view, service, job)
        headers["Preference-Applied"] = f"wait={seconds:g}"
    return JSONResponse(view, 201 if job.is_over else 202, headers=headers)


_DONE: Final = {**answer(202, JobAnswer, "It was asked for; a running job ends at its next step."), **errors(404)}


@router.get("/jobs", responses={**answer(200, Jobs, "Jobs."), **errors(404)})
def list_jobs(
    service: Service,
    owner: Owner,
    state: State | None = None,
    starred: bool | None = None,
    style: Annotated[str | None, Query(max_length=64, description="an asset's id, or a name of the library")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """Your jobs, newest first; ``next`` is what the next page's ``before`` is."""
    found = service.jobs.jobs(owner=owner, state=state, starred=starred, style=style, limit=limit, before=before)
    return {
        "jobs": [_view(service, job) for job in found],
        "next": found[-1].id if len(found) == limit else None,
    }


@router.get("/jobs/{job_id}", responses={**answer(200, JobAnswer, "The job."), **errors(404)})
def get_job(job_id: JobId, service: Service, owner: Owner) -> dict[str, Any]:
    """Where a job stands."""
    return _view(service, service.jobs.get(job_id, owner=owner))


@router.post("/jobs/{job_id}/cancel", status_code=202, responses=_DONE)
def cancel(job_id: JobId, service: Service, owner: Owner) -> dict[str, Any]:
    """End a job and drop what it has."""
    return _view(service, service.jobs.cancel(job_id, owner=owner, keep=False))


@router.post("/jobs/{job_id}/stop", status_code=202, responses=_DONE)
def stop(job_id: JobId, service: Service, owner: Owner) -> dict[str, Any]:
    """End a job and keep the picture as far as it is; a job that waits has none, and is cancelled."""
    return _view(service, service.jobs.cancel(job_id, owner=owner, keep=True))


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    responses={**answer(202, JobAnswer, "It waits again."), **errors(404, 409)},
)
def retry(job_id: JobId, service: Service, owner: Owner, quota: Allowed) -> dict[str, Any]:
    """Put a failed or cancelled job into the queue again."""
    return _view(service, service.jobs.retry(job_id, owner=owner, quota=quota))


@router.get(
    "/jobs/{job_id}/result",
    response_class=FileResponse,
    responses={**picture(tuple(MEDIA.values()), "The picture."), **errors(404, 409)},
)
def result(
    job_id: JobId, service: Service, owner: Owner, sec_fetch_dest: Annotated[str | None, Header(max_length=32)] = None
) -> Response:
    """The picture of a job that is done, with its recipe inside."""
    job = service.jobs.get(job_id, owner=owner)
    if job.state != "done" or job.metrics is None:
        raise Problem(409, "wrong_state", f"the job has no result: it is {job.state}")
    if sec_fetch_dest != "image":  # a page that shows it has not kept it yet
        service.jobs.signal(job, "kept")
    kind = job.request.format
    return FileResponse(
        service.jobs.store.job(job.id).result(kind),
        media_type=MEDIA[kind],
        headers={"ETag": f'"{job.metrics["sha256"]}"'},
        filename=f"impasto-{job.id[:8]}.{kind}",
        content_disposition_type="inline",
    )


@router.get(
    "/jobs/{job_id}/preview",
    response_class=FileResponse,
    responses={**picture(("image/jpeg",), "The picture so far, 512 px."), **errors(404)},
)
def preview(job_id: JobId, service: Service, owner: Owner) -> Response:
    """The picture so far, small."""
    path = service.jobs.store.job(service.jobs.get(job_id, owner=owner).id).preview
    if not path.is_file():
        raise Problem(404, "not_found", "the job has no preview yet")
    return FileResponse(path, media_type="image/jpeg")


@router.get("/styles", responses={**answer(200, Styles, "The library."), **errors()})
def styles(owner: Owner) -> dict[str, Any]:  # noqa: ARG001 — a key is needed all the same
    """The library's styles, by the names that jobs take."""
    return {
        "styles": [
            {
                "id": style.name,
                "references": len(style.references),
                "trained_for": sorted(style.trained),
                "palette": list(style.palette),
            }
            for style in list_styles()
        ]
    }


@router.get("/engines", responses={**answer(200, Engines, "The engines."), **errors()})
def engines(service: Service, owner: Owner) -> dict[str, Any]:  # noqa: ARG001
    """Engines with their settings as JSON schema, and what each quality stands for."""
    found = {}
    offered = {*get_args(Served)} - ({"diffusion"} if service.jobs.config.diffusion is None else set())
    for name in sorted(offered):
        fields = ENGINES[name].model_json_schema()["properties"]
        found[name] = {key: field for key, field in fields.items() if key not in NOT_YOURS}
    return {
        "engines": [{"id": name, "settings": fields} for name, fields in found.items()],
        "qualities": {name: {"engine": engine, "settings": given} for name, (engine, given) in QUALITIES.items()},
        "max_image_size": MAX_SIZE_PX,
    }


def _view(service: Context, job: Job[Any]) -> dict[str, Any]:
    return job_view(job, service.jobs.position(job))
