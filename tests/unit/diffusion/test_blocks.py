"""Where the style acts is said by names that the model has; a wrong one is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests import tiny_hub

import impasto
from impasto.engines.diffusion.blocks import read_blocks, scales_of
from impasto.engines.diffusion.loading import load_base

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def unets(hub: Path) -> dict[str, object]:
    return {
        "sdxl": load_base(hub / tiny_hub.SDXL, torch.float32).unet,
        "sd15": load_base(hub / tiny_hub.SD15, torch.float32).unet,
    }


@pytest.mark.parametrize(
    ("family", "blocks", "active"),
    [
        ("sdxl", "style", ("up_blocks.0.attentions.1.",)),
        ("sdxl", "style+layout", ("up_blocks.0.attentions.1.", "down_blocks.2.attentions.1.")),
        ("sdxl", "all", ("",)),
        ("sd15", "style", ("up_blocks.1.",)),
        ("sd15", "style+layout", ("up_blocks.1.", "down_blocks.2.")),
        ("sdxl", "mid_block=0.5", ("mid_block.",)),
    ],
)
def test_exactly_the_named_blocks_are_active(unets, family, blocks: str, active: tuple[str, ...]) -> None:
    scales = scales_of(read_blocks(blocks, family), 0.8, unets[family])
    assert len(scales) == sum(name.endswith("attn2.processor") for name in unets[family].attn_processors)
    found = {name for name, scale in scales.items() if scale}
    assert found == {name for name in scales if name.startswith(active)}
    assert found
    assert {scales[name] for name in found} == {0.4 if "=" in blocks else 0.8}


@pytest.mark.parametrize("blocks", ["up_blocks.9", "up_blocks.0.attention.1", "up", "up_blocks.2"])
def test_block_that_the_model_has_not_is_an_error_and_not_a_run_without_style(paint, blocks: str) -> None:
    """``up_blocks.2`` is there, but has no cross-attention."""
    with pytest.raises(impasto.SettingsError, match=rf"no block '{blocks}'.*up_blocks\.0\.attentions\.1"):
        paint(blocks=blocks)


@pytest.mark.parametrize(
    "blocks", ["mid_block=much", "mid_block=-1", "mid_block=nan", "mid_block,mid_block", "a,,b", "="]
)
def test_blocks_that_cannot_be_read_are_an_error(paint, blocks: str) -> None:
    with pytest.raises(impasto.SettingsError, match="blocks="):
        paint(blocks=blocks)
