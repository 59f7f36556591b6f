"""``impasto stylize``: the style of one picture, or of several, on the content of another."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from impasto.cli.arguments import (
    OUTPUT_PANEL,
    Content,
    EngineName,
    FileQuality,
    Gates,
    Json,
    Quality,
    Quiet,
    Regions,
    Sign,
    Styles,
    output_option,
)
from impasto.cli.options import with_settings
from impasto.cli.progress import show_plan
from impasto.cli.request import Request
from impasto.cli.run import Run, summary
from impasto.cli.terminal import print_json, say
from impasto.errors import SettingsError
from impasto.settings import ENGINES

if TYPE_CHECKING:
    from impasto.engines.base import Stylization
    from impasto.evaluation.judge import Evaluation
    from impasto.progress import CancelToken, OnProgress

_Output = Annotated[
    Path,
    output_option("FILE", "where the picture goes; the extension decides the format; a file of that name is replaced"),
]
_Metadata = Annotated[
    Literal["full", "minimal", "none"],
    typer.Option(
        "--metadata",
        rich_help_panel=OUTPUT_PANEL,
        help="what goes into the file: the recipe, which info and rerun need, and that a trained model took part; "
        "the latter alone; or nothing",
    ),
]
_SaveEvery = Annotated[
    int | None,
    typer.Option(
        "--save-every",
        min=1,
        metavar="STEPS",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
        help="every so many steps, write the picture so far beside FILE, with .preview before the extension; "
        "it is removed at the end",
    ),
]
_Workdir = Annotated[
    Path | None,
    typer.Option(
        "--workdir",
        metavar="DIR",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
        help="a folder for checkpoints: after an interruption the same command goes on where the run was",
    ),
]
_Gate = Annotated[
    bool,
    typer.Option(
        "--gate",
        rich_help_panel=OUTPUT_PANEL,
        help="judge what was written: ends with 3 if a person should look at it, with 4 if it is rejected",
    ),
]
_KeepOnInterrupt = Annotated[
    bool,
    typer.Option("--keep-on-interrupt", rich_help_panel=OUTPUT_PANEL, help="Ctrl-C ends early and keeps the picture"),
]

_Preview = Annotated[
    Literal["terminal", "page"] | None,
    typer.Option(
        "--preview",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
        help="show the picture so far: in this terminal, or on a page that only this machine can open",
    ),
]


@with_settings(*reversed(ENGINES.values()))
def stylize(
    content: Content,
    style: Styles = None,
    *,
    engine: EngineName = None,
    quality: Quality = None,
    region: Regions = None,
    output: _Output,
    metadata: _Metadata = "full",
    sign: Sign = None,
    file_quality: FileQuality = 95,
    save_every: _SaveEvery = None,
    workdir: _Workdir = None,
    keep_on_interrupt: _KeepOnInterrupt = False,
    preview: _Preview = None,
    gate: _Gate = False,
    gates: Gates = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Put the style of one picture, or of several, onto the content of another.

    [dim]impasto stylize photo.jpg painting.jpg -o out.png[/dim]

    Values with commas are lists: --style-weights 1,0.5 --scales 128,256 --layers relu1_1,relu4_1=0.5
    """
    asked = Request.parse(content, style, region, settings, engine=engine, quality=quality)
    run = Run(
        output=output,
        inputs=asked.files,
        bit_depth=asked.settings.bit_depth,
        quality=file_quality,
        metadata=metadata,
        sign=sign,
        quiet=quiet,
        save_every=save_every,
        keep_on_interrupt=keep_on_interrupt,
        preview=preview,
        content=content,
        workdir=workdir,
    )

    def compute(on_progress: "OnProgress", token: "CancelToken") -> "Stylization":
        from impasto import api

        api.reuse_memory()
        return api.stylize(
            content,
            asked.styles,
            regions=asked.regions_for_api,
            engine=asked.engine,
            workdir=workdir,
            on_plan=None if quiet else show_plan,
            on_progress=on_progress,
            cancel=token,
            **asked.options,
        )

    if gates and not gate:
        raise SettingsError("--gates changes the thresholds of --gate; give --gate too")
    if gates:
        from impasto import api

        api.Gates.load(gates)  # what is wrong with them is said before the run
    stylization = run(compute)
    evaluation = _judged(output, asked, stylization, gates, quiet=quiet) if gate else None
    if json:
        print_json(summary(stylization, output) | ({"gate": evaluation.to_dict()} if evaluation else {}))
    if evaluation:
        from impasto import api

        raise typer.Exit(api.EXIT_CODES[evaluation.verdict.outcome])


def _judged(
    output: Path, asked: Request, stylization: "Stylization", gates: Path | None, *, quiet: bool
) -> "Evaluation":
    """Judge the file as it was written, and say what came of it."""
    from impasto import api

    evaluation = api.evaluate(
        replace(stylization, picture=api.read(output)),  # the recipe counts even where --metadata none left it out
        content=asked.content,
        style=[*asked.styles, *(region.style for region in asked.regions)],
        gates=gates,
    )
    if not quiet:
        say(f"gate: {evaluation.verdict.outcome}")
        for reason in evaluation.verdict.reasons:
            say(f"  {reason}")
    return evaluation
