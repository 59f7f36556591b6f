"""The style library: styles by name, those that come with impasto and those that a user added.

A user's styles are folders in one folder, ``$IMPASTO_STYLES`` or the system's place for a user's data. There a style is
called as its folder is, whatever its file says.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from impasto.errors import InputError, OutputError
from impasto.hashes import file_sha256
from impasto.styles.archive import SUFFIX, is_archive, unpack_archive, write_archive
from impasto.styles.folder import (
    REFERENCES,
    THUMBNAIL,
    Look,
    Style,
    is_style,
    put_folder,
    read_style,
    refuse_other,
    remove_folder,
    write_style,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger("impasto")

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
    try:
        found = [path.name for path in place.iterdir() if _NAME.fullmatch(path.name) and is_style(path)]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise InputError(
            f"the styles in {str(place)!r} cannot be read: {error.strerror}; name another folder with {VARIABLE}"
        ) from None
    return tuple(sorted(found))


def find_style(name: str | os.PathLike[str]) -> Style | None:
    """The style that is meant by a folder, an archive or a name; None where it is none of them, but a picture or so.

    A file or folder of that name comes before a style of the library, and the user's own before one of the house.

    Raises:
        InputError: it is a folder or an archive, and no style; or it was changed.
    """
    path = Path(name)
    if lies(path):
        return read_style(path) if path.is_dir() else _unpacked(path) if is_archive(path) else None
    return named_style(os.fspath(name))


def get_style(name: str | os.PathLike[str]) -> Style:
    """The style that is meant by a folder, an archive or a name; a picture is never meant.

    Raises:
        InputError: there is none.
    """
    found = find_style(name) or named_style(os.fspath(name))
    if found is None:
        known = ", ".join(dict.fromkeys((*added_styles(), *house_styles())))
        raise InputError(
            f"there is no style {os.fspath(name)!r}; there are {known}, and folders and archives of styles"
        )
    return found


def named_style(name: str) -> Style | None:
    """The style of the library that has a name, whatever else has it.

    Raises:
        InputError: it was changed.
    """
    if not _NAME.fullmatch(name):
        return None
    if is_style(library_folder() / name):
        return read_style(library_folder() / name).model_copy(update={"name": name})
    return _house_style(name) if name in house_styles() else None


def list_styles() -> list[Style]:
    """The styles of the library: the user's own, then those that come with impasto.

    One that was changed is left out, with a warning.
    """
    styles = []
    for name in dict.fromkeys((*added_styles(), *house_styles())):
        try:
            styles.append(named_style(name))
        except InputError as error:
            logger.warning("left out %s: %s", name, error)
    return [style for style in styles if style is not None]


def style_pictures() -> dict[str, Path]:
    """A picture that shows each style of the library, by name, in the order of a list; nothing is checked or read."""
    shown = {}
    for name in added_styles():
        folder = library_folder() / name
        places = (folder / THUMBNAIL, *sorted((folder / REFERENCES).glob("*")))
        if found := [path for path in places if path.is_file() and not path.is_symlink()]:
            shown[name] = found[0]
    return shown | {name: _house() / f"{name}.jpg" for name in house_styles() if name not in shown}


def style_showing(sha256: str) -> str | None:
    """The library's style that has a picture of that hash among its references: what a recipe names."""
    places = {name: (library_folder() / name / REFERENCES).glob("*") for name in added_styles()}
    house = {name: iter([_house() / f"{name}.jpg"]) for name in house_styles()}
    for name, pictures in {**house, **places}.items():
        if any(path.is_file() and file_sha256(path) == sha256 for path in pictures):
            return name
    return None


def lies(path: Path) -> bool:
    """Whether there is something at a path; not where it cannot be, as with a name that is too long."""
    try:
        return path.exists()
    except OSError:
        return False


def reference_folders() -> tuple[Path, ...]:
    """Where files of styles of the library lie: what a recipe names may be one of them."""
    mine = [library_folder() / name for name in added_styles()]
    return (_house(), *(folder / REFERENCES for folder in mine), *mine)


def add_style(name: str, references: Sequence[Path], look: Look | None = None, *, replace: bool = False) -> Style:
    """Add a style to the library.

    One that is replaced by the same pictures keeps what was trained on them, and loses it otherwise.

    Raises:
        InputError: the name is none for a style, or taken; or there are no pictures.
        UnreadableImageError: a reference is no picture.
        OutputError: it cannot be written.
    """
    target = new_folder(name, replace=replace)
    if not references:
        raise InputError("no picture was given; give at least one that shows the style")
    from impasto.images import read  # with PyTorch, which listing does without

    for path in references:
        read(path)
    before = _before(target)
    if before is None or [path.read_bytes() for path in before.references] != [
        path.read_bytes() for path in references
    ]:
        return write_style(target, name, references, look=look)
    card = None if before.card is None else before.card.read_bytes()
    return write_style(target, name, references, _files(before), look, card)


def remove_style(name: str) -> None:
    """Remove a style of the user's from the library.

    Raises:
        InputError: there is none, or it comes with impasto.
        OutputError: it cannot be removed; it is untouched.
    """
    if name not in added_styles():
        if name in house_styles():
            raise InputError(f"{name!r} comes with impasto and cannot be removed; leave it")
        raise InputError(
            f"there is no style {name!r} in {str(library_folder())!r}; there are {', '.join(added_styles()) or 'none'}"
        )
    try:
        remove_folder(library_folder() / name)
    except OSError as error:
        raise OutputError(
            f"cannot remove the style {name!r} from {str(library_folder())!r}: {error.strerror}; nothing was changed; "
            "see who may write there"
        ) from error


def export_style(name: str | os.PathLike[str], target: Path) -> None:
    """Write a style as one archive.

    Raises:
        InputError: there is no such style.
        OutputError: the file cannot be written there.
    """
    style = get_style(name)
    with tempfile.TemporaryDirectory(prefix="impasto-") as place:
        card = None if style.card is None else style.card.read_bytes()
        write_style(Path(place) / "style", style.name, style.references, _files(style), style.look, card)
        write_archive(Path(place) / "style", target)


def import_style(file: Path, name: str | None = None, *, replace: bool = False) -> Style:
    """Add the style of an archive, or of a folder as trainings write it, to the library, under its own name or another.

    Raises:
        InputError: it is neither; the name is taken, or its own is none for the library.
        OutputError: it cannot be written; nothing was changed.
    """
    if not file.exists():
        raise InputError(
            f"there is nothing at {str(file)!r}; give what `impasto styles export` wrote, or a style's folder"
        )
    _make(library_folder())
    try:
        with tempfile.TemporaryDirectory(prefix=".impasto-", dir=library_folder()) as place:
            archive = file
            if file.is_dir():  # packed first, so that no file of a folder is looked at less closely
                archive = Path(place) / f"folder{SUFFIX}"
                write_archive(file, archive)
            style = unpack_archive(archive, Path(place) / "style")
            if name is None and not _NAME.fullmatch(style.name):
                raise InputError(
                    f"the style in {str(file)!r} is called {style.name!r}, which is no name in the library; "
                    "give one with --name, such as spring-2027"
                )
            target = new_folder(name or style.name, replace=replace)
            put_folder(Path(place) / "style", target)
    except OSError as error:
        raise OutputError(
            f"cannot add {str(file)!r} to {str(library_folder())!r}: {error.strerror or error}; nothing was changed; "
            "free some space, or see who may write there"
        ) from error
    return read_style(target).model_copy(update={"name": target.name})


def new_folder(name: str, *, replace: bool = False) -> Path:
    """Where a style of that name is to be written.

    Raises:
        InputError: the name is none for a style, or taken.
        OutputError: what has the name is no style, or the library cannot be made.
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
    refuse_other(target)
    _make(target.parent)
    return target


def _before(folder: Path) -> Style | None:
    """The style that lies there; None also where it is damaged: nothing of it is worth keeping."""
    try:
        return read_style(folder)
    except InputError:
        return None


def _files(style: Style) -> dict[str, tuple[str, bytes]]:
    """What was trained, by engine, with its name."""
    return {engine: (each.path.name, each.path.read_bytes()) for engine, each in style.trained.items()}


def _make(folder: Path) -> None:
    """Make a folder for styles.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {str(folder)!r} for styles: {error.strerror}; see who may write there, or name "
            f"another with {VARIABLE}"
        ) from error


def _unpacked(archive: Path) -> Style:
    """An archive's style, unpacked once into the user's cache under the hash of its bytes.

    Raises:
        InputError: it cannot be read, or is no archive of a style.
        OutputError: the cache cannot be written.
    """
    try:
        digest = file_sha256(archive)
    except OSError as error:
        raise InputError(f"{str(archive)!r} cannot be read: {error.strerror}; see who may read it") from None
    target = platformdirs.user_cache_path("impasto") / "styles" / digest[:32]
    if (before := _before(target)) is not None:
        return before
    shutil.rmtree(target, ignore_errors=True)  # it was damaged
    _make(target.parent)
    try:
        return unpack_archive(archive, target)
    except OutputError:
        # Another process may have been as quick: the same bytes give the same style.
        if (same := _before(target)) is None:
            raise
        return same


@lru_cache(maxsize=16)
def _house_style(name: str) -> Style:
    palettes = json.loads((_house() / "palettes.json").read_text(encoding="utf-8"))
    return Style(
        name=name,
        references=(_house() / f"{name}.jpg",),
        palette=palettes[name],
        look=Look(licence=_HOUSE_LICENCE),
    )


def _house() -> Path:
    return Path(str(files("impasto.styles").joinpath("house")))
