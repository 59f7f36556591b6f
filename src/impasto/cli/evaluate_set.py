"""``impasto evaluate`` of a folder or a manifest: every output judged, medians, shares, and what could not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.cli.terminal import print_json, printable, result_console, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from impasto.api.sets import Judged, SetEvaluation
    from impasto.evaluation.manifest import Problem


def evaluate_set(
    source: Path,
    manifest: Path | None,
    inputs: Sequence[Path],
    *,
    metrics: Sequence[str],
    controls: bool,
    gates: Path | None,
    log: Path | None,
    html: Path | None,
    quiet: bool,
    json: bool,
) -> int:
    """Judge the set, print what was found, and return the exit code: that of the worst output."""
    from impasto import api

    def on_result(number: int, count: int, found: Judged | Problem) -> None:
        if quiet:
            return
        if isinstance(found, api.Problem):
            say(printable(f"{number}/{count}  {found.name}: {found.reason}"))
        else:
            verdict = found.evaluation.verdict
            reasons = "; ".join(verdict.reasons)
            said = f"{verdict.outcome}{': ' if reasons else ''}{reasons}"
            say(printable(f"{number}/{count}  {found.entry.name}: {said}"))

    found = api.evaluate_set(
        source,
        manifest=manifest,
        inputs=inputs,
        metrics=metrics,
        controls=controls,
        gates=gates,
        log=log,
        on_result=on_result,
    )
    if html:
        found.to_html(html)
        if not quiet:
            say(printable(f"{html}: {len(found.rows)} outputs"))
    if json:
        print_json(found.to_dict())
    elif not quiet:
        _show(found)
    outcomes = [row.evaluation.verdict.outcome for row in found.rows]
    return max([api.EXIT_CODES[outcome] for outcome in outcomes], default=0) or (2 if found.problems else 0)


def _show(found: SetEvaluation) -> None:
    """Shares, notes, and each metric's median with its interval."""
    from rich.table import Table

    console = result_console()
    shares = ", ".join(f"{outcome} {share:.0%}" for outcome, share in found.shares.items())
    unjudged = f"; {len(found.problems)} could not be judged" if found.problems else ""
    console.print(f"{len(found.rows)} outputs of {found.pairs} pairs: {shares}{unjudged}")
    for note in found.notes:
        console.print(printable(note))
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    for title in ("metric", "median", "95 % interval", *(name.replace("_", " ") for name in found.controls)):
        table.add_column(title, justify="left" if title == "metric" else "right")
    for name, summary in found.summary.items():
        between = f"{summary.interval[0]:.3f} … {summary.interval[1]:.3f}" if summary.interval else ""
        beside = [f"{control[name].median:.3f}" for control in found.controls.values()]
        table.add_row(name, f"{summary.median:.3f}", between, *beside)
    console.print(table)
    for name, value in found.distances.items():
        console.print(f"{name}  {value:.2f}  (never compare it with another paper's, or another set's)")
