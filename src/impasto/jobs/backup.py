"""A backup of a running service as one file, and a service made from it again.

The database is copied first, then the files: a job has then at most gone on since, or ended, and goes on from there.
"""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import InputError, OutputError, SettingsError
from impasto.jobs import table
from impasto.jobs.audit import AUDIT_FILE
from impasto.jobs.config import CONFIG_FILE
from impasto.jobs.durable import CONTRACT, DurableJobs
from impasto.jobs.judging import QUALITY_FILE
from impasto.jobs.outcomes import VERSION
from impasto.jobs.retention import alone
from impasto.whole import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABOUT: Final = "backup.json"
_DATABASE: Final = "jobs.sqlite"
_FOLDERS: Final = ("assets", "jobs")
_FILES: Final = (AUDIT_FILE, CONFIG_FILE)
#: In a job's folder, but of no worth without the process that made them.
_NOT_KEPT: Final = ("lock", ".impasto-*")


@dataclass(frozen=True)
class Kept:
    """What a backup holds, or what came back from it."""

    jobs: int
    files: int
    at: str
    """When it was made."""
    lost: int = 0
    """Jobs that were deleted while the backup was made: they do not come back."""


def back_up(jobs: DurableJobs, target: Path, *, files_only: bool = False) -> Kept:
    """Write the service's database and files into one file, while it runs.

    Args:
        jobs: the service's.
        target: a tar archive; there must be none yet.
        files_only: leave the database out, because it was kept by its own means.

    Raises:
        InputError: there is a file of that name, or a clean-up is at work.
        SettingsError: the database is PostgreSQL's, and ``files_only`` is not said.
        OutputError: it cannot be written; nothing is left of it.
    """
    if target.exists():
        raise InputError(f"there is {str(target)!r} already; give another name")
    is_file = jobs.engine.dialect.name == "sqlite"
    if not is_file and not files_only:
        raise SettingsError(
            "the database is PostgreSQL, which keeps itself: run `pg_dump --format=custom --file=impasto.dump URL` "
            "first, then this with --files-only"
        )
    home = jobs.store.home
    about = {"backup": 1, "impasto": VERSION, "jobs": CONTRACT, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    count = 0
    with alone(home), replacing(target) as temporary:
        temporary.touch(mode=0o600)  # what people uploaded is nobody else's business
        with tarfile.open(temporary, "w", dereference=True) as archive:  # what is linked is kept twice
            _add_bytes(archive, _ABOUT, json.dumps(about).encode())
            for name in (QUALITY_FILE, *(() if files_only else (_DATABASE,))):
                if (home / name).exists():
                    _add_database(archive, home / name, target.parent)
            for path in _files(home):
                count += _add_file(archive, path, home)
    with jobs.engine.connect() as connection:
        return Kept(table.count(connection), count, str(about["at"]))


def restore(source: Path, home: Path) -> Kept:
    """Make a service's folder from a backup.

    Args:
        source: what :func:`back_up` wrote.
        home: the folder; there must be nothing in it.

    Raises:
        InputError: it is no backup, or one of another contract; or there is something in the folder.
        OutputError: it cannot be written; nothing is left of it.
    """
    if home.exists() and any(home.iterdir()):
        raise InputError(f"there is something in {str(home)!r}; give a folder that is empty or not there")
    home.parent.mkdir(parents=True, exist_ok=True)
    unpacked = Path(tempfile.mkdtemp(prefix=".impasto-restore-", dir=home.parent))
    try:
        about = _unpack(source, unpacked)
        if home.exists():
            home.rmdir()
        unpacked.rename(home)
    except OSError as error:
        raise OutputError(
            f"the backup cannot be unpacked: {error.strerror or error}; free some space, or give another folder"
        ) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    files = sum(path.is_file() for name in _FOLDERS for path in (home / name).rglob("*"))
    if not (home / _DATABASE).exists():
        return Kept(0, files, about["at"])
    with closing(DurableJobs(home)) as jobs, jobs.engine.begin() as connection:
        lost = [name for name in table.done(connection) if jobs.store.job(name).facts() is None]
        for name in lost:
            table.delete(connection, name)
        return Kept(table.count(connection), files, about["at"], len(lost))


def _unpack(source: Path, folder: Path) -> dict[str, Any]:
    """The archive's files into a folder; gives what it says of itself.

    Raises:
        InputError: it is no backup of ours.
    """
    try:
        with tarfile.open(source, "r:") as archive:
            first = archive.next()
            file = archive.extractfile(first) if first is not None and first.name == _ABOUT else None
            about = json.load(file) if file is not None else {}
            if about.get("backup") == 1 and about.get("jobs") == CONTRACT:
                # No links, no devices, nothing outside the folder.
                archive.extractall(folder, members=_allowed(archive), filter="data")
    except FileNotFoundError:
        raise InputError(f"there is no file {str(source)!r}") from None
    except (tarfile.TarError, UnicodeDecodeError, ValueError, AttributeError) as error:
        raise InputError(f"{str(source)!r} is no backup of impasto, or a damaged one: {error}") from None
    if about.get("backup") != 1:
        raise InputError(f"{str(source)!r} is no backup of impasto")
    if about["jobs"] != CONTRACT:
        raise InputError(
            f"the backup is of impasto {about['impasto']} ({about['jobs']}), and this one reads {CONTRACT}; restore it "
            "with that version"
        )
    return dict(about)


def _allowed(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """What a backup holds, and nothing else."""
    for member in archive:
        top = member.name.partition("/")[0]
        if member.isfile() and (top in _FOLDERS or member.name in (_DATABASE, QUALITY_FILE, *_FILES)):
            yield member


def _files(home: Path) -> Iterator[Path]:
    for name in _FILES:
        if (home / name).is_file():
            yield home / name
    for name in _FOLDERS:
        for path in sorted((home / name).rglob("*")):
            if path.is_file() and not any(path.match(pattern) for pattern in _NOT_KEPT):
                yield path


def _add_file(archive: tarfile.TarFile, path: Path, home: Path) -> bool:
    """A file as it is at this moment; gives whether it is still there. None is ever written into, only replaced."""
    try:
        with path.open("rb") as file:
            archive.addfile(archive.gettarinfo(arcname=str(path.relative_to(home)), fileobj=file), file)
    except FileNotFoundError:
        return False
    return True


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    archive.addfile(member, io.BytesIO(data))


def _add_database(archive: tarfile.TarFile, path: Path, folder: Path) -> None:
    """A copy of a SQLite file at one moment, whoever writes to it meanwhile."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".impasto-", suffix=".tmp") as copy:
        with _opened(path) as source, _opened(Path(copy.name)) as target:
            source.backup(target)
        archive.add(copy.name, arcname=path.name, recursive=False)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise OutputError(f"the database {path.name!r} cannot be copied: {error}; free some space") from error
