"""What the OpenAPI document says of answers: their shapes, with an example each. Nothing is answered from here.

The shapes allow more fields than they name, as an API that grows adds some.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from impasto.jobs.job import JobRequest, State  # noqa: TC001 — pydantic reads the annotations

_ID: Final = "0f9a3c5d7e1b42688c0d2e4f6a8b9c1d"
_ASSET: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_STYLE: Final = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"

#: A body of `POST /v1/jobs`.
JOB_EXAMPLE: Final[dict[str, Any]] = {
    "content": _ASSET,
    "styles": [_STYLE],
    "quality": "standard",
    "settings": {"strength": 0.8},
}
JOB_ID: Final = _ID


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class Asset(_Shape):
    """A picture that was kept."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": _ASSET, "format": "JPEG", "width": 4032, "height": 3024, "bytes": 2914733}}
    )
    id: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of its bytes: what jobs name")
    format: str
    width: int = Field(description="px")
    height: int = Field(description="px")
    bytes: int


class JobAnswer(_Shape):
    """A job as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": _ID,
                "state": "running",
                "position": None,
                "progress": {"fraction": 0.42, "step": 126, "steps": 300, "eta_s": 9.5, "width": 512, "height": 384},
                "metrics": None,
                "error": None,
                "ending": None,
                "chunks": 4,
                "created_at": "2026-11-30T12:00:00.000+00:00",
                "started_at": "2026-11-30T12:00:01.250+00:00",
                "ended_at": None,
                "request": {**JOB_EXAMPLE, "engine": None, "format": "png"},
                "links": {
                    "self": f"/v1/jobs/{_ID}",
                    "preview": f"/v1/jobs/{_ID}/preview",
                    "stop": f"/v1/jobs/{_ID}/stop",
                    "cancel": f"/v1/jobs/{_ID}/cancel",
                },
            }
        }
    )
    id: str = Field(pattern="^[0-9a-f]{32}$")
    state: State
    position: int | None = Field(description="jobs that will be begun before it, while it waits")
    progress: dict[str, Any] | None
    metrics: dict[str, Any] | None = Field(description="of the result: size, hash, loss, steps")
    error: dict[str, str] | None = Field(description="of a failed job: code and detail")
    ending: Literal["keep", "discard", "pause"] | None = Field(description="what a running job was asked for")
    chunks: int = Field(description="finished ones; none of them is computed again")
    created_at: str
    started_at: str | None
    ended_at: str | None
    request: JobRequest
    links: dict[str, str] = Field(description="what can be done with it now")


class Jobs(_Shape):
    """A page of jobs."""

    jobs: list[JobAnswer]
    next: str | None = Field(description="`before` of the next page")


class Ended(_Shape):
    """Jobs that were asked to end."""

    jobs: list[JobAnswer]


class Queue(_Shape):
    """The queue."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "paused": False,
                "paused_at": None,
                "waiting": 3,
                "mine": {"queued": 1, "running": 1, "paused": 0},
                "workers": 1,
            }
        }
    )
    paused: bool
    paused_at: str | None
    waiting: int = Field(description="jobs of all owners")
    mine: dict[str, int] = Field(description="yours that have not ended, by state")
    workers: int = Field(description="that were heard of lately")


class CampaignAnswer(_Shape):
    """A campaign as it stands; one by itself has its rows and failures too."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": _ID,
                "name": "Spring",
                "state": "done",
                "counts": {"done": 2, "failed": 0},
                "inputs": 2,
                "links": {"self": f"/v1/campaigns/{_ID}", "report": f"/v1/campaigns/{_ID}/report"},
            }
        }
    )
    id: str
    name: str
    state: State
    counts: dict[str, Any] | None
    inputs: int
    links: dict[str, str]


class Plan(_Shape):
    """What a campaign would do, and what it would cost."""

    model_config = ConfigDict(json_schema_extra={"example": {"rows": 180, "seconds": 540.0, "notes": []}})


class Campaigns(_Shape):
    """A page of campaigns."""

    campaigns: list[CampaignAnswer]
    next: str | None = Field(description="`before` of the next page")


class Decisions(_Shape):
    """All decisions of a campaign, by slot."""

    decisions: dict[str, dict[str, Any]]


class Verified(_Shape):
    """What is known of a picture."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"outcome": "trusted", "signer": "A studio", "recipe_from": "signature"}}
    )
    outcome: Literal["trusted", "valid", "invalid", "not present"]
    signer: str | None


class ProvenanceCheck(_Shape):
    """The same in OpenAI's form."""

    object: Literal["content_provenance_check"]
    created_at: int
    results: list[dict[str, Any]]


class StyleEntry(_Shape):
    """A style of the library."""

    id: str
    references: int = Field(description="pictures that show it")
    trained_for: list[str] = Field(description="engines that have a network of its own")
    palette: list[str] = Field(description="main colours, dark ones first")


class Styles(_Shape):
    """The library."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "styles": [{"id": "mosaic", "references": 1, "trained_for": [], "palette": ["#1b2a49", "#c9b458"]}]
            }
        }
    )
    styles: list[StyleEntry]


class Engines(_Shape):
    """Engines, each with the JSON schema of its settings."""

    engines: list[dict[str, Any]]
    qualities: dict[str, dict[str, Any]] = Field(description="what each stands for")
    max_image_size: int = Field(description="px")


class Health(_Shape):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok"}})
    status: Literal["ok"]


class Ready(_Shape):
    """Whether a job would be taken and done, and what is missing."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ready": True,
                "checks": {"database": True, "store": True, "disk": True, "memory": True, "worker": True},
            }
        }
    )
    ready: bool
    checks: dict[str, bool]


class Version(_Shape):
    """What runs here."""

    model_config = ConfigDict(json_schema_extra={"example": {"impasto": "0.1.0", "jobs": "jobs-v1"}})
    impasto: str
    jobs: str


class ProblemBody(_Shape):
    """An error, as RFC 9457 says it."""

    type: str
    title: str
    status: int
    detail: str = Field(description="one sentence: what is wrong, what is allowed, what to do")
    code: str = Field(description="for programs")
    param: str | None = Field(None, description="the field that it is about")


class OpenAiError(_Shape):
    """What is wrong, inside of :class:`OpenAiErrorBody`."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiErrorBody(_Shape):
    """An error, as OpenAI's clients read it."""

    error: OpenAiError


_EXAMPLES: Final[dict[int, tuple[str, str]]] = {
    400: ("invalid", "JSON decode error"),
    401: ("invalid_api_key", "send an API key that is in use as `Authorization: Bearer impasto_…`"),
    403: ("missing_scope", "this key has not the scope jobs:write; make one with `impasto keys add --scope`"),
    404: ("not_found", f"there is no job '{_ID}'"),
    408: ("request_timeout", "the request's body came too slowly; send it again"),
    409: ("wrong_state", "the job has no result: it is running"),
    413: ("too_large", "the file has 41 MiB, and at most 32 MiB are taken"),
    415: ("unsupported_image", "the upload is not taken: it is no JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF file"),
    422: ("invalid", "settings: steps=-1: input should be greater than 0"),
    429: ("overloaded_queue", "100 jobs are waiting, and no more than 100 may; try again later"),
    500: ("internal", "an internal error; the server's log has more"),
    503: ("database", "the database does not answer; try again later"),
    504: ("url_timeout", "the URL did not answer whole within 10 s"),
    507: ("no_space", "the server cannot write to its disk; try again later"),
}
#: What any route under /v1 may answer.
_ANYWHERE: Final = (401, 403, 422, 429, 500, 503)


def errors(*statuses: int, compatible: bool = False) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that are errors: these, and those that any route under ``/v1`` has.

    Args:
        statuses: what only this route answers.
        compatible: in OpenAI's form.
    """
    return {status: _error(status, compatible) for status in sorted({*statuses, *_ANYWHERE})}


def _error(status: int, compatible: bool) -> dict[str, Any]:
    code, detail = _EXAMPLES[status]
    title = HTTPStatus(status).phrase
    if compatible:
        body: dict[str, Any] = {"error": {"message": detail, "type": "server_error", "param": None, "code": code}}
        if status < 500:
            body["error"]["type"] = "invalid_request_error"
        return {"description": title, "content": {"application/json": _content(OpenAiErrorBody, body)}}
    body = {
        "type": f"urn:impasto:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    answer: dict[str, Any] = {
        "description": title,
        "content": {"application/problem+json": _content(ProblemBody, body)},
    }
    if status in (429, 503):
        answer["headers"] = {
            "Retry-After": {"description": "seconds until it is worth asking again", "schema": {"type": "integer"}}
        }
    return answer


def _content(shape: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}, "example": example}


#: Shapes that are named by their place above, and so have to be put there; see app.py.
NAMED: Final = (ProblemBody, OpenAiErrorBody, Asset)


def picture(kinds: tuple[str, ...], description: str) -> dict[int | str, dict[str, Any]]:
    """The answer 200 that is a picture."""
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {kind: {"schema": schema} for kind in kinds}}}


def page(description: str) -> dict[int | str, dict[str, Any]]:
    """The answer 200 that is an HTML page."""
    content = {"schema": {"type": "string"}, "example": "<!doctype html>…"}
    return {200: {"description": description, "content": {"text/html": content}}}


def answer(status: int, shape: type[BaseModel], description: str) -> dict[int | str, dict[str, Any]]:
    """An answer of a shape, which is described and not enforced: what is sent is made elsewhere."""
    return {status: {"model": shape, "description": description}}
