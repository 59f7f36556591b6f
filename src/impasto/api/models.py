"""The diffusion models: which there are, where they lie, whether they are whole, and getting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from impasto.engines.diffusion.registry import MODELS, PARTS, find, locate, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from impasto.engines.diffusion.downloads import FileState


@dataclass(frozen=True)
class ModelEntry:
    """A part of a model, as it is listed."""

    id: str
    what: str
    repository: str
    revision: str | None
    licence: str
    commercial: bool
    """Whether the licence allows commercial use."""
    gib: float
    path: Path | None
    """Its folder; None: it is not here."""
    models: tuple[str, ...]
    """Which models take it with the default settings."""


def list_models() -> tuple[ModelEntry, ...]:
    """Every part of every model that engine diffusion knows by name."""
    entries = []
    for part in PARTS.values():
        located = find(part)
        entries.append(
            ModelEntry(
                id=part.id,
                what=part.what,
                repository=part.repository,
                revision=part.revision,
                licence=part.licence,
                commercial=part.commercial,
                gib=part.gib,
                path=None if located is None else located.folder,
                models=tuple(model.id for model in MODELS.values() if part.id in model.needed),
            )
        )
    return tuple(entries)


def model_paths(name: str) -> dict[str, Path]:
    """Where a model's parts lie, or the one part of that name.

    Raises:
        SettingsError: there is no such model.
        WeightsError: a part is not here; says what is missing and where it goes.
    """
    return {part.id: locate(part).folder for part in parts_of(name)}


def verify_models(names: Sequence[str] = ()) -> tuple[FileState, ...]:
    """Compare models' files with their pinned or recorded SHA-256.

    Args:
        names: models or parts; by default every part that is here.

    Raises:
        SettingsError: there is no such model.
    """
    from impasto.engines.diffusion.downloads import verify

    parts = {part.id: part for name in names for part in parts_of(name)}
    return verify([*parts.values()] or [part for part in PARTS.values() if find(part) is not None])


def download_models(
    names: Sequence[str], *, accept_license: bool = False, on_file: Callable[[str, str, str], None] | None = None
) -> tuple[Path, ...]:
    """Get models from the Hugging Face hub.

    Args:
        names: models or parts.
        accept_license: whether licences that forbid commercial use are accepted.
        on_file: called before each file with the part's id, its licence and the file's name.

    Returns:
        Where they lie.

    Raises:
        SettingsError: there is no such model, or a licence was not accepted.
        OutputError: there is no room for them.
        WeightsError: the hub cannot be reached, or sends another file than expected.
        MissingExtraError: the extra diffusion is not installed.
    """
    from impasto.engines.diffusion.downloads import download

    parts = {part.id: part for name in names for part in parts_of(name)}
    return download(
        [*parts.values()],
        accept_license=accept_license,
        on_file=None if on_file is None else lambda part, name: on_file(part.id, part.licence, name),
    )
