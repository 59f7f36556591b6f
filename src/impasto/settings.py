"""Every setting of every engine, once: name, type, bounds, unit, default and help.

The command line (and later the service and the agents' tools) is generated from these models. The defaults come from
``benchmarks/sheet.py``; what it showed is in ``docs/engines/optimize.md``.
"""

import math
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from impasto.errors import SettingsError

#: What ``init`` may name besides a picture.
STARTS: Final = ("content", "noise", "style")

Pooling = Literal["max", "average", "l2"]

#: VGG-19's activations ``relu1_1 … relu5_4``: here, so that settings are checked without loading the network.
LAYERS: Final = tuple(f"relu{block}_{i}" for block, n in enumerate((2, 2, 4, 4, 4), start=1) for i in range(1, n + 1))


def _parse_layers(value: Any) -> Any:
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


def _check_layers(table: dict[str, float]) -> dict[str, float]:
    for name in table:
        if name not in LAYERS:
            raise ValueError(f"no layer named {name!r}; VGG-19 has {', '.join(LAYERS)}")
    return table


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LayerWeights = Annotated[
    dict[str, Weight], Field(min_length=1), BeforeValidator(_parse_layers), AfterValidator(_check_layers)
]


class OptimizeSettings(BaseModel):
    """Settings of the engine ``optimize`` (Gatys et al.); immutable, complete, checked on creation."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    image_size: int | None = Field(
        None,
        ge=16,
        le=16384,
        description="longer side of the output in pixels; by default 512, or the content's if less",
    )
    style_weights: tuple[Weight, ...] | None = Field(
        None, description="one share per style picture, in their order; equal if left out"
    )
    content_weight: Weight = Field(0.015, description="how strongly the content is held on to")
    style_weight: Weight = Field(1.0, description="how strongly the style is imposed")
    tv_weight: Weight = Field(2.0, description="how strongly speckle is smoothed away (total variation)")
    style_loss: Literal["w2", "gram"] = Field(
        "w2", description="what of the style is matched: w2 (means and covariances as distributions) or gram (Gatys)"
    )
    layers: LayerWeights = Field(
        {"relu1_1": 256.0, "relu2_1": 64.0, "relu3_1": 16.0, "relu4_1": 4.0, "relu5_1": 1.0},
        description="style layers, each with an optional weight: relu1_1,relu4_1=0.5; divided by their sum",
    )
    content_layers: LayerWeights = Field(
        {"relu4_2": 1.0}, description="content layers, each with an optional weight; divided by their sum"
    )
    style_scale: float = Field(
        1.0,
        ge=0.1,
        le=4,
        allow_inf_nan=False,
        description="style's longer side ÷ content's: above 1 larger strokes, below 1 finer ones",
    )
    init: str = Field(
        "content", min_length=1, description="the picture to start from: content, noise, style or the path of a picture"
    )
    optimizer: Literal["adam", "lbfgs"] = Field("lbfgs", description="solver")
    learning_rate: float = Field(
        0.05, gt=0, le=1, allow_inf_nan=False, description="Adam's step in pixel values (0..1); L-BFGS finds its own"
    )
    steps: int = Field(50, ge=0, le=100_000, description="solver steps at each scale")
    scales: tuple[Annotated[int, Field(ge=16, le=16384)], ...] | None = Field(
        None, description="longer sides in pixels, coarse to fine; by default √2 steps that end at the image size"
    )
    pooling: Pooling = Field("max", description="pooling of the network")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of the noise when starting from noise")
    time_budget: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="seconds: plan scales and steps to end near them, and stop there"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the network's computation; auto: bfloat16 where the processor is fast at it"
    )
    vgg_weights: str | None = Field(
        None, description="path of torchvision's or Caffe's full-precision VGG-19; by default the packaged one"
    )

    @field_validator("scales")
    @classmethod
    def _scales_ascend(cls, scales: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if scales is not None and (not scales or list(scales) != sorted(set(scales))):
            raise ValueError("scales must ascend, such as 128,256,512")
        return scales

    @field_validator("style_weights")
    @classmethod
    def _some_style_counts(cls, weights: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if weights is not None and not 0 < sum(weights) < math.inf:
            raise ValueError("at least one style weight must be above 0, and their sum a finite number")
        return weights

    @classmethod
    def of(cls, /, **options: Any) -> Self:
        """Check ``options`` and fill in the defaults.

        Raises:
            SettingsError: a name is unknown or a value out of bounds; one sentence with name, value and bounds.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            if first["type"] == "extra_forbidden":
                raise SettingsError(
                    f"no setting named {name!r}; engine optimize has {', '.join(sorted(cls.model_fields))}"
                ) from None
            reason = first["msg"].removeprefix("Value error, ")
            raise SettingsError(f"{name}={first['input']!r} cannot be used: {reason[0].lower()}{reason[1:]}") from None
