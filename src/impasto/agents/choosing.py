"""Which quality, preset and colours fit what a user wants, and about how long each takes here.

The user says how faithful the picture shall be and which failures matter; nobody in a chat knows what a preset is.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

from impasto.errors import SettingsError
from impasto.settings import choose_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.jobs.job import Job

Faithfulness = Literal["high", "medium", "low"]
Failure = Literal["lost_detail", "weak_style", "wrong_colors", "artifacts", "slow"]
Quality = Literal["draft", "standard", "fine"]
Preset = Literal["faithful", "balanced", "painterly", "texture", "abstract"]

#: Seconds of a job on two cores with nothing beside it: at any size, and for each megapixel. From
#: docs/performance.md (1224x819 px, defaults: 58 s) and docs/engines/fast.md (standard: .37 of it; 1024 px: .15 s).
_REFERENCE: Final[dict[Quality, tuple[float, float]]] = {
    "draft": (0.7, 0.3),
    "standard": (2.0, 20.0),
    "fine": (3.0, 55.0),
}
#: So much longer than the wait a picture may take whose flaws matter more than its time.
_PATIENCE: Final = 4.0
#: Without a wait, a chat is still no place for a picture of an hour.
_NO_WAIT_S: Final = 300.0


@dataclass(frozen=True)
class Estimates:
    """How long jobs take here: the reference, times what this service's last jobs took of it."""

    factors: dict[str, float]
    """By quality; without one that was painted here, 1."""

    @classmethod
    def of(cls, done: Sequence[Job]) -> Estimates:
        """From finished jobs, the last ones first."""
        ratios: dict[str, list[float]] = {}
        for job in done:
            quality, facts = quality_of(job), job.metrics
            if quality is None or facts is None or facts["stopped_early"] or not (job.started_s and job.ended_s):
                continue
            expected = _reference_s(quality, facts["width"], facts["height"])
            ratios.setdefault(quality, []).append((job.ended_s - job.started_s) / expected)
        return cls({quality: median(found[:9]) for quality, found in ratios.items()})

    def seconds(self, quality: Quality, width: int, height: int) -> float:
        """Of one job that has the machine for itself."""
        return _reference_s(quality, width, height) * self.factors.get(quality, 1.0)


@dataclass(frozen=True)
class Choice:
    """What is asked of an engine, and why."""

    quality: Quality
    settings: dict[str, Any]
    seconds: float
    """About what it takes."""
    why: str
    """One or two sentences."""


def choose(
    estimates: Estimates,
    size: tuple[int, int],
    *,
    wait_s: float,
    quality: Quality | None = None,
    preset: Preset | None = None,
    faithfulness: Faithfulness | None = None,
    avoid: Sequence[Failure] = (),
) -> Choice:
    """Choose for somebody who says what matters.

    Args:
        estimates: how long jobs take here.
        size: of the output, pixels.
        wait_s: how long the caller waits; 0: it asks again later.
        quality: exactly this one.
        preset: exactly this look; engine optimize's.
        faithfulness: how much of the photo's shapes is to stay.
        avoid: failures that matter most.

    Raises:
        SettingsError: two of them contradict each other.
    """
    if quality == "draft" and preset is not None:
        raise SettingsError("presets belong to the qualities standard and fine, not to draft; leave out one of the two")
    if faithfulness == "high" and preset in ("texture", "abstract"):
        raise SettingsError(
            f"the preset {preset} lets go of shapes, and faithfulness is high; leave out one of the two"
        )
    if quality is None:
        quality, reason = _quality_in_time(estimates, size, wait_s, avoid, needs_optimize=preset is not None)
    else:
        reason = f"quality {quality} as asked for"
    reasons = [reason]
    settings: dict[str, Any] = {}
    look = preset or _look(faithfulness, avoid)
    if quality != "draft" and look is not None:
        settings["preset"] = look
        reasons.append(f"preset {look}" + ("" if preset else f" ({_LOOKS[look]})"))
    if quality == "draft" and (faithfulness == "high" or "lost_detail" in avoid):
        settings["strength"] = 0.7
        reasons.append("strength 0.7 (one pass has no other way to keep more of the photo)")
    if "wrong_colors" in avoid:
        settings["color"] = "luminance"
        reasons.append("color luminance (the photo's own colours stay)")
    return Choice(quality, settings, estimates.seconds(quality, *size), f"{'; '.join(reasons)}.")


_LOOKS: Final[dict[Preset, str]] = {
    "faithful": "it keeps the most of the photo's shapes",
    "painterly": "it has more of the style and still holds shapes",
    "texture": "it has the most of the style, and objects of the style picture may show",
}


def _look(faithfulness: Faithfulness | None, avoid: Sequence[Failure]) -> Preset | None:
    """The preset for what matters; None: the defaults, which stand in the middle."""
    if faithfulness == "high" or (faithfulness is None and "lost_detail" in avoid):
        return "faithful"
    if faithfulness == "low":
        return "texture" if "weak_style" in avoid and "artifacts" not in avoid else "painterly"
    return "painterly" if "weak_style" in avoid and "lost_detail" not in avoid else None


def _quality_in_time(
    estimates: Estimates, size: tuple[int, int], wait_s: float, avoid: Sequence[Failure], *, needs_optimize: bool
) -> tuple[Quality, str]:
    """The best quality that ends in time, and why it is that one."""
    if "slow" in avoid and not needs_optimize:
        return "draft", f"quality draft (about {estimates.seconds('draft', *size):.0f} s), because it shall be quick"
    picky = {"lost_detail", "weak_style", "artifacts"} & set(avoid)
    limit = (wait_s or _NO_WAIT_S) * (_PATIENCE if picky else 1.0)
    order: tuple[Quality, ...] = ("fine", "standard") if needs_optimize or picky else ("fine", "standard", "draft")
    times = {quality: estimates.seconds(quality, *size) for quality in order}
    found = next((quality for quality in order if times[quality] <= limit), order[-1])
    reason = f"quality {found} (about {times[found]:.0f} s at {size[0]}x{size[1]} px here"
    if found != order[0]:
        better = order[order.index(found) - 1]
        reason += f"; {better} would take about {times[better]:.0f} s, more than {limit:.0f} s"
    return found, f"{reason})"


def quality_of(job: Job) -> Quality | None:
    """Which quality a job is; None for an engine with settings of its own."""
    if job.request.quality is not None:
        return job.request.quality
    return "draft" if choose_engine(job.request.engine, None)[0] == "fast" else None


def _reference_s(quality: Quality, width: int, height: int) -> float:
    fixed, each = _REFERENCE[quality]
    return fixed + each * width * height / 1e6
