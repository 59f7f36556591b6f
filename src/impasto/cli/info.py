"""``impasto info``: what a picture or a video was made of, from the recipe inside it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 — typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.terminal import printable, result_console
from impasto.settings import ENGINES

if TYPE_CHECKING:
    from rich.table import Table

    from impasto.recipe import Recipe, Source


def info(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="a picture or video that impasto wrote")
    ],
    *,
    json: Annotated[bool, typer.Option("--json", help="write the recipe to stdout, as JSON")] = False,
) -> None:
    """Show what a picture or a video was made of: its inputs, settings, scales, losses and environment."""
    from impasto import api

    recipe = api.read_recipe(file)
    if json:
        typer.echo(recipe.to_json())
        return
    console = result_console()
    for title, table in _tables(recipe):
        console.print(f"[bold]{title}[/bold]")
        console.print(table)


def _tables(recipe: Recipe) -> list[tuple[str, Table]]:
    """Each part of a recipe with its title."""
    times = [f" at {seconds:g} s" for seconds in recipe.times] or [""] * len(recipe.styles)
    styles = [(f"style{time}", _source(style)) for time, style in zip(times, recipe.styles, strict=False)]
    inputs = [("content", _source(recipe.content)), *styles]
    for number, region in enumerate(recipe.regions, start=1):
        inputs += [(f"region {number} mask", _source(region.mask)), (f"region {number} style", _source(region.style))]
        if region.style_mask:
            inputs.append((f"region {number} style mask", _source(region.style_mask)))
    if recipe.init:
        inputs.append(("init", _source(recipe.init)))
    scales = [(f"{scale.width}×{scale.height}", f"{scale.steps} steps") for scale in recipe.scales]
    losses = [(name, f"{loss:.4g}") for name, loss in recipe.terms.items()]
    environment = [(name, str(value)) for name, value in recipe.environment.model_dump().items()]
    weights = ("weights", f"{recipe.weights.source}  {_short(recipe.weights.sha256)}")
    return [
        ("inputs", _table(inputs)),
        (f"settings of engine {printable(recipe.engine)}", _settings(recipe)),
        ("scales", _table(scales)),
        *([] if recipe.loss is None else [("loss by term", _table([*losses, ("sum", f"{recipe.loss:.4g}")]))]),
        ("environment", _table([*environment, weights])),
    ]


def _table(rows: list[tuple[str, str]]) -> Table:
    """Names and values in two columns; they come from a file and can neither colour nor steer."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(f"  {printable(name)}"), Text(printable(value), overflow="fold"))
    return table


def _settings(recipe: Recipe) -> Table:
    """The settings; one that differs from its default is bold and has the default behind it."""
    from rich.text import Text

    table = _table([])
    model = ENGINES.get(recipe.engine)
    defaults = model.of().model_dump(mode="json") if model else {}
    for name, value in recipe.settings.items():
        differs = name in defaults and value != defaults[name]
        style = "bold" if differs else ""
        note = f"default {_typed(name, defaults[name])}" if differs else ""
        table.add_row(
            Text(f"  {printable(name)}", style), Text(_typed(name, value), style, overflow="fold"), Text(note)
        )
    return table


def _typed(name: str, value: object) -> str:
    """A setting as one would type it on the command line; a file may hold anything in its place."""
    if name == "palette" and isinstance(value, list):
        return ",".join(_hex(swatch) for swatch in value)
    if isinstance(value, dict):
        return ",".join(_text(key) if weight == 1 else f"{_text(key)}={_text(weight)}" for key, weight in value.items())
    if isinstance(value, list):
        return ",".join(_text(entry) for entry in value)
    return "–" if value is None else _text(value)


def _hex(swatch: object) -> str:
    """``#e63946`` for red, green and blue in [0, 1]."""
    if isinstance(swatch, list) and all(isinstance(part, float | int) and 0 <= part <= 1 for part in swatch):
        return "#" + "".join(f"{round(part * 255):02x}" for part in swatch)
    return _text(swatch)


def _text(value: object) -> str:
    """A number without the ``.0`` of a whole one, or a word."""
    return printable(str(value).removesuffix(".0") if isinstance(value, float) else str(value))


def _source(source: Source) -> str:
    return f"{source.name}  {source.width}×{source.height}  {_short(source.sha256)}"


def _short(sha256: str) -> str:
    """Enough of a hash to tell two files apart by eye."""
    return f"sha256 {sha256[:12]}"
