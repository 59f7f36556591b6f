"""How long an agent waits: `python benchmarks/agents.py`, against an `impasto mcp` of its own, with the SDK's client.

Drafts of a 512 px photo, one after another; then a full optimisation with the usual wait of 40 s.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import sys
import tempfile
import time
from io import BytesIO

import anyio
import skimage.data
from mcp import Client, StdioServerParameters
from PIL import Image

DRAFTS = 12


async def main() -> None:
    kept = BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(kept, "JPEG", quality=90)
    photo = f"data:image/jpeg;base64,{base64.b64encode(kept.getvalue()).decode()}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "impasto", "mcp", "--home", home], env=dict(os.environ)
        )
        began = time.monotonic()
        async with Client(command) as client:
            listing = (await client.list_tools()).tools
            text = "".join(tool.model_dump_json(exclude_none=True) for tool in listing)
            print(f"listed after {time.monotonic() - began:.1f} s: {len(listing)} tools, {len(text)} characters")
            times, largest = [], 0
            for number in range(DRAFTS):
                began = time.monotonic()
                arguments = {"content": photo, "style": "mosaic", "quality": "draft", "strength": 1 - number / 20}
                found = await client.call_tool("stylize", arguments)
                if found.structured_content["state"] != "done":
                    raise SystemExit(found.content[0].text)
                times.append(time.monotonic() - began)
                largest = max(largest, len(found.model_dump_json()))
            first, *others = times
            print(
                f"first draft {first:.1f} s; then median {statistics.median(others):.2f} s, {max(others):.2f} s at most"
            )
            began = time.monotonic()
            asked = {"content": photo, "style": "mosaic", "quality": "fine", "image_size": 512}
            found = await client.call_tool("stylize", asked)
            facts = found.structured_content
            print(f"fine: {facts['state']} after {time.monotonic() - began:.1f} s: {json.dumps(facts.get('progress'))}")
            print(f"with a picture: {any(block.type == 'image' for block in found.content)}")
            await client.call_tool("cancel_job", {"job_id": facts["job_id"], "keep": False})
            print(f"largest result {largest / 1000:.0f} kB; load {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    anyio.run(main)
