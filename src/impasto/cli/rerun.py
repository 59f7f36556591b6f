"""``impasto rerun``: a picture or a video again, from the recipe inside it and the files it was made of."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from impasto.cli.arguments import ContentFile, FileQuality, Json, Painted, Quiet, StyleFiles, output_option
from impasto.cli.inputs import refuse_overwriting
from impasto.cli.progress import show_plan
from impasto.cli.run import Run, summary
from impasto.cli.terminal import print_json, say
from impasto.cli.video import summary as video_summary
from impasto.cli.video import watch
from impasto.inputs import RecipeFiles

if TYPE_CHECKING:
    from impasto.api.videos import OnVideoProgress, StylizedVideo
    from impasto.engines.base import Stylization
    from impasto.progress import CancelToken, OnProgress
    from impasto.recipe import Environment, Recipe

_Masks = Annotated[
    list[Path] | None,
    typer.Option("--mask", metavar="FILE", show_default=False, help="where a mask lies; once per mask, in any order"),
]
_Init = Annotated[
    Path | None,
    typer.Option("--init", metavar="FILE", show_default=False, help="where the initial picture lies"),
]
_Weights = Annotated[
    Path | None,
    typer.Option(
        "--vgg-weights",
        metavar="FILE",
        show_default=False,
        help="where the network's weights lie, if they are not the packaged ones",
    ),
]
_Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        show_default=False,
        help="where engine fast's network lies, if it is not the shipped one, or engine diffusion's model, a folder",
    ),
]
_Lora = Annotated[
    Path | None,
    typer.Option(
        "--lora",
        metavar="FILE",
        show_default=False,
        help="where the LoRA lies, if there is one: diffusion.safetensors of a style's folder",
    ),
]
_Output = Annotated[
    Path | None,
    output_option("FILE", "where it goes; by default FILE's name with -rerun before the extension"),
]


_PIXELS: Final = "pixel for pixel; what stands beside the pixels differs, such as a signature"


def rerun(
    file: Painted,
    *,
    content: ContentFile = None,
    style: StyleFiles = None,
    mask: _Masks = None,
    init: _Init = None,
    vgg_weights: _Weights = None,
    model: _Model = None,
    lora: _Lora = None,
    output: _Output = None,
    file_quality: FileQuality = 95,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make a picture or a video again from its recipe, and say whether it came out the same.

    The inputs are looked for by name in FILE's folder and in the working directory.
    They are taken only if their SHA-256 is the recipe's.
    JPEG, WebP and AVIF need the --file-quality that FILE was written with.
    """
    from impasto import api

    recipe = api.read_recipe(file)
    output = output or file.with_name(f"{file.stem}-rerun{file.suffix}")
    given = {
        "--content": [content] if content else [],
        "--style": style or [],
        "--mask": mask or [],
        "--init": [init] if init else [],
        "--vgg-weights": [vgg_weights] if vgg_weights else [],
        "--model": [model] if model else [],
    }
    folders = (file.parent, Path(), *api.reference_folders())
    if api.of_video(recipe):
        found = RecipeFiles.find(recipe, given, folders, sha256_of=api.video_sha256)
        _rerun_video(file, recipe, found, output, quiet=quiet, json=json)
        return
    found = RecipeFiles.find(recipe, given, folders)
    run = Run(
        output=output,
        inputs=[file, *found.files],
        bit_depth=recipe.settings.get("bit_depth", 8),
        quality=file_quality,
        quiet=quiet,
    )
    before = file.read_bytes()

    def compute(on_progress: "OnProgress", token: "CancelToken") -> "Stylization":
        api.reuse_memory()
        return api.rerun(
            recipe,
            found.content,
            found.styles,
            regions=found.regions,
            init=found.init,
            vgg_weights=str(found.vgg_weights) if found.vgg_weights else None,
            model=str(found.model) if found.model else None,
            lora=str(lora) if lora else None,
            on_plan=None if quiet else show_plan,
            on_progress=on_progress,
            cancel=token,
        )

    stylization = run(compute)
    identical = output.read_bytes() == before
    same_pixels = identical or api.same_pixels(file, output)
    differences = _differences(recipe.environment, stylization.recipe.environment)
    if not quiet:
        reason = "the recipes are: its format or quality is another" if stylization.recipe == recipe else None
        how = "byte for byte" if identical else _PIXELS if same_pixels else None
        say(_verdict(file, how, differences=differences, reason=reason))
    if json:
        document = summary(stylization, output)
        print_json(
            document | {"identical": identical, "identical_pixels": same_pixels, "environment_differences": differences}
        )


def _rerun_video(file: Path, recipe: "Recipe", found: RecipeFiles, output: Path, *, quiet: bool, json: bool) -> None:
    """The same for a video, whose frames are compared where its bytes are not the same."""
    from impasto import api

    refuse_overwriting(output, [file, *found.files])

    def paint(on_progress: "OnVideoProgress", token: "CancelToken") -> "StylizedVideo":
        return api.rerun_video(
            recipe,
            found.content,
            found.styles,
            output,
            regions=[(mask, style) for mask, style, _ in found.regions],
            vgg_weights=str(found.vgg_weights) if found.vgg_weights else None,
            model=str(found.model) if found.model else None,
            on_progress=on_progress,
            cancel=token,
        )

    done = watch(paint, output, quiet=quiet)
    identical = file.is_file() and output.read_bytes() == file.read_bytes()
    apart = 0 if identical else api.largest_difference(file, output)
    differences = _differences(recipe.environment, done.recipe.environment)
    if not quiet:
        reason = (
            "it has another number of frames, or another size"
            if apart is None
            else f"no pixel of any frame is more than {apart} of 255 levels away"
        )
        say(_verdict(file, "byte for byte" if identical else None, differences=differences, reason=reason))
    if json:
        document = {"identical": identical, "largest_difference": apart, "environment_differences": differences}
        print_json(video_summary(done) | document)


def _differences(then: "Environment", now: "Environment") -> dict[str, list[str]]:
    """What of the environment is another than it was: by name, then and now."""
    before, after = then.model_dump(), now.model_dump()
    return {name: [str(before[name]), str(after[name])] for name in before if before[name] != after[name]}


def _verdict(file: Path, how: str | None, *, differences: dict[str, list[str]], reason: str | None) -> str:
    """How it came out the same, and if it did not, what may be the reason or what is known of it."""
    if how is not None:
        return f"identical to {file}, {how}"
    found = f"not identical to {file}" + (f", but {reason}" if reason else "")
    if differences:
        changed = ", ".join(f"{name} {then} → {now}" for name, (then, now) in differences.items())
        return f"{found}; the environment differs: {changed}"
    return found if reason else f"{found}, although the environment is the same"
