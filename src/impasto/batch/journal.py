"""What a campaign's folder remembers: finished and failed rows, decisions, and the style gain that was agreed on.

Rows are lines of ``campaign.jsonl``, each written whole and put on the disk before the next one, so that whatever ends
a run leaves what is finished; a line that was cut off is dropped. One run at a time holds the folder.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final, Literal, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.batch.job import Result
from impasto.errors import InputError, OutputError, first_problem
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedWriter
    from pathlib import Path

ROWS: Final = "campaign.jsonl"
TARGETS: Final = "targets.json"
DECISIONS: Final = "decisions.json"
_LOCK: Final = ".campaign.lock"


class Decision(BaseModel):
    """What a person says of one picture in one style."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    decision: Literal["approve", "reject", "redo"]
    key: str = ""
    """Of the output that was looked at: an approved one stays whatever the pack says later."""
    strength: float | None = Field(default=None, ge=0, le=1)
    """To paint again with; None: as before."""
    note: str = ""


class Journal:
    """The memory of one campaign's folder; inside a ``with`` block it is held against other runs."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._lock = FileLock(place / _LOCK)
        self._file: BufferedWriter | None = None
        self.rows: dict[str, Result] = {}
        """The last result of each key, in the order in which they came."""

    @classmethod
    def peek(cls, place: Path) -> Self:
        """What a folder remembers, to be looked at only.

        Raises:
            InputError: its journal is none.
        """
        journal = cls(place)
        journal.rows = read_rows(place)
        return journal

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            InputError: another run has it, or its journal is none.
            OutputError: it cannot be written.
        """
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another run works in {str(self._place)!r}; wait for it, or give another folder"
            ) from None
        except OSError as error:
            raise OutputError(
                f"cannot write to {str(self._place)!r}: {error.strerror or error}; choose another folder"
            ) from error
        try:
            self.rows = read_rows(self._place)
            self._file = self._opened()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
        self._lock.release()

    def add(self, result: Result) -> None:
        """Remember a result; when this returns it is on the disk.

        Raises:
            OutputError: it cannot be written.
        """
        assert self._file is not None  # noqa: S101 — inside the block
        try:
            self._file.write(result.model_dump_json().encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"cannot write {str(self._place / ROWS)!r}: {error.strerror or error}; free some space, then the same "
                "command goes on"
            ) from error
        _remember(self.rows, result)

    def targets(self) -> dict[str, float]:
        """The style gain of each style that pictures are brought down to."""
        path = self._place / TARGETS
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {str(style): float(gain) for style, gain in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError):
            raise InputError(f"{str(path)!r} cannot be read; remove it, and it is measured anew") from None

    def keep_decisions(self, path: Path) -> None:
        """Remember decisions from another file."""
        if path.resolve() != (self._place / DECISIONS).resolve():
            write_whole(self._place / DECISIONS, path.read_bytes())

    def keep_targets(self, targets: dict[str, float]) -> None:
        """Remember them."""
        write_whole(self._place / TARGETS, json.dumps(targets, indent=1).encode())

    def _opened(self) -> BufferedWriter:
        """The journal, ready for a line; half a line that a run left behind is cut off."""
        path = self._place / ROWS
        try:
            file = path.open("ab")
            if (whole := _whole(path)) < path.stat().st_size:
                file.truncate(whole)
            return file
        except OSError as error:
            raise OutputError(
                f"cannot write {str(path)!r}: {error.strerror or error}; choose another folder"
            ) from error


def read_rows(place: Path) -> dict[str, Result]:
    """The last result of each key in a campaign's folder; none where there is no journal.

    Raises:
        InputError: a line in it is no result.
    """
    path, rows = place / ROWS, dict[str, Result]()
    if not path.exists():
        return rows
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                result = Result.model_validate_json(line)
            except ValidationError:
                raise InputError(
                    f"line {number} of {str(path)!r} is no row of a campaign: it was changed, or made by another "
                    "version of impasto; remove it, or choose another folder"
                ) from None
            _remember(rows, result)
    return rows


def _remember(rows: dict[str, Result], result: Result) -> None:
    """Put a result behind all others, also where there was one of its key."""
    rows.pop(result.key, None)
    rows[result.key] = result


def read_decisions(path: Path) -> dict[str, Decision]:
    """Decisions by slot; none where there is no such file.

    Raises:
        InputError: the file holds something else.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(slot): Decision.model_validate(one) for slot, one in found.items()}
    except ValidationError as error:
        place, reason = first_problem(error)
        if error.errors()[0]["type"] == "extra_forbidden":
            reason = f"there is no {place!r}; there are {', '.join(Decision.model_fields)}"
        else:
            reason = f"{place}: {reason}"
        raise InputError(f"the decisions {str(path)!r} cannot be used: {reason}") from None
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON object"
        raise InputError(
            f"the decisions {str(path)!r} cannot be read: {reason}; save them anew from the campaign's page"
        ) from None


def write_decisions(place: Path, decisions: Mapping[str, Decision]) -> None:
    """Write down decisions by slot, for the next run in a campaign's folder."""
    found = {slot: one.model_dump() for slot, one in decisions.items()}
    write_whole(place / DECISIONS, json.dumps(found, indent=1).encode())


def _whole(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    data = path.read_bytes()
    return data.rfind(b"\n") + 1
