"""Jobs on a Ray cluster: Ray Data over actors that keep their networks.

Traps stepped around: an actor pool that takes every CPU starves the tasks that read (ray #44687), so each actor asks
for a part of one; an exception loses a whole block, so rows come back as data; a worker or node that is lost has its
row done again, so what a row writes depends on the row alone.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from impasto.batch.job import Job, Result
from impasto.errors import EngineError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from impasto.progress import CancelToken

#: Share of a CPU that an actor asks for; what is left reads and schedules.
_SHARE: Final = 0.5
_KNOCK_S: Final = 5.0


@contextmanager
def ray_cluster(address: str) -> Iterator[Any]:
    """Ray, started on this machine or joined to a cluster while the block runs; one that is there already stays.

    Args:
        address: ``local`` starts it on this machine; otherwise that of a cluster, such as ``auto``.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: there is no cluster at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtraError(
            "Ray is not installed; install it with: pip install 'impasto[ray]', or leave --ray out"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    try:
        _knock(address)
        here = {"address": None, "include_dashboard": False} if address == "local" else {"address": address}
        ray.init(**here, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"there is no Ray cluster at {address!r}: {_first_line(error)}; start one, or use local"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


class RayRunner:
    """Calls functions for jobs on a cluster whose machines see the same folders; inside a ``with`` block.

    Args:
        address: see :func:`ray_cluster`.
        workers: actors at most; None: one for each CPU of the cluster.
        cancel: looked at between two results.
    """

    def __init__(self, address: str, workers: int | None, cancel: CancelToken) -> None:
        self._address, self._workers, self._cancel = address, workers, cancel
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start Ray, or go to the cluster; see :func:`ray_cluster`."""
        self._open.enter_context(ray_cluster(self._address))
        from ray.data import DataContext

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        DataContext.get_current().enable_progress_bars = False
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __call__(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | None]]:
        """Call a function for every job and give what it returned as it comes, each once.

        Args:
            function: importable by name; it raises nothing.
            jobs: the rows.

        Yields:
            Each job with its result; None for one that was lost again and again.

        Raises:
            EngineError: the cluster was lost.
        """
        import ray
        from ray.data import ActorPoolStrategy

        if not jobs:
            return
        # Nobody else's rows are asked for, so the belt may be as wide as the campaign.
        ray.data.DataContext.get_current().max_errored_blocks = len(jobs)
        found = ray.cluster_resources()
        most = max(1, min(self._workers or int(found.get("CPU", 1)), len(jobs)))
        waiting = {job.key: job for job in jobs}
        try:
            rows = ray.data.from_items([{"job": job.model_dump_json()} for job in jobs], override_num_blocks=len(jobs))
            painted = rows.map_batches(
                _Worker,
                fn_constructor_args=(f"{function.__module__}:{function.__qualname__}",),
                batch_size=1,
                compute=ActorPoolStrategy(min_size=1, max_size=most),
                num_cpus=_SHARE,
                num_gpus=min(1.0, found.get("GPU", 0) / most),  # several share one where there are few
            )
            for row in painted.iter_rows():
                self._cancel.check()
                result = Result.model_validate_json(row["result"])
                job = waiting.pop(result.key, None)
                if job is not None:  # a row that was done again comes once
                    yield job, result
                if self._cancel.stopped:
                    return
        except ray.exceptions.RayError as error:
            raise EngineError(f"the Ray cluster was lost: {_first_line(error)}; the same command goes on") from None
        for job in waiting.values():
            yield job, None


class _Worker:
    """An actor: the function's networks are loaded once and kept."""

    def __init__(self, function: str) -> None:
        from importlib import import_module

        import torch

        torch.set_num_threads(1)  # as many actors as CPUs
        module, _, name = function.partition(":")
        self._function: Callable[[Job], Result] = getattr(import_module(module), name)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Rows of jobs, as rows of results."""
        return {"result": [self._function(Job.model_validate_json(job)).model_dump_json() for job in batch["job"]]}


def _knock(address: str) -> None:
    """Ray itself tries for minutes where nobody listens.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), _KNOCK_S).close()


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
