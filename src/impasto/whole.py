"""Files appear whole or not at all: written under another name, then renamed in one step.

A full disk or an interruption leaves what was there before as it was.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from impasto.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to; what lies there takes the target's place when the block ends well.

    An existing target keeps its permissions; a new file gets those of the user's umask.

    Raises:
        OutputError: it cannot be written there; nothing was changed.
    """
    # The name is short because the target's may already be as long as the system allows.
    temporary = target.with_name(f".impasto-{secrets.token_hex(8)}.tmp")
    try:
        try:
            yield temporary
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o7777)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write {str(target)!r}: {reason}; nothing was changed; free some space or choose another folder"
        ) from error


def write_whole(target: Path, data: bytes) -> None:
    """Write a file whole or not at all; when this returns it is on the disk.

    Raises:
        OutputError: it cannot be written there; nothing was changed.
    """
    with replacing(target) as temporary, temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
