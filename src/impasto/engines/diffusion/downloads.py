"""Brings parts of models onto the disk, when it is asked to, and says whether those that are there are whole."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from impasto.engines.diffusion.digests import digest_of, expected, record
from impasto.engines.diffusion.loading import require_diffusers
from impasto.engines.diffusion.preflight import read_shapes
from impasto.engines.diffusion.registry import PINS, find, models_folder
from impasto.errors import OutputError, SettingsError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from impasto.engines.diffusion.registry import Part

#: Room to leave on the disk, GiB.
_ROOM_GIB: Final = 1.0

State = Literal["as pinned", "as first downloaded", "unknown", "changed", "damaged", "missing"]


@dataclass(frozen=True)
class FileState:
    """How a file of a part stands."""

    part: str
    name: str
    """In its repository."""
    path: Path | None
    state: State
    """``unknown``: it is whole, but there is nothing to compare it with; it was not downloaded by impasto."""
    size: int
    """Bytes."""


def verify(parts: Sequence[Part]) -> tuple[FileState, ...]:
    """Compare the files of parts with what they should be, byte by byte."""
    found = []
    for part in parts:
        located = find(part)
        for name in part.files:
            path = models_folder() / part.repository / name if located is None else located.files[name]
            if not path.is_file():
                found.append(FileState(part.id, name, None, "missing", 0))
            else:
                found.append(FileState(part.id, name, path, _state(part, name, path), path.stat().st_size))
    return tuple(found)


def _state(part: Part, name: str, path: Path) -> State:
    if path.suffix == ".safetensors":
        try:
            read_shapes(path)
        except WeightsError:
            return "damaged"
    wanted = expected(part, name)
    if wanted is None:
        return "unknown"
    if digest_of(path) != wanted:
        return "changed"
    return "as pinned" if f"{part.repository}/{name}" in PINS else "as first downloaded"


def download(
    parts: Sequence[Part], *, accept_license: bool = False, on_file: Callable[[Part, str], None] | None = None
) -> tuple[Path, ...]:
    """Get what is missing of parts from the Hugging Face hub into the user's folder of models.

    Args:
        parts: what to get; parts that are here are left alone.
        accept_license: whether licences that forbid commercial use are accepted.
        on_file: called before each file.

    Returns:
        The folders of the parts' repositories.

    Raises:
        SettingsError: a licence was not accepted.
        OutputError: there is no room, or it cannot be written there.
        WeightsError: the hub cannot be reached, or sends another file than the pinned one, which is removed.
        MissingExtraError: the extra is not installed.
    """
    for part in parts:
        if not part.commercial and not accept_license:
            raise SettingsError(
                f"{part.id} is under {part.licence}, which forbids commercial use; give --accept-license to get it"
            )
    require_diffusers()
    missing = [part for part in parts if find(part) is None]
    _check_room(sum(part.gib for part in missing))
    if missing and os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise WeightsError(
            f"{', '.join(part.id for part in missing)} cannot be downloaded: HF_HUB_OFFLINE is set; unset it"
        )
    for part in missing:
        for name in part.files:
            if on_file is not None:
                on_file(part, name)
            _fetch(part, name)
    return tuple(models_folder() / part.repository for part in parts)


def _fetch(part: Part, name: str) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    place = models_folder() / part.repository
    try:
        hf_hub_download(part.repository, name, revision=part.revision, local_dir=place)
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise WeightsError(
            f"{name} of {part.repository} cannot be downloaded: {reason}; try again, or put the file into {place}"
        ) from error
    path = place / name
    digest, wanted = digest_of(path), expected(part, name)
    if wanted is None:
        record(part, name, digest)
    elif digest != wanted:
        path.unlink()
        raise WeightsError(
            f"the hub sent another {name} of {part.repository} than expected: its SHA-256 is {digest}, expected "
            f"{wanted}; it was removed"
        )


def _check_room(gib: float) -> None:
    place = models_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{place} cannot be made: {error.strerror}; name another folder in IMPASTO_MODELS") from None
    free = shutil.disk_usage(place).free / 2**30
    if gib and free < gib + _ROOM_GIB:
        raise OutputError(
            f"{gib:.1f} GiB are to be downloaded to {place}, where {free:.1f} GiB are free; make room, or name another "
            "folder in IMPASTO_MODELS"
        )
