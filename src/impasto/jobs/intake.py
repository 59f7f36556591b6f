"""Uploads: looked at by a child process, and kept under their hash if they are pictures."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from impasto.jobs.decode import CPU_S
from impasto.jobs.refusals import RefusedAssetError

if TYPE_CHECKING:
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


def _looked_at(data: bytes, safety: str | None) -> dict[str, Any]:
    with _DECODERS:
        try:
            child = subprocess.run(  # noqa: S603 — our own program
                [sys.executable, "-m", "impasto.jobs.decode", *([safety] if safety else [])],
                input=data,
                capture_output=True,
                timeout=_WAIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"code": "corrupt_image", "detail": "decoding it takes too long; save it again from the original"}
    if child.returncode:  # ended by its limits, or by a decoder that crashed
        return {"code": "corrupt_image", "detail": "decoding it fails; save it again from the original"}
    return dict(json.loads(child.stdout))
