"""Jobs on a Ray cluster: Ray Data over actors that keep their networks.

Traps stepped around: an actor pool that takes every CPU starves the tasks that read (ray #44687), so each actor asks
for a part of one; an exception loses a whole block, so rows come back as data; a worker or node that is lost has its
row done again, so what a row writes depends on the row alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

from impasto.batch.job import Job, Result
from impasto.errors import EngineError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from impasto.progress import CancelToken

T = TypeVar("T")

#: Share of a CPU that an actor asks for; what is left reads and schedules.
_SHARE: Final = 0.5
#: Times that a row whose worker or node was lost is done again.
_TRIES: Final = 3


def run_on_ray(
    function: Callable[[Job], Result], jobs: Sequence[Job], address: str, workers: int | None, cancel: CancelToken
) -> Iterator[tuple[Job, Result | None]]:
    """Call a function for every job on a cluster whose machines see the same folders.

    Args:
        function: importable by name; it raises nothing.
        jobs: the rows.
        address: ``local`` starts Ray on this machine; otherwise that of a cluster, such as ``auto``.
        workers: actors at most; None: one for each CPU of the cluster.
        cancel: looked at between two results.

    Yields:
        Each job with its result, each once, as they come.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: there is no cluster at that address, or it was lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
    except ImportError:
        raise MissingExtraError(
            "Ray is not installed; install it with: pip install 'impasto[ray]', or leave --ray out"
        ) from None
    if not jobs:
        return
    started = not ray.is_initialized()
    try:
        if started:
            about: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
            ray.init(address=None if address == "local" else address, **about)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"there is no Ray cluster at {address!r}: {_first_line(error)}; start one, or use local"
        ) from None
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = len(jobs)
        cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
        most = max(1, min(workers or cpus, len(jobs)))
        rows = ray.data.from_items([{"job": job.model_dump_json()} for job in jobs], override_num_blocks=len(jobs))
        painted = rows.map_batches(
            _Worker,
            fn_constructor_args=(f"{function.__module__}:{function.__qualname__}", 1),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=most),
            num_cpus=_SHARE,
            max_restarts=_TRIES,
            max_task_retries=_TRIES,
        )
        by_key = {job.key: job for job in jobs}
        for row in painted.iter_rows():
            cancel.check()
            result = Result.model_validate_json(row["result"])
            job = by_key.pop(result.key, None)
            if job is not None:  # a row that was done again comes once
                yield job, result
            if cancel.stopped:
                return
        for job in by_key.values():
            yield job, None
    except ray.exceptions.RayError as error:
        raise EngineError(f"the Ray cluster was lost: {_first_line(error)}; the same command goes on") from None
    finally:
        if started:
            ray.shutdown()


class _Worker:
    """An actor: the function's networks are loaded once and kept."""

    def __init__(self, function: str, threads: int) -> None:
        from importlib import import_module

        import torch

        torch.set_num_threads(threads)
        module, _, name = function.partition(":")
        self._function = getattr(import_module(module), name)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Rows of jobs, as rows of results."""
        return {"result": [self._function(Job.model_validate_json(job)).model_dump_json() for job in batch["job"]]}


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
