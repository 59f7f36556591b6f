"""The database of a service: a SQLite file, or PostgreSQL by its URL; our own tables beside those of DBOS."""

from __future__ import annotations

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
    sa.UniqueConstraint("owner", "idempotency_key"),
    sa.Index("impasto_jobs_state", "state", "place"),
    sa.Index("impasto_jobs_changed", "owner", "changed"),
)

WORKERS: Final = sa.Table(
    "impasto_workers",
    _META,
    sa.Column("slot", sa.String(64), primary_key=True),
    sa.Column("beat_s", sa.Float, nullable=False),
)

#: One row: the last number that was given to a job, and to a change of one.
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


def open_database(url: str) -> sa.Engine:
    """Connect, and make what is missing: DBOS's tables and ours.

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
        event.listens_for(engine, "connect")(_set_up_file)
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
    for row in (
        sa.insert(COUNTERS).values(name="number", value=0),
        sa.insert(COUNTERS).values(name="changed", value=0),
        sa.insert(QUEUE).values(name="jobs"),
    ):
        try:
            with engine.begin() as connection:
                connection.execute(row)
        except sa.exc.IntegrityError:
            pass


def _set_up_file(connection: Any, _record: object) -> None:
    """How DBOS sets up its own connections: writers stand in a queue, and wait instead of failing."""
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")  # what was accepted survives a power cut
