"""``impasto models``: the diffusion models that engine diffusion paints with."""

from dataclasses import asdict
from typing import Annotated, Final

import typer

from impasto.cli.arguments import Json, Quiet
from impasto.cli.terminal import print_json, printable, result_console, say

models_app = typer.Typer(
    help="The models of engine diffusion: list them, get them, check them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Names = Annotated[list[str], typer.Argument(metavar="MODEL", show_default=False, help="a model, or a part of one")]
_SomeNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", show_default=False, help="models, or parts; by default all that are here"),
]
_Name = Annotated[str, typer.Argument(metavar="MODEL", show_default=False, help="a model, or a part of one")]
_Accept = Annotated[bool, typer.Option("--accept-license", help="get models whose licence forbids commercial use, too")]
#: What ``verify`` finds that a person has to do something about.
_BAD: Final = ("changed", "damaged", "missing")


@models_app.command("list")
def list_models(*, json: Json = False) -> None:
    """List the parts of all models: licence, size, where they lie."""
    from impasto import api

    entries = api.list_models()
    if json:
        print_json({"models": [{**asdict(entry), "path": _text(entry.path)} for entry in entries]})
        return
    console = result_console()
    for entry in entries:
        place = "here" if entry.path is not None else "not here"
        use = "" if entry.commercial else ", no commercial use"
        console.print(printable(f"{entry.id:<22}{entry.gib:>5g} GiB  {place:<9} {entry.what} ({entry.licence}{use})"))
    for model in dict.fromkeys(name for entry in entries for name in entry.models):
        parts = [entry for entry in entries if model in entry.models]
        named = ", ".join(entry.id for entry in parts)
        console.print(printable(f"--model {model}: {sum(entry.gib for entry in parts):.1f} GiB of {named}"))


@models_app.command()
def path(model: _Name, *, json: Json = False) -> None:
    """Say where a model lies."""
    from impasto import api

    paths = api.model_paths(model)
    if json:
        print_json({"paths": {part: str(place) for part, place in paths.items()}})
        return
    for part, place in paths.items():
        result_console().print(printable(f"{part:<22}{place}"))


@models_app.command()
def verify(model: _SomeNames = None, *, json: Json = False) -> None:
    """Compare files with their pinned SHA-256, or with that of their first download; ends with 1 if one differs."""
    from impasto import api

    states = api.verify_models(model or ())
    if json:
        print_json({"files": [{**asdict(state), "path": _text(state.path)} for state in states]})
    else:
        for state in states:
            result_console().print(printable(f"{state.state:<20}{state.part:<22}{state.name}"))
        if not states:
            say("no model is here; impasto models download sdxl gets one")
    if any(state.state in _BAD for state in states):
        raise typer.Exit(1)


@models_app.command()
def download(model: _Names, *, accept_license: _Accept = False, quiet: Quiet = False) -> None:
    """Get models from the Hugging Face hub, at their pinned revisions, and check them.

    [dim]impasto models download sdxl[/dim]
    """
    from impasto import api

    def tell(part: str, licence: str, name: str) -> None:
        if not quiet:
            say(f"{part} ({licence}): {name}")

    places = api.download_models(model, accept_license=accept_license, on_file=tell)
    if not quiet:
        for place in dict.fromkeys(places):
            say(f"in {place}")


def _text(place: object) -> str | None:
    return None if place is None else str(place)
