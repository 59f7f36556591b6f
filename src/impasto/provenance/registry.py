"""Which files were signed here: so that a copy that lost its signature is known again.

One SQLite file in the user's data folder, or another that is named. It holds what the files themselves tell, names
without folders, and no pictures. It never leaves this machine.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import platformdirs

from impasto.errors import OutputError
from impasto.provenance.fingerprint import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Names a file in place of the one in the user's data.
VARIABLE: Final = "IMPASTO_REGISTRY"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outputs (
    sha256 TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    pixels TEXT NOT NULL,
    signs BLOB NOT NULL,
    colors BLOB NOT NULL,
    recipe TEXT
);
CREATE INDEX IF NOT EXISTS by_pixels ON outputs (pixels);
"""
_SELECT: Final = "SELECT sha256, name, recipe FROM outputs WHERE"
_WAIT_S: Final = 10.0


@dataclass(frozen=True)
class Known:
    """A file that was signed here, of which another is a copy."""

    likeness: Literal["file", "pixels", "similar"]
    """The very file; another with the same pixels; or one that was changed a little, as by saving it as JPEG."""
    sha256: str
    name: str
    recipe: str | None


def registry_file() -> Path:
    """Where it lies; it need not be there yet."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("impasto") / "registry.sqlite"


def register(registry: Path, sha256: str, name: str, found: Fingerprint, recipe: str | None) -> None:
    """Remember a signed file.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        registry.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(registry, timeout=_WAIT_S)) as connection, connection:
            connection.executescript(_SCHEMA)
            connection.execute(
                "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?, ?)",
                (sha256, name, found.pixels, found.signs, found.colors, recipe),
            )
    except (OSError, sqlite3.Error) as error:
        raise OutputError(
            f"cannot remember {name!r} in the registry {str(registry)!r}: {error}; set {VARIABLE} to another file"
        ) from error


def look_up(registry: Path, sha256: str, found: Fingerprint) -> Known | None:
    """The signed file that this one is, or is a copy of; None if none is known.

    All fingerprints are compared, 0.1 s for 50,000.

    Raises:
        OutputError: the registry is damaged.
    """
    if not registry.is_file():
        return None
    with _reading(registry) as connection:
        if row := connection.execute(f"{_SELECT} sha256 = ?", (sha256,)).fetchone():
            return Known("file", *row)
        if row := connection.execute(f"{_SELECT} pixels = ?", (found.pixels,)).fetchone():
            return Known("pixels", *row)
        nearest: tuple[float, str] | None = None
        for other, signs, colors in connection.execute("SELECT sha256, signs, colors FROM outputs"):
            theirs = Fingerprint("", signs, colors)
            if found.is_copy(theirs):
                distance = found.color_distance(theirs)
                nearest = min(nearest or (distance, other), (distance, other))
        if nearest is None:
            return None
        row = connection.execute(f"{_SELECT} sha256 = ?", nearest[1:]).fetchone()
        return Known("similar", *row)


@contextmanager
def _reading(registry: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{registry.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)) as found:
            yield found
    except sqlite3.Error as error:
        raise OutputError(f"cannot read the registry {str(registry)!r}: {error}; move it away") from error
