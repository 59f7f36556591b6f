"""What the settings of every engine have in common, and how settings are checked."""

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from impasto.errors import SettingsError
from impasto.palette import parse_palette

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Channel = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Immutable, complete, checked on creation."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    #: Whose settings these are, in words: ``engine optimize``.
    owner: ClassVar[str]

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
                    f"no setting named {name!r}; {cls.owner} has {', '.join(sorted(cls.model_fields))}"
                ) from None
            reason = first["msg"].removeprefix("Value error, ")
            if not first["loc"]:  # two settings contradict each other
                raise SettingsError(reason) from None
            raise SettingsError(f"{name}={first['input']!r} cannot be used: {reason[0].lower()}{reason[1:]}") from None


class PictureSettings(Settings):
    """What every engine that paints a picture takes."""

    #: Longer side of the picture that a run with ``init=fast`` starts from, where no ``image_size`` is given.
    default_px: ClassVar[int]

    strength: float = Field(
        1.0, ge=0, le=1, description="how far from the photo (0: the photo itself) to the full style (1)"
    )
    image_size: int | None = Field(
        None, ge=16, le=16384, description="longer side of the output in pixels; by default the content's"
    )
    style_weights: tuple[Weight, ...] | None = Field(
        None, description="one share per style picture, in their order; equal if left out"
    )
    color: Literal["style", "luminance", "linear", "histogram", "palette"] = Field(
        "style",
        description="whose colours: style (the style's); the content's by luminance (only lightness is painted), "
        "linear (mean and covariance) or histogram; or those of palette",
    )
    color_when: Literal["after", "before"] = Field(
        "after", description="recolour the finished picture, or the styles before the run; luminance is always both"
    )
    palette: Annotated[tuple[tuple[Channel, Channel, Channel], ...], Field(min_length=1, max_length=16)] | None = Field(
        None,
        description="colours to reach with color=palette, 1 to 16: #1d3557,#e63946",
        json_schema_extra={"of": "COLOR"},
    )
    bit_depth: Literal[8, 16] = Field(8, description="bits per channel of the picture; 16 for PNG and TIFF")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the network's computation; auto: bfloat16 where the processor is fast at it"
    )

    @field_validator("palette", mode="before")
    @classmethod
    def _read_swatches(cls, palette: Any) -> Any:
        texts = [palette] if isinstance(palette, str) else palette
        if isinstance(texts, list | tuple) and texts and all(isinstance(text, str) for text in texts):
            try:
                return parse_palette(texts if len(texts) > 1 else texts[0])
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return palette

    @model_validator(mode="after")
    def _palette_belongs_to_its_color(self) -> Self:
        if (self.palette is not None) != (self.color == "palette"):
            raise ValueError("palette and color=palette belong together; give both or neither")
        return self

    @field_validator("style_weights")
    @classmethod
    def _some_style_counts(cls, weights: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if weights is not None and not 0 < sum(weights) < math.inf:
            raise ValueError("at least one style weight must be above 0, and their sum a finite number")
        return weights
