"""Whether the service lives, whether it can work, and what it is."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from impasto.jobs.durable import CONTRACT
from impasto.service.context import Service

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
    return JSONResponse({"ready": all(checks.values()), "checks": checks}, 200 if all(checks.values()) else 503)


@router.get("/v1/version")
def versions() -> dict[str, Any]:
    """What runs here."""
    try:
        ours = version("impasto")
    except PackageNotFoundError:  # run from its source
        ours = "unknown"
    return {"impasto": ours, "jobs": CONTRACT}
