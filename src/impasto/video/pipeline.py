"""Reading, painting and writing at the same time: a thread that works ahead, and one that follows behind."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")
P = ParamSpec("P")

#: Frames that may wait between two threads: enough to even out, and independent of the video's length.
DEPTH: Final = 4
_END: Final = object()


def ahead(items: Iterator[T]) -> Generator[T]:
    """The same items, made by a thread that is a few of them ahead; what it raises is raised where they are taken."""
    with ThreadPoolExecutor(1, "impasto-ahead") as pool:
        waiting: deque[Future[Any]] = deque(pool.submit(next, items, _END) for _ in range(DEPTH))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)


class Behind(Generic[P]):
    """Calls a function in a thread of its own, in the order of the calls; inside a ``with`` block.

    What the function raised is raised by a later :meth:`put`, or at the end of the block.
    """

    def __init__(self, function: Callable[P, None]) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(1, "impasto-behind")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            self.wait()
        except Exception:
            if error is None:  # else the first error counts
                raise
        finally:
            self._pool.shutdown(cancel_futures=True)

    def put(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """One call; waits while too many are waiting."""
        while len(self._waiting) >= DEPTH:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._function, *args, **kwargs))

    def wait(self) -> None:
        """Until everything that was handed over is done."""
        while self._waiting:
            self._waiting.popleft().result()
