"""Whether one more job can be taken. Asked before anything is kept, so an overload costs nothing and breaks nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from impasto.jobs.refusals import OverloadedError

if TYPE_CHECKING:
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
