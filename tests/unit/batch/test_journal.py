"""What a campaign's folder remembers, and that it is whole whatever ended a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.unit.batch.conftest import job_of

from impasto.batch.job import Result
from impasto.batch.journal import Decision, Journal, read_decisions, read_rows
from impasto.errors import InputError, OutputError

ROWS = Path("out/campaign.jsonl")


def result(key: str, **about: object) -> Result:
    """A finished row."""
    return Result.done(job_of(Path("out"), key=key), **about)


def test_rows_are_on_the_disk_as_soon_as_they_are_added() -> None:
    with Journal(Path("out")) as journal:
        journal.add(result("a", seconds=1.5))
        assert read_rows(Path("out")) == {"a": result("a", seconds=1.5)}
        journal.add(Result.failed(job_of(Path("out"), key="b"), "no\nreason"))
    assert Journal.peek(Path("out")).rows == journal.rows
    assert ROWS.read_bytes().count(b"\n") == 2


def test_last_row_of_a_key_counts_and_stands_last() -> None:
    with Journal(Path("out")) as journal:
        for key in ("a", "b"):
            journal.add(result(key))
        journal.add(result("a", seconds=3.0))
        assert list(journal.rows) == ["b", "a"]
    assert list(read_rows(Path("out"))) == ["b", "a"]
    assert read_rows(Path("out"))["a"].seconds == 3


def test_last_line_that_was_cut_off_is_dropped_and_the_next_row_begins_anew() -> None:
    with Journal(Path("out")) as journal:
        journal.add(result("a"))
        journal.add(result("b"))
    data = ROWS.read_bytes()
    ROWS.write_bytes(data[:-10])
    assert list(read_rows(Path("out"))) == ["a"]
    assert ROWS.read_bytes() == data[:-10]  # to look changes nothing
    with Journal(Path("out")) as journal:
        assert list(journal.rows) == ["a"]
        journal.add(result("c"))
    assert list(read_rows(Path("out"))) == ["a", "c"]


def test_line_in_the_middle_that_is_no_row_is_refused() -> None:
    with Journal(Path("out")) as journal:
        journal.add(result("a"))
    ROWS.write_bytes(b'{"key": "x"}\n' + ROWS.read_bytes())
    sentence = "line 1 of 'out/campaign.jsonl' is no row of a campaign: it was changed, or made by another version"
    with pytest.raises(InputError, match=sentence), Journal(Path("out")):
        pass
    ROWS.write_bytes(b"")
    with Journal(Path("out")):  # the folder was let go
        pass


def test_two_runs_on_one_folder_are_refused() -> None:
    with Journal(Path("out")), pytest.raises(InputError, match="another run works in 'out'; wait for it, or give"):
        Journal(Path("out")).__enter__()
    with Journal(Path("out")):
        pass


def test_folder_that_cannot_be_made_is_refused() -> None:
    Path("file").write_text("no folder")
    with pytest.raises(OutputError, match=r"cannot write to 'file/out': Not a directory; choose another folder"):
        Journal(Path("file/out")).__enter__()


def test_full_disk_says_that_the_same_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal(Path("out")) as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(
            OutputError, match=r"No space left on device; free some space, then the same command goes on"
        ):
            journal.add(result("a"))
        assert journal.rows == {}


def test_targets_are_kept_and_a_file_that_is_none_is_refused() -> None:
    with Journal(Path("out")) as journal:
        assert journal.targets() == {}
        journal.keep_targets({"wave": 0.25})
        assert journal.targets() == {"wave": 0.25}
        Path("out/targets.json").write_text("[1]")
        with pytest.raises(InputError, match=r"'out/targets.json' cannot be read; remove it, and it is measured anew"):
            journal.targets()


def test_decisions_are_read() -> None:
    path = Path("decisions.json")
    assert read_decisions(path) == {}
    path.write_text(json.dumps({"a": {"decision": "approve", "key": "k"}, "b": {"decision": "redo", "strength": 0.5}}))
    assert read_decisions(path) == {
        "a": Decision(decision="approve", key="k"),
        "b": Decision(decision="redo", strength=0.5),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": {"decision": "keep"}}', "used: decision: input should be 'approve', 'reject' or 'redo'"),
        ('{"a": {"decision": "redo", "strength": 2}}', "used: strength: input should be less than or equal to 1"),
        (
            '{"a": {"decision": "redo", "strenght": 1}}',
            "used: there is no 'strenght'; there are decision, key, strength, note",
        ),
        ("[]", "read: it is no JSON object; save them anew from the campaign's page"),
        ("{", "read: it is no JSON object; save them anew from the campaign's page"),
    ],
)
def test_decisions_that_are_none_are_refused(text: str, reason: str) -> None:
    Path("decisions.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_decisions(Path("decisions.json"))
    assert str(caught.value) == f"the decisions 'decisions.json' cannot be {reason}"


def test_decisions_from_another_file_are_kept() -> None:
    Path("mine.json").write_text('{"a": {"decision": "approve"}}')
    with Journal(Path("out")) as journal:
        journal.keep_decisions(Path("mine.json"))
        journal.keep_decisions(Path("out/decisions.json"))
    assert read_decisions(Path("out/decisions.json")) == {"a": Decision(decision="approve")}
