"""The quality log: one row per judged result in an SQLite file, from which drift is read.

Several processes may append at once; a row is there whole or not at all. It computes nothing; see drift.py.
"""

from __future__ import annotations

import csv
import json
import math
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from impasto.errors import InputError, MissingExtraError, OutputError
from impasto.whole import replacing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from impasto.recipe import Recipe

#: Raised when a column is added or changes its meaning. Metrics are rows of their own and need no new version.
SCHEMA_VERSION: Final = 1

#: Marks the file as ours in SQLite's header, so that another program's database is never written to: "impQ".
_APPLICATION_ID: Final = 0x696D7051
#: How long a process waits for the others before it gives up.
_BUSY_S: Final = 30.0
_AGAIN_S: Final = 0.02

_COLUMNS: Final = (
    "at", "output_sha256", "engine", "impasto", "settings", "content", "styles", "outcome", "reasons", "seconds",
)  # fmt: skip

_SCHEMA: Final = (
    """CREATE TABLE results (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        output_sha256 TEXT NOT NULL,
        engine TEXT NOT NULL,
        impasto TEXT NOT NULL,
        settings TEXT NOT NULL,
        content TEXT NOT NULL,
        styles TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('ok', 'review', 'reject')),
        reasons TEXT NOT NULL,
        seconds REAL
    )""",
    "CREATE INDEX results_at ON results (at)",
    """CREATE TABLE metric_values (
        row INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value REAL,
        PRIMARY KEY (row, name)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


@dataclass(frozen=True)
class NamedFile:
    """A picture that went in: its name without the folder, and its hash."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """What is kept of one judged result."""

    output_sha256: str
    engine: str
    impasto: str
    """The version that made the result."""
    settings: Mapping[str, Any]
    content: NamedFile
    styles: Sequence[NamedFile]
    outcome: Literal["ok", "review", "reject"]
    values: Mapping[str, float]
    """Every metric by name; NaN is kept as "no number"."""
    reasons: Sequence[str] = ()
    seconds: float | None = None
    """What it took to make, if that is known."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it was judged."""

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        output_sha256: str,
        values: Mapping[str, float],
        outcome: Literal["ok", "review", "reject"],
        reasons: Sequence[str] = (),
        *,
        seconds: float | None = None,
    ) -> Self:
        """The row of a result that carries its recipe; its time is now.

        The styles of regions count as styles, as they do for the judge.
        """
        return cls(
            output_sha256=output_sha256,
            engine=recipe.engine,
            impasto=recipe.environment.impasto,
            settings=recipe.settings,
            content=NamedFile(recipe.content.name, recipe.content.sha256),
            styles=tuple(NamedFile(source.name, source.sha256) for source in recipe.all_styles),
            outcome=outcome,
            values=values,
            reasons=reasons,
            seconds=seconds,
        )


class QualityLog:
    """An open quality log; one for each process and thread.

    Args:
        path: an SQLite file on a local disk (SQLite's write-ahead log does not work over a network file system).
        mode: ``append`` makes the file if there is none; ``read`` asks for one that is there and changes nothing.

    Raises:
        InputError: the file is missing (``read``), is no quality log, or one of a newer impasto.
        OutputError: it cannot be made or written there.

    Example:
        >>> with QualityLog("quality.sqlite") as log:  # doctest: +SKIP
        ...     log.append(row)
        ...     log.rows(engine="optimize")
    """

    def __init__(self, path: str | os.PathLike[str], mode: Literal["append", "read"] = "append") -> None:
        self._path = Path(path)
        if mode == "read" and not self._path.is_file():
            raise InputError(f"there is no quality log {str(path)!r}; give a file that impasto has written results to")
        # A path may hold ? and #, which as_uri quotes.
        uri = f"{self._path.absolute().as_uri()}?mode={'ro' if mode == 'read' else 'rwc'}"
        with self._sentences():
            # None: a transaction begins where the code says so, and takes the write lock at once.
            self._connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
        try:
            with self._sentences():
                self._open(mode)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; what was appended is in it already."""
        self._connection.close()

    def append(self, row: QualityRow) -> None:
        """Add a result: when this returns, the row is on disk whole.

        Raises:
            InputError: its time has no time zone, or its settings are not JSON.
            OutputError: it cannot be written (full disk, read-only file, held by another program); nothing was added.
        """
        record = (
            _utc(row.at),
            row.output_sha256,
            row.engine,
            row.impasto,
            _json(dict(row.settings)),
            _json(vars(row.content)),
            _json([vars(style) for style in row.styles]),
            row.outcome,
            _json(list(row.reasons)),
            row.seconds,
        )
        values = [(name, None if math.isnan(value) else float(value)) for name, value in row.values.items()]
        with self._sentences(), self._transaction():
            number = self._connection.execute(
                f"INSERT INTO results ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",  # noqa: S608
                record,
            ).lastrowid
            self._connection.executemany(
                "INSERT INTO metric_values (row, name, value) VALUES (?, ?, ?)",
                [(number, *pair) for pair in values],
            )

    def rows(
        self, *, since: datetime | None = None, engine: str | None = None, last: int | None = None
    ) -> list[QualityRow]:
        """The results in the order in which they were judged.

        Args:
            since: only those judged then or later.
            engine: only this engine's.
            last: of these only so many of the last; below 0, of the first.

        Raises:
            InputError: ``since`` has no time zone, or the file is damaged.
        """
        where: dict[str, Any] = {"at >= ?": None if since is None else _utc(since), "engine = ?": engine}
        asked = {clause: value for clause, value in where.items() if value is not None}
        clauses = f"WHERE {' AND '.join(asked)}" if asked else ""
        arguments = list(asked.values())
        if last is not None:
            way = "DESC" if last > 0 else "ASC"
            clauses = f"WHERE id IN (SELECT id FROM results {clauses} ORDER BY at {way}, id {way} LIMIT ?)"  # noqa: S608
            arguments.append(abs(last))
        with self._sentences(), self._transaction("DEFERRED"):  # both tables as they were at one moment
            records = self._connection.execute(
                f"SELECT id, {', '.join(_COLUMNS)} FROM results {clauses} ORDER BY at, id",  # noqa: S608 — our own words
                arguments,
            ).fetchall()
            values: dict[int, dict[str, float]] = {record[0]: {} for record in records}
            for number, name, value in self._connection.execute(
                "SELECT row, name, value FROM metric_values "  # noqa: S608 — our own words
                f"WHERE row IN (SELECT id FROM results {clauses}) ORDER BY row, name",
                arguments,
            ):
                values[number][name] = math.nan if value is None else value
        try:
            return [_row(record[1:], values[record[0]]) for record in records]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the quality log {str(self._path)!r} holds a row that impasto did not write ({error}); restore the "
                "file, or begin another"
            ) from None

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write all results as one table, a column for each metric: ``.csv``, or ``.parquet`` where pyarrow is there.

        Returns:
            The path as given.

        Raises:
            OutputError: another extension, or it cannot be written; what was there before is untouched.
            MissingExtraError: ``.parquet`` without pyarrow.
        """
        target = Path(path)
        if target.suffix not in {".csv", ".parquet"}:
            raise OutputError(f"{str(path)!r} cannot be exported; end its name in .csv or .parquet")
        table = _table(self.rows())
        with replacing(target) as temporary:
            (_write_csv if target.suffix == ".csv" else _write_parquet)(table, temporary)
        return target

    def _open(self, mode: Literal["append", "read"]) -> None:
        """Make the tables if the file is new, and refuse what is not ours."""
        if mode == "append":
            self._write_ahead()
            self._connection.execute("PRAGMA foreign_keys = on")
            with self._transaction():  # another process may make them in this very moment
                if self._is_new():
                    for statement in _SCHEMA:
                        self._connection.execute(statement)
        if not self._is_ours_or_new() or self._is_new():
            raise InputError(f"{str(self._path)!r} is another program's database, not a quality log; give another file")
        version = self._pragma("user_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"the quality log {str(self._path)!r} has format {version}, this impasto reads {SCHEMA_VERSION}; "
                "update impasto, or begin another file"
            )

    def _write_ahead(self) -> None:
        """Switch the file to a write-ahead log, once.

        Two processes that do it at once would each wait for the other, so SQLite refuses one at once, whatever its
        timeout says; that one looks again.
        """
        deadline = time.monotonic() + _BUSY_S
        while self._pragma("journal_mode") != "wal" and self._is_ours_or_new():
            try:
                self._connection.execute("PRAGMA journal_mode = wal")
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_S)

    def _is_new(self) -> bool:
        """Whether the file has no tables and no mark."""
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return not tables and not self._pragma("application_id")

    def _is_ours_or_new(self) -> bool:
        return self._pragma("application_id") == _APPLICATION_ID or self._is_new()

    def _pragma(self, name: str) -> Any:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def _transaction(self, kind: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
        """All of the block or nothing."""
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn what SQLite says into one sentence of ours."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            shown = str(self._path)
            if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
                raise InputError(
                    f"{shown!r} is no quality log, or a damaged one ({error}); give another file"
                ) from None
            if name.startswith("SQLITE_BUSY"):
                raise OutputError(
                    f"the quality log {shown!r} is held by another program for more than {_BUSY_S:.0f} s; "
                    "close what has it open"
                ) from None
            raise OutputError(
                f"the quality log {shown!r} cannot be used ({error}); give a file in a folder that is there and can "
                "be written, on a disk with some space"
            ) from None


def _utc(moment: datetime) -> str:
    """A moment as text that sorts by time.

    Raises:
        InputError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise InputError(f"the time {moment.isoformat()} has no time zone; give it one, such as UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _json(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True)  # in ASCII: the name of a file may hold bytes that are no text
    except TypeError as error:
        raise InputError(f"a row's settings cannot be kept: {error}; give what JSON can hold") from None


def _row(record: Sequence[Any], values: Mapping[str, float]) -> QualityRow:
    """A row from its columns."""
    at, output_sha256, engine, impasto, settings, content, styles, outcome, reasons, seconds = record
    return QualityRow(
        at=datetime.fromisoformat(at),
        output_sha256=output_sha256,
        engine=engine,
        impasto=impasto,
        settings=json.loads(settings),
        content=NamedFile(**json.loads(content)),
        styles=tuple(NamedFile(**style) for style in json.loads(styles)),
        outcome=outcome,
        reasons=tuple(json.loads(reasons)),
        seconds=seconds,
        values=values,
    )


def _table(rows: Sequence[QualityRow]) -> dict[str, list[str | float | None]]:
    """Columns by name: what identifies a result, then every metric that any of them has."""
    names = sorted({name for row in rows for name in row.values})
    return {
        "at": [_utc(row.at) for row in rows],
        "output_sha256": [row.output_sha256 for row in rows],
        "engine": [row.engine for row in rows],
        "impasto": [row.impasto for row in rows],
        "settings": [_json(dict(row.settings)) for row in rows],
        "content_name": [row.content.name.encode(errors="replace").decode() for row in rows],
        "content_sha256": [row.content.sha256 for row in rows],
        "style_names": [_json([style.name for style in row.styles]) for row in rows],
        "style_sha256": [_json([style.sha256 for style in row.styles]) for row in rows],
        "outcome": [row.outcome for row in rows],
        "reasons": [_json(list(row.reasons)) for row in rows],
        "seconds": [row.seconds for row in rows],
        **{f"metric.{name}": [row.values.get(name) for row in rows] for name in names},
    }


def _write_csv(table: Mapping[str, Sequence[object]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def _write_parquet(table: Mapping[str, Sequence[object]], path: Path) -> None:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("Parquet needs another package: pip install pyarrow; or export to .csv") from None
    parquet.write_table(arrow.table(dict(table)), path)
