"""What a campaign will do, before it does it: one job for every picture in every style, and what they cost."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from impasto.batch.job import Job
from impasto.errors import InputError
from impasto.hashes import file_sha256
from impasto.styles import find_style
from impasto.styles.pack import PATHS, RESERVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.batch.inputs import Input, Problem
    from impasto.batch.job import Result
    from impasto.batch.journal import Decision
    from impasto.styles import Pack

_SUFFIX: Final = 6
#: Bytes that a picture's and a style's name take of a file's, and what the whole may have: systems allow 255.
_NAME_BYTES, _FILE_BYTES = 80, 200
#: Signs that a file's name cannot have everywhere.
_SIGNS: Final = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
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


def style_source(word: str) -> StyleSource:
    """A style of a campaign, found and hashed.

    Raises:
        InputError: there is no such style or picture.
    """
    style, path = find_style(word), Path(word)
    if style is None:
        if not path.is_file():
            raise InputError(f"there is no style {word!r}; give a picture, or a style by name, folder or archive")
        if not path.name.isprintable():
            raise InputError(f"the name of the style {word!r} is no text; rename it")
        digest = file_sha256(path)
        return StyleSource(str(path.absolute()), _short(path.stem, digest), digest)
    about = [
        *(file_sha256(reference) for reference in style.references),
        *(each.sha256 for _, each in sorted(style.trained.items())),
        style.look.model_dump_json(),
    ]
    lies = str(path.absolute()) if path.exists() else word
    return StyleSource(lies, _short(style.name, _hash(about)), _hash(about), style.look.thresholds)


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
        InputError: there is no style of a name; a mask for all is missing, or one is of several pictures; two rows
            are the same, or would be written to one file.
    """
    styles = {
        word: style_source(word) for word in dict.fromkeys([*pack.styles, *(one.style for one in inputs if one.style)])
    }
    engine, settings = pack.run
    names = _unique_names(inputs)
    hash_of = cache(lambda path: file_sha256(Path(path)))
    by_stem: dict[str, list[Input]] = {}
    for one in inputs:
        by_stem.setdefault(one.path.stem, []).append(one)
    jobs = []
    for one, name in zip(inputs, names, strict=True):
        mask = _mask(pack.protect.mask, one, by_stem[one.path.stem])
        for word in [one.style] if one.style else pack.styles:
            style = styles[word]
            slot = _hash([one.sha256, style.identity, *sorted(map(str, one.overrides.items()))])[:16]
            own = dict(one.overrides)
            decision = decisions.get(slot)
            if decision and decision.decision == "redo" and decision.strength is not None:
                own["strength"] = decision.strength
            wanted = {**settings, **own}
            levelled = pack.level and engine == "fast" and "strength" not in own
            about: dict[str, Any] = {
                "slot": slot,
                "engine": engine,
                "settings": wanted,
                "target": targets.get(style.identity) if levelled else None,
                "mask": mask,
                "faces": pack.protect.faces,
                "keep": pack.colors.keep or (),
                "keep_tolerance": pack.colors.keep_tolerance,
                "feather": pack.protect.feather,
                "gates": _gates(pack, style),
                "channels": pack.channels,
            }
            # Files count by what is in them, wherever they lie.
            held = {path: hash_of(path) for path in (mask, *(wanted.get(each) for each in PATHS)) if _is_file(path)}
            counted = {each: held.get(value, value) if each in PATHS else value for each, value in wanted.items()}
            decides = about | {
                "settings": counted,
                "mask": held.get(mask),
                "naming": pack.naming if pack.channels else "",
            }
            key = _hash([version("impasto"), one.sha256, style.identity, pack.format, _plain(decides)])[:16]
            places = {"picture": name, "style": style.name, "key": key[:10]}
            files = tuple(
                f"{channel.name}/{_named(pack.naming, places | {'channel': channel.name})}.{channel.format}"
                for channel in pack.channels
            )
            jobs.append(
                Job(
                    key=key, picture=name, content=str(one.path), style=style.name, source=style.source,
                    place=str(place.absolute()), files=files, **about,
                    output=f"pictures/{_named('{picture}--{style}--{key}', places)}.{pack.format}",
                )
            )  # fmt: skip
    _refuse_same(jobs)
    return jobs


def disk_mb(jobs: Sequence[Job], sizes: Mapping[str, tuple[int, int]]) -> float:
    """MiB that the outputs of jobs take, at most in practice."""
    total = 0.0
    for job in jobs:
        width, height = sizes[job.content]
        longer = job.settings.get("image_size")
        factor = 1.0 if longer is None else longer / max(width, height)
        deep = job.settings.get("bit_depth", 8) / 8
        total += width * height * factor**2 * deep * _BYTES[Path(job.output).suffix[1:]]
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


def _mask(pattern: str | None, one: Input, namesakes: Sequence[Input]) -> str | None:
    """The path of a picture's mask; None where it has none: the plan says which do not.

    Raises:
        InputError: there is none that all pictures share, or it is also that of another picture of this name.
    """
    if pattern is None:
        return None
    path = Path(pattern.replace("{picture}", one.path.stem)).absolute()
    if "{picture}" not in pattern:
        if not path.is_file():
            raise InputError(f"there is no mask {str(path)!r}; put {{picture}} into it if some pictures have none")
        return str(path)
    if not path.is_file():
        return None
    for other in namesakes:
        if other.sha256 != one.sha256:
            raise InputError(
                f"the mask {str(path)!r} would be that of {str(one.path)!r} and of {str(other.path)!r}; rename one of "
                "them"
            )
    return str(path)


def _refuse_same(jobs: Sequence[Job]) -> None:
    """Raise where two jobs are one, or would be written to one file.

    Raises:
        InputError: names both.
    """
    keys: set[str] = set()
    writers: dict[str, Job] = {}
    for job in jobs:
        if job.key in keys:
            raise InputError(f"{job.content!r} would be painted as {job.style!r} twice in the same way; leave one out")
        keys.add(job.key)
        for name in job.outputs:
            # Names that differ by capitals alone are one on some systems.
            other = writers.setdefault(name.casefold(), job)
            if other is not job:
                raise InputError(
                    f"{name!r} would be written for {other.content!r} as {other.style!r} and for {job.content!r} as "
                    f"{job.style!r}; put {{key}} into the pack's naming"
                )


def _unique_names(inputs: Sequence[Input]) -> list[str]:
    """The pictures' names without extension; those that several share get a piece of their hash."""
    count = Counter(one.path.stem.casefold() for one in inputs)
    return [
        f"{_cut(one.path.stem)}-{one.sha256[:_SUFFIX]}"
        if count[one.path.stem.casefold()] > 1
        else _short(one.path.stem, one.sha256)
        for one in inputs
    ]


def _short(name: str, digest: str, most: int = _NAME_BYTES) -> str:
    """A name of at most so many bytes; one that is cut ends with a piece of a hash."""
    return name if len(name.encode()) <= most else f"{_cut(name, most)}-{digest[:_SUFFIX]}"


def _cut(name: str, most: int = _NAME_BYTES) -> str:
    """A name that leaves room for a piece of a hash."""
    return name.encode()[: most - _SUFFIX - 1].decode(errors="ignore")


def _named(pattern: str, places: Mapping[str, str]) -> str:
    """A file's name by a pattern, one that every system can hold."""
    found = re.sub(r"\{(\w+)\}", lambda place: places[place[1]], pattern)
    found = _short(_SIGNS.sub("-", found), places["key"], _FILE_BYTES)
    return f"{found}-" if found.split(".")[0].lower() in RESERVED else found


def _is_file(path: Any) -> bool:
    return isinstance(path, str) and Path(path).is_file()


def _plain(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True, default=lambda one: one.model_dump())


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
