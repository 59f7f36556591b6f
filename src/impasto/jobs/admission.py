"""Whether one more job can be taken. Asked before anything is kept, so an overload costs nothing and breaks nothing.

The service has limits, and so may the key that asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psutil

from impasto.jobs import order, table
from impasto.jobs.campaign import CampaignRequest
from impasto.jobs.refusals import OverloadedError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from impasto.jobs.job import JobRequest
    from impasto.jobs.keys import Quota
    from impasto.jobs.store import Store


@dataclass(frozen=True)
class Limits:
    """How much a service takes on."""

    queued: int = 100
    """Jobs that may wait."""
    free_disk_mb: int = 512
    """What the disk must have left."""
    free_memory_mb: int = 512
    """What the machine must have left."""


def admit(limits: Limits, store: Store, queued: int) -> None:
    """Refuse what would be too much.

    Raises:
        OverloadedError: a limit is reached.
    """
    if queued >= limits.queued:
        # A queue gets shorter by a job every few seconds; asking sooner only adds to the load.
        raise OverloadedError(
            f"{queued} jobs are waiting, and no more than {limits.queued} may; try again later",
            reason="queue",
            retry_after_s=5,
        )
    if (free := store.free_mb()) < limits.free_disk_mb:
        raise OverloadedError(
            f"the disk has {free} MiB left, and {limits.free_disk_mb} MiB are kept free; try again later",
            reason="disk",
            retry_after_s=60,
        )
    if (free := psutil.virtual_memory().available >> 20) < limits.free_memory_mb:
        raise OverloadedError(
            f"{free} MiB of memory are left, and {limits.free_memory_mb} MiB are kept free; try again later",
            reason="memory",
            retry_after_s=15,
        )


def admit_owner(
    connection: sa.Connection, quota: Quota, store: Store, request: JobRequest | CampaignRequest, owner: str
) -> None:
    """Refuse what an owner's key does not allow, and count what it does.

    Raises:
        OverloadedError: a limit of the key is reached.
    """
    if quota.waiting is not None and (waiting := order.waiting(connection, owner)) >= quota.waiting:
        raise OverloadedError(
            f"{waiting} of your jobs are waiting, and no more than {quota.waiting} may; try again later",
            reason="waiting",
            retry_after_s=5,
        )
    if quota.megapixels_a_day is None:
        return
    now = datetime.now(UTC)
    asked, day = _megapixels(request, store, owner), now.date()
    if table.use(connection, owner, day.isoformat(), asked) > quota.megapixels_a_day:  # undone with the transaction
        tomorrow = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
        raise OverloadedError(
            f"this job has {asked:.2g} megapixels, and with it you had more than the "
            f"{quota.megapixels_a_day:g} that you may ask for in a day (UTC); use a smaller image_size, "
            "or come back tomorrow",
            reason="megapixels",
            retry_after_s=int((tomorrow - now).total_seconds()) + 1,
        )


def _megapixels(request: JobRequest | CampaignRequest, store: Store, owner: str) -> float:
    """How large the results will be; of a campaign's picture, as large as it is in every style."""
    if isinstance(request, CampaignRequest):
        styles = max(1, len(request.style_words))
        return styles * sum(_area(store, one.asset, owner, None) for one in request.inputs)
    return _area(store, request.content, owner, request.image_size)


def _area(store: Store, asset: str, owner: str, longer: int | None) -> float:
    """Megapixels of a picture that is brought to a size."""
    from PIL import Image  # only the header is read, of a file that was decoded when it came

    with Image.open(store.asset(asset, owner=owner)) as content:
        width, height = content.size
    return width * height * ((longer or max(width, height)) / max(width, height)) ** 2 / 1e6
