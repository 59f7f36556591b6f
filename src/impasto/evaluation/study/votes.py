"""Votes, kept as they come: one line of JSON each, on the disk before the page goes on.

A line that a crash has cut off is left out and reported; it never takes another vote with it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 — pydantic reads the annotations
from typing import TYPE_CHECKING, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.errors import InputError, OutputError
from impasto.evaluation.study.protocol import Question, Side, lock_file, votes_file

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Vote(BaseModel):
    """One forced choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str = Field(description="of the study when it was given: Study.digest")
    rater: str
    block: int = Field(ge=0, description="which part of all trials this rater got")
    when: datetime = Field(description="UTC")
    order: int = Field(ge=0, description="which of the rater's trials it was, from 0")
    ms: int = Field(ge=0, description="from the moment that both pictures were there to the choice, milliseconds")
    question: Question
    pair: str
    left: str = Field(description="SHA-256 of the picture on the left")
    right: str = Field(description="SHA-256 of the picture on the right")
    choice: Side
    answer: Side | None = Field(description="the known answer of an attention trial; else null")

    @property
    def trial(self) -> tuple[str, str, str, str]:
        """Names the trial among a rater's others, as :attr:`Trial.key` does."""
        return self.question, self.pair, self.left, self.right

    @property
    def attention(self) -> bool:
        """Whether it was an attention trial, which says something about the rater only."""
        return self.answer is not None


@dataclass(frozen=True)
class VoteRecord:
    """What a file of votes holds."""

    votes: tuple[Vote, ...] = ()
    damaged: tuple[int, ...] = ()
    """The numbers of lines, from 1, that are no votes: cut off by a crash, or edited."""


def read_votes(folder: Path) -> VoteRecord:
    """The votes of a study in the order in which they came; none, if nobody has voted yet.

    A vote that stands there twice counts once.

    Raises:
        InputError: the file is there but cannot be read.
    """
    path = votes_file(folder)
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return VoteRecord()
    except OSError as error:
        raise InputError(
            f"cannot read the votes in {str(path)!r}: {error.strerror or error}; make it a file you may read"
        ) from None
    votes: dict[tuple[object, ...], Vote] = {}
    damaged = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            vote = Vote.model_validate_json(line)
        except ValidationError:
            damaged.append(number)
        else:
            votes.setdefault((vote.protocol, vote.rater, vote.trial), vote)
    return VoteRecord(tuple(votes.values()), tuple(damaged))


class VoteLog:
    """Appends votes inside a ``with`` block; only one process at a time may.

    Raises:
        InputError: another process collects votes for this study.
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._path = votes_file(folder)
        self._process = FileLock(lock_file(folder), timeout=0)
        self._threads = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self._process.acquire()
            self._append(b"")
        except Timeout:
            raise InputError(
                f"votes for {str(self._path.parent)!r} are being collected already; end that `impasto study run` first"
            ) from None
        except OSError as error:
            self._process.release()
            raise OutputError(
                f"cannot keep votes in {str(self._path)!r}: {error.strerror or error}; make the folder writable"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.release()

    def append(self, vote: Vote) -> None:
        """Keep a vote; it is on the disk when this returns.

        Raises:
            OSError: it could not be written, for example on a full disk.
        """
        self._append(vote.model_dump_json().encode() + b"\n")

    def _append(self, line: bytes) -> None:
        with self._threads, self._path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a crash has cut the last line off; this vote gets a line of its own
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
