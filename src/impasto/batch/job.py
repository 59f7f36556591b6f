"""What is to be done for one picture in one style, and what came of it, as plain data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from impasto.styles import Channel  # noqa: TC001 — a field's type

Outcome = Literal["ok", "review", "reject"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Job(_Data):
    """One picture in one style."""

    key: str
    """Hash of all that decides the output: content, style, settings, rules, version."""
    slot: str
    """Hash of content and style alone: what a person decides on, whatever the settings."""
    picture: str
    """The content's name without extension, unique in the campaign."""
    content: str
    """Its path."""
    style: str
    """Its name."""
    source: str
    """Picture, folder, archive or name."""
    engine: str
    settings: dict[str, Any]
    target: float | None = None
    """The style gain that pictures with more of it are brought down to."""
    mask: str | None = None
    """Path of a mask, white where the photo stays."""
    faces: bool = False
    keep: tuple[str, ...] = ()
    keep_tolerance: float = 0.05
    feather: float = 0.01
    gates: dict[str, dict[str, Any]] = {}
    """Thresholds by metric."""
    place: str
    """The campaign's folder."""
    output: str
    """Path in it, of the picture itself."""
    channels: tuple[Channel, ...] = ()
    files: tuple[str, ...] = ()
    """Path in it for each channel."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """All paths."""
        return (self.output, *self.files)


class Result(_Data):
    """What came of a job."""

    key: str
    slot: str
    picture: str
    content: str
    style: str
    source: str
    status: Literal["done", "failed"]
    reason: str = ""
    """Why it failed."""
    outputs: tuple[str, ...] = ()
    mask: str = ""
    """Of what was painted, as the recipe names it; a path in the campaign's folder."""
    width: int = 0
    height: int = 0
    outcome: Outcome | None = None
    reasons: tuple[str, ...] = ()
    """Why it is not ok."""
    values: dict[str, float] = {}
    """Figures by metric."""
    lab: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Mean colour in OkLab."""
    close: float | None = None
    """Share of pixels near the colours that shall be reached."""
    protected: float = 0.0
    """Share of the picture that stayed the photo."""
    strength: float = 1.0
    """With which it was painted."""
    seconds: float = 0.0
    peak_memory_mb: float = 0.0

    @classmethod
    def failed(cls, job: Job, reason: str) -> Result:
        """Of a job that came to nothing."""
        return cls(**_who(job), status="failed", reason=reason)

    @classmethod
    def done(cls, job: Job, **found: Any) -> Result:
        """Of a job whose files are written."""
        return cls(**_who(job), status="done", outputs=job.outputs, **found)


def _who(job: Job) -> dict[str, Any]:
    names = ("key", "slot", "picture", "content", "style", "source")
    return {name: getattr(job, name) for name in names}
