"""Jobs in a database: taken by doors, done by workers, in as many processes as there are.

DBOS holds the queue and hands each job to one worker; our own row says what people see. Both are written in one
transaction when a job is taken. Why so: ``docs/adr/0011-jobs-on-dbos.md``.
"""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer

from impasto.jobs import order, outcomes, table
from impasto.jobs.admission import Limits, admit, admit_owner
from impasto.jobs.audit import note_deleted
from impasto.jobs.config import ServiceFile
from impasto.jobs.database import database_url, open_database
from impasto.jobs.job import QueueState
from impasto.jobs.keys import NO_QUOTA, Quota, limits_running
from impasto.jobs.refusals import IdempotencyError, JobStateError, OverloadedError
from impasto.jobs.store import Store
from impasto.styles import get_style

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from dbos import EnqueueOptions

    from impasto.jobs.campaign import CampaignRequest
    from impasto.jobs.job import Job, JobRequest, State

T = TypeVar("T")

logger = logging.getLogger("impasto")

#: What workers and doors agree on. It changes when a running job could not be gone on with, never with the code.
CONTRACT: Final = "jobs-v2"
APPLICATION: Final = "impasto"
QUEUE: Final = "impasto-jobs"
WORKFLOW: Final = "impasto.job"
_WAITING: Final[tuple[State, ...]] = ("queued",)

#: How long a thread waits for the others to have written.
_TURN_S: Final = 10.0


class DurableJobs:
    """The :class:`JobEngine` on DBOS, with a SQLite file or PostgreSQL.

    Args:
        home: the service's folder.
        database: URL of PostgreSQL; None for a file in the folder.
        limits: how much is taken on.
        patience_s: how long a writer waits for a file that another one is writing to.

    Raises:
        OutputError: the folder cannot be made.
        SettingsError: the database cannot be used, or the service's ``impasto.toml`` says what cannot be done.
    """

    def __init__(
        self, home: Path, *, database: str | None = None, limits: Limits | None = None, patience_s: float = 30.0
    ) -> None:
        self.store = Store(home)
        self.limits = limits or Limits()
        self.config = ServiceFile.load(home)
        self.url = database_url(database, home)
        self.engine = open_database(self.url, patience_s=patience_s)
        self._turn = threading.Lock() if self.engine.dialect.name == "sqlite" else None
        # JSON, not DBOS's default pickle: who can write the database must not be able to run code in a worker.
        self.client = DBOSClient(
            system_database_engine=self.engine, serializer=DBOSPortableJSONSerializer(), application_name=APPLICATION
        )

    def submit(
        self,
        request: JobRequest,
        *,
        owner: str,
        idempotency_key: str | None = None,
        replace: bool = False,
        quota: Quota | None = None,
    ) -> Job:
        """See :meth:`JobEngine.submit`."""
        return self._submit(request, owner, idempotency_key, quota, replace=replace)

    def submit_campaign(
        self,
        request: CampaignRequest,
        *,
        owner: str,
        idempotency_key: str | None = None,
        quota: Quota | None = None,
    ) -> Job[CampaignRequest]:
        """See :meth:`JobEngine.submit_campaign`."""
        request.rules()
        return self._submit(request, owner, idempotency_key, quota, replace=False)

    def _submit(
        self,
        request: JobRequest | CampaignRequest,
        owner: str,
        idempotency_key: str | None,
        quota: Quota | None,
        *,
        replace: bool,
    ) -> Job[Any]:
        self._require_assets(request, owner)
        self.config.settings_for(request.engine_name)
        for name in request.library_styles:
            get_style(name)
        try:
            with self._writing() as connection:
                if idempotency_key is not None and (known := table.by_key(connection, owner, idempotency_key)):
                    return _same(known, request)
                replaced = self._cancelled(connection, owner, _WAITING) if replace else []
                admit(self.limits, self.store, order.waiting(connection))
                admit_owner(connection, quota or NO_QUOTA, self.store, request, owner)
                job = table.insert(connection, secrets.token_hex(16), request, owner, idempotency_key)
                self._require_assets(request, owner)  # one may have been deleted, which waits for us from here on
                self._enqueue(connection, job)
            self._discard(replaced)
            return job
        except sa.exc.IntegrityError:
            # Another request with the same key was a moment faster.
            with self.engine.connect() as connection:
                known = table.by_key(connection, owner, idempotency_key) if idempotency_key is not None else None
            if known is None:
                raise
            return _same(known, request)

    def known(self, idempotency_key: str, *, owner: str) -> Job | None:
        """The job that an idempotency key gave before; None if it was not used."""
        return self._read(lambda connection: table.by_key(connection, owner, idempotency_key))

    def get(self, job_id: str, *, owner: str) -> Job:
        """See :meth:`JobEngine.get`."""
        return self._read(lambda connection: table.read(connection, job_id, owner, "picture"))

    def campaign(self, job_id: str, *, owner: str) -> Job[CampaignRequest]:
        """See :meth:`JobEngine.campaign`."""
        return self._read(lambda connection: table.read(connection, job_id, owner, "campaign"))

    def campaigns(self, *, owner: str, limit: int = 50, before: str | None = None) -> list[Job[CampaignRequest]]:
        """See :meth:`JobEngine.campaigns`."""
        return self._read(lambda connection: table.page(connection, owner, kind="campaign", limit=limit, before=before))

    def jobs(
        self,
        *,
        owner: str,
        state: State | None = None,
        starred: bool | None = None,
        style: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Job]:
        """See :meth:`JobEngine.jobs`."""
        return self._read(
            lambda connection: table.page(
                connection, owner, state=state, starred=starred, style=style, limit=limit, before=before
            )
        )

    def changed_since(self, changed: int, *, owner: str, limit: int = 100) -> list[Job]:
        """See :meth:`JobEngine.changed_since`."""
        return self._read(lambda connection: table.changed_since(connection, changed, owner, limit))

    def position(self, job: Job[Any]) -> int | None:
        """See :meth:`JobEngine.position`."""
        return self._read(lambda connection: order.ahead(connection, job.id)) if job.state == "queued" else None

    def cancel(self, job_id: str, *, owner: str, keep: bool) -> Job[Any]:
        """See :meth:`JobEngine.cancel`."""
        with self._writing() as connection:
            job = table.read(connection, job_id, owner)
            has_picture = keep and job.chunks > 0
            gone = not has_picture and table.cancel_waiting(connection, job_id)
            if not gone:
                table.ask(connection, job_id, "keep" if keep else "discard")
                if order.resume(connection, job_id):  # a worker has to write the picture
                    self._enqueue(connection, table.read(connection, job_id))
            job = table.read(connection, job_id)
        if gone:
            self._discard([job])
        return job

    def cancel_all(self, *, owner: str, states: Collection[State]) -> list[Job]:
        """See :meth:`JobEngine.cancel_all`."""
        with self._writing() as connection:
            found = self._cancelled(connection, owner, states)
        self._discard([job for job in found if job.is_over])
        return found

    def pause(self, job_id: str, *, owner: str) -> Job[Any]:
        """See :meth:`JobEngine.pause`."""
        with self._writing() as connection:
            _not_over(table.read(connection, job_id, owner), "paused")
            order.pause(connection, job_id)
            return table.read(connection, job_id)

    def resume(self, job_id: str, *, owner: str) -> Job[Any]:
        """See :meth:`JobEngine.resume`."""
        with self._writing() as connection:
            _not_over(table.read(connection, job_id, owner), "resumed")
            if order.resume(connection, job_id):
                self._enqueue(connection, table.read(connection, job_id))
            return table.read(connection, job_id)

    def move(self, job_id: str, *, owner: str, to: str) -> Job[Any]:
        """See :meth:`JobEngine.move`."""
        with self._writing() as connection:
            order.move(connection, owner, job_id, to)
            return table.read(connection, job_id)

    def star(self, job_id: str, *, owner: str, starred: bool) -> Job[Any]:
        """See :meth:`JobEngine.star`."""
        with self._writing() as connection:
            table.read(connection, job_id, owner)
            table.star(connection, job_id, starred=starred)
            if starred:
                outcomes.signal(connection, table.read(connection, job_id), "kept")
            return table.read(connection, job_id)

    def delete(self, job_id: str, *, owner: str, by: str = "owner", unless_starred: bool = False) -> None:
        """See :meth:`JobEngine.delete`.

        Args:
            job_id: which.
            owner: whose.
            by: whose doing it is, for the audit log; what its owner deletes counts as discarded.
            unless_starred: refuse a job that was starred meanwhile.
        """
        with self._writing() as connection:
            table.next_number(connection, "changed")  # nobody runs it again meanwhile
            job = table.read(connection, job_id, owner)
            if unless_starred and job.starred:
                raise JobStateError("the job is starred, and kept")
            if not job.is_over:
                raise JobStateError(
                    f"the job is {job.state}, and only one that has ended can be deleted; stop or cancel it first"
                )
            if by == "owner":
                outcomes.signal(connection, job, "discarded")
            self.store.job(job_id).discard()  # first, so that nothing is left that no row knows of
            table.delete(connection, job_id)
        note_deleted(self.store.home, by=by, kind="job", id=job_id, owner=owner, state=job.state)

    def delete_asset(self, asset: str, *, owner: str) -> None:
        """See :meth:`JobEngine.delete_asset`."""
        with self._writing() as connection:
            table.next_number(connection, "changed")  # no job is taken meanwhile
            self.store.asset(asset, owner=owner)
            for job in table.open_jobs(connection, owner):
                if asset in job.request.assets:
                    raise JobStateError(
                        f"the job {job.id} needs it and is {job.state}; cancel the job first, or wait for it"
                    )
            self.store.remove_asset(asset, owner=owner)
        note_deleted(self.store.home, by="owner", kind="upload", id=asset, owner=owner)

    def queue(self, *, owner: str) -> QueueState:
        """See :meth:`JobEngine.queue`."""
        return self._read(
            lambda connection: QueueState(
                order.paused_since(connection), order.waiting(connection), order.counts(connection, owner)
            )
        )

    def pause_queue(self, *, paused: bool) -> None:
        """See :meth:`JobEngine.pause_queue`."""
        with self._writing() as connection:
            if order.set_paused(connection, paused=paused) and not paused:
                self.issue_tickets(connection)

    def issue_tickets(self, connection: sa.Connection) -> None:
        """Give out a ticket for every waiting job, because theirs may have been spent while none was begun."""
        for job_id, _ in order.line(connection):
            self._enqueue(connection, table.read(connection, job_id))

    def ended(self, *, before_s: float, states: Collection[State], limit: int = 1000) -> list[Job[Any]]:
        """Jobs of all owners that a clean-up may take: ended before then (seconds since 1970), and not starred.

        Oldest first. :meth:`delete` removes one.
        """
        return self._read(lambda connection: table.ended(connection, before_s, states, limit))

    def retry(self, job_id: str, *, owner: str, quota: Quota | None = None) -> Job[Any]:
        """See :meth:`JobEngine.retry`."""
        with self._writing() as connection:
            job = table.read(connection, job_id, owner)
            again = ("failed", "cancelled", "done") if job.kind == "campaign" else ("failed", "cancelled")
            if job.state not in again:
                raise JobStateError(f"only a {' or '.join(again)} {job.kind} can be run again; this one is {job.state}")
            if job.kind == "picture":  # a campaign has links to its own
                self._require_assets(job.request, owner)
            admit(self.limits, self.store, order.waiting(connection))
            admit_owner(connection, quota or NO_QUOTA, self.store, job.request, owner)
            self._discard([job])  # whatever made it fail may lie in its checkpoint
            table.queue_again(connection, job_id)
            job = table.read(connection, job_id, owner)
            self._enqueue(connection, job)
            return job

    def admit(self) -> None:
        """Whether a job would be taken now.

        Raises:
            OverloadedError: it would not.
        """
        admit(self.limits, self.store, self.waiting())

    def call_next(self, connection: sa.Connection) -> None:
        """A job has left its worker: give out a ticket, if one may have been spent in vain while its owner had enough.

        Only keys with a limit of running jobs let a ticket pass over a job that waits.
        """
        waiting = order.line(connection)
        if waiting and limits_running(connection):
            self._enqueue(connection, table.read(connection, waiting[0][0]))

    def signal(self, job: Job, said: Literal["kept", "discarded"]) -> None:
        """Count what its owner does with a result: the first thing counts, and once."""
        with self._writing() as connection:
            outcomes.signal(connection, job, said)

    @contextmanager
    def taking_none(self) -> Iterator[sa.Connection]:
        """A transaction during which no job is taken: who takes one counts first, and that count is locked here."""
        with self._writing() as connection:
            table.next_number(connection, "changed")
            yield connection

    def waiting(self) -> int:
        """Jobs in the queue, of all owners."""
        return self._read(order.waiting)

    def workers(self, silence_s: float = 15.0) -> int:
        """Workers that were heard of lately."""
        return len(self._read(lambda connection: table.living(connection, silence_s)))

    def close(self) -> None:
        """See :meth:`JobEngine.close`."""
        self.client.destroy()
        self.engine.dispose()

    def _require_assets(self, request: JobRequest | CampaignRequest, owner: str) -> None:
        for asset in request.assets:
            self.store.asset(asset, owner=owner)

    def _enqueue(self, connection: sa.Connection, job: Job[Any]) -> None:
        """Give out one ticket more; its name says for whose sake, and is never given twice."""
        ticket: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": f"{job.id}-{table.next_number(connection, 'changed')}",
            "app_version": CONTRACT,
        }
        self.client.enqueue_in_transaction(connection, ticket)

    def _cancelled(self, connection: sa.Connection, owner: str, states: Collection[State]) -> list[Job]:
        mine = table.open_jobs(connection, owner)
        found = [job.id for job in mine if job.state in states and job.kind == "picture"]
        for job_id in found:
            if not table.cancel_waiting(connection, job_id):
                table.ask(connection, job_id, "discard")
        return [table.read(connection, job_id) for job_id in found]

    def _discard(self, jobs: list[Job[Any]]) -> None:
        """Drop the files of jobs; those of a campaign stay until it is deleted."""
        for job in jobs:
            if job.kind == "picture":
                self.store.job(job.id).discard()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction.

        A SQLite file has one writer at a time, and whoever finds it busy sleeps and tries again, some for a second.
        Threads of one process stand in a queue before it instead.

        Raises:
            OverloadedError: it stays busy, as when another program holds the file.
        """
        if self._turn is not None and not self._turn.acquire(timeout=_TURN_S):
            raise OverloadedError("the database is busy; try again later", reason="database", retry_after_s=5)
        try:
            with self.engine.begin() as connection:
                yield connection
        finally:
            if self._turn is not None:
                self._turn.release()

    def _read(self, query: Callable[[sa.Connection], T]) -> T:
        with self.engine.connect() as connection:
            return query(connection)


def _not_over(job: Job[Any], verb: str) -> None:
    """Refuse what makes no sense for a job that has ended.

    Raises:
        JobStateError: it has.
    """
    if job.is_over:
        raise JobStateError(f"the job is {job.state}, and only one that has not ended can be {verb}")


def _same(known: Job[Any], request: JobRequest | CampaignRequest) -> Job[Any]:
    """A job that was asked for again by its key.

    Raises:
        IdempotencyError: it was asked for something else then.
    """
    if known.request.model_dump(mode="json") != request.model_dump(mode="json"):
        raise IdempotencyError(
            "this idempotency key was used for another request; use a new key for each job, and the same one only to "
            "ask again"
        )
    return known
