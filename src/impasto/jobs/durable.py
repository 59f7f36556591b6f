"""Jobs in a database: taken by doors, done by workers, in as many processes as there are.

DBOS holds the queue and hands each job to one worker; our own row says what people see. Both are written in one
transaction when a job is taken. Why so: ``docs/adr/0011-jobs-on-dbos.md``.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer

from impasto.jobs import table
from impasto.jobs.admission import Limits, admit
from impasto.jobs.database import database_url, open_database
from impasto.jobs.refusals import IdempotencyError, JobStateError
from impasto.jobs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbos import EnqueueOptions

    from impasto.jobs.job import Job, JobRequest, State

T = TypeVar("T")

#: What workers and doors agree on. It changes when a running job could not be gone on with, never with the code.
CONTRACT: Final = "jobs-v1"
APPLICATION: Final = "impasto"
QUEUE: Final = "impasto-jobs"
WORKFLOW: Final = "impasto.job"


class DurableJobs:
    """The :class:`JobEngine` on DBOS, with a SQLite file or PostgreSQL.

    Args:
        home: the service's folder.
        database: URL of PostgreSQL; None for a file in the folder.
        limits: how much is taken on.

    Raises:
        OutputError: the folder cannot be made.
        SettingsError: the database cannot be used.
    """

    def __init__(self, home: Path, *, database: str | None = None, limits: Limits | None = None) -> None:
        self.store = Store(home)
        self.limits = limits or Limits()
        self.url = database_url(database, home)
        self.engine = open_database(self.url)
        self._turn = threading.Lock() if self.engine.dialect.name == "sqlite" else None
        # JSON, not DBOS's default pickle: who can write the database must not be able to run code in a worker.
        self.client = DBOSClient(
            system_database_engine=self.engine, serializer=DBOSPortableJSONSerializer(), application_name=APPLICATION
        )

    def submit(self, request: JobRequest, *, owner: str, idempotency_key: str | None = None) -> Job:
        """See :meth:`JobEngine.submit`."""
        for asset in request.assets:
            self.store.asset(asset, owner=owner)
        for name in request.library_styles:
            from impasto import api  # PyTorch comes with it, and most jobs bring their styles along

            api.get_style(name)
        try:
            with self._writing() as connection:
                if idempotency_key is not None and (known := table.by_key(connection, owner, idempotency_key)):
                    return _same(known, request)
                admit(self.limits, self.store, table.waiting(connection))
                job = table.insert(connection, secrets.token_hex(16), request, owner, idempotency_key)
                self.client.enqueue_in_transaction(connection, _ticket(job), job.id)
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
        return self._read(lambda connection: table.read(connection, job_id, owner))

    def jobs(self, *, owner: str, state: State | None = None, limit: int = 50, before: str | None = None) -> list[Job]:
        """See :meth:`JobEngine.jobs`."""
        return self._read(lambda connection: table.page(connection, owner, state=state, limit=limit, before=before))

    def changed_since(self, changed: int, *, owner: str, limit: int = 100) -> list[Job]:
        """See :meth:`JobEngine.changed_since`."""
        return self._read(lambda connection: table.changed_since(connection, changed, owner, limit))

    def position(self, job: Job) -> int | None:
        """See :meth:`JobEngine.position`."""
        return self._read(lambda connection: table.ahead(connection, job.id)) if job.state == "queued" else None

    def cancel(self, job_id: str, *, owner: str, keep: bool) -> Job:
        """See :meth:`JobEngine.cancel`."""
        with self._writing() as connection:
            table.read(connection, job_id, owner)
            if not table.cancel_waiting(connection, job_id):
                table.ask_to_end(connection, job_id, "keep" if keep else "discard")
            return table.read(connection, job_id, owner)

    def retry(self, job_id: str, *, owner: str) -> Job:
        """See :meth:`JobEngine.retry`."""
        with self._writing() as connection:
            job = table.read(connection, job_id, owner)
            if job.state not in ("failed", "cancelled"):
                raise JobStateError(f"only a failed or cancelled job can be tried again, and this one is {job.state}")
            admit(self.limits, self.store, table.waiting(connection))
            self.store.job(job_id).discard()  # whatever made it fail may lie in its checkpoint
            table.queue_again(connection, job_id)
            job = table.read(connection, job_id, owner)
            self.client.enqueue_in_transaction(connection, _ticket(job), job.id)
            return job

    def waiting(self) -> int:
        """Jobs in the queue, of all owners."""
        return self._read(table.waiting)

    def workers(self, silence_s: float = 15.0) -> int:
        """Workers that were heard of lately."""
        return len(self._read(lambda connection: table.living(connection, silence_s)))

    def close(self) -> None:
        """See :meth:`JobEngine.close`."""
        self.client.destroy()
        self.engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction.

        A SQLite file has one writer at a time, and whoever finds it busy sleeps and tries again, some for a second.
        Threads of one process stand in a queue before it instead.
        """
        with self._turn or nullcontext(), self.engine.begin() as connection:
            yield connection

    def _read(self, query: Callable[[sa.Connection], T]) -> T:
        with self.engine.connect() as connection:
            return query(connection)


def ticket_id(job: Job) -> str:
    """What DBOS calls this run of a job."""
    return f"{job.id}-{job.runs}"


def _ticket(job: Job) -> EnqueueOptions:
    return {
        "workflow_name": WORKFLOW,
        "queue_name": QUEUE,
        "workflow_id": ticket_id(job),
        "app_version": CONTRACT,
    }


def _same(known: Job, request: JobRequest) -> Job:
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
