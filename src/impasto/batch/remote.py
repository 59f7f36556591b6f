"""Pictures that lie elsewhere: whatever fsspec opens (``s3://``, ``gs://``, …), fetched to and put from local files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import fsspec

from impasto.errors import InputError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable


def is_remote(word: str) -> bool:
    """Whether a word is an address, and no path of this machine."""
    return "://" in word


def fetch(address: str, folder: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Copies of the files that an address, a folder's address or a pattern means; those there already stay.

    Raises:
        InputError: there is nothing, or it cannot be read.
        MissingExtraError: what opens such addresses is not installed.
    """
    system, place = _opened(address)
    try:
        if "*" in place:
            names = system.glob(place)
        elif system.isdir(place):
            names = system.find(place)
        else:
            names = [place] if system.exists(place) else []
        names = sorted(name for name in names if wanted(PurePosixPath(name).name))
        if not names:
            raise InputError(f"there are no pictures at {address!r}")
        found = []
        for name in names:
            parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
            target = folder.joinpath(*parts)
            if not target.exists() or target.stat().st_size != system.size(name):
                target.parent.mkdir(parents=True, exist_ok=True)
                system.get_file(name, str(target))
            found.append(target)
    except OSError as error:
        raise InputError(f"{address!r} cannot be read: {error}") from None
    return found


class Mirror:
    """Puts files of a local folder to the same place under an address."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._system, self._place = _opened(address)

    def names(self) -> frozenset[str]:
        """All files that are there, as paths from the address.

        Raises:
            InputError: they cannot be listed.
        """
        try:
            found = self._system.find(self._place)
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise InputError(f"{self._address!r} cannot be read: {error}") from None
        return frozenset(str(name).removeprefix(self._place).lstrip("/") for name in found)

    def put(self, folder: Path, name: str) -> None:
        """One file.

        Raises:
            OutputError: it cannot be written.
        """
        target = f"{self._place}/{name}"
        try:
            self._system.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
            self._system.put_file(str(folder / name), target)
        except OSError as error:
            raise OutputError(f"cannot write {self._address}/{name}: {error}") from error

    def move(self, name: str, other: str) -> None:
        """Give a file another name.

        Raises:
            OutputError: it cannot be moved.
        """
        try:
            self._system.makedirs(str(PurePosixPath(f"{self._place}/{other}").parent), exist_ok=True)
            self._system.mv(f"{self._place}/{name}", f"{self._place}/{other}")
        except OSError as error:
            raise OutputError(f"cannot move {self._address}/{name}: {error}") from error

    def get(self, folder: Path, name: str, *, anew: bool = False) -> None:
        """One file, if it is there and not here; with ``anew``, also if it is here.

        Raises:
            InputError: it cannot be read.
        """
        try:
            if (anew or not (folder / name).exists()) and self._system.exists(f"{self._place}/{name}"):
                folder.mkdir(parents=True, exist_ok=True)
                self._system.get_file(f"{self._place}/{name}", str(folder / name))
        except OSError as error:
            raise InputError(f"{self._address}/{name} cannot be read: {error}") from None


def _opened(address: str) -> tuple[Any, str]:
    try:
        system, place = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError(f"{address!r} cannot be opened: {error}; install it with pip") from None
    except ValueError as error:
        raise InputError(f"{address!r} cannot be opened: {error}") from None
    return system, str(place).rstrip("/")
