"""``impasto doctor``: whether impasto can work here, and what to do if not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.terminal import print_json, result_console, say

if TYPE_CHECKING:
    from impasto.diagnostics import Diagnosis


def doctor(
    *, json: Annotated[bool, typer.Option("--json", help="write the report to stdout, as JSON")] = False
) -> None:
    """Report what is installed and what it will compute with, and paint a tiny picture as a test.

    The exit code is 0 if all is well, and 1 otherwise.
    """
    try:
        from impasto import api
    except ImportError as error:
        say(f"impasto: error: {error}; install it again: pip install --force-reinstall impasto")
        raise typer.Exit(1) from None
    diagnosis = api.diagnose()
    if json:
        print_json(diagnosis.model_dump(mode="json"))
    else:
        _show(diagnosis)
    raise typer.Exit(0 if diagnosis.ok else 1)


def _show(diagnosis: Diagnosis) -> None:
    """Print the report as two columns, and the problems after it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in _rows(diagnosis):
        table.add_row(Text(name, "bold"), Text(value, overflow="fold"))
    console = result_console()
    console.print(table)
    for problem in diagnosis.problems:
        console.print(Text.assemble(("problem  ", "bold red"), problem))
    if diagnosis.ok:
        console.print(Text("all is well", "bold green"))


def _rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """The report in words."""
    machine, weights, test = diagnosis.machine, diagnosis.weights, diagnosis.self_test
    packaged = f"{weights.packaged_path}  (checksum {'fits' if weights.checksum_fits else 'does not fit'})"
    if test.passed:
        outcome = f"passed in {test.seconds:.1f} s: loss {test.first_loss:.4g} → {test.last_loss:.4g}"
    else:
        outcome = "failed"
    return [
        ("python", diagnosis.python),
        *((name, version or "missing") for name, version in diagnosis.packages.items()),
        *(
            (
                f"extra {name}",
                f"missing: {', '.join(missing)}; pip install 'impasto[{name}]'" if missing else "installed",
            )
            for name, missing in diagnosis.extras.items()
        ),
        ("device", f"{machine.device} ({machine.processor})"),
        ("precision", machine.reason),
        ("threads", str(machine.threads)),
        ("memory", f"{machine.memory_free_mb:,.0f} of {machine.memory_total_mb:,.0f} MiB free"),
        ("weights", packaged if weights.packaged_path else "missing"),
        (
            "weights cache",
            f"{weights.cache_path}  ({'there' if weights.cached else 'made at the first run'})",
        ),
        ("reads", ", ".join(diagnosis.readable)),
        ("writes", ", ".join(diagnosis.writable)),
        ("self-test", outcome),
    ]
