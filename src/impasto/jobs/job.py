"""What a job is: what was asked for, and where it stands. Whatever is kept of it is JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import TypeVar

from impasto.errors import SettingsError, first_problem
from impasto.settings import ENGINES, FILE_SETTINGS, STARTS, choose_engine

State = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
Kind = Literal["picture", "campaign"]
Wish = Literal["keep", "discard", "pause"]
#: From these a job does not go on by itself.
ENDED: Final[frozenset[str]] = frozenset({"done", "failed", "cancelled"})

ASSET: Final = re.compile(r"[0-9a-f]{64}")
#: Engines that a service paints with; diffusion only where its owner offers it (see jobs/config.py).
Served = Literal["diffusion", "fast", "optimize"]
STYLE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
JOB: Final = re.compile(r"[0-9a-f]{32}")

#: The largest picture that is painted for a stranger: what it takes grows with its square.
MAX_SIZE_PX: Final = 4096

#: Settings that are not a client's: they name files or devices of the machine, or cannot be gone on with.
NOT_YOURS: Final = {
    **dict.fromkeys(FILE_SETTINGS, "it names a file of the server"),
    "lora": "it names a file of the server; give a style that has one",
    "accept_license": "whoever runs the server accepts licences",
    "device": "the server chooses it",
    "time_budget": "a job that goes on after a restart has no one time",
}


class RegionRequest(BaseModel):
    """A part of the content with a style of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    mask: str = Field(pattern=f"^{ASSET.pattern}$", description="asset id of a picture that is white where the part is")
    style: str = Field(description="what gives its look: an asset's id, or a name of the library")


class JobRequest(BaseModel):
    """What a client asks for; checked, so that a job that was accepted can be run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    content: str = Field(pattern=f"^{ASSET.pattern}$", description="asset id of the picture that keeps its shapes")
    styles: tuple[str, ...] = Field(
        (),
        max_length=16,
        description="what gives the look: asset ids, or names of the library's styles",
        json_schema_extra={"items": {"type": "string", "pattern": f"^({ASSET.pattern}|{STYLE.pattern})$"}},
    )
    regions: tuple[RegionRequest, ...] = Field(
        (), max_length=8, description="parts with styles of their own; what none covers takes styles, or stays"
    )
    engine: Served | None = Field(None, description="by default optimize")
    quality: Literal["draft", "standard", "fine"] | None = Field(None, description="instead of an engine")
    settings: dict[str, Any] = Field({}, max_length=64, description="the engine's settings by name; see /v1/engines")
    format: Literal["png", "jpeg", "webp", "avif", "tiff"] = Field("png", description="of the result")

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """Check what was asked for.

        Raises:
            SettingsError: one sentence with name, value and what is allowed.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            place, reason = first_problem(error)
            raise SettingsError(f"{place}: {reason}" if place else reason) from None

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        if not self.styles and not self.regions:
            raise ValueError("styles: give at least one, or regions with a style each")
        for style in self._all_styles:
            if not STYLE.fullmatch(style):
                raise ValueError(f"{style[:80]!r} is neither an asset's id nor the name of a style")
        for name, reason in NOT_YOURS.items():
            if self.settings.get(name) is not None:
                raise ValueError(f"the setting {name} cannot be given to a service: {reason}")
        if self.settings.get("init") not in (None, *STARTS):
            raise ValueError(f"init must be one of {', '.join(STARTS)} here")
        try:
            engine, settings = choose_engine(self.engine, self.quality)
            checked = ENGINES[engine].of(**{**settings, **self.settings})
        except SettingsError as error:
            raise ValueError(str(error)) from None
        if checked.image_size is not None and checked.image_size > MAX_SIZE_PX:
            raise ValueError(f"image_size is {checked.image_size}, and at most {MAX_SIZE_PX} is taken by a service")
        if checked.bit_depth == 16 and self.format not in ("png", "tiff"):
            raise ValueError(f"bit_depth 16 needs the format png or tiff, not {self.format}")
        if checked.style_weights is not None and len(checked.style_weights) != len(self.styles):
            raise ValueError(f"there are {len(self.styles)} styles and {len(checked.style_weights)} style_weights")
        return self

    @property
    def image_size(self) -> int | None:
        """The longer side that is asked for; None: the photo's own."""
        engine, settings = choose_engine(self.engine, self.quality)
        return ENGINES[engine].of(**{**settings, **self.settings}).image_size

    @property
    def engine_name(self) -> str:
        """The engine that is meant."""
        return choose_engine(self.engine, self.quality)[0]

    @property
    def assets(self) -> tuple[str, ...]:
        """Ids of the assets that it needs."""
        masks = (region.mask for region in self.regions)
        return (self.content, *(style for style in self._all_styles if ASSET.fullmatch(style)), *masks)

    @property
    def library_styles(self) -> tuple[str, ...]:
        """Names of the library's styles that it needs."""
        return tuple(style for style in self._all_styles if not ASSET.fullmatch(style))

    @property
    def _all_styles(self) -> tuple[str, ...]:
        return (*self.styles, *(region.style for region in self.regions))


#: What a job does: paint a picture, unless something else is said.
Request = TypeVar("Request", default=JobRequest)


@dataclass(frozen=True)
class QueueState:
    """The queue as an owner sees it."""

    paused_s: float | None
    """Since when nothing is begun, in seconds since 1970; None where the queue is open."""
    waiting: int
    """Jobs of all owners that wait."""
    mine: dict[str, int]
    """The owner's jobs that have not ended, by state."""


@dataclass(frozen=True)
class Job(Generic[Request]):
    """A job as it stands."""

    id: str
    owner: str
    state: State
    request: Request
    created_s: float
    """Seconds since 1970."""
    changed: int
    """Grows with every change of any job: where a client that watches left off."""
    started_s: float | None = None
    ended_s: float | None = None
    chunks: int = 0
    """Finished, each with a checkpoint after it."""
    attempts: int = 0
    """Times it was begun since the last finished chunk."""
    runs: int = 0
    """Times it was asked for again by :meth:`JobEngine.retry`."""
    wanted: Wish | None = None
    """What a running job was asked for: to end, with or without its picture, or to be put aside."""
    starred: bool = False
    """Kept by its owner: no clean-up takes it."""
    kind: Kind = "picture"
    """What ``request`` is: a :class:`JobRequest`, or a campaign's."""
    progress: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    """Of a failed job: ``code`` and ``detail``."""
    origin: dict[str, str] | None = None
    """The request that brought it: ``request_id``."""
    variant: dict[str, Any] | None = None
    """What it is made with: ``impasto``, the version; ``canary`` and ``arm`` while one is tried; see canary.py."""
    quality: dict[str, Any] | None = None
    """What the judge says of the result: ``outcome``, ``reasons`` and ``values``; None before, or if nobody asked."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED
