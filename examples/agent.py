"""A conversation as an AI agent has it, with the official MCP client: list, stylize, evaluate, change, campaign.

    python examples/agent.py                             # starts `impasto mcp` and talks to it
    python examples/agent.py http://127.0.0.1:8765/mcp   # talks to a running `impasto serve`

It prints the transcript in docs/agents.md. Every sentence after "impasto:" is what a model reads.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import skimage.data
from mcp import Client, StdioServerParameters
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable


def photo(name: str, size_px: int) -> str:
    """One of scikit-image's photos as a data URL, as a chat hands over what a user pasted."""
    picture = Image.fromarray(getattr(skimage.data, name)())
    picture.thumbnail((size_px, size_px))
    kept = BytesIO()
    picture.save(kept, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(kept.getvalue()).decode()}"


class Agent:
    """Calls tools, prints what is said, and keeps the pictures that it was shown.

    Args:
        client: connected to impasto.
        folder: where previews are kept.
        say: prints a line of the transcript.
    """

    def __init__(self, client: Client, folder: Path, say: Callable[[str], None]) -> None:
        self._client, self._folder, self._say = client, folder, say
        self._shown = 0

    async def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; gives its data."""
        told = {name: "(a photo)" if str(value).startswith("data:") else value for name, value in arguments.items()}
        if isinstance(told.get("pictures"), list):
            told["pictures"] = [f"({len(arguments['pictures'])} photos)"]
        self._say(f"agent: {tool}({json.dumps(told)[1:-1]})")
        found = await self._client.call_tool(tool, arguments)
        for block in found.content:
            if block.type == "text":
                self._say(f"impasto: {block.text}")
            elif block.type == "image":
                self._shown += 1
                path = self._folder / f"{self._shown}-{tool}.{block.mime_type.removeprefix('image/')}"
                path.write_bytes(base64.b64decode(block.data))
                self._say(f"impasto shows {path.name} ({path.stat().st_size // 1000} kB)")
        self._say("")
        if found.is_error:
            raise SystemExit(1)
        return dict(found.structured_content or {})


async def converse(
    server: str | StdioServerParameters, folder: Path, *, size_px: int = 384, say: Callable[[str], None] = print
) -> None:
    """The conversation.

    Args:
        server: the address of a service, or the command that starts one.
        folder: where previews are kept.
        size_px: longer side of the photos.
        say: prints a line of the transcript.
    """
    folder.mkdir(parents=True, exist_ok=True)
    async with Client(server) as client:
        agent = Agent(client, folder, say)
        styles = await agent.use("list_styles", query="w")
        style = styles["styles"][-1]["name"]
        look = await agent.use("stylize", content=photo("astronaut", size_px), style=style, avoid=["slow"])
        await agent.use("evaluate", picture=f"job:{look['job_id']}")
        softer = await agent.use("stylize", content=look["content"], style=style, quality="draft", strength=0.6)
        await agent.use("compare", job_ids=[look["job_id"], softer["job_id"]])
        campaign = await agent.use(
            "start_campaign",
            pictures=[photo(name, size_px) for name in ("astronaut", "chelsea", "coffee")],
            style=style,
            quality="draft",
            settings={"strength": 0.6},
            wait_s=50,
        )
        while campaign["state"] in ("queued", "running"):
            campaign = await agent.use("get_campaign", campaign_id=campaign["campaign_id"], wait_s=50)


def main() -> None:
    folder = Path("out") / "agent"
    server: str | StdioServerParameters = StdioServerParameters(
        command=sys.executable, args=["-m", "impasto", "mcp"], env=dict(os.environ)
    )
    if len(sys.argv) > 1:
        server = sys.argv[1]
    anyio.run(lambda: converse(server, folder))


if __name__ == "__main__":
    main()
