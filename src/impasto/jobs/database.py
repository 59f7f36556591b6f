"""The database of a service: a SQLite file, or PostgreSQL by its URL; our own tables beside those of DBOS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from impasto.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_META: Final = sa.MetaData()

JOBS: Final = sa.Table(
    "impasto_jobs",
    _META,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),  # in the order they were taken
    sa.Column("place", sa.Integer, nullable=False),  # in the order they are begun
    sa.Column("ticket", sa.String(64)),  # of the queue, that a running job is done by
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False, default="picture"),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("idempotency_key", sa.String(64)),
    sa.Column("created_s", sa.Float, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("started_s", sa.Float),
    sa.Column("ended_s", sa.Float),
    sa.Column("chunks", sa.Integer, nullable=False, default=0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("runs", sa.Integer, nullable=False, default=0),
    sa.Column("wanted", sa.String(8)),
    sa.Column("starred", sa.Boolean, nullable=False, default=False),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("metrics", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.JSON(none_as_null=True)),
    # What operations know of a job: outcomes.py and judging.py write these.
    sa.Column("origin", sa.JSON(none_as_null=True)),
    sa.Column("variant", sa.JSON(none_as_null=True)),
    sa.Column("judging", sa.String(16)),
    sa.Column("quality", sa.JSON(none_as_null=True)),
    sa.Column("signal", sa.String(16)),
    sa.UniqueConstraint("owner", "idempotency_key"),
    sa.Index("impasto_jobs_state", "state", "place"),
    sa.Index("impasto_jobs_changed", "owner", "changed"),
    sa.Index("impasto_jobs_judging", "judging"),
)

WORKERS: Final = sa.Table(
    "impasto_workers",
    _META,
    sa.Column("slot", sa.String(64), primary_key=True),
    sa.Column("beat_s", sa.Float, nullable=False),
)

#: The last number that was given to a job, to a change of one, and to a probe.
COUNTERS: Final = sa.Table(
    "impasto_counters",
    _META,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

#: One row.
QUEUE: Final = sa.Table(
    "impasto_queue",
    _META,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("paused_s", sa.Float),
)

KEYS: Final = sa.Table(
    "impasto_api_keys",
    _META,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the secret, which has 256 random bits
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("created_s", sa.Float, nullable=False),
    sa.Column("revoked_s", sa.Float),
    sa.Column("expires_s", sa.Float),
    sa.Column("used_s", sa.Float),  # to the minute
    sa.Column("scopes", sa.String(64)),  # words; none of a key that was made before there were scopes
    sa.Column("quota", sa.JSON(none_as_null=True)),
)

#: What an owner's jobs of a day (UTC) come to. Apart from the jobs, so that removing one gives nothing back.
USAGE: Final = sa.Table(
    "impasto_usage",
    _META,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("megapixels", sa.Float, nullable=False),
)


#: Counted and summed since the service was first started; see tally.py.
TALLIES: Final = sa.Table(
    "impasto_tallies",
    _META,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("labels", sa.String(255), primary_key=True),  # JSON with sorted keys
    sa.Column("value", sa.Float, nullable=False),
)

#: A row for each canary that was ever tried; see canary.py.
CANARIES: Final = sa.Table(
    "impasto_canaries",
    _META,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("began_s", sa.Float, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False, default=0),
    sa.Column("held_s", sa.Float),
    sa.Column("reason", sa.String(255)),
)


def database_url(database: str | None, home: Path) -> str:
    """The URL of the service's database: a file in its folder, or PostgreSQL.

    Raises:
        SettingsError: it is neither.
    """
    if database is None:
        return f"sqlite:///{home / 'jobs.sqlite'}"
    scheme = database.partition("://")[0]
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg", "sqlite"):
        raise SettingsError(
            f"a database of kind {scheme!r} cannot be used; give postgresql://USER@HOST/NAME, or nothing for a file"
        )
    return database


def open_database(url: str, *, patience_s: float = 30.0) -> sa.Engine:
    """Connect, and make what is missing: DBOS's tables and ours.

    Args:
        url: see :func:`database_url`.
        patience_s: how long a writer waits for a file that another one is writing to.

    Raises:
        SettingsError: it cannot be reached.
    """
    from dbos import DBOS

    parsed = sa.make_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    if not is_file:
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(parsed, pool_pre_ping=not is_file)
    if is_file:
        event.listens_for(engine, "connect")(partial(_set_up_file, patience_s))
    try:
        with engine.connect() as connection:
            if is_file:
                # Written to the file once, and true from then on: readers and the writer no longer wait for each other.
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        DBOS.migrate(url)
        _make_tables(engine)
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        shown = parsed.render_as_string(hide_password=True)
        raise SettingsError(f"the database {shown} cannot be used: {reason}; check its URL and that it runs") from error
    return engine


def _make_tables(engine: sa.Engine) -> None:
    """Make our tables, also if another process does so at this moment."""
    try:
        _META.create_all(engine)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError, sa.exc.IntegrityError):
        _META.create_all(engine)
    _add_columns(engine)
    for row in (
        sa.insert(COUNTERS).values(name="number", value=0),
        sa.insert(COUNTERS).values(name="changed", value=0),
        sa.insert(COUNTERS).values(name="probe", value=0),
        sa.insert(QUEUE).values(name="jobs"),
    ):
        try:
            with engine.begin() as connection:
                connection.execute(row)
        except sa.exc.IntegrityError:
            pass


#: What rows of an older version have in a column that they lacked, where it is not the column's default. Their running
#: jobs have no ticket that anybody knows: they wait again, and go on from their checkpoints.
_FILLED: Final = {
    ("impasto_jobs", "place"): "UPDATE impasto_jobs SET place = number",
    ("impasto_jobs", "ticket"): "UPDATE impasto_jobs SET state = 'queued' WHERE state = 'running'",
}


def _add_columns(engine: sa.Engine) -> None:
    """Add to tables of an older version the columns that they lack, with what their rows have there."""
    for entry in _META.sorted_tables:
        there = {column["name"] for column in sa.inspect(engine).get_columns(entry.name)}
        for column in entry.columns:
            if column.name in there:
                continue
            kind = column.type.compile(engine.dialect)
            try:
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"ALTER TABLE {entry.name} ADD COLUMN {column.name} {kind}")
                    if (entry.name, column.name) in _FILLED:
                        connection.exec_driver_sql(_FILLED[entry.name, column.name])
                    elif isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar:
                        connection.execute(sa.update(entry).values({column: column.default.arg}))
            except (sa.exc.OperationalError, sa.exc.ProgrammingError):
                # Another process was a moment faster; if not, it is still missing.
                if column.name not in {one["name"] for one in sa.inspect(engine).get_columns(entry.name)}:
                    raise


def _set_up_file(patience_s: float, connection: Any, _record: object) -> None:
    """How DBOS sets up its own connections: writers stand in a queue, and wait instead of failing."""
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout={round(1000 * patience_s)}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")  # what was accepted survives a power cut
