"""Whether the service lives, whether it can work, and what it is."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from impasto.jobs.durable import CONTRACT
from impasto.jobs.readiness import readiness
from impasto.service.context import Admin, Service
from impasto.service.documents import Health, Ready, Version, answer, errors

router = APIRouter(tags=["operation"])


#: A probe that is not answered soon is a failed one.
_CHECK_S: Final = 2.0


@router.get("/healthz", responses=answer(200, Health, "It lives."))
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get(
    "/readyz", responses={**answer(200, Ready, "It is."), **answer(503, Ready, "It is not, and `checks` says why.")}
)
async def ready(service: Service) -> JSONResponse:
    """Whether a job would be taken, and done.

    Database and folder can be written to, disk and memory have room, and a worker lives; otherwise 503 and what is
    missing.
    """
    checks = {"database": False, "store": False, "disk": False, "memory": False, "worker": False}
    with anyio.move_on_after(_CHECK_S):  # a locked database lets everybody wait
        checks |= await run_sync(readiness, service.jobs, abandon_on_cancel=True, limiter=service.probing)
    warnings = []
    if service.golden is not None and service.golden.state in ("failed", "broken"):
        warnings.append("golden set: it does not come out the same, or could not be checked; see the log")
    body = {"ready": all(checks.values()), "checks": checks, "warnings": warnings}
    return JSONResponse(body, 200 if all(checks.values()) else 503)


_FIGURES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Figures.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "impasto_queue_depth 3.0"}},
    }
}


@router.get("/metrics", response_class=PlainTextResponse, responses={**_FIGURES, **errors()})
def metrics(service: Service, _: Admin) -> Response:
    """Figures for Prometheus."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/version", responses=answer(200, Version, "Versions."))
def versions() -> dict[str, Any]:
    """What runs here."""
    try:
        ours = version("impasto")
    except PackageNotFoundError:  # run from its source
        ours = "unknown"
    return {"impasto": ours, "jobs": CONTRACT}
