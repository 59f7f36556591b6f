"""``impasto plan``: what a run would do and cost, without the run."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from impasto.cli.arguments import Content, EngineName, Json, Quality, Regions, Styles
from impasto.cli.options import with_settings
from impasto.cli.progress import duration, memory
from impasto.cli.request import Request
from impasto.cli.terminal import print_json, result_console, warnings_so_far
from impasto.settings import ENGINES

if TYPE_CHECKING:
    from impasto.engines.base import RunPlan


@with_settings(*reversed(ENGINES.values()))
def plan(
    content: Content,
    style: Styles = None,
    *,
    engine: EngineName = None,
    quality: Quality = None,
    region: Regions = None,
    json: Json = False,
    **settings: str | None,
) -> None:
    """Show what stylize would do with the same pictures and settings: scales, memory and time.

    [dim]impasto plan photo.jpg painting.jpg --image-size 2048[/dim]

    The time is estimated from a step that is timed on this machine; nothing is painted.
    """
    asked = Request.parse(content, style, region, settings, engine=engine, quality=quality)

    from impasto import api

    planned = api.plan(content, asked.styles, regions=asked.regions_for_api, engine=asked.engine, **asked.options)
    if json:
        scales = [scale.model_dump() for scale in planned.scales]
        print_json(asdict(planned) | {"scales": scales, "warnings": warnings_so_far()})
    else:
        _show(planned)


def _show(planned: "RunPlan") -> None:
    """Print the plan as two columns."""
    from rich.table import Table
    from rich.text import Text

    rows = [
        ("output", f"{planned.width}×{planned.height} px"),
        *(
            (f"scale {number}", f"{scale.width}×{scale.height} px, {scale.steps} steps")
            for number, scale in enumerate(planned.scales, start=1)
        ),
        ("memory", memory(planned)),
        ("time", f"about {duration(planned.seconds)}"),
    ]
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, "bold"), value)
    result_console().print(table)
