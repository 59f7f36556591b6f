"""Uploads: looked at by a child process, and kept under their hash if they are pictures; small pictures of files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import OutputError
from impasto.jobs.decode import CPU_S
from impasto.jobs.refusals import RefusedAssetError
from impasto.whole import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.jobs.store import Store

#: On a busy machine the child waits for its turn longer than it computes.
_WAIT_S: Final = 6 * CPU_S

#: Each decoder may take up to two gigabytes; more of them at once could take all the memory there is.
_DECODERS: Final = threading.BoundedSemaphore(2)


def take(store: Store, data: bytes, *, owner: str, safety: str | None = None) -> dict[str, Any]:
    """Keep an owner's upload; gives its ``id``, ``format``, ``width``, ``height`` and ``bytes``.

    Args:
        store: where it goes.
        data: the file.
        owner: whose it is.
        safety: the safety check that looks at it; None: none does.

    Raises:
        RefusedAssetError: it is no picture, too large, damaged, or the check refuses it.
        OutputError: it cannot be written.
    """
    found = look_at(data, safety=safety)
    return {"id": store.keep(data, owner=owner), **found, "bytes": len(data)}


def look_at(data: bytes, *, safety: str | None = None) -> dict[str, Any]:
    """What an upload is: ``format``, ``width`` and ``height``; nothing is kept.

    Raises:
        RefusedAssetError: as :func:`take`.
    """
    if not data:
        raise RefusedAssetError("the upload is empty; send a picture", code="unsupported_image")
    found = _looked_at(data, safety)
    if "code" in found:
        raise RefusedAssetError(f"the upload is not taken: {found['detail']}", code=found["code"])
    return found


def small_picture(file: Path, cache: Path, longer_px: int) -> Path:
    """A WebP of a picture's file for a page, its longer side at most ``longer_px``; made once, and kept in ``cache``.

    Raises:
        RefusedAssetError: the file cannot be decoded within the limits.
        OutputError: the small picture cannot be written.
    """
    about = file.stat()
    # A file that was replaced has another time, so what was made of the one before is not shown for it.
    key = f"{file}\0{about.st_mtime_ns}\0{about.st_size}\0{longer_px}"
    kept = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.webp"
    if not kept.is_file():
        child = _child("shrink", file.read_bytes(), str(longer_px))
        if child is None or child.returncode:
            raise RefusedAssetError("the picture cannot be shown: decoding it fails", code="corrupt_image")
        try:
            cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputError(f"cannot keep a small picture: {error.strerror or error}; free some space") from error
        write_whole(kept, child.stdout)
    return kept


def _looked_at(data: bytes, safety: str | None) -> dict[str, Any]:
    child = _child("decode", data, *([safety] if safety else []))
    if child is None:
        return {"code": "corrupt_image", "detail": "decoding it takes too long; save it again from the original"}
    if child.returncode:  # ended by its limits, or by a decoder that crashed
        return {"code": "corrupt_image", "detail": "decoding it fails; save it again from the original"}
    return dict(json.loads(child.stdout))


def _child(module: str, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes] | None:
    """What a limited process makes of a file; None if it took too long."""
    with _DECODERS:
        try:
            return subprocess.run(  # noqa: S603 — our own module, a number or a checked name
                [sys.executable, "-m", f"impasto.jobs.{module}", *words],
                input=data,
                capture_output=True,
                timeout=_WAIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
