"""A style's folder: ``style.json``, ``references/``, ``thumbnail.webp`` and the files that were trained.

Every file is named in ``style.json`` with its SHA-256. A folder that was passed on is untrusted: names with folders in
them, files that are missing, files of another content and settings that no engine has are refused.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from impasto.errors import InputError, OutputError, SettingsError
from impasto.settings import ENGINES, FILE_SETTINGS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

_FILE: Final = "style.json"
REFERENCES: Final = "references"
THUMBNAIL: Final = "thumbnail.webp"
_CARD: Final = "MODEL_CARD.md"
_THUMBNAIL_PX: Final = 256
_LARGEST_JSON: Final = 2**20
_LONGEST_NAME: Final = 60
_SWATCHES: Final = 6


def _plain(name: str) -> str:
    """A file's name and nothing else."""
    if not name or not name.isprintable() or Path(name).name != name or "\\" in name or name.startswith("."):
        raise ValueError(f"{name!r} is no plain file name")
    return name


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    file: Annotated[str, AfterValidator(_plain)]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def _known(settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings by engine that the engine has, within their bounds; none that names a file or a device."""
    for engine, values in settings.items():
        if engine not in ENGINES:
            raise ValueError(f"no engine named {engine!r}; there are {', '.join(ENGINES)}")
        for name in sorted(_OF_A_MACHINE & set(values)):
            raise ValueError(f"{name} belongs to a call or a machine, not to a style; leave it out")
        try:
            ENGINES[engine].of(**values)
        except SettingsError as error:
            raise ValueError(str(error)) from None
    return settings


#: Settings that a style must not bring along: files and devices of the machine it is used on, and the output's kind.
_OF_A_MACHINE: Final = frozenset(
    {
        "accept_license",
        "bit_depth",
        "device",
        "dtype",
        "init",
        "memory",
        "runtime",
        "tile_size",
        "time_budget",
        *FILE_SETTINGS,
    }
)


class Look(BaseModel):
    """What a style says beside its pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    licence: str = Field(default="", max_length=2000, description="under which its pictures may be used")
    settings: Annotated[dict[str, dict[str, Any]], AfterValidator(_known)] = Field(
        default={}, description="by engine; what is given to a call wins"
    )
    thresholds: dict[str, dict[str, float | Literal["off"]]] = Field(
        default={}, description="of the gates, by metric, in place of the packaged ones"
    )


def make_look(**parts: Any) -> Look:
    """A look, checked.

    Raises:
        SettingsError: a part is none, such as a setting that its engine does not have.
    """
    try:
        return Look.model_validate(parts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingsError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


class _Json(Look):
    """What ``style.json`` holds."""

    style: Literal[1]
    name: str = Field(min_length=1, max_length=200)
    references: Annotated[tuple[_File, ...], Field(min_length=1)]
    palette: tuple[Annotated[str, Field(pattern="^#[0-9a-f]{6}$")], ...] = ()
    trained: dict[str, _File] = {}


class Trained(BaseModel):
    """A file that was trained for one engine."""

    model_config = ConfigDict(frozen=True)
    path: Path
    sha256: str


class Style(BaseModel):
    """A style as it lies on disk, its files checked."""

    model_config = ConfigDict(frozen=True)
    name: str
    references: tuple[Path, ...]
    """The pictures that give the look."""
    trained: dict[str, Trained] = {}
    """By engine."""
    palette: tuple[str, ...] = ()
    """Its main colours, ``#rrggbb``, dark ones first."""
    look: Look = Look()
    card: Path | None = None
    """What is told of its training."""


def is_style(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a style's folder."""
    return (Path(path) / _FILE).is_file()


def read_style(folder: Path) -> Style:
    """A style from its folder.

    Raises:
        InputError: there is none, it is of another version, or a file is missing or was changed.
    """
    path = folder / _FILE
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise InputError(f"{str(path)!r} is larger than {_LARGEST_JSON >> 20} MiB; it is no style")
        found = _Json.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{str(folder)!r} is no style: {_FILE}: {error.strerror or error}; "
            "give a folder that `impasto train style` wrote"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or _FILE
        raise InputError(
            f"{str(path)!r} cannot be read: {where}: {first['msg']}; "
            "it was changed, or made by another version of impasto"
        ) from None
    if (folder / REFERENCES).is_symlink():
        raise InputError(
            f"{str(folder / REFERENCES)!r} is a link, and a style's pictures lie in its folder; put them there"
        )
    references = tuple(_checked(folder / REFERENCES, each) for each in found.references)
    trained = {
        engine: Trained(path=_checked(folder, each), sha256=each.sha256) for engine, each in found.trained.items()
    }
    look = Look(**{field: getattr(found, field) for field in Look.model_fields})
    card = folder / _CARD if (folder / _CARD).is_file() and not (folder / _CARD).is_symlink() else None
    return Style(name=found.name, references=references, trained=trained, palette=found.palette, look=look, card=card)


def style_files(folder: Path) -> list[Path]:
    """The files of a style's folder that belong to it, ``style.json`` first.

    Raises:
        InputError: as :func:`read_style`.
    """
    style = read_style(folder)
    told = [path for path in (folder / _FILE, folder / THUMBNAIL, folder / _CARD) if path.is_file()]
    return [*told, *style.references, *(each.path for each in style.trained.values())]


def write_style(
    folder: Path,
    name: str,
    references: Sequence[Path],
    trained: Mapping[str, tuple[str, bytes]] = {},
    look: Look | None = None,
    card: bytes | None = None,
) -> Style:
    """Write a style's folder, whole or not at all; one that is there already is replaced.

    Args:
        folder: where to; its parent exists.
        name: of the style, for people.
        references: pictures, which are copied.
        trained: by engine the name of a file and its bytes.
        look: licence, settings and thresholds; None: of a style that is replaced, its own.
        card: what is told of its training, as Markdown.

    Raises:
        OutputError: it cannot be written there, or something that is no style lies there; that is untouched.
        UnreadableImageError: a reference is no picture.
    """
    from impasto.images import encode, fit_size, hex_palette, read, resize  # with PyTorch, which reading does without

    refuse_other(folder)
    if look is None:
        look = read_style(folder).look if is_style(folder) else Look()
    first = read(references[0])
    small = fit_size(first.height, first.width, min(_THUMBNAIL_PX, max(first.height, first.width)))
    thumbnail = encode(first.with_pixels(resize(first.pixels, *small)), ".webp", quality=85)
    named = {f"{number:02}-{_bare(path)}": path.read_bytes() for number, path in enumerate(references, start=1)}
    description = _Json(
        style=1,
        name=name,
        references=tuple(_File(file=file, sha256=_sha256(data)) for file, data in named.items()),
        palette=hex_palette(first.pixels[None], _SWATCHES),
        **{field: getattr(look, field) for field in Look.model_fields},
        trained={engine: _File(file=file, sha256=_sha256(data)) for engine, (file, data) in trained.items()},
    )
    temporary = folder.with_name(f".impasto-{secrets.token_hex(8)}.tmp")
    try:
        (temporary / REFERENCES).mkdir(parents=True)
        for file, data in named.items():
            (temporary / REFERENCES / file).write_bytes(data)
        for file, data in trained.values():
            (temporary / file).write_bytes(data)
        (temporary / THUMBNAIL).write_bytes(thumbnail)
        if card is not None:
            (temporary / _CARD).write_bytes(card)
        (temporary / _FILE).write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
        put_folder(temporary, folder)
    except OSError as error:
        raise OutputError(
            f"cannot write the style {str(folder)!r}: {error.strerror or error}; nothing was changed; "
            "free some space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return read_style(folder)


def refuse_other(folder: Path) -> None:
    """Raise where something lies that is no style and must not be replaced by one.

    Raises:
        OutputError: names it.
    """
    if folder.exists() and not is_style(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{str(folder)!r} is there already and is no style; choose another name")


def put_folder(new: Path, folder: Path) -> None:
    """Rename a folder, and remove the one that lay there; if the first fails, that one is there again.

    Raises:
        OSError: it cannot be renamed.
    """
    old = _hidden(folder)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    _discard(old)


def remove_folder(folder: Path) -> None:
    """Remove a folder.

    Raises:
        OSError: it cannot be renamed; it is untouched.
    """
    # Out of sight first: a folder that is half removed must not be found under its name.
    hidden = _hidden(folder)
    folder.rename(hidden)
    _discard(hidden)


def _hidden(folder: Path) -> Path:
    """A name beside a folder that is none for a style."""
    return folder.with_name(f".impasto-{secrets.token_hex(8)}.old")


def _discard(folder: Path) -> None:
    """Remove a folder as far as it goes; of a link only the link: what it leads to is not ours."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _bare(path: Path) -> str:
    """A reference's name without the number that an earlier copy of it got, as every system and archive takes it."""
    from impasto.images import EXTENSIONS

    # A picture is known by its content; the extension is for people, and for what an archive may hold.
    stem, suffix = (path.stem, path.suffix) if path.suffix.lower() in EXTENSIONS else (path.name, ".png")
    plain = "".join(char if char.isprintable() and char not in '\\:*?"<>|' else "_" for char in stem)
    return re.sub(r"^\d\d-", "", plain)[:_LONGEST_NAME] + suffix


def _checked(folder: Path, named: _File) -> Path:
    """A file of a style, if it is what ``style.json`` says."""
    path = folder / named.file
    if path.is_symlink():
        raise InputError(f"{str(path)!r} is a link, and a style's files lie in its folder; put the file there")
    try:
        found = _sha256(path.read_bytes())
    except OSError as error:
        raise InputError(f"the style lacks {str(path)!r}: {error.strerror or error}; restore the file") from None
    if found != named.sha256:
        raise InputError(
            f"{str(path)!r} has SHA-256 {found}, expected {named.sha256}: it was changed; restore the file"
        )
    return path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
