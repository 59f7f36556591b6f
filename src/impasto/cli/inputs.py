"""The files that go in: found again by their hash, and never overwritten."""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePath
from typing import TYPE_CHECKING

from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from impasto.recipe import Recipe, Source


def refuse_overwriting(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output that is one of the inputs.

    Raises:
        InputError: they are the same file, whatever their names.
    """
    for path in inputs:
        # os.path, because it takes a name that the system does not allow for one that is not there.
        if os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):  # noqa: PTH110, PTH121
            raise InputError(f"the output {str(output)!r} is also an input; give another name with --output")


def refuse_needless(recipe: Recipe, init: Path | None, vgg_weights: Path | None) -> None:
    """Refuse an option for something that the recipe does not have, rather than ignore it."""
    if init and not recipe.init:
        raise InputError(f"--init {init} cannot be used: the picture was not started from another one")
    if vgg_weights and not recipe.settings.get("vgg_weights"):
        raise InputError(f"--vgg-weights {vgg_weights} cannot be used: the picture was made with the packaged ones")


def find_picture(source: Source, given: Sequence[Path | None], folders: Sequence[Path], option: str) -> Path:
    """The file of a picture that went in; see :func:`_find_file`."""
    return _find_file(source.name, source.sha256, given, folders, option)


def find_weights(recipe: Recipe, given: Path | None, folders: Sequence[Path]) -> Path | None:
    """The file of the network's weights, or None if they are the packaged ones."""
    name = recipe.settings.get("vgg_weights")
    return _find_file(str(name), recipe.weights.sha256, [given], folders, "--vgg-weights") if name else None


def _find_file(name: str, sha256: str, given: Sequence[Path | None], folders: Sequence[Path], option: str) -> Path:
    """The file with that hash: among those given if there are any, else by its name in the folders.

    Raises:
        InputError: there is none; the message names the file, its hash and the option that gives its place.
    """
    # The name is what a file claims; without its folders it cannot lead out of ours.
    places = [path for path in given if path] or [folder / PurePath(name).name for folder in folders]
    for path in places:
        if _sha256(path) == sha256:
            return path
    others = [str(path) for path in places if path.is_file()]
    found = f"{' and '.join(map(repr, others))} has another content" if others else "it was not found"
    raise InputError(f"rerun needs {name!r} with SHA-256 {sha256}, but {found}; give its place with {option}")


def _sha256(path: Path) -> str | None:
    """SHA-256 of a file in hex, or None if there is no such file that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # a folder too
        return None
