"""Which pictures a campaign is of: files, folders, patterns and addresses, or the rows of a manifest."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import tomllib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from impasto.batch.remote import fetch, is_remote
from impasto.errors import InputError
from impasto.hashes import file_sha256
from impasto.images import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_COLUMNS: Final = ("picture", "style")
#: Where a CSV row keeps what it has no column for.
_REST: Final = "\n"
_MANIFESTS: Final = (".csv", ".jsonl", ".toml")


@dataclass(frozen=True)
class Input:
    """One picture of a campaign."""

    path: Path
    sha256: str
    width: int
    height: int
    style: str | None = None
    """Its own style; None: those of the pack."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Settings of its own."""


@dataclass(frozen=True)
class Problem:
    """Something that was given and will not be painted."""

    name: str
    reason: str


def inputs_of(words: Sequence[str], output: Path) -> tuple[list[Input], list[Problem]]:
    """The pictures that files, folders, patterns and addresses mean.

    Args:
        words: a folder means every picture in it and in the folders in it; links to folders are not followed.
        output: the campaign's folder.

    Returns:
        Each picture once, in the order of names; and what cannot be used.

    Raises:
        InputError: the output lies among the inputs.
    """
    paths: list[Path] = []
    problems: list[Problem] = []
    for word in words:
        if is_remote(word):
            paths += fetch(word, output / "inputs", _is_picture)
            continue
        if (searched := _searched(word)) and _real(output).is_relative_to(_real(searched)):
            raise InputError(
                f"the output {str(output)!r} lies in the input {word!r}, which would find its own pictures; give "
                "another folder with --output"
            )
        found = _meant(word, problems)
        if not found:
            problems.append(Problem(word, _nothing(word)))
        paths += found
    inputs: list[Input] = []
    known: dict[str, Path] = {}
    fetched = _real(output / "inputs")
    for real, path in {_real(path): path.absolute() for path in paths}.items():
        if real.is_relative_to(_real(output)) and not real.is_relative_to(fetched):
            raise InputError(f"the input {str(path)!r} lies in the output; give another folder with --output")
        one = _looked_at(path)
        if isinstance(one, Input) and one.sha256 in known:
            one = Problem(path.name, f"it is the same picture as {known[one.sha256].name}, which is painted once")
        if isinstance(one, Problem):
            problems.append(one)
        else:
            known[one.sha256] = path
            inputs.append(one)
    return inputs, problems


def read_manifest(path: Path, settings: Iterable[str], output: Path) -> tuple[list[Input], list[Problem]]:
    """The rows of a manifest: CSV, JSON lines, or TOML with ``[[pictures]]``.

    Args:
        path: of the manifest; pictures and styles in it are paths from there, or addresses.
        settings: names of settings that a row may have of its own.
        output: the campaign's folder.

    Returns:
        The rows in their order; and rows whose picture is not there, cannot be read, or is there twice.

    Raises:
        InputError: it cannot be read, has a column that is not known, or a row without a picture.
    """
    allowed = (*_COLUMNS, *sorted(settings))
    inputs: list[Input] = []
    problems: list[Problem] = []
    known: set[tuple[str, str | None, str]] = set()
    for number, row in enumerate(_rows(path), start=1):
        where = f"row {number} of the manifest {str(path)!r}"
        if _REST in row:
            raise InputError(f"{where} has a value too many, {row[_REST][0]!r}; put values with a comma into quotes")
        unknown = sorted(str(name) for name in row if name not in allowed)
        if unknown:
            raise InputError(f"{where} has {unknown[0]!r}, which is not known; there are {', '.join(allowed)}")
        given = {name: value for name, value in row.items() if value not in (None, "")}
        picture, style = given.pop("picture", None), given.pop("style", None)
        if not isinstance(picture, str) or not isinstance(style, str | None):
            raise InputError(f"{where} has no picture; give its path")
        one = _looked_at(_at(picture, path.parent, output))
        if isinstance(one, Problem):
            problems.append(Problem(picture, f"{where}: {one.reason}"))
            continue
        if style is not None and (path.parent / style).exists():
            style = str(path.parent / style)
        identity = (one.sha256, style, json.dumps(given, sort_keys=True, default=str))
        if identity in known:
            problems.append(Problem(picture, f"{where} is there already; it is painted once"))
            continue
        known.add(identity)
        inputs.append(Input(one.path, one.sha256, one.width, one.height, style, given))
    return inputs, problems


def _rows(path: Path) -> list[dict[str, Any]]:
    """A manifest's rows.

    Raises:
        InputError: it cannot be read.
    """
    if path.suffix.lower() not in _MANIFESTS:
        raise InputError(f"{str(path)!r} is no manifest; give a file that ends in {', '.join(_MANIFESTS)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            rows: Any = list(csv.DictReader(io.StringIO(text, newline=""), restkey=_REST, strict=True))
        elif path.suffix.lower() == ".jsonl":
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            rows = tomllib.loads(text).get("pictures")
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the manifest {str(path)!r} cannot be read: {reason}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"the manifest {str(path)!r} has no rows; each needs a picture")
    return rows


def _at(picture: str, base: Path, output: Path) -> Path | Problem:
    """Where a manifest's picture lies on this machine."""
    if not is_remote(picture):
        return (base / picture).absolute()
    try:
        found = fetch(picture, output / "inputs", _is_picture)
    except InputError as error:
        return Problem(picture, str(error))
    return found[0].absolute() if len(found) == 1 else Problem(picture, "it is several pictures; give each a row")


def _meant(word: str, problems: list[Problem]) -> list[Path]:
    """The pictures that a word means, in the order of their names; folders that cannot be read become problems."""
    place = Path(word)
    if place.is_dir():

        def note(error: OSError) -> None:
            problems.append(Problem(str(error.filename), f"it cannot be read: {error.strerror}"))

        found = []
        for folder, folders, names in os.walk(place, onerror=note):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [Path(folder) / name for name in sorted(names) if _is_picture(name)]
        return found
    if os.path.lexists(place):
        return [place]
    if glob.has_magic(word):
        base, rest = _split(word)
        # Not glob.glob: it follows links to folders, which may lead round in circles.
        matches = sorted(base.glob(f"{rest}/*" if rest.endswith("**") else rest))
        shown = [path for path in matches if not any(part.startswith(".") for part in path.relative_to(base).parts)]
        return [path for path in shown if _is_picture(path.name) and not path.is_dir()]
    return []


def _searched(word: str) -> Path | None:
    """The folder in which all pictures are looked for, however deep; None where a word names some of one folder."""
    if Path(word).is_dir():
        return Path(word)
    return _split(word)[0] if not os.path.lexists(word) and "**" in Path(word).parts else None


def _split(pattern: str) -> tuple[Path, str]:
    """A pattern as the folder before its first sign, and what is looked for there."""
    parts = Path(pattern).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]), "/".join(parts[first:])


def _real(path: Path) -> Path:
    """A path without links; of one that leads round in circles, the path (Path.resolve raises there)."""
    return Path(os.path.realpath(path))


def _nothing(word: str) -> str:
    if Path(word).is_dir() or glob.has_magic(word):
        return f"there are no pictures ({', '.join(sorted(EXTENSIONS))})"
    return "there is no such file or folder"


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS and not Path(name).name.startswith(".")


def _looked_at(path: Path | Problem) -> Input | Problem:
    """A picture with its hash and size; its pixels are not read yet."""
    if isinstance(path, Problem):
        return path
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Problem(path.name.encode(errors="replace").decode(), "its name is no text; rename it")
    try:
        if path.exists() and not path.is_file():
            return Problem(path.name, "it is no file")
        digest = file_sha256(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # reading the pixels has limits of its own
            with Image.open(path) as picture:
                width, height = picture.size
    except Image.DecompressionBombError:
        return Problem(path.name, "it is too large")
    except FileNotFoundError:
        return Problem(path.name, "there is no such file")
    except (OSError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None)
        return Problem(path.name, f"it cannot be read: {reason or 'it is no picture'}")
    return Input(path, digest, width, height)
