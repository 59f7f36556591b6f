"""The only door to the terminal: sentences and warnings go to stderr, results to stdout."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console


def say(text: str) -> None:
    """Write one line for people, to stderr."""
    typer.echo(text, err=True)


def print_json(document: Mapping[str, object]) -> None:
    """Write one JSON document for programs, to stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def result_console() -> Console:
    """Where tables for people go: stdout. A pipe has no width to fit into, and folding would only cut paths."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 250)


def printable(text: str) -> str:
    r"""Text from a file with its control characters as ``\x1b``, so that it cannot steer the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def one_line(error: BaseException) -> str:
    """An error's message without line breaks and control characters."""
    return printable(" ".join(str(error).split()))


class _Warnings(logging.Handler):
    """Shows the library's warnings as one line each and remembers them for ``--json``."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Show a warning, once however often it comes."""
        text = printable(" ".join(record.getMessage().split()))
        if text not in self.seen:
            self.seen.append(text)
            say(f"impasto: warning: {text}")


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Show what the library logs as a warning, while the block runs."""
    handler = _Warnings()
    logger = logging.getLogger("impasto")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def warnings_so_far() -> list[str]:
    """The warnings of this command, in their order."""
    handlers = logging.getLogger("impasto").handlers
    return [text for handler in handlers if isinstance(handler, _Warnings) for text in handler.seen]
