"""Jobs on processes of this machine.

A process that dies takes nothing with it but the job it was at, which is tried again alone, and given up when it kills
a process a second time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Final, TypeVar

from impasto.batch.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from impasto.progress import CancelToken

T = TypeVar("T")

#: Seconds between two looks at whether the run was cancelled.
_LOOK_S: Final = 0.2
_TRIES: Final = 2


def run_local(
    function: Callable[[Job], T], jobs: Sequence[Job], workers: int, cancel: CancelToken
) -> Iterator[tuple[Job, T | None]]:
    """Call a function for every job, in processes, and give what it returned as it comes.

    Args:
        function: importable by name; it raises nothing.
        jobs: in the order in which they are begun.
        workers: processes; with 1, it runs in this one.
        cancel: looked at between two results; stopped, no more jobs are begun and those under way are finished.

    Yields:
        Each job with its result; None for one that killed its process twice.
    """
    if workers == 1:
        for job in jobs:
            if _ended(cancel):
                return
            yield job, function(job)
        return
    waiting, alone = deque(jobs), deque[Job]()
    tries: dict[str, int] = {}
    while (waiting or alone) and not _ended(cancel):
        # What was under way when a process died is tried one at a time: only one of them is to blame.
        lonely = bool(alone)
        queue = deque([alone.popleft()]) if lonely else waiting
        lost = yield from _one_pool(function, queue, 1 if lonely else workers, cancel)
        for job in lost:
            tries[job.key] = tries.get(job.key, 0) + 1
            if lonely and tries[job.key] >= _TRIES:
                yield job, None
            else:
                alone.append(job)


def _one_pool(
    function: Callable[[Job], T], queue: deque[Job], workers: int, cancel: CancelToken
) -> Generator[tuple[Job, T | None], None, list[Job]]:
    """Work on the queue until it is empty or a process dies; returns the jobs that were under way then."""
    running: dict[Future[T], Job] = {}
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (_threads(workers),))
    try:
        while (queue or running) and not (_ended(cancel) and not running):
            while queue and len(running) < workers and not _ended(cancel):
                job = queue.popleft()
                try:
                    running[pool.submit(function, job)] = job
                except BrokenProcessPool:
                    queue.appendleft(job)
                    return list(running.values())
            finished, _ = wait(running, _LOOK_S, FIRST_COMPLETED)
            for future in finished:
                if isinstance(future.exception(), BrokenProcessPool):
                    # Those that came through are not lost.
                    for other in finished:
                        if other.exception() is None:
                            yield running.pop(other), other.result()
                    return list(running.values())
            for future in finished:
                yield running.pop(future), future.result()
        return []
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(threads: int) -> None:
    """What a new process does first: Ctrl-C is the parent's business, and the cores are shared."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    from impasto.vgg.precision import reuse_memory

    torch.set_num_threads(threads)
    reuse_memory()


def _threads(workers: int) -> int:
    return max(
        1, (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) // workers
    )


def _ended(cancel: CancelToken) -> bool:
    """Whether no more jobs are to be begun.

    Raises:
        Cancelled: what is under way does not count either.
    """
    cancel.check()
    return cancel.stopped
