"""``impasto evaluate``: figures of an output, the gates' verdict, and the controls beside it; or of a whole set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from impasto.cli.arguments import Gates, Json, Quiet
from impasto.cli.terminal import print_json, printable, result_console
from impasto.errors import SettingsError

if TYPE_CHECKING:
    from impasto.evaluation.judge import Evaluation

_STYLES: Final = {"ok": "green", "review": "yellow", "reject": "red"}

#: What figures of a video mean.
_OF_VIDEOS: Final = {
    "warping_error": "change from a frame to the next of what stays the same; 0: none",
    "warping_ratio": "that over the source's own",
    "long_warping_error": "the same over ten frames",
    "long_warping_ratio": "that over the source's own",
    "flicker": "levels of 255 by which tiles vary where the source rests",
    "style_gain": "0: the source, 1: the style",
    "edge_content": "1: every edge where it was",
    "recognition": "1: the same things at the same places",
}

_Output = Annotated[
    Path,
    typer.Argument(
        metavar="OUTPUT", show_default=False, help="the picture to judge; a folder of them, or a manifest: a set"
    ),
]
_Content = Annotated[
    Path | None,
    typer.Option(
        "--content", metavar="FILE", show_default=False, help="what it was made from; by default as its recipe says"
    ),
]
_Styles = Annotated[
    list[Path] | None,
    typer.Option("--style", metavar="FILE", show_default=False, help="a style it shall have; once per style"),
]
_Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        show_default=False,
        help="of a set: CSV with the columns output, content, style; several styles with ; between them",
    ),
]
_Inputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--inputs", metavar="DIR", show_default=False, help="of a set: where contents and styles lie; once per folder"
    ),
]
_Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric", metavar="NAME", show_default=False, help="a metric beyond the default ones, such as lpips"
    ),
]
_Controls = Annotated[
    bool, typer.Option("--controls", help="judge outputs that are known to be bad beside it: the scale of the figures")
]
_Colors = Annotated[
    Literal["style", "content", "palette"] | None,
    typer.Option("--colors", show_default=False, help="whose colours it shall have; by default as its recipe says"),
]
_Palette = Annotated[
    str | None,
    typer.Option(
        "--palette",
        metavar="COLOR,…",
        show_default=False,
        help="brand colours that it shall keep to, such as #1d3557,#e63946; by default as its recipe says",
    ),
]
_Log = Annotated[
    Path | None,
    typer.Option(
        "--log", metavar="FILE", show_default=False, help="append a row to this SQLite file, for impasto drift"
    ),
]
_Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", show_default=False, help="of a set: write a page with every picture"),
]


_Video = Annotated[
    bool, typer.Option("--video", help="OUTPUT is a video, CONTENT the one it was painted from: how steady it is")
]


def evaluate(
    output: _Output,
    *,
    content: _Content = None,
    style: _Styles = None,
    manifest: _Manifest = None,
    inputs: _Inputs = None,
    metric: _Metrics = None,
    controls: _Controls = False,
    colors: _Colors = None,
    palette: _Palette = None,
    gates: Gates = None,
    log: _Log = None,
    html: _Html = None,
    video: _Video = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Judge an output, or a set of them: how much style, how much content, what is broken.

    [dim]impasto evaluate out.png --controls[/dim]

    Exit codes: 0 ok, 3 a person should look, 4 reject; of a set the worst, and 2 where only some could not be judged.
    """
    from impasto import api

    if video:
        others: dict[str, object] = {
            "--manifest": manifest,
            "--inputs": inputs,
            "--metric": metric,
            "--controls": controls,
        }
        others |= {"--colors": colors, "--palette": palette, "--gates": gates, "--log": log, "--html": html}
        for name, given in others.items():
            if given:
                raise SettingsError(f"{name} is not for videos; leave it or --video out")
        _evaluate_video(output, content, style, quiet=quiet, json=json)
        return
    if output.is_dir() or manifest or output.suffix.lower() == ".csv":
        _check_set(output, manifest, inputs, of_one=bool(content or style or colors or palette))
        from impasto.cli.evaluate_set import evaluate_set

        code = evaluate_set(
            output,
            manifest,
            inputs or [],
            metrics=metric or [],
            controls=controls,
            gates=gates,
            log=log,
            html=html,
            quiet=quiet,
            json=json,
        )
        raise typer.Exit(code)
    if inputs or html:
        raise SettingsError(f"--inputs and --html are for a set, but {str(output)!r} is no folder; leave them out")
    evaluation = api.evaluate(
        output,
        content=content,
        style=style or None,
        gates=gates,
        metrics=metric or [],
        controls=controls,
        colors=colors,
        palette=palette,
        log=log,
    )
    if json:
        print_json({"output": str(output), **evaluation.to_dict()})
    elif not quiet:
        show(evaluation)
    raise typer.Exit(api.EXIT_CODES[evaluation.verdict.outcome])


def _evaluate_video(output: Path, content: Path | None, style: list[Path] | None, *, quiet: bool, json: bool) -> None:
    """Judge a video, and print its figures with what they mean."""
    from impasto import api

    if content is None or not style:
        raise SettingsError("a video is judged beside its source and its style; give --content and --style")
    found = api.evaluate_video(output, content=content, style=style).to_dict()
    if json:
        print_json({"output": str(output), **found})
    elif not quiet:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2), pad_edge=False, show_header=False)
        for name, value in found.items():
            text = "–" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"
            table.add_row(name, text, _OF_VIDEOS.get(name, ""))
        result_console().print(table)


def show(evaluation: "Evaluation") -> None:
    """Print the verdict, every figure with its meaning, and the controls in columns beside it."""
    from rich.table import Table
    from rich.text import Text

    from impasto import api

    console = result_console()
    flagged = {finding.metric: finding.outcome for finding in evaluation.verdict.findings}
    console.print(Text.assemble("verdict  ", (evaluation.verdict.outcome, _STYLES[evaluation.verdict.outcome])))
    for reason in evaluation.verdict.reasons:
        console.print(Text(f"  {printable(reason)}"))
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    for title in ("metric", "output", *(name.replace("_", " ") for name in evaluation.controls)):
        table.add_column(title, justify="left" if title == "metric" else "right")
    if not evaluation.controls:
        table.add_column("better")
        table.add_column("meaning")
    metrics = {metric.name: metric for metric in api.metrics()}
    for name, value in evaluation.values.items():
        row = [Text(name), Text(f"{value:.3f}", _STYLES[flagged.get(name, "ok")] if name in flagged else "")]
        if not evaluation.controls:
            row += [Text(metrics[name].better), Text(metrics[name].meaning)]
        for control in evaluation.controls.values():
            worse = {finding.metric: finding.outcome for finding in control.verdict.findings}
            row.append(Text(f"{control.values[name]:.3f}", _STYLES[worse[name]] if name in worse else ""))
        table.add_row(*row)
    if evaluation.controls:
        outcomes = [evaluation.verdict, *(control.verdict for control in evaluation.controls.values())]
        table.add_row("verdict", *(Text(verdict.outcome, _STYLES[verdict.outcome]) for verdict in outcomes))
    console.print(table)
    if evaluation.palette:
        close, unused = evaluation.palette.within_close, len(evaluation.palette.unused)
        console.print(
            f"palette  {close:.0%} of the picture is close to a swatch; {unused} of the swatches are not used"
        )


def _check_set(output: Path, manifest: Path | None, inputs: list[Path] | None, *, of_one: bool) -> None:
    """Refuse what contradicts that a set is judged.

    Raises:
        SettingsError: options of one output were given, or two answers to what the outputs were made of.
    """
    if of_one:
        raise SettingsError(
            "--content and --style are of one output, and so are --colors and --palette; "
            "for a set give --manifest or --inputs"
        )
    if inputs and not (output.is_dir() and manifest is None):
        raise SettingsError("--inputs is for recipes, but a manifest names the files itself; leave --inputs out")
