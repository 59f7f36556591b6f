"""SHA-256 of models' files: computed once for each file as it lies there, and compared with what they should be.

Hashing ten gigabytes takes ten seconds, so what was computed is kept with the file's size and time of change.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from impasto.engines.diffusion.registry import PINS, cache_folder, models_folder
from impasto.errors import OutputError, WeightsError
from impasto.hashes import file_sha256
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from impasto.engines.diffusion.registry import Located, Part

#: Smaller files are hashed anew each time: it takes no longer than looking them up.
_WORTH_KEEPING: Final = 16 * 2**20


def digest_of(path: Path) -> str:
    """A file's SHA-256.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        status = path.stat()
        if status.st_size < _WORTH_KEEPING:
            return file_sha256(path)
        kept = cache_folder() / "digests.json"
        known, key = _read(kept), str(path.resolve())
        as_it_lies = [status.st_size, status.st_mtime_ns]
        if isinstance(entry := known.get(key), list) and entry[:2] == as_it_lies:
            return str(entry[2])
        digest = file_sha256(path)
        _write(kept, {**known, key: [*as_it_lies, digest]})
        return digest
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None


def digest_of_all(paths: Iterable[Path]) -> str:
    """One SHA-256 for several files, whatever their folders are called."""
    lines = sorted(f"{path.name} {digest_of(path)}" for path in paths)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def expected(part: Part, name: str) -> str | None:
    """What a file's SHA-256 should be: the pinned one, or that of its first download."""
    key = f"{part.repository}/{name}"
    recorded = _read(models_folder() / "digests.json").get(key)
    return PINS.get(key) or (recorded if isinstance(recorded, str) else None)


def record(part: Part, name: str, digest: str) -> None:
    """Keep the digest of a first download, which holds from then on.

    Raises:
        OutputError: it cannot be written.
    """
    place = models_folder() / "digests.json"
    write_whole(place, json.dumps({**_read(place), f"{part.repository}/{name}": digest}, indent=1).encode())


def check(located: Located) -> None:
    """Compare a part's files with what they should be; those of which nothing is known are taken as they are.

    Raises:
        WeightsError: one differs.
    """
    for name, path in located.files.items():
        wanted = expected(located.part, name)
        if wanted is not None and (found := digest_of(path)) != wanted:
            raise WeightsError(
                f"{path} is not the file that {located.part.id} has: its SHA-256 is {found}, expected {wanted}; "
                f"get it again (impasto models download {located.part.id}), or name files of your own by "
                f"model=PATH and ip_adapter=PATH"
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    """A cache that cannot be written is no reason to fail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content).encode())
    except (OSError, OutputError):
        return
