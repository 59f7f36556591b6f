"""The audit log: a line of JSON in ``audit.jsonl`` for everything that was deleted, by whom and when."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("impasto")

AUDIT_FILE: Final = "audit.jsonl"


def note_deleted(home: Path, *, by: str, kind: str, **known: object) -> None:
    """Add a line. A disk that is full keeps nobody from deleting: the line goes to the log then."""
    line = json.dumps({"time": datetime.now(UTC).isoformat(), "deleted": kind, "by": by, **known})
    try:
        # In one write at the end of the file: lines of several processes do not mix.
        handle = os.open(home / AUDIT_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, f"{line}\n".encode())
        finally:
            os.close(handle)
    except OSError as error:
        logger.warning("the audit log cannot be written (%s): %s", error.strerror, line)
