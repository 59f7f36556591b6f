"""Figures of the whole service that outlive the jobs they are of: counts, sums and histograms in the database.

They are written in the transaction that ends a job, so neither a restart nor a deleted job loses or doubles one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from impasto.jobs.database import TALLIES

if TYPE_CHECKING:
    from collections.abc import Mapping

Labels = tuple[tuple[str, str], ...]

#: Upper bounds of the histograms' buckets, by the figure's name. Above the last one there is one more, without an end.
BOUNDS: Final[dict[str, tuple[float, ...]]] = {
    "job_seconds": (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600),
    "step_seconds_per_mp": (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100),
    "quality": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.5, 2, 5),
}
_BUCKET: Final = "le"
_SUM: Final = "_sum"
_ENDLESS: Final = "+Inf"


def add(connection: sa.Connection, name: str, labels: Mapping[str, str], amount: float = 1) -> None:
    """Raise a count."""
    _upsert(connection, name, labels, amount, TALLIES.c.value + amount)


def put(connection: sa.Connection, name: str, labels: Mapping[str, str], value: float) -> None:
    """Keep a value in the place of the one before."""
    _upsert(connection, name, labels, value, value)


def observe(connection: sa.Connection, name: str, labels: Mapping[str, str], value: float) -> None:
    """Count a value in its bucket of a histogram, whose bounds are in :data:`BOUNDS`."""
    bound = next((f"{bound:g}" for bound in BOUNDS[name] if value <= bound), _ENDLESS)
    add(connection, name, {**labels, _BUCKET: bound})
    add(connection, name + _SUM, labels, value)


def read(connection: sa.Connection, name: str, **labels: str) -> dict[Labels, float]:
    """All values of a figure by their labels, as they stand; only those with the given ones."""
    rows = connection.execute(sa.select(TALLIES.c.labels, TALLIES.c.value).where(TALLIES.c.name == name))
    found = {tuple(json.loads(row.labels).items()): float(row.value) for row in rows}
    return {key: value for key, value in found.items() if labels.items() <= dict(key).items()}


def histogram(connection: sa.Connection, name: str) -> dict[Labels, tuple[list[tuple[str, float]], float]]:
    """A histogram by its labels: how many values are at most each bound, and the sum of all."""
    buckets: defaultdict[Labels, dict[str, float]] = defaultdict(dict)
    for labels, value in read(connection, name).items():
        known = dict(labels)
        bound = known.pop(_BUCKET)
        buckets[tuple(known.items())][bound] = value
    sums = read(connection, name + _SUM)
    found = {}
    for key, counts in buckets.items():
        so_far, cumulative = 0.0, []
        for bound in (*(f"{bound:g}" for bound in BOUNDS[name]), _ENDLESS):
            so_far += counts.get(bound, 0)
            cumulative.append((bound, so_far))
        found[key] = (cumulative, sums.get(key, 0.0))
    return found


def insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that can say what happens if the row is there."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _upsert(
    connection: sa.Connection, name: str, labels: Mapping[str, str], first: float, then: float | sa.ColumnElement[float]
) -> None:
    row = insert(connection, TALLIES).values(name=name, labels=json.dumps(labels, sort_keys=True), value=first)
    connection.execute(
        row.on_conflict_do_update(index_elements=[TALLIES.c.name, TALLIES.c.labels], set_={"value": then})
    )
