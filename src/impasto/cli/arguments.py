"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from impasto.settings import ENGINES, QUALITIES

#: The panel of ``--help`` for what is written, and where.
OUTPUT_PANEL: Final = "Output"

#: The panel of ``--help`` for the pictures that go in.
INPUT_PANEL: Final = "Regions"


def output_option(metavar: str, help: str) -> Any:  # noqa: A002 — typer's own word
    """``-o``, ``--output`` of a verb that writes a file or a folder."""
    return typer.Option("-o", "--output", metavar=metavar, show_default=False, rich_help_panel=OUTPUT_PANEL, help=help)


#: A file with a recipe inside.
Painted = Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="a picture that impasto wrote")]

Content = Annotated[Path, typer.Argument(metavar="CONTENT", show_default=False, help="the picture to paint")]

Styles = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="STYLE",
        show_default=False,
        help="the pictures whose style is taken; or a style by its name (impasto styles list), folder or archive; with "
        "--region they may be left out, and the rest stays the photo",
    ),
]

Regions = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        metavar="MASK:STYLE[:STYLE_MASK]",
        show_default=False,
        rich_help_panel=INPUT_PANEL,
        help="a part of CONTENT, white in MASK, that takes its own STYLE, or what is white of it in STYLE_MASK; "
        "once per part",
    ),
]

FileQuality = Annotated[
    int, typer.Option("--file-quality", min=1, max=100, rich_help_panel=OUTPUT_PANEL, help="of JPEG, WebP and AVIF")
]

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="|".join(ENGINES),
        show_default=False,
        help="how it is painted: fast (one pass through a network), optimize (Gatys et al.) or diffusion (a diffusion "
        "model with an IP-Adapter; wants a GPU, and models: impasto models); by default optimize",
    ),
]

Quality = Annotated[
    str | None,
    typer.Option(
        "--quality",
        metavar="|".join(QUALITIES),
        show_default=False,
        help="draft: one pass; standard: one pass and a short optimisation; fine: the full optimisation",
    ),
]

Quiet = Annotated[bool, typer.Option("--quiet", rich_help_panel=OUTPUT_PANEL, help="show only warnings and errors")]

Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT_PANEL, help="write a report to stdout, as one JSON document")
]

Gates = Annotated[
    Path | None,
    typer.Option(
        "--gates",
        metavar="FILE",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
        help="a TOML file that changes thresholds of the gates",
    ),
]

Sign = Annotated[
    str | None,
    typer.Option(
        "--sign",
        metavar="WHO",
        envvar="IMPASTO_SIGN",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
        help="sign what is written (C2PA): local, local:FOLDER, or a plug-in's NAME:WHAT; see impasto provenance init",
    ),
]

#: Where files lie that a recipe names.
ContentFile = Annotated[
    Path | None, typer.Option("--content", metavar="FILE", show_default=False, help="where the content lies")
]
StyleFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--style",
        metavar="FILE",
        show_default=False,
        help="where a style lies, of the picture or of a region; once per style, in any order",
    ),
]
