"""The rows of jobs: every change of one is a function here, and says under which condition it may happen."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from impasto.jobs.database import COUNTERS, JOBS, USAGE, WORKERS
from impasto.jobs.job import Job, JobRequest
from impasto.jobs.refusals import UnknownJobError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.jobs.job import State

#: A job is begun so often without finishing a chunk before it is given up.
MAX_ATTEMPTS: Final = 3

_FIELDS: Final = [JOBS.c[name] for name in Job.__dataclass_fields__]


def read(connection: sa.Connection, job_id: str, owner: str | None = None) -> Job:
    """A job; of that owner if one is given.

    Raises:
        UnknownJobError: there is none.
    """
    query = sa.select(*_FIELDS).where(JOBS.c.id == job_id)
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownJobError(f"there is no job {job_id[:80]!r}")
    return _job(row)


def by_key(connection: sa.Connection, owner: str, key: str) -> Job | None:
    """The job that an idempotency key gave before."""
    query = sa.select(*_FIELDS).where(JOBS.c.owner == owner, JOBS.c.idempotency_key == _short(key))
    row = connection.execute(query).one_or_none()
    return None if row is None else _job(row)


def insert(connection: sa.Connection, job_id: str, request: JobRequest, owner: str, key: str | None) -> Job:
    """A new job at the end of the queue."""
    connection.execute(
        sa.insert(JOBS).values(
            id=job_id,
            number=_next(connection, "number"),
            owner=owner,
            state="queued",
            request=request.model_dump(mode="json"),
            idempotency_key=None if key is None else _short(key),
            created_s=time.time(),
            changed=_next(connection, "changed"),
        )
    )
    return read(connection, job_id)


def page(connection: sa.Connection, owner: str, *, state: State | None, limit: int, before: str | None) -> list[Job]:
    """An owner's jobs, newest first."""
    query = sa.select(*_FIELDS).where(JOBS.c.owner == owner).order_by(JOBS.c.number.desc()).limit(limit)
    if state is not None:
        query = query.where(JOBS.c.state == state)
    if before is not None:
        read(connection, before, owner)
        query = query.where(JOBS.c.number < sa.select(JOBS.c.number).where(JOBS.c.id == before).scalar_subquery())
    return _jobs(connection.execute(query).all())


def changed_since(connection: sa.Connection, changed: int, owner: str, limit: int) -> list[Job]:
    """An owner's jobs by their last change."""
    query = sa.select(*_FIELDS).where(JOBS.c.owner == owner, JOBS.c.changed > changed)
    return _jobs(connection.execute(query.order_by(JOBS.c.changed).limit(limit)).all())


def open_jobs(connection: sa.Connection, limit: int = 1000) -> list[Job]:
    """Jobs of all owners that have not ended, those first that were taken first."""
    query = sa.select(*_FIELDS).where(JOBS.c.state.in_(("queued", "running"))).order_by(JOBS.c.number).limit(limit)
    return _jobs(connection.execute(query).all())


def waiting(connection: sa.Connection, owner: str | None = None) -> int:
    """Jobs in the queue; those of an owner if one is given."""
    return _count(connection, "queued", owner)


def running(connection: sa.Connection, owner: str) -> int:
    """An owner's jobs that workers have."""
    return _count(connection, "running", owner)


def _count(connection: sa.Connection, state: State, owner: str | None) -> int:
    query = sa.select(sa.func.count()).where(JOBS.c.state == state)
    return connection.execute(query if owner is None else query.where(JOBS.c.owner == owner)).scalar_one()


def put_off(connection: sa.Connection, job_id: str) -> Job:
    """Let a job wait on under a new ticket: the one that it had is used up."""
    connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(runs=JOBS.c.runs + 1))
    return read(connection, job_id)


def use(connection: sa.Connection, owner: str, day: str, megapixels: float) -> float:
    """Count what an owner asked for in a day; gives what it comes to."""
    mine = sa.and_(USAGE.c.owner == owner, USAGE.c.day == day)
    raised = sa.update(USAGE).where(mine).values(megapixels=USAGE.c.megapixels + megapixels)
    total = connection.execute(raised.returning(USAGE.c.megapixels)).scalar_one_or_none()
    if total is not None:
        return float(total)
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(USAGE).values(owner=owner, day=day, megapixels=megapixels))
    except sa.exc.IntegrityError:  # another request was the day's first a moment before
        return use(connection, owner, day, megapixels)
    return megapixels


def ahead(connection: sa.Connection, job_id: str) -> int:
    """Waiting jobs that were taken before this one."""
    number = sa.select(JOBS.c.number).where(JOBS.c.id == job_id).scalar_subquery()
    query = sa.select(sa.func.count()).where(JOBS.c.state == "queued", JOBS.c.number < number)
    return connection.execute(query).scalar_one()


def begin(connection: sa.Connection, job_id: str) -> Job | None:
    """A worker takes the job up, or again; None if there is nothing to do: it has ended, or ends now as poison."""
    job = read(connection, job_id)
    if job.is_over:
        return None
    if job.attempts >= MAX_ATTEMPTS:
        detail = f"it was begun {MAX_ATTEMPTS} times and ended its worker every time; use a smaller image_size"
        end(connection, job_id, "failed", error={"code": "poison", "detail": detail})
        return None
    _update(
        connection,
        job_id,
        state="running",
        attempts=JOBS.c.attempts + 1,
        started_s=job.started_s or time.time(),
    )
    return read(connection, job_id)


def leave(connection: sa.Connection, job_id: str) -> None:
    """A worker that is told to end puts the job down: that is no failed attempt."""
    _update(connection, job_id, attempts=0)


def report(connection: sa.Connection, job_id: str, progress: dict[str, Any]) -> Literal["keep", "discard"] | None:
    """Say how far a running job is; gives how it was asked to end, if it was."""
    _update(connection, job_id, progress=progress)
    return read(connection, job_id).wanted


def finish_chunk(connection: sa.Connection, job_id: str, number: int) -> None:
    """A chunk is done: whatever ended workers before, it was not this job alone. May be said twice."""
    _update(connection, job_id, chunks=number + 1, attempts=0)


def end(
    connection: sa.Connection,
    job_id: str,
    state: Literal["done", "failed", "cancelled"],
    *,
    metrics: dict[str, Any] | None = None,
    error: dict[str, str] | None = None,
) -> bool:
    """End a job, unless it has ended; gives whether this call did."""
    return _update(connection, job_id, state=state, ended_s=time.time(), metrics=metrics, error=error)


def cancel_waiting(connection: sa.Connection, job_id: str) -> bool:
    """End a job that waits; gives whether it did wait."""
    ended = {"state": "cancelled", "ended_s": time.time(), "wanted": "discard"}
    return _update(connection, job_id, where=JOBS.c.state == "queued", **ended)


def ask_to_end(connection: sa.Connection, job_id: str, wanted: Literal["keep", "discard"]) -> None:
    """Ask a running job to end. Who asked to drop it is not overruled by one who would keep it."""
    _update(connection, job_id, where=sa.or_(JOBS.c.wanted.is_(None), JOBS.c.wanted == "keep"), wanted=wanted)


def queue_again(connection: sa.Connection, job_id: str) -> bool:
    """Put a failed or cancelled job at the end of the queue; gives whether it was one."""
    done = connection.execute(
        sa.update(JOBS)
        .where(JOBS.c.id == job_id, JOBS.c.state.in_(("failed", "cancelled")))
        .values(
            state="queued",
            number=_next(connection, "number"),
            changed=_next(connection, "changed"),
            runs=JOBS.c.runs + 1,
            attempts=0,
            wanted=None,
            error=None,
            ended_s=None,
        )
    )
    return done.rowcount > 0


def beat(connection: sa.Connection, slot: str) -> None:
    """Say that a worker lives."""
    values = {"beat_s": time.time()}
    if not connection.execute(sa.update(WORKERS).where(WORKERS.c.slot == slot).values(**values)).rowcount:
        connection.execute(sa.insert(WORKERS).values(slot=slot, **values))


def touch(connection: sa.Connection) -> None:
    """Write what nobody reads: what stays as it is, a database does not write."""
    _next(connection, "probe")


def forget_worker(connection: sa.Connection, slot: str) -> None:
    """A worker ends, and its jobs are another's."""
    connection.execute(sa.delete(WORKERS).where(WORKERS.c.slot == slot))


def living(connection: sa.Connection, silence_s: float) -> frozenset[str]:
    """Slots of the workers that were heard of lately.

    One that was heard of in the future is dead too: the clock was put back, and a living one beats by the new time.
    """
    now = time.time()
    query = sa.select(WORKERS.c.slot).where(WORKERS.c.beat_s.between(now - silence_s, now + silence_s))
    return frozenset(connection.execute(query).scalars())


def _update(connection: sa.Connection, job_id: str, *, where: Any = None, **values: Any) -> bool:
    """Change a job that has not ended; gives whether there was one to change."""
    open_states = JOBS.c.state.in_(("queued", "running"))
    changed = _next(connection, "changed")
    query = sa.update(JOBS).where(JOBS.c.id == job_id, open_states)
    if where is not None:
        query = query.where(where)
    return connection.execute(query.values(changed=changed, **values)).rowcount > 0


def _next(connection: sa.Connection, name: str) -> int:
    """The next number of a counter. Its row is locked until the transaction ends, so numbers appear in their order."""
    raised = sa.update(COUNTERS).where(COUNTERS.c.name == name).values(value=COUNTERS.c.value + 1)
    return int(connection.execute(raised.returning(COUNTERS.c.value)).scalar_one())


def _short(key: str) -> str:
    """A key of any length as one of 64 characters."""
    return hashlib.sha256(key.encode()).hexdigest()


def _jobs(rows: Sequence[sa.Row[Any]]) -> list[Job]:
    return [_job(row) for row in rows]


def _job(row: sa.Row[Any]) -> Job:
    return Job(**{**row._mapping, "request": JobRequest.model_construct(**_tuples(row.request))})


def _tuples(request: dict[str, Any] | str) -> dict[str, Any]:
    """A request as it was checked, from what JSON made of it."""
    found = json.loads(request) if isinstance(request, str) else request
    return {**found, "styles": tuple(found["styles"])}
