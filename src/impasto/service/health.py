"""Whether the service lives, whether it can work, and what it is."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from impasto.jobs.durable import CONTRACT
from impasto.service.context import Service
from impasto.service.queue import Admin

router = APIRouter(tags=["operation"])


@router.get("/healthz")
def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(service: Service) -> JSONResponse:
    """The database answers, the disk has room and a worker lives; otherwise 503 and what is missing."""
    checks = {
        "database": True,  # or the next line has answered with 503
        "worker": service.jobs.workers() > 0,
        "disk": service.jobs.store.free_mb() >= service.jobs.limits.free_disk_mb,
    }
    warnings = []
    if service.golden is not None and service.golden.state in ("failed", "broken"):
        warnings.append("golden set: it does not come out the same, or could not be checked; see the log")
    body = {"ready": all(checks.values()), "checks": checks, "warnings": warnings}
    return JSONResponse(body, 200 if all(checks.values()) else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(service: Service, _: Admin) -> Response:
    """Figures for Prometheus."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/version")
def versions() -> dict[str, Any]:
    """What runs here."""
    try:
        ours = version("impasto")
    except PackageNotFoundError:  # run from its source
        ours = "unknown"
    return {"impasto": ours, "jobs": CONTRACT}
