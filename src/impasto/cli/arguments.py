"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated, Final

import typer

#: The panel of ``--help`` for what is written, and where.
OUTPUT_PANEL: Final = "Output"

#: A file with a recipe inside.
Painted = Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="a picture that impasto wrote")]

Quality = Annotated[int, typer.Option(min=1, max=100, rich_help_panel=OUTPUT_PANEL, help="of JPEG, WebP and AVIF")]

Quiet = Annotated[bool, typer.Option("--quiet", rich_help_panel=OUTPUT_PANEL, help="show only warnings and errors")]

Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT_PANEL, help="write a report to stdout, as one JSON document")
]
