"""The style library: styles by name, those that come with impasto and those that a user added.

A user's styles are folders in one folder, ``$IMPASTO_STYLES`` or the system's place for a user's data.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from impasto.errors import InputError
from impasto.images import hex_palette, read
from impasto.styles.archive import is_archive, unpack_archive, write_archive
from impasto.styles.folder import Look, Style, is_style, read_style, write_style

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Names a folder of styles in place of the user's own.
VARIABLE: Final = "IMPASTO_STYLES"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HOUSE_LICENCE: Final = "CC0-1.0"


def library_folder() -> Path:
    """Where the user's styles lie; it need not be there yet."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("impasto") / "styles"


def house_styles() -> tuple[str, ...]:
    """Names of the styles that come with impasto."""
    return tuple(sorted(path.stem for path in _house().glob("*.jpg")))


def added_styles() -> tuple[str, ...]:
    """Names of the user's styles."""
    place = library_folder()
    return tuple(sorted(path.name for path in place.iterdir() if is_style(path))) if place.is_dir() else ()


def find_style(name: str | os.PathLike[str]) -> Style | None:
    """The style that is meant by a folder, an archive or a name; None where it is none of them, but a picture or so.

    A file or folder of that name comes before a style of the library, and the user's own before one of the house.

    Raises:
        InputError: it is a folder or an archive, and no style; or it was changed.
    """
    path = Path(name)
    if path.is_dir():
        return read_style(path)
    if path.exists():
        return _unpacked(path) if is_archive(path) else None
    word = os.fspath(name)
    if not _NAME.fullmatch(word):
        return None
    if is_style(library_folder() / word):
        return read_style(library_folder() / word)
    return _house_style(word) if word in house_styles() else None


def get_style(name: str | os.PathLike[str]) -> Style:
    """The style that is meant by a folder, an archive or a name.

    Raises:
        InputError: there is none.
    """
    found = find_style(name)
    if found is None:
        known = ", ".join((*added_styles(), *house_styles()))
        raise InputError(
            f"there is no style {os.fspath(name)!r}; there are {known}, and folders and archives of styles"
        )
    return found


def reference_folders() -> tuple[Path, ...]:
    """Where pictures of styles of the library lie: what a recipe names may be one of them."""
    return (_house(), *(library_folder() / name / "references" for name in added_styles()))


def add_style(name: str, references: Sequence[Path], look: Look | None = None, *, replace: bool = False) -> Style:
    """Add a style to the library.

    Raises:
        InputError: the name is none for a style, or taken; or there are no pictures.
        UnreadableImageError: a reference is no picture.
        OutputError: it cannot be written.
    """
    target = new_folder(name, replace=replace)
    if not references:
        raise InputError("no picture was given; give at least one that shows the style")
    for path in references:
        read(path)
    return write_style(target, name, references, look=look)


def remove_style(name: str) -> None:
    """Remove a style of the user's from the library.

    Raises:
        InputError: there is none, or it comes with impasto.
    """
    if name not in added_styles():
        if name in house_styles():
            raise InputError(f"{name!r} comes with impasto and cannot be removed; leave it")
        raise InputError(
            f"there is no style {name!r} in {str(library_folder())!r}; there are {', '.join(added_styles()) or 'none'}"
        )
    shutil.rmtree(library_folder() / name)


def export_style(name: str | os.PathLike[str], target: Path) -> None:
    """Write a style as one archive.

    Raises:
        InputError: there is no such style.
        OutputError: the file cannot be written there.
    """
    style = get_style(name)
    with tempfile.TemporaryDirectory(prefix="impasto-") as place:
        trained = {engine: (each.path.name, each.path.read_bytes()) for engine, each in style.trained.items()}
        write_style(Path(place) / "style", style.name, style.references, trained, style.look)
        write_archive(Path(place) / "style", target)


def import_style(file: Path, name: str | None = None, *, replace: bool = False) -> Style:
    """Add an archive's style to the library, under its own name or another.

    Raises:
        InputError: it is no archive of a style; the name is taken.
    """
    if not file.is_file():
        raise InputError(f"there is no file {str(file)!r}; give an archive that `impasto styles export` wrote")
    library_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".impasto-", dir=library_folder()) as place:
        style = unpack_archive(file, Path(place) / "style")
        target = new_folder(name or style.name, replace=replace)
        if target.exists():
            target.rename(Path(place) / "old")
        (Path(place) / "style").rename(target)
    return read_style(target)


def new_folder(name: str, *, replace: bool = False) -> Path:
    """Where a style of that name is to be written.

    Raises:
        InputError: the name is none for a style, or taken.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a style; use up to 64 small letters, digits, - and _, such as spring-2027"
        )
    if name in house_styles():
        raise InputError(f"{name!r} is the name of a style that comes with impasto; choose another")
    target = library_folder() / name
    if target.exists() and not replace:
        raise InputError(f"there is a style {name!r} already; choose another name, or replace it with --overwrite")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _unpacked(archive: Path) -> Style:
    """An archive's style, unpacked once into the user's cache under the hash of its bytes."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = platformdirs.user_cache_path("impasto") / "styles" / digest[:32]
    if is_style(target):
        return read_style(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    return unpack_archive(archive, target)


@lru_cache(maxsize=16)
def _house_style(name: str) -> Style:
    picture = _house() / f"{name}.jpg"
    return Style(
        name=name,
        references=(picture,),
        palette=hex_palette(read(picture).pixels[None], 6),
        look=Look(licence=_HOUSE_LICENCE),
    )


def _house() -> Path:
    return Path(str(files("impasto.styles").joinpath("house")))
