"""Which pictures a campaign is of: files, folders, patterns and addresses, or the rows of a manifest."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from impasto.batch.remote import fetch, is_remote
from impasto.errors import InputError
from impasto.images import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_COLUMNS: Final = ("picture", "style")
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
        found = _meant(word)
        if not found:
            problems.append(Problem(word, _nothing(word)))
        if Path(word).is_dir() and output.resolve().is_relative_to(Path(word).resolve()):
            raise InputError(
                f"the output {str(output)!r} lies in the input {word!r}, which would find its own pictures; give "
                "another folder with --output"
            )
        paths += found
    inputs: list[Input] = []
    known: dict[str, Path] = {}
    fetched = (output / "inputs").resolve()
    for path in dict.fromkeys(path.resolve() for path in paths):
        if path.is_relative_to(output.resolve()) and not path.is_relative_to(fetched):
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


def read_manifest(path: Path, settings: Iterable[str]) -> tuple[list[Input], list[Problem]]:
    """The rows of a manifest: CSV, JSON lines, or TOML with ``[[pictures]]``.

    Args:
        path: of the manifest; pictures and styles in it are paths from there.
        settings: names of settings that a row may have of its own.

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
        unknown = sorted(str(name) for name in row if name not in allowed)
        if unknown:
            raise InputError(f"{where} has {unknown[0]!r}, which is not known; there are {', '.join(allowed)}")
        given = {name: value for name, value in row.items() if value not in (None, "")}
        picture, style = given.pop("picture", None), given.pop("style", None)
        if not isinstance(picture, str) or not isinstance(style, str | None):
            raise InputError(f"{where} has no picture; give its path")
        one = _looked_at(path.parent / picture)
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
            rows: Any = list(csv.DictReader(text.splitlines(), restkey="a value too many", strict=True))
        elif path.suffix.lower() == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = tomllib.loads(text).get("pictures")
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the manifest {str(path)!r} cannot be read: {reason}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"the manifest {str(path)!r} has no rows; each needs a picture")
    return rows


def _meant(word: str) -> list[Path]:
    """The pictures that a word means, in the order of their names."""
    place = Path(word)
    if place.is_dir():
        found = []
        for folder, folders, names in os.walk(place):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [Path(folder) / name for name in sorted(names) if _is_picture(name)]
        return found
    if place.exists():
        return [place]
    if glob.has_magic(word):
        matches = map(Path, sorted(glob.glob(word, recursive=True)))  # noqa: PTH207 — the pattern may be absolute
        return [path for path in matches if path.is_file() and _is_picture(path.name)]
    return []


def _nothing(word: str) -> str:
    if Path(word).is_dir() or glob.has_magic(word):
        return f"there are no pictures ({', '.join(sorted(EXTENSIONS))})"
    return "there is no such file or folder"


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS and not Path(name).name.startswith(".")


def _looked_at(path: Path) -> Input | Problem:
    """A picture with its hash and size; its pixels are not read yet."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
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
