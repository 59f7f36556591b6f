"""``impasto golden``: makes a set of outputs again and compares their figures with what is expected."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from impasto.cli.arguments import Json, Quiet  # noqa: TC001 — typer reads the annotations
from impasto.cli.terminal import print_json, printable, result_console, say

if TYPE_CHECKING:
    from impasto.api.golden import GoldenEntry, GoldenReport

_STYLES: Final = {"identical": "green", "within": "green", "outside": "yellow", "failed": "red"}

_Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        show_default=False,
        help="a folder with outputs and what they were made of, which may lie in DIR/inputs",
    ),
]
_Record = Annotated[
    bool, typer.Option("--record", help="write what is expected to DIR/golden.json, from the outputs as they are")
]


def golden(folder: _Folder, *, record: _Record = False, quiet: Quiet = False, json: Json = False) -> None:
    """Make the outputs of a golden set again, and say whether they are still what they were.

    [dim]impasto golden golden/ --record[/dim]

    [dim]impasto golden golden/[/dim]

    On the machine that made them the bytes are the same.
    On another the figures must stay within the tolerances in DIR/golden.json.

    Exit codes: 0 the same, 3 a figure is outside its tolerance or an output could not be made.
    """
    from impasto import api
    from impasto.api.golden import GOLDEN_FILE, check_golden, record_golden

    if record:
        written = record_golden(folder)
        if json:
            print_json(written.model_dump(mode="json"))
        elif not quiet:
            say(f"{folder / GOLDEN_FILE}: {len(written.outputs)} outputs")
        return
    api.reuse_memory()
    report = check_golden(folder, on_entry=None if quiet or json else _say)
    if json:
        print_json({"passed": report.passed, **asdict(report)})
    elif not quiet:
        _show(report)
    raise typer.Exit(0 if report.passed else api.EXIT_CODES["review"])


def _say(entry: GoldenEntry) -> None:
    """A line for an output as soon as it is done; a run takes a while."""
    say(f"{printable(entry.name)}: {_words(entry)}")


def _words(entry: GoldenEntry) -> str:
    """An entry's status in words."""
    if entry.status == "failed":
        return f"failed: {printable(entry.reason)}"
    outside = ", ".join(
        f"{name} {difference.expected:.3f} → {'–' if difference.found is None else f'{difference.found:.3f}'}"
        for name, difference in entry.outside.items()
    )
    return {
        "identical": "identical, byte for byte",
        "within": "other bytes, every figure within its tolerance",
        "outside": f"outside the tolerance: {outside}",
    }[entry.status]


def _show(report: GoldenReport) -> None:
    """Print the outcome, the largest difference of each metric, and what of the environment is another."""
    from rich.table import Table
    from rich.text import Text

    console = result_console()
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    for title in ("metric", "largest difference", "tolerance", "in"):
        table.add_column(title, justify="left" if title in {"metric", "in"} else "right")
    for name in dict.fromkeys(name for entry in report.entries for name in entry.differences):
        entry, difference = max(
            ((entry, entry.differences[name]) for entry in report.entries if name in entry.differences),
            key=lambda pair: pair[1].size,
        )
        style = "yellow" if difference.is_outside else ""
        size = f"{difference.size:.4f}" if difference.found is not None else "not computed"
        table.add_row(printable(name), size, f"{difference.tolerance:.3f}", printable(entry.name), style=style)
    if any(entry.status in {"within", "outside"} for entry in report.entries):
        console.print(table)
    changed = {name: pair for entry in report.entries for name, pair in entry.environment.items()}
    for name, (then, now) in changed.items():
        console.print(Text(f"environment: {name} {printable(then)} → {printable(now)}"))
    for name in report.unrecorded:
        console.print(Text(f"not in golden.json: {printable(name)}; record the set again to take it in", "yellow"))
    counts = {status: sum(entry.status == status for entry in report.entries) for status in _STYLES}
    parts = [(f"  {count} {status}", _STYLES[status]) for status, count in counts.items() if count]
    console.print(Text.assemble(("the same" if report.passed else "not the same", "bold"), *parts))
