"""The queue: which job is begun next, and whether any is. Its order is ours; DBOS hands out tickets, each good for one.

A ticket names no job. Whoever holds one claims the job that is first at that moment, so that moving, pausing and
cancelling jobs are changes of our own rows. There are always at least as many tickets as waiting jobs; one too many
finds nothing to do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from impasto.jobs import table
from impasto.jobs.database import JOBS, QUEUE
from impasto.jobs.keys import running_limit
from impasto.jobs.refusals import JobStateError

if TYPE_CHECKING:
    from collections.abc import Sequence


def claim(connection: sa.Connection, ticket: str) -> tuple[str, int] | None:
    """The job that a ticket is good for, with its finished chunks: the first that waits. Again, it is the same one.

    Returns:
        None where nothing waits that may be begun, or the queue is paused.
    """
    changed = table.next_number(connection, "changed")  # claims stand in a row behind its lock
    mine = sa.select(JOBS.c.id, JOBS.c.chunks).where(JOBS.c.ticket == ticket)
    row = connection.execute(mine).one_or_none()
    if row is None and paused_since(connection) is None:
        may_begin = (JOBS.c.state == "queued", JOBS.c.owner.not_in(_full(connection)))
        first = sa.select(JOBS.c.id, JOBS.c.chunks).where(*may_begin).order_by(JOBS.c.place).limit(1)
        row = connection.execute(first).one_or_none()
        if row is not None:
            taken = sa.update(JOBS).where(JOBS.c.id == row.id)
            connection.execute(taken.values(state="running", ticket=ticket, changed=changed))
    return None if row is None else (row.id, row.chunks)


def _full(connection: sa.Connection) -> list[str]:
    """Owners of whom as many jobs run as their keys allow."""
    query = sa.select(JOBS.c.owner, sa.func.count().label("many")).where(JOBS.c.state == "running")
    running = connection.execute(query.group_by(JOBS.c.owner)).all()
    limits = {row.owner: running_limit(connection, row.owner) for row in running}
    return [row.owner for row in running if (limit := limits[row.owner]) is not None and row.many >= limit]


def tickets(connection: sa.Connection) -> dict[str, str]:
    """Running jobs by their tickets."""
    query = sa.select(JOBS.c.ticket, JOBS.c.id).where(JOBS.c.state == "running", JOBS.c.ticket.is_not(None))
    return {row.ticket: row.id for row in connection.execute(query)}


def put_aside(connection: sa.Connection, job_id: str) -> bool:
    """Pause a running job that was asked to, between two chunks; gives whether it was."""
    asked = sa.and_(JOBS.c.state == "running", JOBS.c.wanted == "pause")
    return table.change(connection, job_id, where=asked, state="paused", wanted=None, ticket=None)


def pause(connection: sa.Connection, job_id: str) -> None:
    """Put a waiting job aside at once, and ask a running one for it."""
    if not table.change(connection, job_id, where=JOBS.c.state == "queued", state="paused"):
        table.ask(connection, job_id, "pause")


def resume(connection: sa.Connection, job_id: str) -> bool:
    """Let a paused job wait for its turn in its old place; gives whether it needs a ticket for that."""
    if table.change(connection, job_id, where=JOBS.c.state == "paused", state="queued"):
        return True
    table.change(connection, job_id, where=JOBS.c.wanted == "pause", wanted=None)
    return False


def line(connection: sa.Connection, owner: str | None = None) -> list[tuple[str, int]]:
    """Ids and places of the jobs that wait, of one owner or of all, in their order."""
    query = sa.select(JOBS.c.id, JOBS.c.place).where(JOBS.c.state == "queued").order_by(JOBS.c.place)
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    return [(row.id, row.place) for row in connection.execute(query)]


def move(connection: sa.Connection, owner: str, job_id: str, to: str) -> None:
    """Let a waiting job be begun earlier or later than the owner's others: see :meth:`JobEngine.move`."""
    table.next_number(connection, "changed")  # from here on, nobody else changes the line
    waiting_now = line(connection, owner)
    ids = [name for name, _ in waiting_now]
    for name in (job_id,) if to in ("front", "back") else (job_id, to):
        if name not in ids:
            job = table.read(connection, name, owner)
            raise JobStateError(f"only jobs that wait can be moved, and {name} is {job.state}")
    if to != job_id:
        ids.remove(job_id)
        ids.insert(0 if to == "front" else len(ids) if to == "back" else ids.index(to), job_id)
    arrange(connection, waiting_now, ids)


def arrange(connection: sa.Connection, before: Sequence[tuple[str, int]], after: Sequence[str]) -> None:
    """Give the places that some waiting jobs have to the same jobs in another order."""
    for (was, place), job_id in zip(before, after, strict=True):
        if was != job_id:
            table.change(connection, job_id, place=place)


def waiting(connection: sa.Connection, owner: str | None = None) -> int:
    """Jobs in the queue; those of an owner if one is given."""
    query = sa.select(sa.func.count()).where(JOBS.c.state == "queued")
    return connection.execute(query if owner is None else query.where(JOBS.c.owner == owner)).scalar_one()


def ahead(connection: sa.Connection, job_id: str) -> int:
    """Waiting jobs that will be begun before this one."""
    place = sa.select(JOBS.c.place).where(JOBS.c.id == job_id).scalar_subquery()
    query = sa.select(sa.func.count()).where(JOBS.c.state == "queued", JOBS.c.place < place)
    return connection.execute(query).scalar_one()


def counts(connection: sa.Connection, owner: str) -> dict[str, int]:
    """An owner's jobs that have not ended, by state."""
    query = sa.select(JOBS.c.state, sa.func.count().label("many")).where(
        JOBS.c.owner == owner, JOBS.c.state.in_(table.OPEN)
    )
    found = {row.state: row.many for row in connection.execute(query.group_by(JOBS.c.state))}
    return {state: found.get(state, 0) for state in table.OPEN}


def paused_since(connection: sa.Connection) -> float | None:
    """When the queue was paused, in seconds since 1970; None where it is not."""
    found: float | None = connection.execute(sa.select(QUEUE.c.paused_s)).scalar_one()
    return found


def set_paused(connection: sa.Connection, *, paused: bool) -> bool:
    """Begin no more jobs, or do so again; gives whether that was a change. Those that run go on."""
    query = sa.update(QUEUE).where(QUEUE.c.paused_s.is_(None) if paused else QUEUE.c.paused_s.is_not(None))
    return connection.execute(query.values(paused_s=time.time() if paused else None)).rowcount > 0
