"""``impasto explain``: one page about a picture: what went in, what the method did, where it shows."""

from pathlib import Path
from typing import Annotated

from impasto.cli.arguments import ContentFile, Json, Painted, Quiet, StyleFiles, output_option
from impasto.cli.terminal import print_json, printable, say

_Output = Annotated[
    Path | None,
    output_option("FILE", "where the page goes; by default FILE's name with .html"),
]


def explain(
    file: Painted,
    *,
    content: ContentFile = None,
    style: StyleFiles = None,
    output: _Output = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Explain a picture on one page: what went in, what was done, and where style and content show.

    The inputs are looked for by name and SHA-256 in FILE's folder and in the working directory.
    The page is one HTML file that needs nothing else and asks nobody.
    """
    from impasto import api

    explanation = api.explain(file, content=content, style=style or ())
    page = explanation.save(output or file.with_suffix(".html"))
    if not quiet:
        for sentence in explanation.missing:
            say(printable(sentence))
        say(f"written: {printable(str(page))}")
    if json:
        found = explanation.evaluation
        print_json(
            {
                "page": str(page),
                "missing": list(explanation.missing),
                "evaluation": found.to_dict() if found else None,
            }
        )
