"""Where the files of the service lie: one folder, in which every name is made here and none by a client.

assets/<owner>/ab/ab12…   uploads, named by their SHA-256, each owner's apart
jobs/<id>/run/       the checkpoint of a job that is not done
jobs/<id>/preview.jpg, result.png, result.json
small/               small pictures of uploads and styles for pages, made again when they are missing
jobs/<id>/campaign/  what `impasto batch` writes; the pictures that it is made of lie beside it
registry.sqlite      what was signed here
small/               pictures as pages show them, which may be removed at any time
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import OutputError
from impasto.jobs.job import ASSET, JOB
from impasto.jobs.refusals import UnknownAssetError, UnknownJobError
from impasto.whole import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_CHECKPOINT: Final = "checkpoint.safetensors"


class Store:
    """The folder of a service.

    Args:
        home: the folder; made if it is not there.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.registry = home / "registry.sqlite"  # what was signed here
        self.small = home / "small"  # pictures as pages show them; made again whenever they are missing
        try:
            for place in (home / "assets", home / "jobs"):
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputError(
                f"cannot use {str(home)!r} as the service's folder: {error.strerror or error}; choose another --home"
            ) from error

    def keep(self, data: bytes, *, owner: str) -> str:
        """Keep an upload; gives its id. The same bytes again are kept once.

        Raises:
            OutputError: it cannot be written.
        """
        name = hashlib.sha256(data).hexdigest()
        path = self._asset(name, owner)
        if path.exists():
            path.touch()  # it is wanted: no clean-up takes it as old
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise OutputError(f"cannot keep the upload: {error.strerror or error}; free some space") from error
            write_whole(path, data)
        return name

    def asset(self, name: str, *, owner: str) -> Path:
        """The file of an asset.

        Raises:
            UnknownAssetError: the owner has none of that id, or this is no id.
        """
        if not ASSET.fullmatch(name) or not (path := self._asset(name, owner)).is_file() or path.is_symlink():
            raise UnknownAssetError(f"there is no asset {name[:80]!r}; upload the picture first")
        return path

    def remove_asset(self, name: str, *, owner: str) -> None:
        """Remove an upload.

        Raises:
            UnknownAssetError: the owner has none of that id.
        """
        self.asset(name, owner=owner).unlink(missing_ok=True)

    def job(self, job_id: str) -> JobFolder:
        """The folder of a job, which may not be there yet.

        Raises:
            UnknownJobError: this is no id.
        """
        if not JOB.fullmatch(job_id):
            raise UnknownJobError(f"there is no job {job_id[:80]!r}")
        return JobFolder(self.home / "jobs" / job_id)

    def can_keep(self) -> bool:
        """Whether a file can be written where uploads lie."""
        try:
            with tempfile.TemporaryFile(dir=self.home / "assets") as file:
                file.write(b"x")
                file.flush()
        except OSError:
            return False
        return True

    def free_mb(self) -> int:
        """What the disk has left, MiB."""
        return shutil.disk_usage(self.home).free >> 20

    def _asset(self, name: str, owner: str) -> Path:
        # By its hash, because an owner's name may be one that a file system takes for something else.
        return self.home / "assets" / owner_folder(owner) / name[:2] / name


def owner_folder(owner: str) -> str:
    """The name of the folder that an owner's uploads lie in."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]


class JobFolder:
    """The files of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.workdir = path / "run"
        self.preview = path / "preview.jpg"
        self.campaign = path / "campaign"

    def make(self) -> None:
        """Make the folder.

        Raises:
            OutputError: it cannot be made.
        """
        try:
            self.workdir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputError(f"cannot make the job's folder: {error.strerror or error}; free some space") from error

    def hold_checkpoint(self) -> None:
        """Keep the checkpoint until the result is there: an engine removes it a moment before the result is written.

        It costs no copy, since the engine never writes into the file but puts another in its place.
        """
        checkpoint, held = self.workdir / _CHECKPOINT, self.path / _CHECKPOINT
        if checkpoint.exists():
            held.unlink(missing_ok=True)
            held.hardlink_to(checkpoint)
        elif held.exists():
            checkpoint.hardlink_to(held)

    def result(self, kind: str) -> Path:
        """Where the result lies, or shall."""
        return self.path / f"result.{kind}"

    def facts(self) -> dict[str, Any] | None:
        """What is known of the result; None before it is whole."""
        try:
            found = json.loads((self.path / "result.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return dict(found)

    def finish(self, facts: dict[str, Any]) -> None:
        """Say that the result is whole, and drop what only led to it.

        Raises:
            OutputError: it cannot be written.
        """
        write_whole(self.path / "result.json", json.dumps(facts).encode())
        self.drop_run()

    def drop_run(self) -> None:
        """Remove the checkpoints."""
        (self.path / _CHECKPOINT).unlink(missing_ok=True)
        shutil.rmtree(self.workdir, ignore_errors=True)

    def discard(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
