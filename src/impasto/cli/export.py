"""``impasto export``: a network of engine fast as ONNX files, for other programs, browsers and phones."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.arguments import Json
from impasto.cli.terminal import print_json, say, warnings_so_far
from impasto.errors import OutputError

_Model = Annotated[
    Path | None,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="a file or a style's folder that impasto train wrote; by default the shipped any-style network",
    ),
]
_Folder = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", show_default=False, help="a folder for the files")
]
_SelfContained = Annotated[
    bool, typer.Option("--self-contained", help="put the weights into the .onnx files, not beside them")
]


def export(
    model: _Model = None, *, output: _Folder, self_contained: _SelfContained = False, json: Json = False
) -> None:
    """Write a network as ONNX: NAME.transfer.onnx paints, NAME.encoder.onnx turns a style into a code.

    [dim]impasto export -o onnx[/dim]

    Inputs and outputs are sRGB in [0, 1], (1, 3, height, width), any size from 20 px; all preparation is in the graphs.
    """
    from impasto import api

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot use {str(output)!r}: {error.strerror or error}; choose another folder") from None
    if model is not None and model.is_dir():
        model = api.trained_file(model)
    written = api.export_onnx(model, output, self_contained=self_contained)
    if json:
        print_json({"files": [str(path) for path in written], "warnings": warnings_so_far()})
    else:
        for path in written:
            say(f"{path}: {path.stat().st_size / 1000:,.0f} kB")
