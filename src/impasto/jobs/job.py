"""What a job is: what was asked for, and where it stands. Whatever is kept of it is JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import SettingsError, first_problem
from impasto.settings import ENGINES, STARTS, choose_engine

State = Literal["queued", "running", "done", "failed", "cancelled"]
#: From these a job does not go on by itself.
ENDED: Final[frozenset[str]] = frozenset({"done", "failed", "cancelled"})

ASSET: Final = re.compile(r"[0-9a-f]{64}")
#: Engines that a service paints with: diffusion would hold a worker for minutes, and its models are not a client's.
Served = Literal["fast", "optimize"]
_STYLE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
JOB: Final = re.compile(r"[0-9a-f]{32}")

#: The largest picture that is painted for a stranger: what it takes grows with its square.
MAX_SIZE_PX: Final = 4096

#: Settings that are not a client's: they name files or devices of the machine, or cannot be gone on with.
NOT_YOURS: Final = {
    "model": "it names a file of the server",
    "vgg_weights": "it names a file of the server",
    "device": "the server chooses it",
    "time_budget": "a job that goes on after a restart has no one time",
}


class JobRequest(BaseModel):
    """What a client asks for; checked, so that a job that was accepted can be run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    content: str = Field(pattern=f"^{ASSET.pattern}$", description="asset id of the picture that keeps its shapes")
    styles: tuple[str, ...] = Field(
        min_length=1, max_length=16, description="what gives the look: asset ids, or names of the library's styles"
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
        for style in self.styles:
            if not _STYLE.fullmatch(style):
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
    def engine_name(self) -> str:
        """The engine that is meant."""
        return choose_engine(self.engine, self.quality)[0]

    @property
    def assets(self) -> tuple[str, ...]:
        """Ids of the assets that it needs."""
        return (self.content, *(style for style in self.styles if ASSET.fullmatch(style)))

    @property
    def library_styles(self) -> tuple[str, ...]:
        """Names of the library's styles that it needs."""
        return tuple(style for style in self.styles if not ASSET.fullmatch(style))


@dataclass(frozen=True)
class Job:
    """A job as it stands."""

    id: str
    owner: str
    state: State
    request: JobRequest
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
    wanted: Literal["keep", "discard"] | None = None
    """How a running job was asked to end."""
    progress: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    """Of a failed job: ``code`` and ``detail``."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED
