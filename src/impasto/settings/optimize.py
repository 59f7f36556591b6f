"""Settings of the engine ``optimize``. The defaults come from ``benchmarks/sheet.py``; what it showed is in
``docs/engines/optimize.md``.
"""

import math
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from impasto.settings.base import PictureSettings, Weight

#: What ``init`` may name besides a picture.
FAST: Final = "fast"
STARTS: Final = ("content", FAST, "noise", "style")
#: Longer side of an output, unless it is asked for or the content is smaller.
DEFAULT_PX: Final = 512

Pooling = Literal["max", "average", "l2"]

#: VGG-19's activations ``relu1_1 … relu5_4``: here, so that settings are checked without loading the network.
LAYERS: Final = tuple(f"relu{block}_{i}" for block, n in enumerate((2, 2, 4, 4, 4), start=1) for i in range(1, n + 1))


#: What of a style can be matched; the formulas are in ``impasto.losses``.
STYLE_LOSSES: Final = ("w2", "gram", "moments", "swd", "nn", "remd")
#: How the content can be held on to.
CONTENT_LOSSES: Final = ("mse", "self_similarity")


def _parse_table(value: Any) -> Any:
    """``"relu1_1,relu4_1=0.5"`` (a weight that is left out is 1) or a sequence of names, as a table of weights."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        table: dict[str, Any] = {}
        for part in value:
            name, equals, weight = str(part).partition("=")
            if name in table:
                raise ValueError(f"{name} is named twice")
            table[name] = weight if equals else 1.0
        return table
    return value


def _one_of(names: tuple[str, ...], what: str) -> AfterValidator:
    """Refuses a table that names something else."""

    def check(table: dict[str, float]) -> dict[str, float]:
        for name in table:
            if name not in names:
                raise ValueError(f"no {what} named {name!r}; there are {', '.join(names)}")
        return table

    return AfterValidator(check)


def _some_weight_counts(table: dict[str, float]) -> dict[str, float]:
    if not 0 < sum(table.values()) < math.inf:
        raise ValueError("at least one weight must be above 0, and their sum a finite number")
    return table


_Table = Annotated[dict[str, Weight], Field(min_length=1), BeforeValidator(_parse_table)]
LayerWeights = Annotated[_Table, _one_of(LAYERS, "layer"), Field(json_schema_extra={"of": "LAYER"})]
StyleLosses = Annotated[
    _Table,
    _one_of(STYLE_LOSSES, "style loss"),
    AfterValidator(_some_weight_counts),
    Field(json_schema_extra={"of": "LOSS"}),
]
ContentLosses = Annotated[
    _Table,
    _one_of(CONTENT_LOSSES, "content loss"),
    AfterValidator(_some_weight_counts),
    Field(json_schema_extra={"of": "LOSS"}),
]

Preset = Literal["faithful", "balanced", "painterly", "texture", "abstract"]

#: What each preset sets; whatever is set beside it wins. How they were chosen is in ``docs/engines/optimize.md``.
PRESETS: Final[dict[Preset, dict[str, Any]]] = {
    "faithful": {"style_loss": {"moments": 1.0}, "content_weight": 0.03},
    "balanced": {},
    "painterly": {
        "style_loss": {"w2": 1.0, "nn": 2.0},
        "content_loss": {"self_similarity": 1.0},
        "content_weight": 0.03,
    },
    "texture": {"style_loss": {"w2": 1.0}, "content_weight": 0.004},
    "abstract": {
        "style_loss": {"w2": 1.0, "nn": 0.5},
        "content_loss": {"self_similarity": 1.0},
        "content_weight": 0.01,
        "style_scale": 1.5,
    },
}


class OptimizeSettings(PictureSettings):
    """Settings of the engine ``optimize`` (Gatys et al.); immutable, complete, checked on creation."""

    owner: ClassVar[str] = "engine optimize"
    default_px: ClassVar[int] = DEFAULT_PX

    preset: Preset | None = Field(
        None, description="a look: sets what is not set beside it; balanced is what the defaults are"
    )
    image_size: int | None = Field(
        None,
        ge=16,
        le=16384,
        description="longer side of the output in pixels; by default 512, or the content's if less",
    )
    content_weight: Weight = Field(0.015, description="how strongly the content is held on to")
    style_weight: Weight = Field(1.0, description="how strongly the style is imposed")
    tv_weight: Weight = Field(2.0, description="how strongly speckle is smoothed away (total variation)")
    temporal_weight: Weight = Field(20.0, description="how strongly a frame of a video holds on to the ones before")
    style_loss: StyleLosses = Field(
        {"w2": 1.0, "nn": 1.0},
        description="what of the style is matched, one or a mix such as w2,nn=0.5: w2 (means and covariances as "
        "distributions), gram (Gatys), moments (means and deviations), swd (whole distributions, sliced), nn (nearest "
        "neighbours), remd (relaxed earth mover, with palette); divided by their sum",
    )
    layers: LayerWeights = Field(
        {"relu1_1": 256.0, "relu2_1": 64.0, "relu3_1": 16.0, "relu4_1": 4.0, "relu5_1": 1.0},
        description="style layers, each with an optional weight: relu1_1,relu4_1=0.5; divided by their sum",
    )
    content_layers: LayerWeights = Field(
        {"relu4_2": 1.0}, description="content layers, each with an optional weight; divided by their sum"
    )
    content_loss: ContentLosses = Field(
        {"mse": 1.0},
        description="how the content is held on to, one or a mix: mse (its activations) or self_similarity (which "
        "places are alike, free in colour and texture); divided by their sum",
    )
    samples: int = Field(
        1024,
        ge=64,
        le=65536,
        description="places of a 512-channel layer that swd, nn and remd look at, of the picture at least; shallower "
        "and larger layers have more",
    )
    style_scale: float = Field(
        1.0,
        ge=0.1,
        le=4,
        allow_inf_nan=False,
        description="style's longer side ÷ content's: above 1 larger strokes, below 1 finer ones",
    )
    style_rotation: tuple[Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)], ...] = Field(
        (0.0,), description="degrees the styles are turned by, counterclockwise; several: all of them count alike"
    )
    init: str = Field(
        "content",
        min_length=1,
        description="the picture to start from: content, fast (what engine fast paints), noise, style or the path of a "
        "picture",
    )
    optimizer: Literal["adam", "lbfgs"] = Field("lbfgs", description="solver")
    history: int = Field(20, ge=1, le=100, description="steps that L-BFGS remembers; a run short of memory takes fewer")
    learning_rate: float = Field(
        0.05, gt=0, le=1, allow_inf_nan=False, description="Adam's step in pixel values (0..1); L-BFGS finds its own"
    )
    steps: int = Field(
        20,
        ge=0,
        le=100_000,
        description="solver steps at each scale up to 512 px; larger ones take fewer in proportion, but 8 at least",
    )
    scales: tuple[Annotated[int, Field(ge=16, le=16384)], ...] | None = Field(
        None, description="longer sides in pixels, coarse to fine; by default √2 steps that end at the image size"
    )
    pooling: Pooling = Field("max", description="pooling of the network")
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="of the noise when starting from noise, and of places and directions drawn"
    )
    time_budget: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="seconds: plan scales and steps to end near them, and stop there"
    )
    memory: Literal["auto", "whole", "strips"] = Field(
        "auto",
        description="whole: every activation is kept; strips: computed again, a few rows at a time, in a quarter of "
        "the memory at print sizes and up to a third more time; auto: strips where the whole would not fit",
    )
    vgg_weights: str | None = Field(
        None, description="path of torchvision's or Caffe's full-precision VGG-19; by default the packaged one"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") in PRESETS:
            return {**PRESETS[values["preset"]], **values}
        return values

    @field_validator("style_rotation", mode="before")
    @classmethod
    def _one_angle_is_a_list(cls, degrees: Any) -> Any:
        return (degrees,) if isinstance(degrees, int | float | str) else degrees

    @field_validator("style_rotation")
    @classmethod
    def _some_rotation(cls, degrees: tuple[float, ...]) -> tuple[float, ...]:
        if not degrees:
            raise ValueError("style_rotation must have at least one angle; 0 leaves the style as it is")
        return degrees

    @field_validator("scales")
    @classmethod
    def _scales_ascend(cls, scales: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if scales is not None and (not scales or list(scales) != sorted(set(scales))):
            raise ValueError("scales must ascend, such as 128,256,512")
        return scales

    @property
    def effect(self) -> float:
        """What style and total variation are multiplied by: 0 at strength 0, 1 at strength 1.

        The content's weight stays, so that the optimum moves from the photo to the full style without a turn; the curve
        makes the style gain about even in strength (docs/engines/optimize.md).
        """
        return (self.strength / (2 - self.strength)) ** 3
