"""Whether a job would be taken, and done."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psutil
from sqlalchemy.exc import SQLAlchemyError

from impasto.jobs import table

if TYPE_CHECKING:
    from impasto.jobs.durable import DurableJobs

logger = logging.getLogger("impasto")


def readiness(jobs: DurableJobs) -> dict[str, bool]:
    """What a job needs to be taken and done, and whether it is there.

    The database is written to, as it can be read also where nothing can be kept.
    """
    checks = {
        "database": False,
        "store": jobs.store.can_keep(),
        "disk": jobs.store.free_mb() >= jobs.limits.free_disk_mb,
        "memory": psutil.virtual_memory().available >> 20 >= jobs.limits.free_memory_mb,
        "worker": False,
    }
    try:
        with jobs.engine.begin() as connection:
            table.touch(connection)
        checks["database"] = True
        checks["worker"] = jobs.workers() > 0
    except SQLAlchemyError as error:
        logger.warning("the database cannot be written to: %s", error.__class__.__name__)
    return checks
