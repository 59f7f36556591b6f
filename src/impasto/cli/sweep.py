"""``impasto sweep``: one or two settings varied, everything else fixed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.arguments import Content, Gates, Json, Quiet, output_option
from impasto.cli.options import given_settings, with_settings
from impasto.cli.progress import progress_on_stderr
from impasto.cli.run import handle_signals
from impasto.cli.terminal import print_json, printable, result_console, say, warnings_so_far
from impasto.errors import SettingsError
from impasto.progress import Cancelled, CancelToken
from impasto.settings import OptimizeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.api.sweeps import Cell, Sweep

_Styles = Annotated[
    list[Path],
    typer.Argument(metavar="STYLE", show_default=False, help="the pictures whose style is taken"),
]
_Vary = Annotated[
    list[str],
    typer.Option(
        "--vary",
        metavar="SETTING=VALUE,…",
        show_default=False,
        help="a setting and the values that it shall have, once or twice; a value that is a list has + between its "
        "parts: scales=128+256,256",
    ),
]
_Folder = Annotated[
    Path,
    output_option(
        "DIR", "a folder for the pictures, sweep.html and sweep.csv; what is there already of the same sweep is kept"
    ),
]


@with_settings(OptimizeSettings)
def sweep(
    content: Content,
    style: _Styles,
    *,
    vary: _Vary,
    output: _Folder,
    gates: Gates = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Paint and judge every combination of one or two settings, everything else being equal.

    [dim]impasto sweep photo.jpg painting.jpg --vary strength=0,0.25,0.5,0.75,1 -o sweep[/dim]

    The pictures, a page with contact sheet and curves (sweep.html) and a table (sweep.csv) are in DIR afterwards.
    Ctrl-C leaves what is finished, and the same command goes on from there.
    """
    varied = _varied(vary)
    options = given_settings(OptimizeSettings, settings)
    token = CancelToken()
    done = 0

    def begin(number: int, count: int, label: str) -> None:
        if not quiet:
            say(printable(f"{number}/{count} {label}"))

    def end(number: int, count: int, cell: "Cell") -> None:  # noqa: ARG001 — begin has said them
        nonlocal done
        done += cell.output is not None
        if not quiet:
            say(printable(f"  {_outcome(cell)}"))

    with handle_signals(token, keep=False, leftover=None) as signals:
        try:
            with progress_on_stderr(quiet=quiet, token=token) as on_progress:
                from impasto import api

                api.reuse_memory()
                found = api.sweep(
                    content,
                    style,
                    vary=varied,
                    output=output,
                    gates=gates,
                    on_start=begin,
                    on_cell=end,
                    on_progress=on_progress,
                    cancel=token,
                    **options,
                )
        except Cancelled:
            say(f"cancelled; {done} finished picture{'' if done == 1 else 's'} in {output}, the same command goes on")
            raise typer.Exit(128 + (signals[0] if signals else 2)) from None
    if json:
        print_json({**found.to_dict(), "warnings": warnings_so_far()})
    elif not quiet:
        _show(found)


def _varied(texts: "Sequence[str]") -> "Mapping[str, Sequence[Any]]":
    """Settings with their values.

    Raises:
        SettingsError: one cannot be read, is unknown, or stands there twice.
    """
    fields = OptimizeSettings.model_json_schema()["properties"]
    varied: dict[str, list[Any]] = {}
    for text in texts:
        given, equals, values = text.partition("=")
        name = given.strip().removeprefix("--").replace("-", "_")
        if not equals or not values.strip():
            raise SettingsError(f"--vary {text!r} has no values; give a setting and values, such as strength=0,0.5,1")
        if name not in fields:
            raise SettingsError(f"--vary {text!r}: no setting named {name!r}; there are {', '.join(sorted(fields))}")
        if name in varied:
            raise SettingsError(f"--vary {name} is given twice; give all of its values at once")
        kinds = [kind.get("type") for kind in (fields[name], *fields[name].get("anyOf", ()))]
        parts = [part.strip() for part in values.split(",")]
        if "array" in kinds or "object" in kinds:
            parts = [part.replace("+", ",") for part in parts]
        varied[name] = [given_settings(OptimizeSettings, {name: part})[name] for part in parts]
    return varied


def _outcome(cell: "Cell") -> str:
    """What came of a combination, in words."""
    if cell.evaluation is None:
        return cell.problem or ""
    verdict = cell.evaluation.verdict
    made = "kept" if cell.seconds is None else f"{cell.seconds:.0f} s"
    return f"{verdict.outcome}{': ' if verdict.reasons else ''}{'; '.join(verdict.reasons)} ({made})"


def _show(found: "Sweep") -> None:
    """Print the main figures of every combination, and how each goes with the setting."""
    from rich.table import Table

    from impasto import api

    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("combination")
    table.add_column("verdict")
    for name in api.MAIN_METRICS:
        table.add_column(name, justify="right")
    for cell in found.cells:
        if cell.evaluation:
            figures = [f"{cell.evaluation.values[name]:.3f}" for name in api.MAIN_METRICS]
            table.add_row(printable(cell.label), cell.evaluation.verdict.outcome, *figures)
        else:
            table.add_row(printable(cell.label), "–")
    for at in dict.fromkeys(trend.at for trend in found.trends):
        rho = {trend.metric: trend.spearman for trend in found.trends if trend.at == at}
        if all(value is None for value in rho.values()):
            continue
        shown = ["–" if (value := rho.get(name)) is None else f"{value:+.2f}" for name in api.MAIN_METRICS]
        table.add_row(f"Spearman{' ' if at else ''}{at}", "", *shown, style="dim")
    result_console().print(table)
    say(f"{found.folder / 'sweep.html'}: contact sheet and curves")
