"""Ends this process when what it computes no longer gets on: a worker that hangs cannot put its job down itself.

The timer is Python's own for hung programs (faulthandler): it runs beside the interpreter, so it ends a process that
hangs inside a library too, and it says on stderr where that was. What ended so counts as one of the job's attempts.
"""

from __future__ import annotations

import faulthandler
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from impasto.jobs.job import MAX_SIZE_PX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How long a job may show no step: getting ready, and what a step takes for each megapixel. Not less, since a worker
#: gives way to others: at 512 px its first step came after 231 s on two cores that had 26 processes to serve.
_LEAST_S: Final = 600.0
_A_MEGAPIXEL_S: Final = 120.0


def patience_s(image_size: int | None) -> float:
    """How long a job of that longer side, px, may show no sign of life; None: it has the size of its photo."""
    return _LEAST_S + _A_MEGAPIXEL_S * (image_size or MAX_SIZE_PX) ** 2 / 1e6


@contextmanager
def watched(seconds: float) -> Iterator[Callable[[], None]]:
    """A block that ends the process once it was silent for so long; gives what says that it is not."""

    def alive() -> None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)

    alive()
    try:
        yield alive
    finally:
        faulthandler.cancel_dump_traceback_later()
