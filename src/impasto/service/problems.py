"""Errors as answers: RFC 9457 problem details, or OpenAI's form on the routes that speak it. One sentence each."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from impasto.errors import ImpastoError, InputError, OutputError
from impasto.jobs.refusals import (
    IdempotencyError,
    JobStateError,
    OverloadedError,
    RefusedAssetError,
    RefusedUrlError,
    UnknownAssetError,
    UnknownJobError,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import Response

logger = logging.getLogger("impasto")

_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
#: Routes whose clients know OpenAI's errors only.
_COMPATIBLE: Final = ("/v1/images", "/v1/models", "/v1/content_provenance_checks")

_URL_STATUS: Final = {"url_refused": 400, "too_large": 413, "url_timeout": 504}
_ASSET_STATUS: Final = {"unsupported_image": 415, "image_too_large": 413, "corrupt_image": 422, "unsafe_image": 422}


class Problem(Exception):  # noqa: N818 — an answer, not a fault
    """An answer that is an error.

    Args:
        status: of HTTP.
        code: for programs, in small letters.
        detail: one sentence for people.
        param: the field that it is about.
        headers: sent along.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, param: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.param, self.headers = param, headers or {}


class BodyRefused(HTTPException):
    """A body that is not read on: an HTTPException, as whoever parses a body lets no other through.

    Args:
        problem: what is answered.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, problem.detail)
        self.problem = problem


def answer_with_problems(app: FastAPI) -> None:
    """Let every error of the app become an answer."""

    def respond(request: Request, error: Exception) -> Response:
        request.app.state.context.metrics.count_error(error)
        problem = problem_of(error)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            # Starlette names the methods of the first route of that path, and there may be others.
            asked = [(method, {**request.scope, "method": method}) for method in _METHODS]
            allowed = (name for name, scope in asked if any(one.matches(scope)[0] == Match.FULL for one in app.routes))
            problem.headers["Allow"] = ", ".join(allowed)
        return problem_response(request.url.path, problem)

    for kind in (Problem, ImpastoError, RequestValidationError, HTTPException, SQLAlchemyError):  # others: see guard.py
        app.add_exception_handler(kind, respond)


def problem_response(path: str, problem: Problem) -> JSONResponse:
    """The answer for a problem on a route."""
    if path.startswith(_COMPATIBLE):
        kind = {429: "rate_limit_error", 401: "authentication_error"}.get(problem.status)
        kind = kind or ("server_error" if problem.status >= 500 else "invalid_request_error")
        body: dict[str, Any] = {
            "error": {"message": problem.detail, "type": kind, "param": problem.param, "code": problem.code}
        }
        return JSONResponse(body, problem.status, headers=problem.headers)
    body = {
        "type": f"urn:impasto:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    if problem.param is not None:
        body["param"] = problem.param
    return JSONResponse(body, problem.status, headers=problem.headers, media_type="application/problem+json")


def problem_of(error: Exception) -> Problem:
    """What an error is to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, BodyRefused):
        return error.problem
    if isinstance(error, OverloadedError):
        wait = {"Retry-After": str(error.retry_after_s), "retry-after-ms": str(error.retry_after_s * 1000)}
        return Problem(429, f"overloaded_{error.reason}", str(error), headers=wait)
    if isinstance(error, UnknownJobError | UnknownAssetError):
        return Problem(404, "not_found", str(error))
    if isinstance(error, RefusedUrlError):
        return Problem(_URL_STATUS[error.code], error.code, str(error), param="url")
    if isinstance(error, RefusedAssetError):
        return Problem(_ASSET_STATUS[error.code], error.code, str(error))
    if isinstance(error, JobStateError):
        return Problem(409, "wrong_state", str(error))
    if isinstance(error, IdempotencyError):
        return Problem(422, "idempotency_key_reused", str(error))
    if isinstance(error, OutputError):  # of the server's own disk: paths are none of the client's business
        logger.error("%s", error)
        return Problem(507, "no_space", "the server cannot write to its disk; try again later")
    if isinstance(error, InputError):
        return Problem(422, "invalid", str(error))
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        phrase = error.detail or HTTPStatus(error.status_code).phrase
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return Problem(error.status_code, code, str(phrase), headers=dict(error.headers or {}))
    logger.error("a request could not be answered", exc_info=error)
    if isinstance(error, SQLAlchemyError):
        return Problem(503, "database", "the database does not answer; try again later", headers={"Retry-After": "5"})
    return Problem(500, "internal", "an internal error; the server's log has more")


def _of_validation(error: RequestValidationError) -> Problem:
    """The first thing that is wrong with a request."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "header", "path"))
    reason = str(first["msg"]).removeprefix("Value error, ")
    reason = f"{reason[0].lower()}{reason[1:]}"
    status = 400 if first["type"] == "json_invalid" else 422
    return Problem(status, "invalid", f"{place}: {reason}" if place else reason, param=place or None)
