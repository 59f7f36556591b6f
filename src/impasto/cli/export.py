"""``impasto export``: what was trained, for other programs: networks of engine fast as ONNX, LoRAs as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from impasto.cli.arguments import Json
from impasto.cli.terminal import print_json, say, warnings_so_far
from impasto.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_Model = Annotated[
    Path | None,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="a file or a style's folder that impasto train wrote, for --lora-names a style's name too; by default the "
        "shipped any-style network",
    ),
]
_Folder = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        show_default=False,
        help="a folder for the files; with --lora-names the .safetensors file",
    ),
]
_SelfContained = Annotated[
    bool, typer.Option("--self-contained", help="put the weights into the .onnx files, not beside them")
]
_LoraNames = Annotated[
    Literal["kohya", "diffusers"] | None,
    typer.Option(
        "--lora-names",
        show_default=False,
        help="write the LoRA of a style: kohya (ComfyUI, AUTOMATIC1111 and others) or diffusers",
    ),
]


def export(
    model: _Model = None,
    *,
    output: _Folder,
    self_contained: _SelfContained = False,
    lora_names: _LoraNames = None,
    json: Json = False,
) -> None:
    """Write a network as ONNX: NAME.transfer.onnx paints, NAME.encoder.onnx turns a style into a code. Or write a LoRA.

    [dim]impasto export -o onnx[/dim]
    [dim]impasto export my-style --lora-names kohya -o my-style.safetensors[/dim]

    Inputs and outputs are sRGB in [0, 1], (1, 3, height, width), any size from 20 px; all preparation is in the graphs.
    """
    from impasto import api

    if lora_names is not None:
        if model is None or self_contained:
            raise SettingsError("--lora-names takes a style with a LoRA, and no --self-contained; give the style")
        _say([api.export_lora(model, output, names=lora_names)], json=json)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot use {str(output)!r}: {error.strerror or error}; choose another folder") from None
    if model is not None and model.is_dir():
        model = api.trained_file(model)
    _say(api.export_onnx(model, output, self_contained=self_contained), json=json)


def _say(written: "Sequence[Path]", *, json: bool) -> None:
    if json:
        print_json({"files": [str(path) for path in written], "warnings": warnings_so_far()})
    else:
        for path in written:
            say(f"{path}: {path.stat().st_size / 1000:,.0f} kB")
