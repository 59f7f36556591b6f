"""The quality log keeps rows whole, from several processes at once, and refuses what is not its own."""

import csv
import json
import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path

import pytest

from impasto.errors import InputError, MissingExtraError, OutputError
from impasto.evaluation.quality_log import SCHEMA_VERSION, NamedFile, QualityLog, QualityRow

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROW = QualityRow(
    at=NOON,
    output_sha256="ab" * 32,
    engine="optimize",
    impasto="0.1.0",
    settings={"image_size": 512, "style_loss": {"w2": 1.0, "nn": 0.25}, "palette": None},
    content=NamedFile("photo, with comma.jpg", "c" * 64),
    styles=(NamedFile("ünicode.png", "d" * 64), NamedFile("b.png", "e" * 64)),
    outcome="review",
    reasons=('"quoted", and\nbroken', "second"),
    seconds=12.5,
    values={"style_gain": 0.51, "clip": 0.0},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quality.sqlite"


def test_rows_come_back_as_they_were_appended(path: Path) -> None:
    plain = replace(ROW, seconds=None, reasons=(), outcome="ok", values={})
    with QualityLog(path) as log:
        log.append(ROW)
        log.append(plain)
    with QualityLog(path, "read") as log:
        assert log.rows() == [ROW, plain]


def test_a_file_name_that_is_no_text_comes_back_and_can_be_exported(path: Path, tmp_path: Path) -> None:
    odd = replace(ROW, content=NamedFile("\udcff.png", "0"), styles=(NamedFile("\udcfe.png", "1"),))
    with QualityLog(path) as log:
        log.append(odd)
        assert log.rows() == [odd]
        assert "?.png" in log.export(tmp_path / "out.csv").read_text("utf-8")


def test_numbers_that_are_not_finite_come_back(path: Path) -> None:
    with QualityLog(path) as log:
        log.append(replace(ROW, values={"nan": math.nan, "inf": -math.inf}))
        (row,) = log.rows()
    assert math.isnan(row.values["nan"])
    assert row.values["inf"] == -math.inf


def test_a_new_metric_needs_no_new_file(path: Path) -> None:
    with QualityLog(path) as log:
        log.append(ROW)
        log.append(replace(ROW, values={"made_up_yesterday": 1.0}))
        assert [set(row.values) for row in log.rows()] == [{"style_gain", "clip"}, {"made_up_yesterday"}]


def test_rows_are_in_the_order_of_time_whatever_their_zone(path: Path) -> None:
    moments = [NOON, NOON - timedelta(days=1), datetime(2026, 11, 1, 12, 30, tzinfo=timezone(timedelta(hours=2)))]
    with QualityLog(path) as log:
        for moment in moments:
            log.append(replace(ROW, at=moment))
        assert [row.at for row in log.rows()] == sorted(moments)
        assert len(log.rows(since=moments[2])) == 2


def test_rows_of_one_engine(path: Path) -> None:
    with QualityLog(path) as log:
        log.append(ROW)
        log.append(replace(ROW, engine="fast"))
        assert [row.engine for row in log.rows(engine="fast")] == ["fast"]
        assert log.rows(engine="optimize", since=NOON + timedelta(seconds=1)) == []


def test_a_time_without_zone_is_refused(path: Path) -> None:
    with QualityLog(path) as log, pytest.raises(InputError, match="no time zone"):
        log.append(replace(ROW, at=datetime(2026, 11, 1)))


def test_a_row_that_fails_leaves_nothing(path: Path) -> None:
    with QualityLog(path) as log:
        log.append(ROW)
        with pytest.raises(OutputError, match="cannot be used"):
            log.append(replace(ROW, outcome="splendid"))
        with pytest.raises(UnicodeEncodeError):  # at the second value, when all else is written
            log.append(replace(ROW, values={"fits": 1.0, "\ud800": 2.0}))
        assert log.rows() == [ROW]


def test_a_process_that_dies_in_an_append_leaves_nothing(path: Path) -> None:
    code = f"""
import os
from impasto.evaluation.quality_log import *
log = QualityLog({str(path)!r})
row = QualityRow(output_sha256="", engine="e", impasto="0", settings={{}}, content=NamedFile("c", ""), styles=(),
                 outcome="ok", values={{"a": 1.0}})
log.append(row)
log._connection.execute("BEGIN IMMEDIATE")
log._connection.execute("INSERT INTO metric_values VALUES (1, 'half', 2.0)")
os._exit(9)
"""  # noqa: S608
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    with QualityLog(path) as log:
        assert [row.values for row in log.rows()] == [{"a": 1.0}]


def test_two_processes_append_at_once(path: Path) -> None:
    code = f"""
import sys
from impasto.evaluation.quality_log import NamedFile, QualityLog, QualityRow
sys.stdin.readline()
with QualityLog({str(path)!r}) as log:
    for number in range(40):
        log.append(QualityRow(output_sha256=str(number), engine=sys.argv[1], impasto="0", settings={{}},
                              content=NamedFile("c", ""), styles=(), outcome="ok",
                              values={{f"m{{i}}": float(number) for i in range(10)}}))
"""
    command = [sys.executable, "-c", code]
    writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE) for name in ("first", "second")]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    with QualityLog(path, "read") as log:
        for name in ("first", "second"):
            rows = log.rows(engine=name)
            assert [row.output_sha256 for row in rows] == list(map(str, range(40)))
            assert all(row.values == {f"m{i}": float(row.output_sha256) for i in range(10)} for row in rows)


def test_reading_makes_no_file(path: Path) -> None:
    with pytest.raises(InputError, match="no quality log"):
        QualityLog(path, "read")
    assert not path.exists()


@pytest.mark.parametrize("mode", ["append", "read"])
def test_a_file_that_is_no_database_is_refused_and_kept(path: Path, mode: str) -> None:
    path.write_text("words, not rows\n" * 100)
    with pytest.raises(InputError, match="no quality log"):
        QualityLog(path, mode)
    assert path.read_text() == "words, not rows\n" * 100


@pytest.mark.parametrize("mode", ["append", "read"])
def test_another_programs_database_is_refused_and_kept(path: Path, mode: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="another program's"):
        QualityLog(path, mode)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", ["append", "read"])
def test_a_newer_format_is_refused(path: Path, mode: str) -> None:
    QualityLog(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(InputError, match=f"format {SCHEMA_VERSION + 1}.*update impasto"):
        QualityLog(path, mode)


@pytest.mark.parametrize(("column", "value"), [("at", "noon"), ("content", "{}"), ("styles", "[1]"), ("settings", "{")])
def test_a_row_of_another_hand_is_refused_in_one_sentence(path: Path, column: str, value: str) -> None:
    with QualityLog(path) as log:
        log.append(ROW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE results SET {column} = ?", (value,))  # noqa: S608
    with QualityLog(path, "read") as log, pytest.raises(InputError, match="that impasto did not write"):
        log.rows()


@pytest.mark.parametrize("place", ["missing/quality.sqlite", "."])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(OutputError, match="folder that is there"):
        QualityLog(tmp_path / place)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="can be written"):
            QualityLog(tmp_path / "quality.sqlite")
    finally:
        tmp_path.chmod(0o755)


def test_a_path_may_hold_what_a_uri_may_not(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#100%.sqlite"
    with QualityLog(path) as log:
        log.append(ROW)
    assert path.exists()


def test_csv_holds_a_column_for_every_metric(path: Path, tmp_path: Path) -> None:
    with QualityLog(path) as log:
        log.append(ROW)
        log.append(replace(ROW, values={"leak": 0.25}))
        log.export(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["metric.style_gain"], first["metric.leak"]) == ("0.51", "")
    assert (second["metric.style_gain"], second["metric.leak"]) == ("", "0.25")
    assert json.loads(first["reasons"]) == list(ROW.reasons)
    assert json.loads(first["settings"]) == ROW.settings
    assert datetime.fromisoformat(first["at"]) == NOON
    assert first["content_name"] == ROW.content.name
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.suffix != ".sqlite") == ["out.csv"]


@pytest.mark.parametrize("name", ["out.xlsx", "missing/out.csv"])
def test_an_export_that_cannot_be_is_refused(path: Path, tmp_path: Path, name: str) -> None:
    with QualityLog(path) as log, pytest.raises(OutputError):
        log.export(tmp_path / name)


def test_parquet_without_pyarrow_says_what_to_install(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    with QualityLog(path) as log, pytest.raises(MissingExtraError, match="pip install pyarrow"):
        log.export(tmp_path / "out.parquet")
    assert not list(tmp_path.glob("*.parquet"))


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_parquet_holds_the_same_table(path: Path, tmp_path: Path) -> None:
    from pyarrow.parquet import read_table

    with QualityLog(path) as log:
        log.append(ROW)
        log.append(replace(ROW, seconds=None, values={"leak": 0.25}))
        log.export(tmp_path / "out.parquet")
    first, second = read_table(tmp_path / "out.parquet").to_pylist()
    assert (first["metric.style_gain"], first["seconds"], first["metric.leak"]) == (0.51, 12.5, None)
    assert (second["metric.style_gain"], second["seconds"], second["metric.leak"]) == (None, None, 0.25)
