"""The picture so far, written beside the output every few steps and removed once it is no longer needed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from impasto.cli.terminal import one_line, say
from impasto.errors import OutputError
from impasto.progress import Cancelled

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from impasto.progress import Progress


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
