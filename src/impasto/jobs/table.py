"""The rows of jobs: every change of one is a function here, and says under which condition it may happen."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from impasto.jobs.campaign import CampaignRequest
from impasto.jobs.database import CANARIES, COUNTERS, JOBS, USAGE, WORKERS
from impasto.jobs.job import Job, JobRequest, RegionRequest
from impasto.jobs.origin import origin
from impasto.jobs.outcomes import count_end, count_resumed
from impasto.jobs.refusals import UnknownJobError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from impasto.jobs.job import Kind, State, Wish

#: A job is begun so often without finishing a chunk before it is given up. A row of a campaign may end two workers
#: before it is given up itself, and the campaign goes on.
MAX_ATTEMPTS: Final[dict[Kind, int]] = {"picture": 3, "campaign": 5}

#: A job in one of these has not ended.
OPEN: Final = ("queued", "running", "paused")
#: What a job may be asked for, the stronger the later.
_WISHES: Final = ("pause", "keep", "discard")

_FIELDS: Final = [JOBS.c[name] for name in Job.__dataclass_fields__]


def read(connection: sa.Connection, job_id: str, owner: str | None = None, kind: Kind | None = None) -> Job[Any]:
    """A job; of that owner and kind if one is given.

    Raises:
        UnknownJobError: there is none.
    """
    query = sa.select(*_FIELDS).where(JOBS.c.id == job_id)
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    if kind is not None:
        query = query.where(JOBS.c.kind == kind)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownJobError(f"there is no job {job_id[:80]!r}")
    return _job(row)


def by_key(connection: sa.Connection, owner: str, key: str) -> Job[Any] | None:
    """The job that an idempotency key gave before."""
    query = sa.select(*_FIELDS).where(JOBS.c.owner == owner, JOBS.c.idempotency_key == _short(key))
    row = connection.execute(query).one_or_none()
    return None if row is None else _job(row)


def insert(
    connection: sa.Connection, job_id: str, request: JobRequest | CampaignRequest, owner: str, key: str | None
) -> Job[Any]:
    """A new job at the end of the queue."""
    number = next_number(connection, "number")
    connection.execute(
        sa.insert(JOBS).values(
            id=job_id,
            number=number,
            place=number,
            owner=owner,
            state="queued",
            kind="campaign" if isinstance(request, CampaignRequest) else "picture",
            request=request.model_dump(mode="json"),
            idempotency_key=None if key is None else _short(key),
            created_s=time.time(),
            changed=next_number(connection, "changed"),
            origin=origin(),
        )
    )
    return read(connection, job_id)


def page(
    connection: sa.Connection,
    owner: str,
    *,
    kind: Kind = "picture",
    state: State | None = None,
    starred: bool | None = None,
    style: str | None = None,
    limit: int,
    before: str | None,
) -> list[Job[Any]]:
    """An owner's jobs, newest first."""
    query = sa.select(*_FIELDS).where(JOBS.c.owner == owner, JOBS.c.kind == kind)
    query = query.order_by(JOBS.c.number.desc()).limit(limit)
    if state is not None:
        query = query.where(JOBS.c.state == state)
    if starred is not None:
        query = query.where(JOBS.c.starred.is_(starred))
    if style is not None:  # a list in JSON, of which both databases give the text
        query = query.where(JOBS.c.request["styles"].as_string().contains(f'"{style}"', autoescape=True))
    if before is not None:
        read(connection, before, owner)
        query = query.where(JOBS.c.number < sa.select(JOBS.c.number).where(JOBS.c.id == before).scalar_subquery())
    return _jobs(connection.execute(query).all())


def changed_since(connection: sa.Connection, changed: int, owner: str, limit: int) -> list[Job[Any]]:
    """An owner's pictures by their last change."""
    mine = (JOBS.c.owner == owner, JOBS.c.kind == "picture")
    query = sa.select(*_FIELDS).where(*mine, JOBS.c.changed > changed)
    return _jobs(connection.execute(query.order_by(JOBS.c.changed).limit(limit)).all())


def open_jobs(connection: sa.Connection, owner: str) -> list[Job[Any]]:
    """An owner's jobs that have not ended, those first that were taken first."""
    query = sa.select(*_FIELDS).where(JOBS.c.owner == owner, JOBS.c.state.in_(OPEN)).order_by(JOBS.c.number)
    return _jobs(connection.execute(query).all())


def ended(connection: sa.Connection, before_s: float, states: Collection[State], limit: int | None) -> list[Job[Any]]:
    """Jobs of all owners that ended before then in one of these states, oldest first; starred ones are left out."""
    query = sa.select(*_FIELDS).where(JOBS.c.ended_s < before_s, JOBS.c.state.in_(states), JOBS.c.starred.is_(False))
    return _jobs(connection.execute(query.order_by(JOBS.c.ended_s).limit(limit)).all())


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


def begin(connection: sa.Connection, job_id: str, ticket: str | None = None) -> Job[Any] | None:
    """A worker takes up the job that its ticket claimed, or takes it up again.

    Returns:
        None if there is nothing to do: it has ended, ends now as poison, or was put aside and is another ticket's.
    """
    job = held(connection, job_id, ticket)
    if job is None:
        return None
    if job.attempts >= (most := MAX_ATTEMPTS[job.kind]):
        detail = f"it was begun {most} times and ended its worker every time; use a smaller image_size"
        end(connection, job_id, "failed", error={"code": "poison", "detail": detail})
        return None
    if job.started_s is not None:
        count_resumed(connection)
    change(
        connection,
        job_id,
        state="running",
        attempts=JOBS.c.attempts + 1,
        started_s=job.started_s or time.time(),
    )
    return read(connection, job_id)


def held(connection: sa.Connection, job_id: str, ticket: str | None) -> Job[Any] | None:
    """A job that has not ended and is done by this ticket."""
    query = sa.select(*_FIELDS).where(JOBS.c.id == job_id, JOBS.c.ticket == ticket, JOBS.c.state.in_(OPEN))
    row = connection.execute(query).one_or_none()
    return None if row is None else _job(row)


def leave(connection: sa.Connection, job_id: str) -> None:
    """A worker that is told to end puts the job down: that is no failed attempt."""
    change(connection, job_id, attempts=0)


def report(connection: sa.Connection, job_id: str, progress: dict[str, Any]) -> Wish | None:
    """Say how far a running job is; gives what it was asked for, if it was."""
    change(connection, job_id, progress=progress)
    return read(connection, job_id).wanted


def finish_chunk(connection: sa.Connection, job_id: str, number: int) -> None:
    """A chunk is done: whatever ended workers before, it was not this job alone. May be said twice."""
    change(connection, job_id, chunks=number + 1, attempts=0)


def end(
    connection: sa.Connection,
    job_id: str,
    state: Literal["done", "failed", "cancelled"],
    *,
    metrics: dict[str, Any] | None = None,
    error: dict[str, str] | None = None,
) -> bool:
    """End a job, unless it has ended; gives whether this call did."""
    return _end(connection, job_id, state=state, metrics=metrics, error=error)


def cancel_waiting(connection: sa.Connection, job_id: str) -> bool:
    """End a job that waits or was put aside; gives whether it was so."""
    waits = JOBS.c.state.in_(("queued", "paused"))
    return _end(connection, job_id, where=waits, state="cancelled", wanted="discard")


def ask(connection: sa.Connection, job_id: str, wanted: Wish) -> None:
    """Ask for the end of a job, or for a pause. A stronger wish is not overruled: discard, then keep, then pause."""
    stronger = _WISHES[_WISHES.index(wanted) + 1 :]
    change(connection, job_id, where=sa.or_(JOBS.c.wanted.is_(None), JOBS.c.wanted.not_in(stronger)), wanted=wanted)


def queue_again(connection: sa.Connection, job_id: str) -> bool:
    """Put a job that has ended, and is no finished picture, at the end of the queue; gives whether it was one."""
    number = next_number(connection, "number")
    done = connection.execute(
        sa.update(JOBS)
        .where(JOBS.c.id == job_id, JOBS.c.state.not_in(OPEN))
        .where(sa.or_(JOBS.c.state != "done", JOBS.c.kind == "campaign"))
        .values(
            state="queued",
            number=number,
            place=number,
            changed=next_number(connection, "changed"),
            runs=JOBS.c.runs + 1,
            chunks=0,
            attempts=0,
            ticket=None,
            wanted=None,
            progress=None,
            metrics=None,
            error=None,
            started_s=None,
            ended_s=None,
            variant=None,
            judging=None,
            quality=None,
            signal=None,
        )
    )
    return done.rowcount > 0


def waiting_since(connection: sa.Connection) -> float | None:
    """When the job was taken that waits longest, seconds since 1970; jobs that are tried again do not count."""
    query = sa.select(sa.func.min(JOBS.c.created_s)).where(JOBS.c.state == "queued", JOBS.c.runs == 0)
    found: float | None = connection.execute(query).scalar_one()
    return found


def beats(connection: sa.Connection) -> dict[str, float]:
    """When each worker was last heard of, seconds since 1970."""
    return {row.slot: row.beat_s for row in connection.execute(sa.select(WORKERS))}


def canaries(connection: sa.Connection) -> dict[str, bool]:
    """Every canary that was tried, and whether it was held."""
    return {row.id: row.held_s is not None for row in connection.execute(sa.select(CANARIES))}


def count(connection: sa.Connection) -> int:
    """All jobs."""
    return connection.execute(sa.select(sa.func.count()).select_from(JOBS)).scalar_one()


def done(connection: sa.Connection) -> list[str]:
    """Ids of all pictures that have a result."""
    return list(
        connection.execute(sa.select(JOBS.c.id).where(JOBS.c.state == "done", JOBS.c.kind == "picture")).scalars()
    )


def assets_of_all(connection: sa.Connection) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every job's id, owner and uploads."""
    for row in connection.execute(sa.select(*_FIELDS)):
        job = _job(row)
        yield job.id, job.owner, job.request.assets


def longest_due(connection: sa.Connection) -> Job[Any] | None:
    """The job whose result waits longest to be judged."""
    query = sa.select(*_FIELDS).where(JOBS.c.judging == "due").order_by(JOBS.c.ended_s).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _job(row)


def claim_judging(connection: sa.Connection, job_id: str) -> bool:
    """Say that a result is being judged; gives whether this call did."""
    query = sa.update(JOBS).where(JOBS.c.id == job_id, JOBS.c.judging == "due").values(judging="begun")
    return connection.execute(query).rowcount > 0


def star(connection: sa.Connection, job_id: str, *, starred: bool) -> None:
    """Keep a job from clean-ups, or no longer."""
    changed = next_number(connection, "changed")
    connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(starred=starred, changed=changed))


def delete(connection: sa.Connection, job_id: str) -> bool:
    """Remove the row of a job that has ended; gives whether it had."""
    return connection.execute(sa.delete(JOBS).where(JOBS.c.id == job_id, JOBS.c.state.not_in(OPEN))).rowcount > 0


def beat(connection: sa.Connection, slot: str) -> None:
    """Say that a worker lives."""
    values = {"beat_s": time.time()}
    if not connection.execute(sa.update(WORKERS).where(WORKERS.c.slot == slot).values(**values)).rowcount:
        connection.execute(sa.insert(WORKERS).values(slot=slot, **values))


def touch(connection: sa.Connection) -> None:
    """Write what nobody reads: what stays as it is, a database does not write."""
    next_number(connection, "probe")


def forget_worker(connection: sa.Connection, slot: str) -> None:
    """A worker ends, and its jobs are another's."""
    connection.execute(sa.delete(WORKERS).where(WORKERS.c.slot == slot))


def forget_silent(connection: sa.Connection, before_s: float) -> None:
    """Forget workers that were last heard of before then: they did not say goodbye."""
    connection.execute(sa.delete(WORKERS).where(WORKERS.c.beat_s < before_s))


def living(connection: sa.Connection, silence_s: float) -> frozenset[str]:
    """Slots of the workers that were heard of lately.

    One that was heard of in the future is dead too: the clock was put back, and a living one beats by the new time.
    """
    now = time.time()
    query = sa.select(WORKERS.c.slot).where(WORKERS.c.beat_s.between(now - silence_s, now + silence_s))
    return frozenset(connection.execute(query).scalars())


def _end(connection: sa.Connection, job_id: str, **values: Any) -> bool:
    """End a job that has not ended, and count it; gives whether this call did."""
    ended = change(connection, job_id, ended_s=time.time(), **values)
    if ended:
        count_end(connection, read(connection, job_id))
    return ended


def change(connection: sa.Connection, job_id: str, *, where: Any = None, **values: Any) -> bool:
    """Change a job that has not ended; gives whether there was one to change."""
    changed = next_number(connection, "changed")
    query = sa.update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state.in_(OPEN))
    if where is not None:
        query = query.where(where)
    return connection.execute(query.values(changed=changed, **values)).rowcount > 0


def next_number(connection: sa.Connection, name: str) -> int:
    """The next number of a counter. Its row is locked until the transaction ends, so numbers appear in their order."""
    raised = sa.update(COUNTERS).where(COUNTERS.c.name == name).values(value=COUNTERS.c.value + 1)
    return int(connection.execute(raised.returning(COUNTERS.c.value)).scalar_one())


def _short(key: str) -> str:
    """A key of any length as one of 64 characters."""
    return hashlib.sha256(key.encode()).hexdigest()


def _jobs(rows: Sequence[sa.Row[Any]]) -> list[Job[Any]]:
    return [_job(row) for row in rows]


def _job(row: sa.Row[Any]) -> Job[Any]:
    found = json.loads(row.request) if isinstance(row.request, str) else row.request
    request: JobRequest | CampaignRequest
    if row.kind == "campaign":
        request = CampaignRequest.model_validate(found)
    else:  # it was checked when it was taken, and that takes a while
        regions = tuple(RegionRequest.model_construct(**region) for region in found.get("regions", ()))
        request = JobRequest.model_construct(**{**found, "styles": tuple(found["styles"]), "regions": regions})
    return Job(**{**row._mapping, "request": request})
