"""``impasto rerun``: a picture again, from the recipe inside it and the files it was made of."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.run import Run, refuse_overwriting, summary
from impasto.cli.terminal import print_json, say
from impasto.errors import InputError

if TYPE_CHECKING:
    from impasto.engines.base import OnProgress, Stylization
    from impasto.progress import CancelToken
    from impasto.recipe import Environment, Recipe, Source


def rerun(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="a picture that impasto wrote")
    ],
    *,
    content: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="where the content lies")
    ] = None,
    style: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", show_default=False, help="where a style lies; once per style, in any order"
        ),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="where the initial picture lies")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="where the picture goes; by default FILE's name with -rerun before the extension",
        ),
    ] = None,
    quality: Annotated[
        int, typer.Option(min=1, max=100, help="of JPEG, WebP and AVIF; the recipe does not hold it")
    ] = 95,
    quiet: Annotated[bool, typer.Option("--quiet", help="show only warnings and errors")] = False,
    json: Annotated[bool, typer.Option("--json", help="write what was done to stdout, as JSON")] = False,
) -> None:
    """Make a picture again from its recipe, and say whether it came out the same.

    The inputs are looked for by their names in FILE's folder and in the working directory, and taken only if
    their SHA-256 is the recipe's.
    """
    from impasto import api

    recipe = api.read_recipe(file)
    output = output or file.with_name(f"{file.stem}-rerun{file.suffix}")
    folders = (file.parent, Path())
    content_path = _find(recipe.content, [content] if content else [], folders, "--content")
    styles = [_find(source, style or [], folders, "--style") for source in recipe.styles]
    init_path = _find(recipe.init, [init] if init else [], folders, "--init") if recipe.init else None
    refuse_overwriting(output, [file, content_path, *styles, *([init_path] if init_path else [])])
    api.check_destination(output)
    before = file.read_bytes()

    def compute(on_progress: OnProgress, token: CancelToken) -> Stylization:
        return api.rerun(recipe, content_path, styles, init=init_path, on_progress=on_progress, cancel=token)

    stylization = Run(output=output, quality=quality, quiet=quiet)(compute)
    identical = output.read_bytes() == before
    differences = _differences(recipe.environment, stylization.recipe.environment)
    if not quiet:
        say(_verdict(file, stylization, recipe, identical=identical, differences=differences))
    if json:
        document = summary(stylization, output)
        print_json(document | {"identical": identical, "environment_differences": differences})


def _find(source: Source, given: list[Path], folders: tuple[Path, ...], option: str) -> Path:
    """The file with the source's hash: among those given if there are any, else by its name in the folders.

    Raises:
        InputError: there is none; the message names the file, its hash and the option that gives its place.
    """
    # The name is what a file claims; without its folders it cannot lead out of ours.
    places = given or [folder / PurePath(source.name).name for folder in folders]
    for path in places:
        if _sha256(path) == source.sha256:
            return path
    others = [str(path) for path in places if path.is_file()]
    found = f"{' and '.join(map(repr, others))} has another content" if others else "it was not found"
    raise InputError(
        f"rerun needs {source.name!r} with SHA-256 {source.sha256}, but {found}; give its place with {option}"
    )


def _sha256(path: Path) -> str | None:
    """SHA-256 of a file in hex, or None if there is no such file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differences(then: Environment, now: Environment) -> dict[str, list[str]]:
    """What of the environment is another than it was: by name, then and now."""
    before, after = then.model_dump(), now.model_dump()
    return {name: [str(before[name]), str(after[name])] for name in before if before[name] != after[name]}


def _verdict(
    file: Path,
    stylization: Stylization,
    recipe: Recipe,
    *,
    identical: bool,
    differences: dict[str, list[str]],
) -> str:
    """Whether the picture came out the same, and if not, what may be the reason."""
    if identical:
        return f"identical to {file}, byte for byte"
    if differences:
        changed = ", ".join(f"{name} {then} → {now}" for name, (then, now) in differences.items())
        return f"not identical to {file}; the environment differs: {changed}"
    if stylization.recipe == recipe:
        return f"not identical to {file}, but the recipes are: its format or quality is another"
    return f"not identical to {file}, although the environment is the same"
