"""The recipe: everything that is needed to make a picture again, kept inside the picture.

It holds no times, dates, paths or names of users, so that making a picture again gives the same bytes, and a picture
that is passed on gives nothing away but what it was made of.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import InputError

#: How much goes into a picture file: recipe and source type, the source type alone, or nothing.
Metadata = Literal["full", "minimal", "none"]

#: IPTC's words for where a picture comes from: https://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"

#: The trace has at most so many steps of a scale, and so many figures in all: about 40 kB of the 65 that JPEG holds.
_TRACE_STEPS: Final = 64
_TRACE_FIGURES: Final = 4000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Part):
    """One picture that went in."""

    name: str = Field(description="the file's name without its folder")
    sha256: str = Field(description="of the file's bytes, in hex")
    width: int
    height: int


class RegionSource(_Part):
    """A part of the content with a style of its own."""

    mask: Source
    style: Source
    style_mask: Source | None = None


class Scale(_Part):
    """One scale that was worked through."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    steps: int = Field(ge=0)


class ScaleTrace(_Part):
    """How the loss went at one scale: at every step, or at some evenly spread, the first and the last among them."""

    scale_px: int = Field(ge=1, description="longer side of the picture")
    steps: tuple[int, ...] = Field(description="which of the scale's steps, from 1")
    terms: dict[str, tuple[float, ...]] = Field(
        description="each weighted part of the loss at these steps, four digits of it"
    )

    @model_validator(mode="after")
    def _as_many_figures_as_steps(self) -> Self:
        for name, figures in self.terms.items():
            if len(figures) != len(self.steps):
                raise ValueError(f"the trace of {name!r} has {len(figures)} figures for {len(self.steps)} steps")
        return self


class Environment(_Part):
    """What computed it: the same bytes are promised for the same environment."""

    impasto: str
    torch: str
    python: str
    device: str
    dtype: str
    cpu: str = Field(description="vector instructions that PyTorch used")
    threads: int


class Weights(_Part):
    """The network's weights."""

    source: str
    sha256: str


class Recipe(_Part):
    """What went in, what was done and with what; the same recipe in the same environment gives the same bytes."""

    recipe: Literal[1] = 1
    engine: str
    content: Source
    styles: tuple[Source, ...]
    regions: tuple[RegionSource, ...] = ()
    init: Source | None = None
    start: Weights | None = Field(default=None, description="the network that painted the first picture")
    settings: dict[str, Any]
    scales: tuple[Scale, ...]
    times: tuple[float, ...] = Field(
        default=(), description="of a video whose styles follow each other: the second at which each is reached"
    )
    weights: Weights
    environment: Environment
    loss: float | None = Field(description="of the saved picture at its full size; none where one pass minimises none")
    terms: dict[str, float] = Field(description="the weighted parts of the loss, by name")
    trace: tuple[ScaleTrace, ...] = Field(
        default=(), description="how the loss came there; empty in files made before it was kept"
    )

    blend: float | None = Field(
        default=None,
        ge=0,
        le=1,
        exclude_if=lambda share: share is None,
        description="share of the painted picture where it was laid over the content afterwards",
    )

    @property
    def all_styles(self) -> tuple[Source, ...]:
        """Every style that went in: the picture's own, then those of regions."""
        return (*self.styles, *(region.style for region in self.regions))

    @property
    def source_type(self) -> str:
        """IPTC's DigitalSourceType: a photo changed by a trained model, or, at strength 0, by none."""
        word = "compositeWithTrainedAlgorithmicMedia"
        return f"{SOURCE_TYPES}{'algorithmicallyEnhanced' if self.settings.get('strength') == 0 else word}"

    def to_json(self) -> str:
        """One line of JSON: what is written into files."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what :meth:`to_json` wrote.

        Raises:
            InputError: it is not a recipe, or one of a newer impasto.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "recipe"
            raise InputError(
                f"the recipe inside the file cannot be read: {where}: {first['msg']}; "
                "it was changed, or made by another version of impasto"
            ) from None


def condense(points: Iterable[tuple[int, int, Mapping[str, float]]]) -> tuple[ScaleTrace, ...]:
    """The trace of a run as recipes keep it: small enough for every kind of file, however long the run was.

    Args:
        points: longer side in pixels, step from 1, and weighted losses by term, in the order of the run.

    Returns:
        One entry for each scale. Empty if not even a step of each would fit, which takes hundreds of scales.

    Example:
        >>> condense([(64, 1, {"tv": 0.123456}), (64, 2, {"tv": 0.1})])[0].terms
        {'tv': (0.1235, 0.1)}
    """
    scales = [(scale_px, list(of_scale)) for scale_px, of_scale in groupby(points, key=lambda point: point[0])]
    columns = sum(1 + len(of_scale[0][2]) for _, of_scale in scales)
    room = min(_TRACE_STEPS, _TRACE_FIGURES // max(1, columns))
    if not room:
        return ()
    return tuple(_condense_scale(scale_px, of_scale, room) for scale_px, of_scale in scales)


def _condense_scale(scale_px: int, points: list[tuple[int, int, Mapping[str, float]]], room: int) -> ScaleTrace:
    """At most ``room`` steps of one scale."""
    count, last = min(room, len(points)), len(points) - 1
    kept = [points[round(index * last / (count - 1)) if count > 1 else last] for index in range(count)]
    return ScaleTrace(
        scale_px=scale_px,
        steps=tuple(step for _, step, _ in kept),
        terms={name: tuple(float(f"{terms[name]:.4g}") for _, _, terms in kept) for name in points[0][2]},
    )
