"""Jobs on processes of this machine.

A process that dies takes nothing with it but the job it was at, which is tried again alone, and given up when it kills
a process a second time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import TYPE_CHECKING, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from impasto.batch.job import Job
    from impasto.progress import CancelToken

T = TypeVar("T")

#: Seconds between two looks at whether the run was cancelled.
_LOOK_S: Final = 0.2
_TRIES: Final = 2


class LocalRunner:
    """Calls functions for jobs; inside a ``with`` block, its processes stay from one call to the next.

    Args:
        workers: processes; with 1, everything runs in this one.
        cancel: looked at between two results; stopped, no more jobs are begun and those under way are finished.
    """

    def __init__(self, workers: int, cancel: CancelToken) -> None:
        self._workers, self._cancel = workers, cancel
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, function: Callable[[Job], T], jobs: Sequence[Job]) -> Iterator[tuple[Job, T | None]]:
        """Call a function for every job and give what it returned as it comes.

        Args:
            function: importable by name; it raises nothing.
            jobs: in the order in which they are begun.

        Yields:
            Each job with its result; None for one that killed its process twice.
        """
        if self._workers == 1:
            for job in jobs:
                if self._ended():
                    return
                yield job, function(job)
            return
        waiting, tries = deque(jobs), Counter[str]()
        alone: deque[Job] = deque()
        while (waiting or alone) and not self._ended():
            # What was under way when a process died is tried one at a time: only one of them is to blame.
            lonely = bool(alone)
            queue = deque([alone.popleft()]) if lonely else waiting
            lost = yield from self._until_one_dies(function, queue)
            for job in lost:
                tries[job.key] += 1
                if lonely and tries[job.key] >= _TRIES:
                    yield job, None
                else:
                    alone.append(job)

    def _until_one_dies(
        self, function: Callable[[Job], T], queue: deque[Job]
    ) -> Generator[tuple[Job, T | None], None, list[Job]]:
        """Work on the queue until it is empty or a process dies; returns the jobs that were under way then."""
        running: dict[Future[T], Job] = {}
        pool = self._opened()
        while running or (queue and not self._ended()):
            while queue and len(running) < self._workers and not self._ended():
                try:
                    running[pool.submit(function, queue[0])] = queue[0]
                except BrokenProcessPool:
                    return self._closed_with(running)
                queue.popleft()
            finished, _ = wait(running, _LOOK_S, FIRST_COMPLETED)
            self._ended()
            broken = False
            for future in finished:
                if isinstance(future.exception(), BrokenProcessPool):
                    broken = True
                else:
                    yield running.pop(future), future.result()
            if broken:
                return self._closed_with(running)
        return []

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context, about = multiprocessing.get_context("spawn"), (_threads(self._workers),)
            self._pool = ProcessPoolExecutor(self._workers, context, _begin, about)
        return self._pool

    def _closed_with(self, running: dict[Future[T], Job]) -> list[Job]:
        self._close()
        return list(running.values())

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _ended(self) -> bool:
        """Whether no more jobs are to be begun.

        Raises:
            Cancelled: what is under way does not count either.
        """
        self._cancel.check()
        return self._cancel.stopped


def _begin(threads: int) -> None:
    """What a new process does first: Ctrl-C is the parent's business, and the cores are shared."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    from impasto.vgg.precision import reuse_memory

    torch.set_num_threads(threads)
    reuse_memory()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: a pool whose owner was killed waits for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(workers: int) -> int:
    return max(1, cores() // workers)
