"""``impasto compare``: versions on the same pairs, with a verdict for every metric."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from impasto.cli.arguments import Gates, Json, Quiet
from impasto.cli.terminal import print_json, printable, result_console, say, warnings_so_far
from impasto.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.api.comparisons import Comparison
    from impasto.api.sets import Judged
    from impasto.evaluation.manifest import Problem

_STYLES: Final = {"better": "green", "worse": "red", "equivalent": "green"}

_Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="SET",
        show_default=False,
        help="two sets or more, the oldest first: folders of outputs with their recipes inside, or manifests (CSV)",
    ),
]
_Names = Annotated[
    str | None,
    typer.Option(
        "--names", metavar="A,B,…", show_default=False, help="what the versions are called; by default as their folders"
    ),
]
_Inputs = Annotated[
    list[Path] | None,
    typer.Option("--inputs", metavar="DIR", show_default=False, help="where contents and styles lie; once per folder"),
]
_Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        show_default=False,
        help="what is compared, once per metric; by default the main ones. More metrics need more pairs",
    ),
]
_Guards = Annotated[
    list[str] | None,
    typer.Option(
        "--guard",
        metavar="NAME",
        show_default=False,
        help="a metric that a later version must not lose, once per metric; by default style_gain and recognition",
    ),
]
_Margins = Annotated[
    list[str] | None,
    typer.Option(
        "--margin",
        metavar="NAME=NUMBER",
        show_default=False,
        help="the largest difference in a metric that does not matter; choose it before you look",
    ),
]
_Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", show_default=False, help="write a page with every picture side by side"),
]


def compare(
    sources: _Sources,
    *,
    names: _Names = None,
    inputs: _Inputs = None,
    metric: _Metrics = None,
    guard: _Guards = None,
    margin: _Margins = None,
    gates: Gates = None,
    html: _Html = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare versions on the pairs of content and style that they share.

    [dim]impasto compare out-old out-new --inputs photos --inputs paintings --html report.html[/dim]

    Exit codes: 0 done, 3 a later version is worse than an earlier one in a metric that is guarded.
    """
    versions = _named(sources, names)
    margins = _margins(margin or [])

    from impasto import api

    def show(version: str, number: int, count: int, result: "Judged | Problem") -> None:
        if not quiet:
            reason = getattr(result, "reason", None)
            name = reason or result.entry.name  # type: ignore[union-attr]
            say(printable(f"{version} {number}/{count}: {name}"))

    found = api.compare(
        versions,
        inputs=inputs or [],
        metrics=metric or None,
        guards=guard or None,
        margins=margins,
        gates=gates,
        on_result=show,
    )
    if html:
        found.to_html(html)
    if json:
        print_json({**found.to_dict(), "warnings": warnings_so_far()})
    elif not quiet:
        _show(found)
    for loss in found.losses:
        say(printable(f"worse: {loss}"))
    raise typer.Exit(3 if found.losses else 0)


def _named(sources: "Sequence[Path]", names: str | None) -> "Mapping[str, Path]":
    """The sources by the versions' names.

    Raises:
        SettingsError: there are other numbers of them, or a name stands there twice.
    """
    if names is None:
        short = [source.absolute().stem if source.is_file() else source.absolute().name for source in sources]
        given = short if len(set(short)) == len(short) else [str(source) for source in sources]
    else:
        given = [name.strip() for name in names.split(",")]
    if len(given) != len(sources):
        raise SettingsError(f"--names has {len(given)} names for {len(sources)} versions; give one for each")
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise SettingsError(f"two versions are called {twice!r}; give each a name of its own with --names")
    return dict(zip(given, sources, strict=True))


def _margins(texts: "Sequence[str]") -> "Mapping[str, float]":
    """Margins by metric.

    Raises:
        SettingsError: one cannot be read.
    """
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise SettingsError(
                f"--margin {text!r} cannot be read; give a metric and a number: style_gain=0.02"
            ) from None
    return found


def _show(found: "Comparison") -> None:
    """Print a table for every two versions."""
    from rich.table import Table
    from rich.text import Text

    console = result_console()
    for contest in found.contests:
        same = f", {contest.identical} identical" if contest.identical else ""
        alone = f", {len(contest.unmatched)} without a counterpart" if contest.unmatched else ""
        console.print(Text(printable(f"{contest.b} against {contest.a}: {len(contest.matched)} outputs{same}{alone}")))
        table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
        table.add_column("metric")
        table.add_column("verdict")
        for name, result in contest.results.items():
            style = _STYLES.get(result.outcome, "")
            table.add_row(Text(name), Text(printable(contest.verdict(name)), style, overflow="fold"))
        console.print(table)
    console.print(Text(f"p by Wilcoxon, corrected by Holm for {found.tests} tests at once", "dim"))
