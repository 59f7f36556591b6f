"""The native API: uploads, jobs, and what can be asked for."""

import re
from typing import Annotated, Any, Final, get_args

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from starlette.datastructures import UploadFile as AnyUpload

from impasto.jobs.intake import take
from impasto.jobs.job import MAX_SIZE_PX, NOT_YOURS, Job, JobRequest, Served, State
from impasto.service.context import Context, Owner, Service
from impasto.service.problems import Problem
from impasto.service.views import job_view
from impasto.settings import ENGINES, QUALITIES

router = APIRouter(prefix="/v1", tags=["native"])

_MEDIA: Final = {kind: f"image/{kind}" for kind in ("png", "jpeg", "webp", "avif", "tiff")}
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})(?:$|[,;\s])")


@router.post("/assets", status_code=201)
async def upload(file: UploadFile, service: Service, owner: Owner) -> dict[str, Any]:
    """Upload a picture; its id is the SHA-256 of its bytes, and the same bytes again are kept once."""
    return await keep_upload(file, service, owner)


async def keep_upload(file: AnyUpload, service: Context, owner: str) -> dict[str, Any]:
    """Keep one uploaded file; the name that the client gave it is not looked at.

    Raises:
        Problem: it is larger than is taken.
        RefusedAssetError: it is no picture that is taken.
    """
    limit = service.config.max_upload_mb
    if file.size is not None and file.size > limit << 20:
        raise Problem(413, "too_large", f"the file has {file.size >> 20} MiB, and at most {limit} MiB are taken")
    data = await file.read()
    return await run_sync(lambda: take(service.jobs.store, data, owner=owner))


@router.post("/jobs", status_code=202)
async def submit(
    asked: JobRequest,
    service: Service,
    owner: Owner,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    prefer: Annotated[str, Header(max_length=255)] = "",
) -> Response:
    """Take a job: 202 with where it is, or 201 if ``Prefer: wait=SECONDS`` lived to see its end."""
    job = await run_sync(lambda: service.jobs.submit(asked, owner=owner, idempotency_key=idempotency_key))
    wish = _WAIT.search(prefer)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    if wish:
        seconds = min(float(wish[1]), service.config.longest_wait_s)
        job = await service.until(job, seconds)
        headers["Preference-Applied"] = f"wait={seconds:g}"
    return JSONResponse(await run_sync(lambda: _view(service, job)), 201 if job.is_over else 202, headers=headers)


@router.get("/jobs")
def list_jobs(
    service: Service,
    owner: Owner,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """Your jobs, newest first; ``next`` is what the next page's ``before`` is."""
    found = service.jobs.jobs(owner=owner, state=state, limit=limit, before=before)
    return {
        "jobs": [_view(service, job) for job in found],
        "next": found[-1].id if len(found) == limit else None,
    }


@router.get("/jobs/{job_id}")
def get_job(job_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """Where a job stands."""
    return _view(service, service.jobs.get(job_id, owner=owner))


@router.post("/jobs/{job_id}/cancel", status_code=202)
def cancel(job_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """End a job and drop what it has."""
    return _view(service, service.jobs.cancel(job_id, owner=owner, keep=False))


@router.post("/jobs/{job_id}/stop", status_code=202)
def stop(job_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """End a job and keep the picture as far as it is; a job that waits has none, and is cancelled."""
    return _view(service, service.jobs.cancel(job_id, owner=owner, keep=True))


@router.post("/jobs/{job_id}/retry", status_code=202)
def retry(job_id: str, service: Service, owner: Owner) -> dict[str, Any]:
    """Put a failed or cancelled job into the queue again."""
    return _view(service, service.jobs.retry(job_id, owner=owner))


@router.get("/jobs/{job_id}/result", response_class=FileResponse)
def result(job_id: str, service: Service, owner: Owner) -> Response:
    """The picture of a job that is done, with its recipe inside."""
    job = service.jobs.get(job_id, owner=owner)
    if job.state != "done" or job.metrics is None:
        raise Problem(409, "wrong_state", f"the job has no result: it is {job.state}")
    kind = job.request.format
    return FileResponse(
        service.jobs.store.job(job.id).result(kind),
        media_type=_MEDIA[kind],
        headers={"ETag": f'"{job.metrics["sha256"]}"'},
        filename=f"impasto-{job.id[:8]}.{kind}",
        content_disposition_type="inline",
    )


@router.get("/jobs/{job_id}/preview", response_class=FileResponse)
def preview(job_id: str, service: Service, owner: Owner) -> Response:
    """The picture so far, small."""
    path = service.jobs.store.job(service.jobs.get(job_id, owner=owner).id).preview
    if not path.is_file():
        raise Problem(404, "not_found", "the job has no preview yet")
    return FileResponse(path, media_type="image/jpeg")


@router.get("/styles")
def styles(owner: Owner) -> dict[str, Any]:  # noqa: ARG001 — a key is needed all the same
    """The library's styles, by the names that jobs take."""
    from impasto import api  # PyTorch comes with it

    return {
        "styles": [
            {
                "id": style.name,
                "references": len(style.references),
                "trained_for": sorted(style.trained),
                "palette": list(style.palette),
            }
            for style in api.list_styles()
        ]
    }


@router.get("/engines")
def engines(owner: Owner) -> dict[str, Any]:  # noqa: ARG001
    """Engines with their settings as JSON schema, and what each quality stands for."""
    found = {}
    for name in get_args(Served):
        fields = ENGINES[name].model_json_schema()["properties"]
        found[name] = {key: field for key, field in fields.items() if key not in NOT_YOURS}
    return {
        "engines": [{"id": name, "settings": fields} for name, fields in found.items()],
        "qualities": {name: {"engine": engine, "settings": given} for name, (engine, given) in QUALITIES.items()},
        "max_image_size": MAX_SIZE_PX,
    }


def _view(service: Context, job: Job) -> dict[str, Any]:
    return job_view(job, service.jobs.position(job))
