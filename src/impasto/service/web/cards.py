"""Jobs as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from impasto.jobs.job import ASSET
from impasto.service.web.drafts import Draft

if TYPE_CHECKING:
    from impasto.jobs.job import Job
    from impasto.service.context import Context

#: What browsers show; of others they get a WebP.
_SHOWN: frozenset[str] = frozenset({"png", "jpeg", "webp", "avif"})


@dataclass(frozen=True)
class Card:
    """One job."""

    job: Job
    position: int | None

    @classmethod
    def of(cls, service: Context, job: Job) -> Self:
        """The job with its place in the queue."""
        return cls(job, service.jobs.position(job))

    @property
    def again(self) -> str:
        """The page with this job's settings."""
        return Draft.of_request(self.job.request).address

    @property
    def style(self) -> str:
        """The style in words."""
        return ", ".join(dict.fromkeys(_named(style) for style in self._styles))

    @property
    def _styles(self) -> list[str]:
        request = self.job.request
        return [*request.styles, *(region.style for region in request.regions)]

    @property
    def strength(self) -> float:
        """As it was painted."""
        return float(self.job.request.settings.get("strength", 1))

    @property
    def quality(self) -> str:
        """The quality, or the engine where none was asked for."""
        return self.job.request.quality or self.job.request.engine_name

    @property
    def title(self) -> str:
        """What a picture's alternative text says."""
        strength = "" if self.strength == 1 else f" at strength {self.strength:g}"
        return f"your photo painted in {self.style}{strength}"

    @property
    def before(self) -> str:
        """The address of the content."""
        return f"/studio/pictures/assets/{self.job.request.content}?px=1600"

    @property
    def picture(self) -> str:
        """The address of the result as a browser shows it."""
        shown = self.job.request.format in _SHOWN
        return f"/v1/jobs/{self.job.id}/result" if shown else f"{self.small.partition('?')[0]}?px=1600"

    @property
    def small(self) -> str:
        """The address of a small picture of it."""
        if self.job.state == "done":
            return f"/studio/pictures/jobs/{self.job.id}?px=400"
        return f"/studio/pictures/jobs/{self.job.id}/so-far?{self.job.changed}"

    @property
    def swatches(self) -> list[str]:
        """Addresses of its styles."""
        kinds = {style: "assets" if ASSET.fullmatch(style) else "styles" for style in self._styles}
        return [f"/studio/pictures/{kind}/{style}?px=160" for style, kind in kinds.items()]

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels, once they are known."""
        known: dict[str, Any] = self.job.metrics or self.job.progress or {}
        return (known["width"], known["height"]) if "width" in known else None

    @property
    def seconds(self) -> float | None:
        """What painting took."""
        job = self.job
        return None if job.started_s is None or job.ended_s is None else job.ended_s - job.started_s

    @property
    def left(self) -> str:
        """Where an open job stands, in a few words; for running ones ``live-jobs.js`` has the same."""
        if self.job.state == "paused":
            return "paused"
        if self.job.state == "queued":
            return "next" if not self.position else f"{self.position} before it"
        if self.job.wanted:
            return "pausing" if self.job.wanted == "pause" else "stopping"
        seconds = (self.job.progress or {}).get("eta_s")
        return "beginning" if seconds is None else in_words(seconds)

    @property
    def share_done(self) -> float:
        """Of the work, 0 to 1."""
        return float((self.job.progress or {}).get("fraction", 0))


def in_words(seconds: float) -> str:
    """A time nobody takes for exact."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"


def _named(style: str) -> str:
    return "your picture" if ASSET.fullmatch(style) else style.replace("_", " ").replace("-", " ")
