"""A style as one file to pass on: a ZIP archive ``NAME.impasto`` of its folder.

An archive comes from anybody. Nothing is written before every entry was looked at: its name (no folders but
``references/``, no links), its kind (pictures, JSON, Markdown, safetensors: nothing that runs when it is read), its
size and how it is packed; and the folder appears only once all hashes are right.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from impasto.errors import InputError, OutputError
from impasto.styles.folder import REFERENCES, read_style, style_files
from impasto.whole import replacing

if TYPE_CHECKING:
    from impasto.styles.folder import Style

SUFFIX: Final = ".impasto"
_KINDS: Final = frozenset({".json", ".md", ".safetensors"})  # and pictures
_MOST_ENTRIES: Final = 1000
_MOST_BYTES: Final = 2**30
_BLOCK: Final = 2**20
#: The others are unpacked in one piece, whatever a block becomes: a bomb's way in.
_PACKED: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
#: What reading a damaged archive raises; ValueError: a name that is no text.
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)
#: Of every entry, so that the same style gives the same bytes.
_WHEN: Final = (1980, 1, 1, 0, 0, 0)


def is_archive(path: Path) -> bool:
    """Whether a path is meant as a style's archive."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def write_archive(folder: Path, target: Path) -> None:
    """Pack a style's folder; the same style gives the same bytes.

    Raises:
        InputError: it is no style, or another extension was asked for.
        OutputError: the file cannot be written there; nothing was changed.
    """
    if target.suffix.lower() != SUFFIX:
        raise InputError(f"{str(target)!r} must end in {SUFFIX}; give it such a name")
    files = style_files(folder)
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "x") as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _WHEN)
            archive.writestr(entry, path.read_bytes())


def unpack_archive(file: Path, target: Path) -> Style:
    """Unpack a style's archive to a folder that is not there yet, whole or not at all.

    Raises:
        InputError: it is no archive, or holds what no style holds, or a file that was changed.
        OutputError: the folder cannot be written, or is there already.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, *_DAMAGED) as error:
        raise _damaged(file, error) from None
    try:
        with archive, tempfile.TemporaryDirectory(prefix=".impasto-", dir=target.parent) as place:
            folder = Path(place) / "style"
            _refuse_strange(file, archive)
            for entry in archive.infolist():
                _unpack(archive, entry, folder / entry.filename)
            read_style(folder)
            folder.rename(target)
    except _DAMAGED as error:
        raise _damaged(file, error) from None
    except OSError as error:
        raise OutputError(
            f"cannot unpack {str(file)!r} to {str(target)!r}: {error.strerror or error}; nothing was changed; "
            "free some space, or see who may write there"
        ) from error
    return read_style(target)


def _damaged(file: Path, error: Exception) -> InputError:
    """What to say of an archive that cannot be read."""
    reason = getattr(error, "strerror", None) or error
    return InputError(f"{str(file)!r} cannot be unpacked: {reason}; get the archive again")


def _refuse_strange(file: Path, archive: zipfile.ZipFile) -> None:
    """Raise for an archive with an entry that no style has.

    Raises:
        InputError: names the entry.
    """
    from impasto.images import EXTENSIONS  # with PyTorch, which listing the library does without

    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES or sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise InputError(
            f"{str(file)!r} holds {len(entries)} files of {sum(entry.file_size for entry in entries) >> 20} MiB; "
            f"a style has at most {_MOST_ENTRIES} of {_MOST_BYTES >> 20} MiB together"
        )
    for entry in entries:
        name = entry.filename
        parts = PurePosixPath(name).parts
        # As it is written and in no other way: ``./x`` and ``x`` would be one file.
        plain = parts and ".." not in parts and "/".join(parts) == name and not {"\\", ":"} & set(name)
        placed = len(parts) == 1 or (len(parts) == 2 and parts[0] == REFERENCES)
        link = stat.S_ISLNK(entry.external_attr >> 16)
        if not (plain and placed and name.isprintable()) or link or entry.is_dir():
            raise InputError(f"{str(file)!r} holds {name!r}, which is no file of a style; it was not unpacked")
        if PurePosixPath(name).suffix.lower() not in _KINDS | EXTENSIONS:
            raise InputError(
                f"{str(file)!r} holds {name!r}; a style has pictures, JSON, Markdown and safetensors only; "
                "it was not unpacked"
            )
        if entry.compress_type not in _PACKED:
            raise InputError(
                f"{str(file)!r} holds {name!r}, packed in another way than deflate; it was not unpacked; "
                "get one that `impasto styles export` wrote"
            )
    names = [entry.filename for entry in entries]
    if len(names) != len(set(names)):
        raise InputError(f"{str(file)!r} holds a name twice; it was not unpacked")


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """One entry, in blocks; :mod:`zipfile` gives no more bytes than it claims to have."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
