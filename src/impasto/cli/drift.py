"""``impasto drift``: whether recent results of a quality log are like those of a reference window."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.arguments import Json  # noqa: TC001 — typer reads the annotations
from impasto.cli.terminal import print_json, printable, result_console
from impasto.errors import InputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.evaluation.drift import DriftReport, MetricDrift
    from impasto.evaluation.quality_log import QualityRow

_Log = Annotated[
    Path, typer.Argument(metavar="LOG", show_default=False, help="a quality log, as impasto evaluate --log writes it")
]
_Reference = Annotated[
    str,
    typer.Option(
        "--reference",
        metavar="N|DATE",
        show_default=False,
        help="when all was well: the first N results, or all before a day or time (UTC unless it says otherwise)",
    ),
]
_Recent = Annotated[int, typer.Option("--recent", metavar="N", min=1, help="compare the last N results with them")]
_Engine = Annotated[
    str | None,
    typer.Option(
        "--engine", metavar="NAME", show_default=False, help="only this engine's results; if there are several"
    ),
]


def drift(
    log: _Log, *, reference: _Reference, recent: _Recent = 50, engine: _Engine = None, json: Json = False
) -> None:
    """Say whether results have changed: every metric's level and spread, and how many are not ok.

    [dim]impasto drift quality.sqlite --reference 2026-11-01 --recent 100[/dim]

    Exit codes: 0 steady, 3 drifted.
    """
    # Not by way of impasto.api: nothing here needs the second that PyTorch takes to load.
    from impasto.evaluation.drift import drift as compare
    from impasto.evaluation.gates import EXIT_CODES
    from impasto.evaluation.quality_log import QualityLog

    with QualityLog(log, "read") as opened:
        rows = opened.rows(engine=engine)
    report = compare(*_windows(rows, reference, recent))
    if json:
        print_json({"outcome": report.outcome, "reasons": list(report.reasons), **asdict(report)})
    else:
        _show(report)
    raise typer.Exit(EXIT_CODES[report.outcome])


def _windows(
    rows: Sequence[QualityRow], reference: str, recent: int
) -> tuple[Sequence[QualityRow], Sequence[QualityRow]]:
    """The rows of both windows, none of them in both.

    Raises:
        SettingsError: the reference is neither a number nor a time.
        InputError: there are fewer rows than both windows ask for.
    """
    if reference.isdecimal():
        first = int(reference)
    else:
        try:
            moment = datetime.fromisoformat(reference)
        except ValueError:
            raise SettingsError(
                f"--reference {reference!r} is neither a number of results nor a time; give one such as 200, "
                "2026-11-01 or 2026-11-01T12:00"
            ) from None
        until = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        first = sum(row.at < until for row in rows)
    if len(rows) < first + recent:
        raise InputError(
            f"the log has {len(rows)} results, but {first} for the reference and {recent} recent ones were asked for; "
            "ask for fewer, or wait for more results"
        )
    return rows[:first], rows[-recent:]


def _show(report: DriftReport) -> None:
    """Print the outcome with its reasons, and a line for every metric."""
    from rich.table import Table
    from rich.text import Text

    console = result_console()
    outcome = Text("drifted", "yellow") if report.reasons else Text("steady", "green")
    console.print(
        Text.assemble(outcome, f"  {report.recent} recent results against {report.reference} of the reference")
    )
    for reason in report.reasons:
        console.print(Text(f"  {printable(reason)}"))
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    for title in ("metric", "median then", "median now", "PSI", "at most", "level"):
        table.add_column(title, justify="left" if title in {"metric", "level"} else "right")
    for found in report.metrics:
        figures = (f"{found.median_then:.3f}", f"{found.median_now:.3f}", f"{found.psi:.2f}", f"{found.psi_limit:.2f}")
        table.add_row(printable(found.name), *figures, _level(found), style="yellow" if found.drifted else "")
    console.print(table)
    for rate in report.rates:
        console.print(
            Text(f"{rate.words} (change {rate.low:+.0%} to {rate.high:+.0%})", "yellow" if rate.drifted else "")
        )
    for reason in report.ignored:
        console.print(Text(f"not compared: {printable(reason)}", "dim"))


def _level(found: MetricDrift) -> str:
    """What the control chart says."""
    return f"{found.alarm.direction} from row {found.alarm.row + 1}" if found.alarm else "steady"
