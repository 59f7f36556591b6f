"""The picture so far in the terminal: two pixels to a character, the upper as its colour, the lower as its background.

It assumes that a character is twice as high as wide. It does not draw the progress bar; that stands below it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Self

from impasto.cli.preview import Pace
from impasto.errors import InputError

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, ConsoleOptions, RenderResult

    from impasto.images import Picture
    from impasto.progress import Progress

#: Lines that are left to the progress bar and to the prompt after it.
_OTHER_LINES = 2


class TerminalPicture:
    """A renderable for :mod:`rich` that shows the newest preview, as large as the terminal allows.

    Raises:
        InputError: stderr is no terminal, or one that cannot move its cursor.
    """

    def __init__(self) -> None:
        if not sys.stderr.isatty() or os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
            raise InputError(
                "--preview terminal needs a terminal that shows colours, and stderr is none; "
                "use --preview page, or leave it out"
            )
        from rich.console import Console

        self.pace = Pace()
        self._console = Console(stderr=True)
        self._lines: list[str] = []
        self._drawn_for: object = None

    def update(self, progress: Progress) -> None:
        """Take a preview if it is time for one."""
        if self.pace.due():
            from impasto.images import Picture

            with self.pace.taking():
                self._draw(Picture(progress.preview()))

    def finish(self, picture: Picture) -> None:
        """Leave the final picture in the terminal; to be called when the bar has gone."""
        self._draw(picture)
        self._console.print(self)

    def _draw(self, picture: Picture) -> None:
        size = self._console.size
        true_color = self._console.color_system == "truecolor"
        self._lines = half_blocks(picture, size.width, size.height - _OTHER_LINES, true_color=true_color)
        self._drawn_for = size

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import ControlType, Segment

        if options.size != self._drawn_for:  # the window has another size now: wait for the next preview
            return
        for line in self._lines:
            # As control codes, whichever: rich passes them on as they are. As text it would measure and cut every
            # character, which costs twenty times as much as making it.
            yield Segment(line, None, [(ControlType.BELL,)])
            yield Segment.line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


def half_blocks(picture: Picture, columns: int, lines: int, *, true_color: bool = True) -> list[str]:
    """A picture as lines of upper half blocks with escape sequences for their colours.

    Args:
        picture: of any size; it is fitted, enlarged too, so that every scale of a run fills the same place.
        columns: how many characters a line may have, at least 1.
        lines: how many lines there may be; 1 if fewer.
        true_color: 24-bit colours; otherwise the 216 that nearly every terminal has.

    Returns:
        The lines without line ends; each one ends by resetting the colours.

    Example:
        >>> import torch
        >>> from impasto.images import Picture
        >>> half_blocks(Picture(torch.ones(3, 2, 1)), 80, 1)
        ['\\x1b[38;2;255;255;255;48;2;255;255;255m▀\\x1b[0m']
    """
    from impasto.images import resize

    ratio = min(columns / picture.width, 2 * max(1, lines) / picture.height)
    height, width = 2 * max(1, round(picture.height * ratio / 2)), max(1, round(picture.width * ratio))
    pixels = resize(picture.pixels, height, width)
    rows: list[list[tuple[int, int, int]]]
    if true_color:
        rows = (pixels * 255).round().byte().permute(1, 2, 0).tolist()
        codes = [[f"2;{r};{g};{b}" for r, g, b in row] for row in rows]
    else:
        rows = (pixels * 5).round().byte().permute(1, 2, 0).tolist()  # a cube of 6 x 6 x 6 colours, from 16 on
        codes = [[f"5;{16 + 36 * r + 6 * g + b}" for r, g, b in row] for row in rows]
    return [
        "".join(f"\x1b[38;{upper};48;{lower}m▀" for upper, lower in zip(*pair, strict=True)) + "\x1b[0m"
        for pair in zip(codes[::2], codes[1::2], strict=True)
    ]
