"""What a pass will do and cost, known before it: the output's size, tiles, memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from impasto.engines.fast.network import TransferNet
from impasto.engines.fast.painting import MARGIN, SMALLEST_PX
from impasto.errors import ImageTooSmallError, OutOfMemoryError, SettingsError
from impasto.images import fit_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from impasto.images import Picture
    from impasto.recipe import Scale
    from impasto.settings import FastSettings

#: Fitted to the process's peak at 2 to 45 megapixels, whole and in tiles, in bfloat16 and float32 (within 10 %): values
#: in the features' own format for a pixel that is painted at once, bytes for one of the output, and of the content.
_FEATURES = 36
_OUTPUT_BYTES = 48
_CONTENT_BYTES = 24
_FIXED_MB = 420
#: Share of the free memory that a pass may plan with.
_MEMORY_SHARE = 0.8


@dataclass(frozen=True)
class Pass:
    """One pass."""

    height: int
    width: int
    memory: Literal["whole", "tiles"]
    steps: int
    """Tiles to paint: 1 if the picture is painted whole, 0 if it stays the photo."""
    memory_mb: int


def plan_pass(
    content: Picture, settings: FastSettings, scales: Sequence[Scale] | None, dtype: torch.dtype, free_mb: int
) -> Pass:
    """How a content is painted.

    Args:
        content: the picture.
        settings: of the engine.
        scales: of a recipe: how far its run came.
        dtype: of the features.
        free_mb: memory that is there, MiB.

    Raises:
        ImageTooSmallError: the output would have a side below 16 px.
        OutOfMemoryError: not even tiles would fit.
        SettingsError: the recipe's scales are not this picture's.
    """
    height, width = fit_size(content.height, content.width, settings.image_size or max(content.height, content.width))
    if min(height, width) < SMALLEST_PX:
        raise ImageTooSmallError(
            f"content is {content.width}x{content.height} px, which is {width}x{height} px in the output, but "
            f"{SMALLEST_PX} px are needed on each side; use a larger image_size or a less narrow crop"
        )
    at_once = {"whole": height * width, "tiles": (settings.tile_size + 2 * TransferNet.REACH) ** 2}
    kept = height * width * _OUTPUT_BYTES + content.height * content.width * _CONTENT_BYTES
    needed = {
        mode: round(_FIXED_MB + (pixels * _FEATURES * dtype.itemsize + kept) / 2**20)
        for mode, pixels in at_once.items()
    }
    room = free_mb * _MEMORY_SHARE + _FIXED_MB * 3 // 4  # most of what is fixed is there when this is asked
    memory = settings.memory
    if memory == "auto":
        memory = "whole" if needed["whole"] <= room else "tiles"
    if needed[memory] > room:
        raise OutOfMemoryError(
            f"a picture of {width}x{height} px needs about {needed[memory]:,} MiB of memory, {free_mb:,} MiB are free; "
            f"use a smaller image_size{'' if memory == 'tiles' else ' or memory=tiles'}"
        )
    steps = 1 if memory == "whole" else _tiles(height, settings) * _tiles(width, settings)
    if settings.strength == 0:  # the photo itself
        steps = 0
    if scales is not None:
        if len(scales) != 1 or (scales[0].width, scales[0].height) != (width, height) or scales[0].steps > steps:
            raise SettingsError(f"the recipe's scales do not fit a pass over {width}x{height} px; it was changed")
        steps = scales[0].steps
    return Pass(height, width, memory, steps, needed[memory])


def _tiles(side: int, settings: FastSettings) -> int:
    """Tiles along a side that have something of the picture in them."""
    return -(-(MARGIN + side) // settings.tile_size) - MARGIN // settings.tile_size
