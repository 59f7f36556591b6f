"""One chunk of a job: a second or two of computing that leaves a checkpoint, so that nothing more is ever lost.

The engine goes on from the checkpoint of the chunk before, and ends with the bytes of a run that was never cut. An
engine that paints in one pass has one chunk.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from filelock import FileLock, Timeout
from PIL import Image

from impasto import api
from impasto.errors import ImpastoError, OutputError, RefusedPictureError
from impasto.images import Picture, fit_size, resize, write
from impasto.jobs.job import ASSET
from impasto.progress import Cancelled, CancelToken
from impasto.provenance.safety import why_unsafe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.base import Stylization
    from impasto.jobs.job import Job, Wish
    from impasto.jobs.store import JobFolder, Store
    from impasto.progress import Progress
    from impasto.provenance.signers import Signer

    #: Says how far the job is; gives what it was asked for, if it was.
    Report = Callable[[dict[str, Any]], Wish | None]

T = TypeVar("T")

logger = logging.getLogger("impasto")

#: Engines that go on from a checkpoint.
_RESUMABLE: Final = frozenset({"optimize"})
#: A chunk is so long, or so many times what getting ready took, so that most of the time goes into painting; but no
#: longer than what is bearable to lose.
CHUNK_S: Final = 1.5
_WORTH: Final = 8.0
_LONGEST_S: Final = 5.0
_REPORT_S: Final = 0.25
_PREVIEW_S: Final = 0.8
_PREVIEW_PX: Final = 512
#: How PyTorch says on a CPU that there is no memory; on a GPU it says so by a kind of error that has the words too.
_NO_MEMORY: Final = re.compile("can't allocate memory|not enough memory|out of memory|bad_alloc", re.IGNORECASE)


class Chunk:
    """Computes one chunk.

    Args:
        job: whose.
        store: where its files lie.
        report: called a few times a second.
        is_leaving: whether the worker shall end; the chunk then ends early, with a checkpoint.
        alive: called whenever it gets on.
        one_step: whether it shall end after its first step.
        signer: who signs the result; None: nobody.
        safety: the safety check that looks at it; None: none does.
        own: settings of the engine that are the service's.
    """

    def __init__(
        self,
        job: Job,
        store: Store,
        report: Report,
        is_leaving: Callable[[], bool] = lambda: False,
        alive: Callable[[], None] = lambda: None,
        *,
        one_step: bool = False,
        signer: Signer | None = None,
        safety: str | None = None,
        own: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._job, self._store, self._report = job, store, report
        self._is_leaving, self._alive, self._one_step = is_leaving, alive, one_step
        self._signer, self._safety, self._own = signer, safety, own
        self._folder: JobFolder = store.job(job.id)
        self._token = CancelToken()
        self._ends = job.request.engine_name in _RESUMABLE
        self._wanted: Wish | None = None
        self._began = self._first_step = 0.0
        self._reported = self._previewed = 0.0
        self._last_step = self._megapixel_steps = 0.0

    def run(self) -> dict[str, Any] | None:
        """Compute until the chunk or the job ends.

        Returns:
            What is known of the result if the job is done; None if it goes on.

        Raises:
            Cancelled: the job was asked to end and drop its picture.
            RefusedPictureError: the safety check refuses the result; nothing of it is left.
            ImpastoError: the job cannot be done.
        """
        return alone_with(self._folder, self._is_leaving, self._alive, self._run)

    def _run(self) -> dict[str, Any] | None:
        if (facts := self._folder.facts()) is not None:
            return facts  # only the news of it was lost
        self._folder.hold_checkpoint()
        self._began = time.monotonic()
        request, owner = self._job.request, self._job.owner
        try:
            result = api.stylize(
                self._store.asset(request.content, owner=owner),
                [self._look(style) for style in request.styles],
                regions=[
                    (self._store.asset(region.mask, owner=owner), self._look(region.style))
                    for region in request.regions
                ],
                engine=request.engine if request.quality is None else None,
                quality=request.quality,
                workdir=self._folder.workdir,
                on_progress=self._on_progress,
                cancel=self._token,
                **{**request.settings, **self._own},
            )
        except Cancelled:
            if self._wanted == "discard":
                raise
            return None
        return self._finished(result)

    def _look(self, style: str) -> Path | str:
        """A style as the engine's call takes it: an upload's file, or a name of the library."""
        return self._store.asset(style, owner=self._job.owner) if ASSET.fullmatch(style) else style

    def _on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._first_step:
            self._last_step = now
            self._megapixel_steps += progress.width * progress.height / 1e6
        self._first_step = self._first_step or now
        if now - self._reported >= _REPORT_S:
            self._reported = now
            self._alive()
            self._wanted = self._report(_described(progress))
            if self._wanted == "discard":
                self._token.cancel()
            elif self._wanted == "keep":
                self._token.stop()
        if now - self._previewed >= _PREVIEW_S:
            self._previewed = now
            self._preview(progress.preview())
        least = max(CHUNK_S, min(_LONGEST_S, _WORTH * (self._first_step - self._began)))
        over = self._one_step or now - self._first_step >= least or self._is_leaving() or self._wanted == "pause"
        if self._ends and over and self._wanted in (None, "pause"):
            self._token.cancel()

    def _preview(self, pixels: Tensor) -> None:
        """Write the picture so far, small; a preview that cannot be written is no reason to fail."""
        height, width = pixels.shape[-2:]
        small = resize(pixels, *fit_size(height, width, min(_PREVIEW_PX, max(height, width)))).clamp(0, 1)
        try:
            write(Picture(small, None), self._folder.preview, metadata=None, quality=85)
        except OutputError as error:
            logger.warning("%s", error)

    def _finished(self, result: Stylization) -> dict[str, Any]:
        if self._safety:
            self._refuse_unsafe(result.picture, self._safety)
        path = self._folder.result(self._job.request.format)
        result.save(path)
        if self._signer:
            api.sign(path, self._signer, registry=self._store.registry)
        data = path.read_bytes()
        facts = {
            "width": result.picture.width,
            "height": result.picture.height,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "loss": result.recipe.loss,
            "steps": len(result.trace),
            "stopped_early": result.stopped_early,
            "peak_memory_mb": round(result.peak_memory_mb),
            "step_seconds_per_mp": round(self._seconds_per_megapixel(result.picture), 4),
        }
        self._folder.finish(facts)
        return facts

    def _refuse_unsafe(self, picture: Picture, safety: str) -> None:
        levels = (picture.pixels * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        if reason := why_unsafe(Image.fromarray(levels), safety):
            self._folder.discard()
            raise RefusedPictureError(f"the painted picture is refused: {reason}")

    def _seconds_per_megapixel(self, picture: Picture) -> float:
        """What a step takes, by the steps of this chunk; what painting took where it has one step."""
        if self._megapixel_steps:
            return (self._last_step - self._first_step) / self._megapixel_steps
        return (time.monotonic() - self._began) / (picture.width * picture.height / 1e6)


def alone_with(
    folder: JobFolder, is_leaving: Callable[[], bool], alive: Callable[[], None], run: Callable[[], T]
) -> T | None:
    """Call a function while no other process is at work on the job; None if the worker shall end before that.

    A worker that was taken for dead may still be at work on it: it ends its chunk first.
    """
    folder.make()
    lock = FileLock(folder.path / "lock")
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            alive()
            if is_leaving():
                return None
    try:
        return run()
    finally:
        lock.release()


def _described(progress: Progress) -> dict[str, Any]:
    """What a client sees of a step."""
    return {
        "fraction": round(progress.fraction, 4),
        "scale": progress.scale,
        "scales": progress.scales,
        "step": progress.step,
        "steps": progress.steps,
        "width": progress.width,
        "height": progress.height,
        "loss": progress.loss,
        "eta_s": round(progress.eta_s, 1),
    }


def reason_of(error: BaseException, store: Store) -> dict[str, str]:
    """Why a job failed, for its owner: without the server's paths, and without what only a programmer understands."""
    if isinstance(error, ImpastoError):
        text = " ".join(str(error).replace(str(store.home), "").split())
        return {"code": type(error).__name__, "detail": text}
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        return {"code": "memory", "detail": "there was not enough memory; use a smaller image_size"}
    return {"code": "internal", "detail": f"an internal error ({type(error).__name__}); the server's log has more"}
