"""What a campaign will do, before it does it: one job for every picture in every style, and what they cost."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from impasto.batch.job import Job
from impasto.errors import InputError
from impasto.styles import find_style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.batch.inputs import Input, Problem
    from impasto.batch.job import Result
    from impasto.batch.journal import Decision
    from impasto.styles import Pack

_SUFFIX: Final = 6
#: Bytes a pixel takes in each format, at most in practice.
_BYTES: Final = {"png": 3.0, "tif": 3.1, "jpg": 1.0, "webp": 0.8, "avif": 0.6}


@dataclass(frozen=True)
class StyleSource:
    """A style as the jobs of a campaign name it."""

    source: str
    name: str
    identity: str
    """Hash of its pictures, of what was trained, and of its settings."""
    thresholds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What will be done."""

    place: Path
    jobs: tuple[Job, ...]
    """To be painted now."""
    finished: tuple[Result, ...]
    """There already."""
    left_out: tuple[Result, ...]
    """Rejected by a person."""
    problems: tuple[Problem, ...]
    """What was given and cannot be used."""
    notes: tuple[str, ...] = ()
    """What a person should know before."""
    disk_mb: float = 0.0
    """That the outputs of the jobs will take, MiB."""
    free_disk_mb: float = math.inf
    memory_mb: float = 0.0
    """Of one worker, MiB."""
    seconds: float = 0.0
    """That painting takes, on all workers together; judging and writing come on top."""
    workers: int = 1

    def but(self, **changes: Any) -> Plan:
        """The same plan with other costs or jobs."""
        return replace(self, **changes)


def style_source(word: str, base: Path | None = None) -> StyleSource:
    """A style of a campaign, found and hashed.

    Raises:
        InputError: there is no such style or picture.
    """
    place = word if base is None or not (base / word).exists() else str(base / word)
    style = find_style(place)
    if style is None:
        path = Path(place)
        if not path.is_file():
            raise InputError(f"there is no style {word!r}; give a picture, or a style by name, folder or archive")
        return StyleSource(place, path.stem, hashlib.sha256(path.read_bytes()).hexdigest())
    about = [
        *(hashlib.sha256(path.read_bytes()).hexdigest() for path in style.references),
        *(each.sha256 for _, each in sorted(style.trained.items())),
        style.look.model_dump_json(),
    ]
    return StyleSource(place, style.name, _hash(about), style.look.thresholds)


def make_jobs(
    pack: Pack,
    inputs: Sequence[Input],
    place: Path,
    targets: Mapping[str, float],
    decisions: Mapping[str, Decision],
) -> list[Job]:
    """Every job of a campaign.

    Args:
        pack: its rules.
        inputs: its pictures.
        place: its folder.
        targets: the style gain of each style, by :attr:`StyleSource.identity`.
        decisions: what a person said, by slot.

    Raises:
        InputError: there is no style of a name; a mask is missing.
    """
    styles = {
        word: style_source(word) for word in dict.fromkeys([*pack.styles, *(one.style for one in inputs if one.style)])
    }
    engine, settings = pack.run
    names = _unique_names(inputs)
    jobs = []
    for one, name in zip(inputs, names, strict=True):
        for word in [one.style] if one.style else pack.styles:
            style = styles[word]
            slot = _hash([one.sha256, style.identity, *sorted(map(str, one.overrides.items()))])[:16]
            own = dict(one.overrides)
            decision = decisions.get(slot)
            if decision and decision.decision == "redo" and decision.strength is not None:
                own["strength"] = decision.strength
            mask = None if pack.protect.mask is None else pack.protect.mask.replace("{picture}", one.path.stem)
            if mask is not None and not Path(mask).is_file():
                mask = None  # a mask for some of the pictures is usual; the plan says which have none
            levelled = pack.level and engine == "fast" and "strength" not in own
            about: dict[str, Any] = {
                "slot": slot,
                "engine": engine,
                "settings": {**settings, **own},
                "target": targets.get(style.identity) if levelled else None,
                "mask": mask,
                "faces": pack.protect.faces,
                "keep": pack.colors.keep or (),
                "keep_tolerance": pack.colors.keep_tolerance,
                "feather": pack.protect.feather,
                "gates": _gates(pack, style),
                "channels": pack.channels,
            }
            mask_hash = hashlib.sha256(Path(mask).read_bytes()).hexdigest() if mask else ""
            key = _hash(
                [version("impasto"), one.sha256, style.identity, mask_hash, pack.format, _plain(about | {"mask": None})]
            )[:16]
            stem = f"{_named('{picture}--{style}', name, style.name, '', '')}--{key[:10]}"
            files = tuple(
                f"{channel.name}/{_named(pack.naming, name, style.name, channel.name, key[:10])}.{channel.format}"
                for channel in pack.channels
            )
            jobs.append(
                Job(
                    key=key, picture=name, content=str(one.path), style=style.name, source=style.source,
                    place=str(place), output=f"pictures/{stem}.{pack.format}", files=files, **about,
                )
            )  # fmt: skip
    return jobs


def disk_mb(jobs: Sequence[Job], sizes: Mapping[str, tuple[int, int]]) -> float:
    """MiB that the outputs of jobs take, at most in practice."""
    total = 0.0
    for job in jobs:
        width, height = sizes[job.content]
        longer = job.settings.get("image_size")
        factor = 1.0 if longer is None else int(longer) / max(width, height)
        total += width * height * factor**2 * _BYTES[Path(job.output).suffix[1:]]
        total += sum(channel.width * channel.height * _BYTES[channel.format] for channel in job.channels)
    return total / 2**20


def _gates(pack: Pack, style: StyleSource) -> dict[str, dict[str, Any]]:
    """Thresholds of the style, and of the brand on top."""
    found = {metric: dict(rules) for metric, rules in style.thresholds.items()}
    if pack.colors.reach:
        found.setdefault("palette_distance", {})["review_above"] = pack.colors.reach_tolerance
    for metric, rules in pack.gates.items():
        found[metric] = {**found.get(metric, {}), **rules}
    return found


def _unique_names(inputs: Sequence[Input]) -> list[str]:
    """The pictures' names without extension; those that several share get a piece of their hash."""
    count = Counter(one.path.stem for one in inputs)
    return [f"{one.path.stem}-{one.sha256[:_SUFFIX]}" if count[one.path.stem] > 1 else one.path.stem for one in inputs]


def _named(pattern: str, picture: str, style: str, channel: str, key: str) -> str:
    """A file's name by a pattern."""
    found = pattern
    for place, word in (("picture", picture), ("style", style), ("channel", channel), ("key", key)):
        found = found.replace(f"{{{place}}}", word)
    return found.replace("/", "-").replace("\\", "-")


def _plain(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True, default=lambda one: one.model_dump())


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
