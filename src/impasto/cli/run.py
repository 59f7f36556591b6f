"""Runs a computation that can be watched and interrupted, and writes what it gives."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import typer

from impasto.cli.inputs import refuse_overwriting
from impasto.cli.live_terminal import TerminalPicture
from impasto.cli.preview import Preview
from impasto.cli.progress import duration, progress_on_stderr
from impasto.cli.terminal import say, warnings_so_far
from impasto.errors import SettingsError
from impasto.progress import Cancelled, CancelToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from impasto.cli.live_page import LivePage
    from impasto.engines.base import Stylization
    from impasto.progress import OnProgress, Progress
    from impasto.recipe import Metadata

    Compute = Callable[[OnProgress, CancelToken], Stylization]


@dataclass(frozen=True)
class Run:
    """How a picture is computed, shown and written: the options that ``stylize`` and ``rerun`` share."""

    output: Path
    inputs: Sequence[Path]
    """The files that go in; none of them may be the output."""
    bit_depth: int = 8
    quality: int = 95
    metadata: Metadata = "full"
    sign: str | None = None
    """Who signs the file."""
    quiet: bool = False
    save_every: int | None = None
    keep_on_interrupt: bool = False
    preview: Literal["terminal", "page"] | None = None
    content: Path | None = None
    """What the page shows beside the picture."""
    workdir: Path | None = None
    """Where the run keeps its checkpoints."""

    def __call__(self, compute: Compute) -> Stylization:
        """Compute and write, or leave nothing behind.

        Raises:
            SettingsError: a preview that should be shown quietly, or a signature in a file that shall tell nothing.
            SigningError: the signer cannot sign.
            InputError: the output is an input or cannot be written; a preview in a terminal, and there is none.
            typer.Exit: the run was cancelled; 128 plus the signal's number.
        """
        refuse_overwriting(self.output, self.inputs)
        if self.sign and self.metadata == "none":
            raise SettingsError("--sign puts a manifest into the file and --metadata none nothing; use minimal")
        token = CancelToken()
        live = self._live(token)
        preview = Preview(self.output, self.save_every) if self.save_every else None
        leftover = preview.path if preview else None
        with handle_signals(token, keep=self.keep_on_interrupt, leftover=leftover) as signals:
            try:
                with preview or nullcontext():
                    stylization = self._computed(compute, token, preview, live)
            except Cancelled:
                say(f"cancelled; {self._what_is_left()}")
                raise typer.Exit(128 + (signals[0] if signals else signal.SIGINT)) from None
        if not self.quiet:
            if stylization.stopped_early:
                reason = "interrupted" if token.stopped else "the time is up"
                say(f"{reason}: the picture is as far as it had come")
            size = f"{stylization.picture.width}×{stylization.picture.height} px"
            say(f"{self.output}: {size} in {duration(stylization.timings['total'])}")
        return stylization

    def _what_is_left(self) -> str:
        """What a cancelled run leaves, in words."""
        if self.workdir is None:
            return "nothing was written"
        # A run shorter than the time between two checkpoints has none.
        kept = any(self.workdir.glob("*.safetensors"))
        return f"the same command goes on from {self.workdir}" if kept else f"no checkpoint was in {self.workdir} yet"

    def _live(self, token: CancelToken) -> TerminalPicture | LivePage | None:
        """What shows the picture so far, if that is wanted."""
        if self.preview is None:
            return None
        if self.quiet:
            raise SettingsError(
                f"--preview {self.preview} shows the picture and --quiet shows nothing; leave one of them out"
            )
        if self.preview == "terminal":
            return TerminalPicture()
        from impasto.cli.live_page import LivePage  # a server is not what --help should wait for

        return LivePage(self.content, self.output, token)

    def _computed(
        self, compute: Compute, token: CancelToken, preview: Preview | None, live: TerminalPicture | LivePage | None
    ) -> Stylization:
        """Compute under the progress display, and write."""
        above = live if isinstance(live, TerminalPicture) else None
        with live or nullcontext():
            with progress_on_stderr(quiet=self.quiet, token=token, above=above) as show:
                from impasto import api  # under the display: it takes a second

                def on_progress(progress: Progress) -> None:
                    show(progress)
                    if preview:
                        preview.update(progress)
                    if live:
                        live.update(progress)

                api.check_destination(self.output, bit_depth=self.bit_depth)
                signer = api.load_signer(self.sign) if self.sign else None
                stylization = compute(on_progress, token)
            token.check()  # an interruption during the last step
            stylization.save(self.output, metadata=self.metadata, quality=self.quality)
            if signer:
                api.sign(self.output, signer)
            if live:
                live.finish(stylization.picture)
        return stylization


@contextmanager
def handle_signals(token: CancelToken, *, keep: bool, leftover: Path | None) -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into a request to the run, and a second one into an end at once.

    Gives the list of the signals that came.
    """
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if came:
            if leftover:
                leftover.unlink(missing_ok=True)
            if os.isatty(2):
                # The bar has hidden the cursor, and a picture may be half drawn. Not by sys.stderr, which may be in
                # the middle of a write.
                os.write(2, b"\x1b[0m\x1b[?25h\n")
            os._exit(128 + number)
        came.append(number)
        if keep and number == signal.SIGINT:
            token.stop()
        else:
            token.cancel()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(stylization: Stylization, output: Path) -> dict[str, object]:
    """What ``--json`` says about a picture that was written."""
    losses: dict[int, list[float]] = {}
    for point in stylization.trace:
        losses.setdefault(point.scale_px, []).append(point.loss)
    return {
        "output": str(output),
        "width": stylization.picture.width,
        "height": stylization.picture.height,
        "recipe": stylization.recipe.model_dump(mode="json"),
        "trace": [
            {"scale_px": scale, "first": values[0], "last": values[-1], "minimum": min(values)}
            for scale, values in losses.items()
        ],
        "timings": dict(stylization.timings),
        "peak_memory_mb": stylization.peak_memory_mb,
        "stopped_early": stylization.stopped_early,
        "warnings": warnings_so_far(),
    }
