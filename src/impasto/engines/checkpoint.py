"""A run's state in a folder, so that a run that was ended goes on where it was and ends with the same bytes.

The folder holds one safetensors file, written under another name and renamed, with everything that is not a tensor as
JSON in its header; and a lock, held while a run is at work there.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import InputError, OutputError

_FILE: Final = "checkpoint.safetensors"
_LOCK: Final = "lock"
#: Checkpoints are this far apart, and the writing of one takes at most about a thirtieth of the time.
_EVERY_S: Final = 5.0
_PAUSE: Final = 30.0


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stood between two steps."""

    tensors: Mapping[str, Tensor]
    """The solver's state."""
    facts: Mapping[str, Any]
    """Scale, step, trace, scales that are done: whatever JSON can hold."""


class Workdir:
    """The folder of one run; made by :func:`open_workdir`."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self._next_s = time.monotonic() + _EVERY_S

    def load(self) -> Checkpoint | None:
        """The checkpoint of this very run, or None if there is none yet.

        Raises:
            InputError: it is of another run, or damaged.
        """
        file = self._path / _FILE
        if not file.exists():
            return None
        remedy = "use another workdir, or remove this one to begin anew"
        try:
            with safe_open(file, framework="pt") as opened:
                header = opened.metadata() or {}
                facts = json.loads(header["facts"])
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 — not a mapping
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"the checkpoint {str(file)!r} is damaged ({reason}); {remedy}") from None
        if header.get("run") != self._identity:
            raise InputError(
                f"the checkpoint {str(file)!r} is of another run: its pictures, settings, versions or machine differ "
                f"from this one's; {remedy}"
            )
        return Checkpoint(tensors, facts)

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() >= self._next_s

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, whole or not at all.

        Raises:
            OutputError: it cannot be written; the one before is untouched.
        """
        began = time.monotonic()
        temporary = self._path / f"{_FILE}.tmp"
        header = {"run": self._identity, "facts": json.dumps(dict(checkpoint.facts))}
        try:
            save_file({name: t.contiguous() for name, t in checkpoint.tensors.items()}, temporary, metadata=header)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(self._path / _FILE)
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write a checkpoint into {str(self._path)!r}: {error}; free some space, or use another workdir"
            ) from error
        took = time.monotonic() - began
        self._next_s = time.monotonic() + max(_EVERY_S, _PAUSE * took)

    def clear(self) -> None:
        """Remove what was kept: the run is finished."""
        (self._path / _FILE).unlink(missing_ok=True)


@contextmanager
def open_workdir(path: Path | None, identity: Mapping[str, Any]) -> Iterator[Workdir | None]:
    """The folder of a run, locked while the block runs; None gives None.

    Args:
        path: made if it is not there.
        identity: what makes two runs the same: hashes, settings, plan, environment.

    Raises:
        OutputError: the folder cannot be made or written to.
        InputError: another run is at work there.
    """
    if path is None:
        yield None
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / _LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another run is at work in {str(path)!r}; wait for it to end, or use another workdir"
        ) from None
    except OSError as error:
        raise OutputError(
            f"cannot use {str(path)!r} as workdir: {error.strerror or error}; choose a folder that can be written to"
        ) from error
    try:
        yield Workdir(path, identity)
    finally:
        lock.release()
