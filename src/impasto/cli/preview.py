"""The picture so far: how often it may be taken, and as a file beside the output that goes when the run is over."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from impasto.cli.terminal import one_line, say
from impasto.errors import OutputError
from impasto.progress import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from impasto.progress import Progress


#: The shortest time from one preview of a live view to the next.
MIN_PAUSE_S: Final = 0.5

#: How often its own duration a live view pauses after a preview: 1/51 of a run at most is spent on previews.
PAUSES_PER_PREVIEW: Final = 50


class Pace:
    """Says when a live view may take its next preview, and keeps what they have cost.

    After a preview that took ``t`` seconds the next one waits for ``max(0.5, 50 t)`` seconds. What is measured
    is wall time, in whichever thread: on a busy machine previews become rarer.

    Args:
        clock: seconds, from any start.

    Example:
        >>> pace = Pace()
        >>> with pace.taking():
        ...     pass
        >>> pace.taken, pace.due()
        (1, False)
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.taken = 0
        self.spent_s = 0.0
        self._clock = clock
        self._cost_s = 0.0  # of the preview taken last
        self._next = float("-inf")

    def due(self) -> bool:
        """Whether the pause after the last preview is over."""
        return self._clock() >= self._next

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Around the work of a new preview."""
        self.taken += 1
        self._cost_s = 0.0
        with self.working():
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around work that the last preview causes later, such as encoding it in another thread."""
        began = self._clock()
        try:
            yield
        finally:
            now = self._clock()
            self._cost_s += now - began
            self.spent_s += now - began
            self._next = now + max(MIN_PAUSE_S, PAUSES_PER_PREVIEW * self._cost_s)


class Preview:
    """Writes previews inside a ``with`` block.

    They are gone when the block ends well or is cancelled. After an error the last one stays: it is then all
    that is left of a long computation.

    Args:
        output: where the final picture will go; ``out.png`` has its previews in ``out.preview.png``.
        every: steps from one preview to the next.

    Raises:
        OutputError: a file of the preview's name is there already; it might be the user's.
    """

    def __init__(self, output: Path, every: int) -> None:
        self.path = output.with_name(f"{output.stem}.preview{output.suffix}")
        if os.path.exists(self.path):  # noqa: PTH110 — a name that is too long is refused later, by the writer
            raise OutputError(
                f"{str(self.path)!r}, where the previews would go, is there already; remove it or choose another output"
            )
        self._every = every
        self._steps = 0
        self._failed = False

    def update(self, progress: Progress) -> None:
        """Count a step and write a preview if it is time; a preview that fails does not stop the run."""
        from impasto.images import Picture, write

        self._steps += 1
        if self._steps % self._every or self._failed:
            return
        try:
            write(Picture(progress.preview()), self.path)
        except OutputError as error:
            self._failed = True
            say(f"impasto: warning: no more previews: {one_line(error)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, (Cancelled, KeyboardInterrupt)):
            with suppress(OSError):
                self.path.unlink()
        elif os.path.exists(self.path):  # noqa: PTH110
            say(f"impasto: the last preview is kept: {self.path}")
