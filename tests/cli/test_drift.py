"""``impasto drift`` says steady or drifted, by words, table, JSON and exit code."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from impasto.evaluation.quality_log import NamedFile, QualityLog, QualityRow

Run = Callable[..., CompletedProcess[str]]

FIRST = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two logs of an hour's distance between results: the last 40 of ``moved`` have less style."""
    folder = tmp_path_factory.mktemp("logs")
    for name, shift in (("steady.sqlite", 0.0), ("moved.sqlite", -0.2)):
        rng = np.random.default_rng(1)
        with QualityLog(folder / name) as log:
            for number in range(120):
                gain = rng.normal(0.5, 0.1) + (shift if number >= 80 else 0)
                log.append(
                    QualityRow(
                        at=FIRST + timedelta(hours=number),
                        output_sha256="",
                        engine="optimize",
                        impasto="0.1.0",
                        settings={},
                        content=NamedFile("c", ""),
                        styles=(),
                        outcome="ok" if rng.random() < 0.9 else "review",
                        values={"style_gain": gain, "edge_content": rng.normal(0.8, 0.05)}
                        | ({"new": 1.0} if number > 90 else {}),
                    )
                )
    return folder


def test_drift_of_a_steady_log_ends_with_0(run: Run, logs: Path) -> None:
    outcome = run("drift", logs / "steady.sqlite", "--reference", "80", "--recent", "40")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith("steady  40 recent results against 80")
    assert "style_gain" in outcome.stdout
    assert "not compared: new" in outcome.stdout


def test_drift_of_a_log_that_moved_ends_with_3_and_says_what_and_since_when(run: Run, logs: Path) -> None:
    outcome = run("drift", logs / "moved.sqlite", "--reference", "80", "--recent", "40")
    assert outcome.returncode == 3
    assert outcome.stdout.startswith("drifted")
    assert "style_gain is lower than it was, seen from recent row" in outcome.stdout
    assert "edge_content is lower" not in outcome.stdout


def test_drift_json_holds_the_report(run: Run, logs: Path) -> None:
    outcome = run("drift", logs / "moved.sqlite", "--reference", "80", "--recent", "40", "--json")
    document = json.loads(outcome.stdout)
    assert outcome.returncode == 3
    assert (document["outcome"], document["reference"], document["recent"]) == ("review", 80, 40)
    first = document["metrics"][0]
    assert (first["name"], first["alarm"]["direction"]) == ("style_gain", "down")
    assert first["median_now"] < first["median_then"]
    assert len(document["reasons"]) == 1


@pytest.mark.parametrize("moment", ["2026-11-04T08:00", "2026-11-04T10:00+02:00"])
def test_a_reference_until_a_time_is_the_same_as_by_number(run: Run, logs: Path, moment: str) -> None:
    by_number = run("drift", logs / "moved.sqlite", "--reference", "80", "--recent", "40", "--json")
    by_time = run("drift", logs / "moved.sqlite", "--reference", moment, "--recent", "40", "--json")
    assert by_time.stdout == by_number.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--reference", "100", "--recent", "40"), "the log has 120 results, but 100 for the reference and 40"),
        (("--reference", "20", "--recent", "40"), "at least 50 are needed"),
        (("--reference", "60", "--recent", "5"), "at least 20 are needed"),
        (("--reference", "yesterday"), "'yesterday'"),
        (("--reference", "60", "--engine", "fast"), "the log has 0 results"),
    ],
)
def test_windows_that_cannot_be_are_refused_in_one_sentence(
    run: Run, logs: Path, words: tuple[str, ...], said: str
) -> None:
    outcome = run("drift", logs / "steady.sqlite", *words)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["missing.sqlite", "content.png"])
def test_what_is_no_log_is_refused_and_not_made(run: Run, name: str) -> None:
    outcome = run("drift", name, "--reference", "100")
    assert outcome.returncode == 2
    assert "no quality log" in outcome.stderr
    assert not Path("missing.sqlite").exists()
