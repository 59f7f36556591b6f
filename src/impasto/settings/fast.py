"""Settings of the engine ``fast``."""

from typing import ClassVar, Literal

from pydantic import Field

from impasto.settings.base import PictureSettings


class FastSettings(PictureSettings):
    """Settings of the engine ``fast`` (one pass through a network); immutable, complete, checked on creation."""

    owner: ClassVar[str] = "engine fast"

    style_scale: float = Field(
        1.0,
        ge=0.1,
        le=4,
        allow_inf_nan=False,
        description="size at which the style is looked at: above 1 larger strokes, below 1 finer ones",
    )
    runtime: Literal["auto", "torch", "onnx"] = Field(
        "auto",
        description="what computes: torch, or onnx (ONNX Runtime, with the extra onnx); auto: the faster one here",
    )
    memory: Literal["auto", "whole", "tiles"] = Field(
        "auto",
        description="whole: the picture at once; tiles: piece by piece with the statistics of the whole; auto: tiles "
        "where the whole would not fit",
    )
    tile_size: int = Field(
        1024, ge=32, le=8192, description="side of a tile in pixels: larger ones take more memory and less time"
    )
    model: str | None = Field(
        None, description="path of a network that `impasto train any-style` wrote; by default the shipped one"
    )
