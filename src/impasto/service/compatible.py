"""OpenAI's image API on our jobs: the first picture is the content, the others are the styles.

Where a client of that API can ask for what impasto cannot do, it is refused in words instead of ignored.
"""

import base64
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from impasto.errors import first_problem
from impasto.jobs.job import Job, JobRequest
from impasto.service.context import Allowed, Context, Owner, Service
from impasto.service.documents import errors
from impasto.service.native import keep_upload
from impasto.service.problems import Problem
from impasto.settings import ENGINES, QUALITIES, choose_engine

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

_MODELS: Final = ("impasto", *(f"impasto-{quality}" for quality in QUALITIES))
_QUALITY: Final = {
    "low": "draft",
    "medium": "standard",
    "standard": "standard",
    "auto": "standard",
    "high": "fine",
    "xhigh": "fine",
    "max": "fine",
}
_SIZE: Final = re.compile(r"(\d{2,5})x(\d{2,5})")
_STYLE: Final = re.compile(r"style:([a-z0-9][a-z0-9_-]{0,63})")
_MOST_PICTURES: Final = 16
#: Fields of OpenAI's that ask for what a style transfer has not; these values ask for nothing.
_HARMLESS: Final = {
    "background": ("auto", "opaque"),
    "input_fidelity": ("high", "low"),
    "moderation": ("auto", "low"),
    "response_format": ("b64_json",),
}
_IGNORED: Final = frozenset({"user", "safety_identifier"})


class _Fields(BaseModel):
    """The text fields that are read here; all others are settings of the engine."""

    model_config = ConfigDict(extra="allow")
    prompt: str = Field("", max_length=32_000)
    model: str = "impasto"
    n: int = Field(1, ge=1, le=1)
    size: str = "auto"
    quality: str = "auto"
    output_format: Annotated[str, Field(pattern="^(png|jpeg|webp)$")] = "png"
    stream: bool = False
    partial_images: int = Field(0, ge=0, le=3)


_MODEL: Final = {"id": "impasto", "object": "model", "created": 0, "owned_by": "impasto"}


def _said(description: str, example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """An answer as OpenAI's own document has it."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {200: {"description": description, "content": content}}


@router.get(
    "/models",
    responses={**_said("Models.", {"object": "list", "data": [_MODEL]}), **errors(compatible=True)},
)
def models(owner: Owner) -> dict[str, Any]:  # noqa: ARG001 — a key is needed all the same
    """impasto as models: one for each quality."""
    return {"object": "list", "data": [_model(name) for name in _MODELS]}


@router.get("/models/{name}", responses={**_said("The model.", _MODEL), **errors(404, compatible=True)})
def model(name: str, owner: Owner) -> dict[str, Any]:  # noqa: ARG001
    """One of them."""
    return _model(_known_model(name))


_EDIT: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "description": "Fields that are not named here are settings of the engine.",
                    "properties": {
                        "image": {
                            "type": "array",
                            "maxItems": _MOST_PICTURES,
                            "items": {"type": "string", "format": "binary"},
                            "description": "the photo, then the styles; also as `image[]`",
                        },
                        "prompt": {"type": "string", "description": "`style:NAME` of the library, or nothing"},
                        "model": {"enum": list(_MODELS), "default": "impasto"},
                        "quality": {"enum": list(_QUALITY), "default": "auto"},
                        "size": {"type": "string", "default": "auto", "description": "`auto` or `WIDTHxHEIGHT`"},
                        "output_format": {"enum": ["png", "jpeg", "webp"], "default": "png"},
                        "stream": {"type": "boolean", "default": False},
                        "partial_images": {"type": "integer", "minimum": 0, "maximum": 3, "default": 0},
                    },
                },
                "example": {"prompt": "style:mosaic", "model": "impasto-standard", "size": "1024x1024"},
            }
        },
    }
}


@router.post(
    "/images/edits",
    responses={
        **_said("The picture.", {"created": 1764504000, "data": [{"b64_json": "iVBORw0K…"}], "output_format": "png"}),
        **errors(400, 404, 408, 409, 413, 415, 504, 507, compatible=True),
    },
    openapi_extra=_EDIT,
)
async def edit(request: Request, service: Service, owner: Owner, quota: Allowed) -> Response:
    """Put the styles of the other pictures, or of ``style:NAME`` in the prompt, onto the first picture."""
    async with request.form(max_files=_MOST_PICTURES + 1, max_fields=64, max_part_size=64 << 10) as form:
        fields = _fields(form)
        pictures = [part for name in ("image", "image[]") for part in form.getlist(name)]
        settings = _settings(form, fields)
        files = _files(pictures)
        await run_sync(service.jobs.admit)  # before the pictures are looked at, which costs more than all else here
        kept = [(await keep_upload(file, service, owner))["id"] for file in files]
    styles = [*kept[1:], *_named_styles(fields.prompt)]
    if not kept or not styles:
        missing = "send the photo as the first image and a style as the second, or name one in the prompt: style:NAME"
        raise Problem(400, "missing_image", missing, param="image")
    quality = _quality(fields)
    asked = JobRequest.of(
        content=kept[0], styles=tuple(styles), quality=quality, settings=settings, format=fields.output_format
    )
    job = await run_sync(lambda: service.jobs.submit(asked, owner=owner, quota=quota), limiter=service.writing)
    if fields.stream:
        stream = _events(service, job, fields, request)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
    try:
        job = await service.until(job, service.config.compatible_wait_s, gone=request.is_disconnected)
    finally:
        await _drop(service, job)
    return JSONResponse(
        {
            "created": int(job.created_s),
            "data": [{"b64_json": await run_sync(_result, service, job)}],
            "output_format": fields.output_format,
            "size": _size_of(job),
            "usage": {**_USAGE},
        }
    )


_USAGE: Final = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


async def _events(service: Context, job: Job, fields: _Fields, request: Request) -> AsyncIterator[str]:
    """Partial pictures at even distances of the way, then the whole one, or an error."""
    common = {"created_at": int(job.created_s), "background": "opaque", "quality": "auto"}
    sent, path, shown = 0, service.jobs.store.job(job.id).preview, 0
    end = time.monotonic() + service.config.compatible_wait_s
    try:
        while not job.is_over and time.monotonic() < end and not service.closing.is_set():
            if await request.is_disconnected():
                return
            await anyio.sleep(service.config.poll_s / 2)
            job = await service.again(job)
            far = (job.progress or {}).get("fraction", 0.0)
            due = sent < fields.partial_images and far >= sent / (fields.partial_images + 1)
            if not due or not path.is_file() or path.stat().st_mtime_ns == shown:
                continue
            shown = path.stat().st_mtime_ns
            partial = {"b64_json": await run_sync(_base64, path), "partial_image_index": sent, "output_format": "jpeg"}
            yield _event({"type": "image_edit.partial_image", "size": _size_of(job), **common, **partial})
            sent += 1
        try:
            whole = await run_sync(_result, service, job)
        except Problem as problem:
            error = {"message": problem.detail, "type": "server_error", "code": problem.code, "param": None}
            yield _event({"type": "error", "error": error}, name="error")
            return
        done = {"b64_json": whole, "output_format": fields.output_format, "usage": _USAGE}
        yield _event({"type": "image_edit.completed", "size": _size_of(job), **common, **done})
    finally:
        with anyio.CancelScope(shield=True):
            await _drop(service, job)


def _event(data: dict[str, Any], name: str | None = None) -> str:
    return f"event: {name or data['type']}\ndata: {json.dumps(data)}\n\n"


async def _drop(service: Context, job: Job) -> None:
    """Nobody else knows of a job whose client has gone: it need not be finished."""
    if not job.is_over:
        await run_sync(lambda: service.jobs.cancel(job.id, owner=job.owner, keep=False))


def _result(service: Context, job: Job) -> str:
    """The picture of a job that is done.

    Raises:
        Problem: it is not.
    """
    if job.state == "done":
        return _base64(service.jobs.store.job(job.id).result(job.request.format))
    if job.state == "failed" and job.error is not None:
        is_ours = job.error["code"] in ("internal", "poison", "memory")
        raise Problem(500 if is_ours else 400, job.error["code"], job.error["detail"])
    if job.state == "cancelled":
        raise Problem(409, "cancelled", "the job was cancelled")
    raise Problem(504, "timeout", "the picture is not finished in time; use a smaller size or a lower quality")


def _base64(path: Any) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _size_of(job: Job) -> str:
    known = job.metrics or job.progress
    return f"{known['width']}x{known['height']}" if known else "auto"


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "impasto"}


def _known_model(name: str) -> str:
    if name not in _MODELS:
        raise Problem(404, "model_not_found", f"there is no model {name[:80]!r}; there are {', '.join(_MODELS)}")
    return name


def _fields(form: FormData) -> _Fields:
    """The text fields, checked.

    Raises:
        Problem: one is given twice, asks for what there is not, or cannot be used.
    """
    texts: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, str) and not name.endswith("[]"):
            if name in texts:
                raise Problem(400, "invalid", f"{name[:80]} is given twice", param=name[:80])
            texts[name] = value
    if "mask" in form:
        raise Problem(400, "unsupported", "a mask is not taken here; leave it out", param="mask")
    for name, harmless in _HARMLESS.items():
        if texts.pop(name, harmless[0]) not in harmless:
            raise Problem(400, "unsupported", f"{name} may be {' or '.join(harmless)}", param=name)
    try:
        fields = _Fields.model_validate({name: value for name, value in texts.items() if name not in _IGNORED})
    except ValidationError as error:
        place, reason = first_problem(error)
        raise Problem(400, "invalid", f"{place}: {reason}", param=place) from None
    _known_model(fields.model)
    if fields.quality not in _QUALITY:
        raise Problem(400, "invalid", f"quality may be {', '.join(_QUALITY)}", param="quality")
    if fields.partial_images and not fields.stream:
        raise Problem(400, "invalid", "partial_images needs stream=true", param="partial_images")
    return fields


def _quality(fields: _Fields) -> str:
    """By the model's name, or by the field."""
    return fields.model.partition("-")[2] or _QUALITY[fields.quality]


def _settings(form: FormData, fields: _Fields) -> dict[str, Any]:
    """Settings of the engine: fields of those names, and the size.

    Raises:
        Problem: the size is none, or a field is known to nobody.
    """
    known = ENGINES[choose_engine(None, _quality(fields))[0]].model_json_schema()["properties"]
    found: dict[str, Any] = {}
    for name, value in (fields.model_extra or {}).items():
        if name not in known:
            raise Problem(400, "unknown_parameter", f"there is no parameter {name[:80]!r}", param=name[:80])
        found[name] = value
    for name in {name for name in form if name.endswith("[]") and name != "image[]"}:
        if name[:-2] not in known:
            raise Problem(400, "unknown_parameter", f"there is no parameter {name[:80]!r}", param=name[:80])
        found[name[:-2]] = [value for value in form.getlist(name) if isinstance(value, str)]
    if fields.size != "auto":
        size = _SIZE.fullmatch(fields.size)
        if size is None:
            raise Problem(400, "invalid", "size is auto or WIDTHxHEIGHT in pixels", param="size")
        # The picture keeps the photo's shape: the larger number is its longer side.
        found["image_size"] = max(int(size[1]), int(size[2]))
    return found


def _files(parts: list[Any]) -> list[UploadFile]:
    """The pictures.

    Raises:
        Problem: there are too many, or one is no file.
    """
    if len(parts) > _MOST_PICTURES:
        raise Problem(400, "too_many_images", f"at most {_MOST_PICTURES} images are taken", param="image")
    files = [part for part in parts if isinstance(part, UploadFile)]
    if len(files) < len(parts):
        raise Problem(400, "invalid", "image must be a file", param="image")
    return files


def _named_styles(prompt: str) -> list[str]:
    """The library's style that a prompt names. Other words describe nothing that can be followed here."""
    named = _STYLE.fullmatch(prompt.strip())
    return [named[1]] if named else []
