"""``impasto batch``: one look over many pictures, each painted once, with a report to decide on."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.arguments import OUTPUT_PANEL, Json, Quiet, Sign
from impasto.cli.progress import Count, counts_on_stderr, duration
from impasto.cli.run import handle_signals
from impasto.cli.terminal import print_json, printable, say, warnings_so_far
from impasto.progress import Cancelled, CancelToken

if TYPE_CHECKING:
    from impasto.batch.job import Result
    from impasto.batch.plan import Plan

#: Rows between two lines where stderr is no terminal.
_LINE_ROWS = 20
_SHOWN_PROBLEMS = 20


def batch(
    pack: Annotated[
        str,
        typer.Argument(
            metavar="PACK", show_default=False, help="a brand pack, .toml; or a style, for one without rules"
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT", show_default=False, help="pictures, folders, patterns in quotes, or addresses (s3://…)"
        ),
    ] = None,
    *,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="DIR", show_default=False, help="the campaign's folder, or an address"),
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            show_default=False,
            help="in place of INPUT: CSV, .jsonl or .toml with a picture a row, and if wanted style and settings",
        ),
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions", metavar="FILE", show_default=False, help="from the report; by default decisions.json in DIR"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="INT", min=1, show_default=False, help="processes; by default one for each core"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|ADDRESS",
            show_default=False,
            help="run on Ray: here, or on a cluster that sees the same folders",
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="only say what would be done, and what it would cost")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="only what failed before")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", rich_help_panel=OUTPUT_PANEL, help="replace files that are not the campaign's own"),
    ] = False,
    sign: Sign = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Paint many pictures in the styles of a brand pack, each once, and report on them.

    [dim]impasto batch brand.toml photos -o spring[/dim]

    The same command goes on after any end, paints what has changed and tries again what failed.
    DIR/report.html shows everything; decisions that are saved there are kept by the next run.
    """
    from impasto import api

    about: dict[str, Any] = {
        "output": output,
        "manifest": manifest,
        "decisions": decisions,
        "workers": workers,
        "failed_only": failed,
        "overwrite": overwrite,
    }
    if plan:
        planned = api.plan_campaign(pack, inputs or (), **about)
        if json:
            print_json(_document(planned))
        else:
            _show(planned)
        return
    token = CancelToken()
    with handle_signals(token, keep=True, leftover=None) as signals:
        try:
            with counts_on_stderr(quiet=quiet, token=token, due=_is_due) as show:
                began = time.monotonic()

                def on_result(number: int, count: int, result: "Result") -> None:
                    left = (time.monotonic() - began) / number * (count - number)
                    failed_so_far = f"; {result.picture}: {result.reason}" if result.status == "failed" else ""
                    numbers = f"{duration(left)} left{printable(failed_so_far)}"
                    show(Count(number, count, f"{number}/{count}", numbers))

                campaign = api.run_campaign(
                    pack,
                    inputs or (),
                    **about,
                    ray=ray,
                    sign=sign,
                    on_plan=None if quiet else _show,
                    on_result=on_result,
                    cancel=token,
                )
        except Cancelled:
            say("cancelled; the same command goes on")
            raise typer.Exit(128 + (signals[0] if signals else signal.SIGINT)) from None
    if not quiet:
        counts = ", ".join(f"{many} {name.replace('_', ' ')}" for name, many in campaign.counts.items() if many)
        say(f"{counts or 'nothing'}; {campaign.place / 'report.html'}")
        for row in campaign.failed[:_SHOWN_PROBLEMS]:
            say(printable(f"failed: {row.picture} as {row.style}: {row.reason}"))
    if json:
        print_json(campaign.to_dict() | {"warnings": warnings_so_far()})
    if token.stopped:
        raise typer.Exit(128 + signal.SIGINT)
    if campaign.failed:
        raise typer.Exit(2)


def _show(plan: "Plan") -> None:
    """What will be done, in a few lines."""
    for problem in plan.problems[:_SHOWN_PROBLEMS]:
        say(printable(f"left out {problem.name}: {problem.reason}"))
    if len(plan.problems) > _SHOWN_PROBLEMS:
        say(f"left out {len(plan.problems) - _SHOWN_PROBLEMS} more")
    for note in plan.notes:
        say(printable(note))
    say(f"{len(plan.jobs)} to paint, {len(plan.finished)} there already, {len(plan.left_out)} rejected")
    if plan.jobs:
        say(
            f"{plan.workers} worker{'s' if plan.workers > 1 else ''} of about {plan.memory_mb:,.0f} MiB; painting "
            f"takes about {duration(plan.seconds)}, judging and writing more; up to {plan.disk_mb:,.0f} of "
            f"{plan.free_disk_mb:,.0f} free MiB on the disk"
        )


def _document(plan: "Plan") -> dict[str, object]:
    return {
        "to_paint": [job.model_dump(mode="json") for job in plan.jobs],
        "finished": [row.model_dump(mode="json") for row in plan.finished],
        "left_out": [row.model_dump(mode="json") for row in plan.left_out],
        "problems": [vars(problem) for problem in plan.problems],
        "notes": list(plan.notes),
        "workers": plan.workers,
        "memory_mb": plan.memory_mb,
        "disk_mb": plan.disk_mb,
        "free_disk_mb": plan.free_disk_mb,
        "seconds": plan.seconds,
        "warnings": warnings_so_far(),
    }


def _is_due(count: Count) -> bool:
    return count.done % _LINE_ROWS == 0 or count.done == count.total or ";" in count.numbers
