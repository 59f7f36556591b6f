"""Pictures as an agent names them: what was uploaded, what a job made, a file in a folder that is open, a data URL.

Whatever it is becomes an asset of its owner: looked at by a child process, and kept under its hash.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import anyio

from impasto.agents.answers import quoted
from impasto.errors import InputError
from impasto.jobs.fetch import fetch
from impasto.jobs.job import ASSET, JOB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from impasto.jobs.engine import JobEngine
    from impasto.jobs.store import Store

#: Bytes of a picture inside a data URL: what is larger has no place in a conversation.
MOST_INLINE: Final = 256 << 10
#: Bytes of a file, as the service takes them.
MOST_BYTES: Final = 32 << 20

_WAYS: Final = "give asset:ID, job:ID, or a data URL of at most 256 KiB"


class Pictures:
    """Turns what an agent calls a picture into an asset.

    Args:
        jobs: where jobs are.
        store: where assets and results are kept.
        owner: whose.
        roots: folders whose files may be read, with everything below them.
        safety: the safety check that looks at them; None: none does.
        urls: whether they may be loaded from the public web.
    """

    def __init__(
        self,
        jobs: JobEngine,
        store: Store,
        owner: str,
        roots: Sequence[Path] = (),
        safety: str | None = None,
        *,
        urls: bool = False,
    ) -> None:
        self._jobs, self._store, self._owner, self._safety = jobs, store, owner, safety
        self._urls = urls
        self._roots = [root.resolve() for root in roots]

    def asset(self, picture: str) -> str:
        """The asset's id.

        Raises:
            InputError: it cannot be read, is too large, no picture, or not open to the caller.
        """
        kind, _, rest = picture.partition(":")
        if ASSET.fullmatch(picture) or kind == "asset":
            name = rest or picture
            self._store.asset(name, owner=self._owner)
            return name
        if kind == "job":
            return self._kept(self.result(rest).read_bytes())
        if kind == "data":
            return self._kept(_inline(picture))
        if kind in ("http", "https") and self._urls:
            return self._kept(anyio.run(partial(fetch, picture, most_bytes=MOST_BYTES)))
        if kind in ("http", "https", "ftp"):
            raise InputError(f"pictures are not loaded from addresses here; {self._ways()}")
        return self._kept(self._file(unquote(urlsplit(picture).path) if kind == "file" else picture))

    def name_of(self, picture: str) -> str:
        """A file's name without its extension, as far as another file may have it; nothing for what has no name."""
        if ASSET.fullmatch(picture) or picture.partition(":")[0] in ("asset", "job", "data"):
            return ""
        return re.sub(r"[^A-Za-z0-9 -]", "-", PurePath(picture).stem)[:40].strip()

    def result(self, job_id: str) -> Path:
        """The file that a job made.

        Raises:
            InputError: there is no such job, or it has none.
        """
        if not JOB.fullmatch(job_id):
            raise InputError(f"there is no job {quoted(job_id)}; job ids have 32 letters and digits")
        job = self._jobs.get(job_id, owner=self._owner)
        if job.state != "done":
            raise InputError(f"the job {job_id} has no picture yet: it is {job.state}; ask get_job, and wait")
        return self._store.job(job_id).result(job.request.format)

    def _kept(self, data: bytes) -> str:
        from impasto.jobs.intake import take  # Pillow comes with it

        return str(take(self._store, data, owner=self._owner, safety=self._safety)["id"])

    def _ways(self) -> str:
        return _WAYS + (f", or a file in {', '.join(map(str, self._roots))}" if self._roots else "")

    def _file(self, text: str) -> bytes:
        """A file's bytes.

        Raises:
            InputError: it lies in no folder that is open, or cannot be read.
        """
        if not self._roots:
            raise InputError(
                f"{quoted(text)} is no picture that this server can take: no folder of files is open to it "
                f"(impasto mcp --root DIR opens one); {_WAYS}"
            )
        if "\0" in text or len(text) > 4096:
            raise InputError(f"{quoted(text)} is no path of a file; {self._ways()}")
        for root in self._roots:
            path = (root / text).resolve()  # links are followed here, and nowhere below
            if path.is_relative_to(root):
                try:
                    return _read_below(root, path.relative_to(root))
                except OSError as error:
                    reason = os.strerror(error.errno) if error.errno else str(error)
                    raise InputError(
                        f"the file {quoted(text)} cannot be read: {reason.lower()}; check its name"
                    ) from None
        raise InputError(f"the file {quoted(text)} lies outside the folders that are open here; {self._ways()}")


def _inline(url: str) -> bytes:
    """The bytes of a data URL.

    Raises:
        InputError: it is too large, or none.
    """
    if len(url) > MOST_INLINE * 4 // 3 + 256:
        raise InputError(
            f"the data URL has {len(url) >> 10} KiB, and pictures inside a message may have "
            f"{MOST_INLINE >> 10} KiB; make it smaller, or upload it (POST /v1/assets) and give asset:ID"
        )
    head, comma, body = url.partition(",")
    if not comma or not re.fullmatch(r"data:image/[a-z0-9.+-]+(;[a-z0-9=.-]+)*;base64", head, re.IGNORECASE):
        raise InputError("a data URL of a picture begins with data:image/TYPE;base64, and goes on with its bytes")
    try:
        return base64.b64decode(unquote(body), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the data URL is not whole base64; send it again without line breaks or dots") from None


def _read_below(root: Path, path: Path) -> bytes:
    """A regular file's bytes, opened folder by folder without following any link.

    The path was resolved a moment ago; whoever puts a link into it since then is refused.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    at = os.open(root, flags | os.O_DIRECTORY)
    try:
        for part in path.parts[:-1]:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        opened = os.open(path.parts[-1] if path.parts else ".", flags, dir_fd=at)
    finally:
        os.close(at)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is no regular file")
        if found.st_size > MOST_BYTES:
            raise InputError(f"the file has {found.st_size >> 20} MiB, and at most {MOST_BYTES >> 20} MiB are taken")
        with os.fdopen(opened, "rb", closefd=False) as file:
            return file.read(MOST_BYTES + 1)
    finally:
        os.close(opened)
