"""``impasto generate``: a picture from words, in a style."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.arguments import FileQuality, Json, Quiet, output_option
from impasto.cli.options import given_settings, with_settings
from impasto.cli.progress import show_plan
from impasto.cli.run import Run, summary
from impasto.cli.terminal import print_json
from impasto.settings import DiffusionSettings
from impasto.settings.diffusion import OF_A_CONTENT

if TYPE_CHECKING:
    from impasto.engines.base import Stylization
    from impasto.progress import CancelToken, OnProgress

_Style = Annotated[
    list[str],
    typer.Option(
        "--style",
        metavar="STYLE",
        show_default=False,
        help="a style's name, folder or archive, trained or not; or a picture that shows it; may be repeated",
    ),
]
_Prompt = Annotated[
    str, typer.Option("--prompt", metavar="TEXT", show_default=False, help="what is to be seen, in words")
]
_Side = Annotated[int | None, typer.Option(metavar="PX", min=16, max=4096, show_default=False)]
_Output = Annotated[
    Path,
    output_option("FILE", "where the picture goes"),
]


@with_settings(DiffusionSettings, leave_out={*OF_A_CONTENT, "prompt"})
def generate(
    *,
    style: _Style,
    prompt: _Prompt,
    width: _Side = None,
    height: _Side = None,
    output: _Output,
    file_quality: FileQuality = 95,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Paint what words say, in a style, with engine diffusion.

    [dim]impasto generate --style my-style --prompt "a harbour at dusk" -o harbour.png[/dim]

    The style is one that impasto train dreambooth wrote, or any other, whose pictures then are references.
    Without --width and --height the picture is the model's own square.
    """
    given: dict[str, Any] = given_settings(DiffusionSettings, settings)
    checked = DiffusionSettings.of(**given, prompt=prompt)
    files = [Path(one) for one in style if Path(one).is_file()]
    run = Run(output=output, inputs=files, bit_depth=checked.bit_depth, quality=file_quality, quiet=quiet)

    def compute(on_progress: "OnProgress", token: "CancelToken") -> "Stylization":
        from impasto import api

        api.reuse_memory()
        return api.generate(
            style,
            prompt,
            width=width,
            height=height,
            on_plan=None if quiet else show_plan,
            on_progress=on_progress,
            cancel=token,
            **given,
        )

    stylization = run(compute)
    if json:
        print_json(summary(stylization, output))
