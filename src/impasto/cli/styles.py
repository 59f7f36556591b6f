"""``impasto styles``: the library of styles, which are then named wherever a style is asked for."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from impasto.cli.arguments import OUTPUT_PANEL, Json, Quiet
from impasto.cli.options import given_settings, with_settings
from impasto.cli.terminal import print_json, printable, result_console, say
from impasto.cli.train import LeaveOut, Photos, Workdir, names, run_training
from impasto.errors import InputError
from impasto.settings import OneStyleTraining

if TYPE_CHECKING:
    from impasto.styles import Style

styles_app = typer.Typer(
    help="The library of styles: their names stand wherever a style is asked for.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="of the style")]
_Any = Annotated[str, typer.Argument(metavar="STYLE", show_default=False, help="a name, a folder or an archive")]
#: How what an option takes is written.
_WRITTEN: Final = {"--set": "fast.strength=0.8", "--threshold": "style_gain.review_below=0.2"}
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", rich_help_panel=OUTPUT_PANEL, help="replace a style of that name")
]


@styles_app.command("list")
def list_styles(*, json: Json = False) -> None:
    """List the styles, one's own first."""
    from impasto import api

    styles = api.list_styles()
    if json:
        print_json({"styles": [_document(style) for style in styles]})
        return
    console = result_console()
    for style in styles:
        trained = f"  trained for {', '.join(style.trained)}" if style.trained else ""
        console.print(printable(f"{style.name:<20} {len(style.references)} picture(s){trained}"))


@styles_app.command()
def show(style: _Any, *, json: Json = False) -> None:
    """Show what a style is made of."""
    from impasto import api

    found = api.get_style(style)
    if json:
        print_json(_document(found))
        return
    console = result_console()
    for name, value in _document(found).items():
        if value:
            console.print(printable(f"{name:<12} {_line(value)}"))


@styles_app.command()
def add(
    name: _Name,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE", show_default=False, help="what shows the style; it is copied")
    ],
    *,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="under which the pictures may be used")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="ENGINE.SETTING=VALUE",
            show_default=False,
            help="what a call with this style has where it says nothing else, such as fast.strength=0.8",
        ),
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="METRIC.RULE=VALUE",
            show_default=False,
            help="of the gates for this style, such as style_gain.review_below=0.2, or =off",
        ),
    ] = None,
    overwrite: _Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Add a style to the library.

    [dim]impasto styles add spring poppies.jpg tulips.jpg --set fast.strength=0.8[/dim]
    [dim]impasto stylize photo.jpg spring -o out.png[/dim]
    """
    from impasto import api

    api.add_style(
        name,
        pictures,
        licence=licence,
        settings=_assigned("--set", settings),
        thresholds=_assigned("--threshold", thresholds),
        replace=overwrite,
    )
    if not quiet:
        say(f"added {name}")


@styles_app.command()
def remove(name: _Name, *, quiet: Quiet = False) -> None:
    """Remove a style of one's own from the library."""
    from impasto import api

    api.remove_style(name)
    if not quiet:
        say(f"removed {name}")


@styles_app.command()
def export(
    style: _Any,
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", show_default=False, help="the archive, NAME.impasto"),
    ],
    quiet: Quiet = False,
) -> None:
    """Write a style as one file to pass on."""
    from impasto import api

    api.export_style(style, output)
    if not quiet:
        say(printable(str(output)))


@styles_app.command("import")
def import_(
    archive: Annotated[
        Path, typer.Argument(metavar="STYLE", show_default=False, help="what styles export wrote, or a style's folder")
    ],
    *,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="in the library; by default the style's own")
    ] = None,
    overwrite: _Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Add the style of an archive or a folder to the library; its files are checked first."""
    from impasto import api

    style = api.import_style(archive, name, replace=overwrite)
    if not quiet:
        say(f"added {name or style.name}")


@styles_app.command()
def card(
    style: _Any,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", show_default=False, help="the page, .html")],
    photos: Annotated[
        list[Path] | None,
        typer.Option("--photo", metavar="FILE", show_default=False, help="a photo to paint; may be repeated"),
    ] = None,
    engine: Annotated[str, typer.Option(help="what paints them")] = "fast",
    quiet: Quiet = False,
) -> None:
    """Write a page that shows a style: its pictures, colours and settings, and photos painted in it with figures."""
    from impasto import api

    api.style_card(style, output, photos=photos or (), engine=engine)
    if not quiet:
        say(printable(str(output)))


@styles_app.command()
@with_settings(OneStyleTraining)
def train(
    name: _Name,
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PICTURE", show_default=False, help="of a style that is not in the library yet"),
    ] = None,
    *,
    photos: Photos = None,
    leave_out: LeaveOut = None,
    workdir: Workdir = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Train a network for a style of the library, or for pictures that become one.

    [dim]impasto styles train spring --photos photos[/dim]

    It is what impasto train style does; the style then paints with it in engine fast.
    """
    from impasto import api

    folder, references = api.style_to_train(name, pictures or ())

    given = {
        "styles": references,
        "output": folder,
        "photos": photos or (),
        "workdir": workdir,
        "leave_out": names(leave_out),
        **given_settings(OneStyleTraining, settings),
    }
    run_training("style", given, quiet=quiet, json=json)


def _document(style: "Style") -> dict[str, object]:
    return {
        "name": style.name,
        "references": [str(path) for path in style.references],
        "palette": list(style.palette),
        "trained": sorted(style.trained),
        **style.look.model_dump(mode="json"),
    }


def _line(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _assigned(option: str, texts: list[str] | None) -> dict[str, dict[str, object]]:
    """``a.b=1`` as ``{"a": {"b": 1}}``; a value is read as TOML would, or is a word."""
    found: dict[str, dict[str, object]] = {}
    for text in texts or ():
        place, equals, value = text.partition("=")
        part, dot, name = place.partition(".")
        if not (equals and dot and part and name and value):
            raise InputError(f"{option} {text!r} cannot be read; write it like {_WRITTEN[option]}")
        try:
            read = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            read = value
        found.setdefault(part, {})[name] = read
    return found
