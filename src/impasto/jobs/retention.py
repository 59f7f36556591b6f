"""Removes what is no longer needed: old jobs with their files, uploads of no job, and DBOS's rows of what has ended.

Jobs that have not ended and starred ones are never taken. Everything that is removed is in the audit log.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from impasto.errors import ImpastoError, InputError
from impasto.jobs import table
from impasto.jobs.audit import note_deleted
from impasto.jobs.durable import WORKFLOW
from impasto.jobs.job import ASSET
from impasto.jobs.refusals import JobStateError, UnknownJobError
from impasto.jobs.store import owner_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import sqlalchemy as sa

    from impasto.jobs.durable import DurableJobs
    from impasto.jobs.job import State

logger = logging.getLogger("impasto")

DAY_S: Final = 86_400.0
#: Those that jobs end in.
STATES: Final[tuple[State, ...]] = ("done", "failed", "cancelled")
#: An upload is left alone for so long at least: its job may be on its way.
_GRACE_S: Final = 3600.0
_PAGE: Final = 500
_OVER: Final = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_EVERY_S: Final = 3600.0


@dataclass(frozen=True)
class Removed:
    """What was removed, or would be."""

    jobs: tuple[str, ...]
    uploads: tuple[str, ...]
    bytes: int
    """Of their files."""
    tickets: int
    """DBOS's rows; not counted where nothing was removed."""


def clean_up(
    jobs: DurableJobs,
    *,
    older_than_s: float,
    states: Collection[State] = STATES,
    dry_run: bool = False,
    by: str = "gc",
) -> Removed:
    """Remove jobs that ended long ago, then uploads as old that no job needs.

    Args:
        jobs: the service's.
        older_than_s: how long ago jobs ended and uploads were last sent.
        states: jobs in these only; uploads are removed all the same.
        dry_run: remove nothing.
        by: whose doing it is, for the audit log.

    Raises:
        InputError: another clean-up or a backup is at work.
    """
    before_s = time.time() - older_than_s
    with alone(jobs.store.home):
        if not dry_run:
            shutil.rmtree(jobs.store.small, ignore_errors=True)  # pages make what they show again
        gone, size = _remove_jobs(jobs, before_s, states, dry_run=dry_run, by=by)
        uploads, uploads_size = _remove_uploads(
            jobs, min(before_s, time.time() - _GRACE_S), set(gone), dry_run=dry_run, by=by
        )
        tickets = 0 if dry_run else _remove_tickets(jobs, before_s, by)
        if not dry_run:
            with jobs.engine.begin() as connection:
                table.forget_silent(connection, min(before_s, time.time() - _GRACE_S))
    return Removed(tuple(gone), tuple(uploads), size + uploads_size, tickets)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Keep clean-ups and backups out of each other's way.

    Raises:
        InputError: one is at work.
    """
    try:
        with FileLock(home / "keeping.lock", timeout=1):
            yield
    except Timeout:
        raise InputError("a backup or another clean-up is at work; try again when it is done") from None


class Keeper:
    """Cleans up now and then beside the service.

    Args:
        jobs: the service's.
        keep_days: what ended longer ago is removed.
    """

    def __init__(self, jobs: DurableJobs, keep_days: int) -> None:
        self._jobs, self._keep_days = jobs, keep_days
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Clean up now, and then every hour."""
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                removed = clean_up(
                    self._jobs, older_than_s=self._keep_days * DAY_S, by=f"serve --keep-days {self._keep_days}"
                )
                if removed.jobs or removed.uploads:
                    logger.info("removed %d old jobs and %d uploads", len(removed.jobs), len(removed.uploads))
            except (ImpastoError, OSError) as error:
                logger.warning("old jobs were not removed: %s", error)
            except Exception:
                logger.exception("old jobs were not removed")
            time.sleep(_EVERY_S)


def _remove_jobs(
    jobs: DurableJobs, before_s: float, states: Collection[State], *, dry_run: bool, by: str
) -> tuple[list[str], int]:
    gone: list[str] = []
    size = 0
    if dry_run:
        with jobs.engine.connect() as connection:
            found = table.ended(connection, before_s, states, limit=None)
        return [job.id for job in found], sum(_size(jobs.store.job(job.id).path) for job in found)
    while page := jobs.ended(before_s=before_s, states=states, limit=_PAGE):
        before = len(gone)
        for job in page:
            job_size = _size(jobs.store.job(job.id).path)
            try:
                jobs.delete(job.id, owner=job.owner, by=by, unless_starred=True)
            except (UnknownJobError, JobStateError):
                continue  # somebody was faster: deleted, starred or tried again
            gone.append(job.id)
            size += job_size
        if len(gone) == before:
            break
    return gone, size


def _remove_uploads(
    jobs: DurableJobs, before_s: float, gone: set[str], *, dry_run: bool, by: str
) -> tuple[list[str], int]:
    """Uploads that no job needs; with ``dry_run``, as if those jobs were gone."""
    places = jobs.store.home / "assets"
    old = [path for path in places.glob("*/*/*") if ASSET.fullmatch(path.name) and _changed(path) < before_s]
    if not old:
        return [], 0
    removed, size = [], 0
    with jobs.taking_none() as connection:  # no job is taken meanwhile
        needed = _needed(connection, gone)
        for path in old:
            owner = path.parent.parent.name
            if (owner, path.name) in needed or _changed(path) >= before_s:
                continue
            upload_size = path.stat().st_size
            if not dry_run:
                path.unlink()
                note_deleted(jobs.store.home, by=by, kind="upload", id=path.name, owner_folder=owner, bytes=upload_size)
            removed.append(path.name)
            size += upload_size
    return removed, size


def _needed(connection: sa.Connection, gone: set[str]) -> set[tuple[str, str]]:
    """Folder and name of every upload that a job needs."""
    return {
        (owner_folder(owner), asset)
        for job_id, owner, assets in table.assets_of_all(connection)
        if job_id not in gone
        for asset in assets
    }


def _remove_tickets(jobs: DurableJobs, before_s: float, by: str) -> int:
    """DBOS keeps what it did for ever; of jobs that have ended nobody asks for it."""
    before = datetime.fromtimestamp(before_s, UTC).isoformat()
    count = 0
    while found := jobs.client.list_workflows(
        status=_OVER, name=WORKFLOW, completed_before=before, limit=_PAGE, load_input=False, load_output=False
    ):
        jobs.client.delete_workflows([one.workflow_id for one in found])
        count += len(found)
    if count:
        note_deleted(jobs.store.home, by=by, kind="tickets", count=count)
    return count


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its owner has just deleted it
        return float("inf")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
