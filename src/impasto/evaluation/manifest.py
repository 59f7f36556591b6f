"""What belongs to each output of a set: from a CSV file, or from the recipes inside the outputs.

Nothing is decoded here; whether the pictures can be read shows when they are judged.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from typing import TYPE_CHECKING, Final

from impasto.errors import ImpastoError, InputError
from impasto.images import output_formats, read_metadata
from impasto.inputs import find_sources
from impasto.recipe import Recipe
from impasto.styles import reference_folders

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_COLUMNS: Final = ("output", "content", "style")


@dataclass(frozen=True)
class Entry:
    """One output and what it was made of."""

    output: Path
    content: Path
    styles: tuple[Path, ...]
    """Those of regions come after the picture's own."""
    name: str
    """What it is called in tables: the output's stem, unless the manifest says otherwise."""


@dataclass(frozen=True)
class Problem:
    """A picture of a set that could not be used, and why."""

    name: str
    reason: str


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a CSV file with the header ``output,content,style`` and, if wanted, ``name``.

    Paths are relative to the manifest's folder; several styles are separated by semicolons. Other columns are ignored,
    and so are empty rows.

    Args:
        path: UTF-8 text, with or without a byte-order mark.

    Raises:
        InputError: it cannot be read, lacks a column or any row, a row lacks a value, or an output stands there twice.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a null byte in the path
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"cannot read the manifest {str(path)!r}: {reason}; give a CSV file in UTF-8") from None
    try:
        return _entries(text, path)
    except csv.Error as error:
        raise InputError(
            f"the manifest {str(path)!r} is no CSV file: {error}; give one with output,content,style"
        ) from None


def _entries(text: str, path: Path) -> list[Entry]:
    """The entries of a manifest's text."""
    header, _, _ = text.partition("\n")
    # Spreadsheets write semicolons between the columns where a comma is the decimal point.
    delimiter = ";" if "," not in header and ";" in header else ","
    rows = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, restkey="more")
    columns = [name.strip().lower() for name in rows.fieldnames or ()]
    rows.fieldnames = columns
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise InputError(
            f"the manifest {str(path)!r} has no column {' and no column '.join(missing)}; its first line must be "
            "output,content,style or output,content,style,name"
        )
    entries: dict[Path, Entry] = {}
    for row in rows:
        values = {name: str(row.get(name) or "").strip() for name in (*_COLUMNS, "name")}
        if not any(values.values()):
            continue
        where = f"line {rows.line_num} of the manifest {str(path)!r}"
        empty = [name for name in _COLUMNS if not values[name]]
        if empty:
            raise InputError(f"{where} has no {' and no '.join(empty)}; fill it in or remove the line")
        output = path.parent / values["output"]
        if output in entries:
            raise InputError(f"{where} names the output {values['output']!r} again; name each output once")
        styles = tuple(path.parent / style.strip() for style in values["style"].split(";") if style.strip())
        if not styles:
            raise InputError(f"{where} has no style; fill it in or remove the line")
        entries[output] = Entry(output, path.parent / values["content"], styles, values["name"] or output.stem)
    if not entries:
        raise InputError(f"the manifest {str(path)!r} names no outputs; add a line for each below its header")
    return list(entries.values())


def entries_from_recipes(folder: Path, inputs: Sequence[Path] = ()) -> tuple[list[Entry], list[Problem]]:
    """The pictures of a folder with what their recipes name, found by name and SHA-256; and those without.

    Args:
        folder: its pictures are the outputs; folders in it are not looked into.
        inputs: folders to look for contents and styles in, and in the folders right in them; ``folder`` itself is one,
            and so is the library of styles.

    Returns:
        Entries in the order of their names, and a problem for every picture that has no recipe, cannot be read, or was
        made of something that is not found.

    Raises:
        InputError: the folder or one of ``inputs`` is none, or there are no pictures.
    """
    for place in (folder, *inputs):
        if not place.is_dir():
            raise InputError(f"{str(place)!r} is no folder; give a folder of pictures")
    pictures = pictures_in(folder)
    if not pictures:
        raise InputError(
            f"there are no pictures in {str(folder)!r}; give a folder with {', '.join(output_formats())} files"
        )
    around = ([place, *_folders_in(place)] for place in inputs)
    places = list(dict.fromkeys(chain([folder], *around, reference_folders())))
    entries: list[Entry] = []
    problems: list[Problem] = []
    for picture in pictures:
        try:
            entries.append(_entry(picture, places))
        except ImpastoError as error:
            problems.append(Problem(picture.name, str(error)))
    return entries, problems


def check_source(source: Path) -> None:
    """See that there is a set.

    Raises:
        InputError: there is nothing of that name.
    """
    if not source.exists():
        raise InputError(f"there is no {str(source)!r}; give a folder of pictures or a manifest")


def entries_of(source: Path, manifest: Path | None, inputs: Sequence[Path]) -> tuple[list[Entry], list[Problem]]:
    """The entries of a set, and what of it cannot be used.

    Args:
        source: a folder of pictures, or a manifest.
        manifest: of the folder; None: what the recipes inside the pictures say counts.
        inputs: see :func:`entries_from_recipes`.

    Raises:
        InputError: there is nothing there, or nothing that can be used.
    """
    check_source(source)
    if manifest is not None and not source.is_dir():
        raise InputError(f"a manifest is given beside {str(source)!r}, which is no folder; give a folder, or it alone")
    if manifest is None and source.is_dir():
        return entries_from_recipes(source, inputs)
    entries = read_manifest(manifest or source)
    named = {entry.output.absolute() for entry in entries}
    strangers = [path for path in (pictures_in(source) if source.is_dir() else ()) if path.absolute() not in named]
    return entries, [
        Problem(path.name, f"{path.name} is not named in the manifest; add a line for it or take it away")
        for path in strangers
    ]


def pictures_in(folder: Path) -> list[Path]:
    """The files right in a folder that have the extension of a picture that impasto writes, in the order of names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in output_formats() and path.is_file())


def _entry(output: Path, places: Sequence[Path]) -> Entry:
    """An output with the files that its recipe names.

    Raises:
        InputError: there is no recipe, or a file is not found.
        UnreadableImageError: it is no picture.
    """
    text = read_metadata(output)
    if text is None:
        raise InputError(f"{output.name} holds no recipe; name its content and style in a manifest")
    recipe = Recipe.from_json(text)
    try:
        content, *styles = find_sources([recipe.content, *recipe.all_styles], "inputs", (), places)
    except InputError as error:
        found, _, _ = str(error).rpartition(";")  # its remedy names one file, and here a folder is given
        raise InputError(f"{output.name}: {found}; give the folder that holds it as inputs") from None
    return Entry(output, content, tuple(styles), output.stem)


def _folders_in(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())
