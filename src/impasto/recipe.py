"""The recipe: everything that is needed to make a picture again, kept inside the picture.

It holds no times, dates, paths or names of users, so that making a picture again gives the same bytes, and a picture
that is passed on gives nothing away but what it was made of.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.errors import InputError


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
    settings: dict[str, Any]
    scales: tuple[Scale, ...]
    weights: Weights
    environment: Environment
    loss: float = Field(description="of the saved 8-bit picture at its full size")
    terms: dict[str, float] = Field(description="the weighted parts of the loss, by name")

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
