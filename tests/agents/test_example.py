"""The example that docs/agents.md shows, against a running service."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service.conftest import Served


@pytest.mark.anyio
@pytest.mark.slow
async def test_conversation_of_the_example_ends_with_a_campaign(served: Served, tmp_path: Path) -> None:
    place = Path(__file__).parents[2] / "examples" / "agent.py"
    spec = importlib.util.spec_from_file_location("agent_example", place)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    said: list[str] = []
    await example.converse(f"{served.address}/mcp", tmp_path, size_px=64, say=said.append)
    calls = [line.partition("(")[0] for line in said if line.startswith("agent: ")]
    assert calls[:5] == ["agent: list_styles", "agent: stylize", "agent: evaluate", "agent: stylize", "agent: compare"]
    assert any(line.startswith("impasto: The campaign ") and " is done: " in line for line in said)
    assert len(list(tmp_path.glob("*.webp"))) >= 4
