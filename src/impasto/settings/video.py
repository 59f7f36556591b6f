"""Settings of a video: which part of it, how steady it is painted, how it is written."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from impasto.settings.base import Settings


class VideoSettings(Settings):
    """What every engine's videos take beside the engine's own settings; immutable, complete, checked on creation."""

    owner: ClassVar[str] = "a video"

    smooth: float = Field(
        0.5,
        ge=0,
        le=1,
        description="how steady: 0 paints every frame by itself, towards 1 what has not changed keeps its strokes",
    )
    passes: int = Field(
        1, ge=1, le=2, description="2 paints all frames once more, so that they agree with those after them (optimize)"
    )
    start: float = Field(0.0, ge=0, allow_inf_nan=False, description="seconds of the video to leave out at its start")
    end: float | None = Field(None, gt=0, allow_inf_nan=False, description="second at which to end; by default its own")
    rate: float = Field(25.0, gt=0, le=1000, allow_inf_nan=False, description="frames a second of a folder of pictures")
    codec: Literal["auto", "h264", "hevc", "vp9", "av1", "prores", "ffv1"] = Field(
        "auto", description="how the video is coded; auto: what players of such files expect, with transparency if any"
    )
    crf: int = Field(18, ge=0, le=51, description="the codec's quality: lower is better and larger")
    strict: bool = Field(False, description="stop at a damaged frame instead of showing the one before again")

    @model_validator(mode="after")
    def _end_lies_behind_start(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end={self.end:g} lies before start={self.start:g}; give a later one")
        return self
