"""Shows a run's progress: a bar on a terminal, a line per scale elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from impasto.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType
    from rich.progress import ProgressColumn

    from impasto.engines.base import RunPlan
    from impasto.progress import CancelToken, OnProgress, Progress

    OnCount = Callable[["Count"], None]


@contextmanager
def progress_on_stderr(*, quiet: bool, token: CancelToken, above: RenderableType | None = None) -> Iterator[OnProgress]:
    """Give the function that shows a step of a run, in the way that fits where stderr goes.

    Args:
        quiet: show nothing.
        token: of the run; the bar says when it is about to stop.
        above: what stands above the bar on a terminal.
    """
    if quiet:
        yield lambda progress: None  # noqa: ARG005
    elif sys.stderr.isatty():
        with _bar(token, above) as show:
            yield show
    else:
        yield _lines()


def _lines() -> OnProgress:
    """One line when a scale begins: enough for a log file."""
    last = 0

    def show(progress: Progress) -> None:
        nonlocal last
        if progress.scale != last:
            last = progress.scale
            say(f"{_where(progress)}: {progress.steps} steps{_loss(progress, before=', ')}")

    return show


@contextmanager
def _bar(token: CancelToken, above: RenderableType | None) -> Iterator[OnProgress]:
    """A bar that disappears when the run ends, with what is above it."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    class Display(Bar):
        def get_renderables(self) -> Iterator[RenderableType]:
            if above is not None:
                yield above
            yield self.make_tasks_table(self.tasks)

    # Rich draws everything anew each time; a picture is too much for ten times a second.
    often = 10 if above is None else 2
    with Display(*_columns(), console=Console(stderr=True), transient=True, refresh_per_second=often) as bar:
        task = bar.add_task("preparing", total=None, numbers="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                total=1.0,
                completed=progress.fraction,
                description="stopping" if token.stopped else _where(progress),
                numbers=f"{_loss(progress, after='  ')}{duration(progress.eta_s)} left",
            )

        yield show


def _columns() -> tuple[ProgressColumn, ...]:
    """What a bar consists of."""
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn

    numbers = TextColumn("[dim]{task.fields[numbers]}[/dim]")
    return SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), numbers


class Count(NamedTuple):
    """Where a run stands that counts one thing: steps, or frames."""

    done: int
    total: int | None
    where: str
    """``step 5/4000``."""
    numbers: str
    """What stands behind it."""


@contextmanager
def counts_on_stderr(*, quiet: bool, token: CancelToken, due: Callable[[Count], bool]) -> Iterator[OnCount]:
    """Give the function that shows a count: a bar on a terminal, a line where one is ``due`` elsewhere."""
    if quiet:
        yield lambda count: None  # noqa: ARG005
        return
    if not sys.stderr.isatty():
        yield lambda count: say(f"{count.where}: {count.numbers}") if due(count) else None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(*_columns(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None, numbers="")

        def show(count: Count) -> None:
            where = "stopping" if token.stopped else count.where
            bar.update(task, total=count.total, completed=count.done, description=where, numbers=count.numbers)

        yield show


def show_plan(plan: RunPlan) -> None:
    """Say in one line, on stderr, what a run is about to do."""
    scales = f"{len(plan.scales)} scale{'s' if len(plan.scales) > 1 else ''}"
    say(f"{plan.width}×{plan.height} px in {scales}, {memory(plan)}, about {duration(plan.seconds)}")


def memory(plan: RunPlan) -> str:
    """``about 1,000 of 22,000 free MiB, whole``."""
    named = {"whole": "whole", "strips": "in strips", "tiles": "in tiles"}
    how = named.get(plan.memory, f"memory={plan.memory}")
    return f"about {plan.memory_mb:,} of {plan.free_mb:,} free MiB, {how}"


def _where(progress: Progress) -> str:
    return f"scale {progress.scale}/{progress.scales} {progress.width}×{progress.height}"


def _loss(progress: Progress, before: str = "", after: str = "") -> str:
    """The loss in words; nothing where there is none."""
    return "" if progress.loss is None else f"{before}loss {progress.loss:.4g}{after}"


def duration(seconds: float) -> str:
    """``0:07``, ``12:30``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
