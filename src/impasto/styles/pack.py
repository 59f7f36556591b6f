"""A brand pack: styles with the rules of a brand, written as one TOML file.

pack = 1
name = "Spring 2027"
styles = ["watercolour"]              # pictures, names, folders or archives; paths are relative to this file
engine = "fast"                       # or quality = "draft" | "standard" | "fine"

[settings]                            # of the engine
image_size = 1024

[colors]
reach = ["#1d3557", "#e63946"]        # the pictures are brought to these colours
reach_tolerance = 0.08                # and a person looks at those farther away, in OkLab
keep = ["#e30613"]                    # what has these colours in the photo stays the photo

[protect]
mask = "masks/{picture}.png"          # white stays the photo
faces = true

[[channels]]
name = "story"
width = 1080
height = 1920
fit = "crop"

[gates.style_gain]
review_below = 0.25
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from impasto.errors import InputError, SettingsError, first_problem
from impasto.palette import MAX_SWATCHES, parse_palette
from impasto.settings import ENGINES, FILE_SETTINGS, choose_engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LARGEST_PX: Final = 16384
_FIELDS: Final = ("picture", "style", "channel", "key")
_PLACE: Final = re.compile(r"\{([^{}]*)\}")
#: Names that a folder or file cannot have everywhere, in small letters (Windows keeps them for devices).
RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10))}
)
#: Folders of a campaign that no channel may have the name of.
_OWN_FOLDERS: Final = frozenset({"inputs", "masks", "pictures", "rejected"})
_FOLDER: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 _-]{0,62}[A-Za-z0-9_-])?")
#: Settings that may be paths of files.
PATHS: Final = ("init", *FILE_SETTINGS)
#: Formats of 8 bits a channel.
_SHALLOW: Final = ("jpg", "webp", "avif")


def _colors(colors: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_palette(colors)
    except SettingsError as error:
        raise ValueError(str(error).removeprefix("palette ")) from None
    return colors


def _twice(names: Sequence[str]) -> str | None:
    """The first that is there more than once."""
    return next((name for name, many in Counter(names).items() if many > 1), None)


def _channel_name(name: str) -> str:
    """A folder's name, on any system."""
    if not _FOLDER.fullmatch(name) or name.lower() in RESERVED:
        raise ValueError(f"{name!r} is no name for a folder; use up to 64 letters, digits, spaces, - and _")
    if name.lower() in _OWN_FOLDERS:
        raise ValueError(f"{name!r} is a folder of the campaign's own; give another name")
    return name


def _name_pattern(text: str) -> str:
    """A file's name with places in it."""
    unknown = [field for field in _PLACE.findall(text) if field not in _FIELDS]
    if unknown or "{" in _PLACE.sub("", text) or "}" in _PLACE.sub("", text):
        places = ", ".join(f"{{{field}}}" for field in _FIELDS)
        raise ValueError(f"{text!r} has a place that is not known; there are {places}")
    if "{picture}" not in text and "{key}" not in text:
        raise ValueError(f"{text!r} is the same for every picture; put {{picture}} or {{key}} into it")
    if any(sign in text for sign in '/\\:*?"<>|') or not text.isprintable() or text.startswith("."):
        raise ValueError(f"{text!r} is no plain file name")
    return text


Colors = Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_SWATCHES), AfterValidator(_colors)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ColorRules(_Part):
    """Colours of the brand."""

    reach: Colors | None = Field(default=None, description="colours that the pictures are brought to")
    reach_tolerance: float = Field(
        default=0.08, gt=0, le=1, description="mean distance from them, in OkLab, beyond which a person should look"
    )
    keep: Colors | None = Field(default=None, description="colours of the photo that stay the photo, such as a logo's")
    keep_tolerance: float = Field(default=0.05, gt=0, le=0.5, description="how near to them, in OkLab; 0.02 just shows")


class Protect(_Part):
    """Parts of the photo that stay the photo."""

    mask: str | None = Field(
        default=None,
        description="path of masks, white where the photo stays; {picture} is the photo's name without extension",
    )
    faces: bool = Field(default=False, description="faces that look at the camera; needs the extra campaigns")
    feather: float = Field(
        default=0.01, ge=0, le=0.2, description="width of the soft edge, as a share of the longer side"
    )

    @field_validator("mask")
    @classmethod
    def _places(cls, mask: str | None) -> str | None:
        if mask is not None and any(field != "picture" for field in _PLACE.findall(mask)):
            raise ValueError(f"{mask!r} has a place that is not known; there is {{picture}}")
        return mask


class Channel(_Part):
    """One size and format in which every picture is written."""

    name: Annotated[str, AfterValidator(_channel_name)]
    width: int = Field(ge=16, le=_LARGEST_PX)
    height: int = Field(ge=16, le=_LARGEST_PX)
    fit: Literal["crop", "fit", "pad"] = Field(
        default="crop",
        description="crop: fill the size and cut what is over; fit: at most that size; pad: fit, on background",
    )
    background: str = Field(default="#ffffff", pattern="^#[0-9a-fA-F]{6}$")
    format: Literal["jpg", "png", "webp", "avif", "tif"] = "jpg"
    quality: int = Field(default=92, ge=1, le=100)


class Pack(_Part):
    """What a brand pack says; everything but the style may be left out."""

    pack: Literal[1] = 1
    name: str = Field(default="campaign", min_length=1, max_length=200)
    styles: Annotated[tuple[str, ...], Field(min_length=1)]
    engine: str | None = None
    quality: str | None = None
    settings: dict[str, Any] = {}
    colors: ColorRules = ColorRules()
    protect: Protect = Protect()
    format: Literal["png", "jpg", "webp", "avif", "tif"] = Field(
        default="png", description="of the pictures themselves"
    )
    channels: tuple[Channel, ...] = ()
    naming: Annotated[str, AfterValidator(_name_pattern)] = "{picture}--{style}"
    gates: dict[str, dict[str, float | Literal["off"]]] = {}
    level: bool = Field(
        default=True,
        description="one strength of style over the set: pictures that take more of it than others take less",
    )

    @field_validator("styles", mode="before")
    @classmethod
    def _one_is_a_list(cls, styles: Any) -> Any:
        return (styles,) if isinstance(styles, str) else styles

    @model_validator(mode="after")
    def _rules_go_together(self) -> Self:
        try:
            engine, preset = choose_engine(self.engine or (None if self.quality else "fast"), self.quality)
            settings = {**preset, **self.settings}
            if self.colors.reach:
                if "color" in settings or "palette" in settings:
                    raise SettingsError(
                        "colors.reach and settings.color or settings.palette say different things; give one of them"
                    )
                settings |= {"color": "palette", "palette": self.colors.reach}
            checked = ENGINES[engine].of(**settings)
        except SettingsError as error:
            raise ValueError(str(error)) from None
        if checked.bit_depth == 16 and self.format in _SHALLOW:
            raise ValueError(f"format {self.format!r} holds 8 bits a channel, settings.bit_depth is 16; use png or tif")
        # Folders whose names differ by capitals alone are one on some systems.
        if twice := _twice([channel.name.lower() for channel in self.channels]):
            raise ValueError(f"there are two channels named {twice!r}; give each its own name")
        if twice := _twice(self.styles):
            raise ValueError(f"the style {twice!r} is there twice; leave one out")
        if len(self.styles) > 1 and not ("{style}" in self.naming or "{key}" in self.naming):
            raise ValueError(f"naming {self.naming!r} is the same for every style; put {{style}} or {{key}} into it")
        return self

    @property
    def run(self) -> tuple[str, dict[str, Any]]:
        """The engine, and its settings with what the colours ask for."""
        engine, preset = choose_engine(self.engine or (None if self.quality else "fast"), self.quality)
        settings = {**preset, **self.settings}
        if self.colors.reach:
            settings |= {"color": "palette", "palette": self.colors.reach}
        return engine, settings


def read_pack(path: Path) -> Pack:
    """A pack from its file; styles, masks and files of the settings are then paths from here, or names.

    Raises:
        InputError: it cannot be read.
        SettingsError: it is no TOML, or a rule in it is none or contradicts another; says which and what is allowed.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"the pack {str(path)!r} cannot be read: {reason}; give a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the pack {str(path)!r} is no TOML: {error}") from None
    pack = make_pack(found, str(path))
    styles = tuple(str(path.parent / style) if (path.parent / style).exists() else style for style in pack.styles)
    mask = pack.protect.mask
    placed = None if mask is None else str(path.parent / mask)
    settings = {
        name: str(path.parent / value) if name in PATHS and (path.parent / str(value)).exists() else value
        for name, value in pack.settings.items()
    }
    protect = pack.protect.model_copy(update={"mask": placed})
    return pack.model_copy(update={"styles": styles, "protect": protect, "settings": settings})


def make_pack(found: dict[str, Any], where: str) -> Pack:
    """A pack from what its file holds.

    Raises:
        SettingsError: a rule is none or contradicts another.
    """
    try:
        return Pack.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "float")  # one of the kinds of a threshold
        if first["type"] == "extra_forbidden":
            known = ", ".join(_known(first["loc"][:-1]))
            raise SettingsError(f"{where}: there is no {place!r}; there are {known}") from None
        _, reason = first_problem(error)
        raise SettingsError(f"{where}: {place + ': ' if place else ''}{reason}") from None


def _known(place: tuple[int | str, ...]) -> list[str]:
    """What a part of a pack may hold."""
    parts: dict[str, type[BaseModel]] = {"colors": ColorRules, "protect": Protect, "channels": Channel}
    model = parts.get(str(place[0])) if place else Pack
    return sorted((model or Pack).model_fields)
