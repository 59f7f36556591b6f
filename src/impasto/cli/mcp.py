"""``impasto mcp``: tools for an AI agent, over the standard streams."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.errors import MissingExtraError


def mcp(
    *,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            "--root",
            metavar="DIR",
            show_default=False,
            help="a folder whose pictures the agent may name by their path; once per folder, by default none",
        ),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="let the agent have pictures loaded from the public web")
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default="a folder for agents, in the user's data folder",
            help="where jobs and results lie: such as the folder of a running service, whose workers are then used",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="IMPASTO_DATABASE", show_default="a file in DIR", help="as of the running service"
        ),
    ] = None,
    worker: Annotated[
        bool | None,
        typer.Option(
            "--worker/--no-worker", show_default="unless one is at work in DIR", help="run a worker of its own"
        ),
    ] = None,
) -> None:
    """Serve tools for an AI agent (Model Context Protocol) over the standard streams, until they are closed.

    [dim]{"mcpServers": {"impasto": {"command": "impasto", "args": ["mcp", "--root", "photos"]}}}[/dim]

    `impasto serve` has the same tools at /mcp, for its keys.
    """
    try:
        from impasto.agents.local import open_tools
        from impasto.agents.transports import serve_stdio
    except ImportError as error:
        raise MissingExtraError(
            f"tools for agents need extra packages ({error.name}): pip install 'impasto[agents]'"
        ) from None

    with open_tools(home, roots=root or (), worker=worker, database=database, urls=allow_urls) as tools:
        serve_stdio(tools)
