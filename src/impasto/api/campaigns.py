"""Campaigns: one look over many pictures, planned, painted once each, judged, and gone on with after any end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs
import psutil

from impasto.api.campaign_rows import measure_job, paint_job
from impasto.api.stylize import plan as plan_picture
from impasto.batch.inputs import inputs_of, read_manifest
from impasto.batch.job import Result
from impasto.batch.journal import DECISIONS, ROWS, TARGETS, Journal, read_decisions
from impasto.batch.local import LocalRunner, cores
from impasto.batch.on_ray import RayRunner
from impasto.batch.plan import Plan, disk_mb, make_jobs, style_source
from impasto.batch.remote import Mirror, is_remote
from impasto.batch.summary import Campaign
from impasto.errors import InputError, OutputError, SettingsError
from impasto.evaluation.gates import Gates
from impasto.progress import CancelToken
from impasto.settings import ENGINES
from impasto.styles import Pack, make_pack, read_pack
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from impasto.batch.inputs import Input, Problem
    from impasto.batch.job import Job
    from impasto.batch.journal import Decision

    PathLike = str | os.PathLike[str]
    Call = Callable[[Callable[[Job], Result], Sequence[Job]], Iterator[tuple[Job, Result | None]]]

#: Names of the outputs that a run set out to write: files of that name are its own.
_PLANNED: Final = "planned.json"
REPORT: Final = "report.html"
#: Pictures of a style that its gain is measured on, at least and at most, and the share of them that have less than
#: what all are brought down to.
_SAMPLE: Final = (6, 24)
TARGET_QUANTILE: Final = 0.25
_DISK_RESERVE: Final = 1.05
#: Of the memory that is free, what all workers together may take.
_MEMORY_SHARE: Final = 0.8


@dataclass(frozen=True)
class _Asked:
    """A campaign as it was asked for, found on disk."""

    pack: Pack
    inputs: tuple[Input, ...]
    problems: tuple[Problem, ...]
    decisions: Mapping[str, Decision]
    place: Path
    failed_only: bool
    overwrite: bool
    workers: int | None


def plan_campaign(
    pack: PathLike | Pack,
    inputs: Sequence[PathLike] = (),
    *,
    output: PathLike,
    manifest: PathLike | None = None,
    decisions: PathLike | None = None,
    workers: int | None = None,
    failed_only: bool = False,
    overwrite: bool = False,
) -> Plan:
    """What :func:`run_campaign` would do with the same arguments, and about what it would cost; nothing is written.

    Raises:
        Everything that it raises before it paints.
    """
    place = Path(output) if not is_remote(os.fspath(output)) else _staging(os.fspath(output))
    asked = _asked(pack, inputs, place, manifest, decisions, workers, failed_only=failed_only, overwrite=overwrite)
    journal = Journal.peek(place)
    return _costed(_planned(asked, journal.rows, journal.targets()), asked)


def run_campaign(
    pack: PathLike | Pack,
    inputs: Sequence[PathLike] = (),
    *,
    output: PathLike,
    manifest: PathLike | None = None,
    decisions: PathLike | None = None,
    workers: int | None = None,
    ray: str | None = None,
    failed_only: bool = False,
    overwrite: bool = False,
    on_plan: Callable[[Plan], None] | None = None,
    on_result: Callable[[int, int, Result], None] | None = None,
    cancel: CancelToken | None = None,
) -> Campaign:
    """Paint every picture in every style of a pack, once each.

    What is finished stays finished: the same call goes on where a run was ended, paints what has changed, and tries
    again what failed. One row that fails never ends the others.

    Args:
        pack: a brand pack's file or a :class:`~impasto.styles.Pack`; or a style, which stands for a pack without rules.
        inputs: pictures, folders, patterns, or addresses such as ``s3://bucket/photos``.
        output: the campaign's folder, or an address. Pictures go to ``pictures/``, a channel's to its own folder.
        manifest: CSV, JSON lines or TOML with a ``picture`` a row, and if wanted ``style`` and settings of its own.
        decisions: what a person decided on the report; None: ``decisions.json`` in the output, if there is one.
        workers: processes; None: one for each core that the memory allows.
        ray: ``local``, or the address of a Ray cluster that sees the same folders; None: processes of this machine.
        failed_only: only what failed before.
        overwrite: whether files that are not the campaign's own may be replaced.
        on_plan: called with the plan before the first picture.
        on_result: called with number, count and result after each.
        cancel: ends it between two pictures; what is finished is kept and reported.

    Returns:
        Every row with its figures, and the sums; its page lies in ``report.html``.

    Raises:
        InputError: the pack, the inputs or the manifest cannot be used, or another run works in the folder.
        SettingsError: a rule of the pack is none.
        OutputError: there is no space, or a file of somebody else would be replaced.
        MissingExtraError: Ray or what finds faces is not installed.

    Example:
        >>> import impasto
        >>> impasto.run_campaign("brand.toml", ["photos/"], output="spring").counts  # doctest: +SKIP
    """
    address = os.fspath(output)
    mirror = Mirror(address) if is_remote(address) else None
    place = _staging(address) if mirror else Path(output)
    token = cancel or CancelToken()
    if mirror:
        for name in (ROWS, TARGETS, DECISIONS, _PLANNED):
            mirror.get(place, name)
    with Journal(place) as journal:
        asked = _asked(pack, inputs, place, manifest, decisions, workers, failed_only=failed_only, overwrite=overwrite)
        plan = _costed(_planned(asked, journal.rows, journal.targets(), mirror), asked)
        _refuse_foreign(plan, journal, overwrite=overwrite)
        _refuse_full(plan)
        if on_plan:
            on_plan(plan)
        with RayRunner(ray, workers, token) if ray and plan.jobs else LocalRunner(plan.workers, token) as call:
            if _measured(asked, plan, journal, call):
                plan = _planned(asked, journal.rows, journal.targets(), mirror)
            write_whole(place / _PLANNED, json.dumps([name for job in plan.jobs for name in job.outputs]).encode())
            _set_aside(plan, place)
            for number, (job, result) in enumerate(call(paint_job, plan.jobs), start=1):
                kept = result or Result.failed(job, "its process died twice; there may not be enough memory for it")
                if mirror and kept.status == "done":
                    for name in kept.outputs:
                        mirror.put(place, name)
                journal.add(kept)
                if on_result:
                    on_result(number, len(plan.jobs), kept)
        campaign = _campaign(asked, plan, journal.rows)
        campaign.to_html(place / REPORT)
    if mirror:
        for name in (ROWS, TARGETS, _PLANNED, REPORT):
            if (place / name).exists():
                mirror.put(place, name)
    return campaign


def read_campaign(output: PathLike) -> Campaign:
    """What lies in a campaign's folder: the last result of every row.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    place = Path(output)
    rows = Journal.peek(place).rows
    if not rows:
        raise InputError(f"there is no campaign in {str(place)!r}; give the folder that `impasto batch` wrote to")
    slots = {row.slot: row for row in rows.values()}
    return Campaign(place.name, place, tuple(slots.values()), (), (), read_decisions(place / DECISIONS))


def _asked(
    pack: PathLike | Pack,
    inputs: Sequence[PathLike],
    place: Path,
    manifest: PathLike | None,
    decisions: PathLike | None,
    workers: int | None,
    *,
    failed_only: bool,
    overwrite: bool,
) -> _Asked:
    """Everything that was given, read and checked."""
    rules = _pack(pack)
    Gates.load(thresholds=rules.gates)
    if bool(inputs) == (manifest is not None):
        raise InputError("give either pictures, or a manifest that names them")
    if workers is not None and workers < 1:
        raise SettingsError(f"workers={workers} cannot be used: at least 1 is needed")
    if place.exists() and not place.is_dir():
        raise OutputError(f"{str(place)!r} is a file; give a folder with --output")
    engine, settings = rules.run
    if manifest is not None:
        found, problems = read_manifest(Path(manifest), ENGINES[engine].model_fields, place)
    else:
        found, problems = inputs_of([os.fspath(one) for one in inputs], place)
    for one in found:
        if one.overrides:
            try:
                ENGINES[engine].of(**{**settings, **one.overrides})
            except SettingsError as error:
                raise SettingsError(f"the manifest's row of {one.path.name}: {error}") from None
    if not found:
        first = f"; {problems[0].name}: {problems[0].reason}" if problems else ""
        raise InputError(f"there is no picture that can be used{first}")
    said = read_decisions(place / DECISIONS if decisions is None else Path(decisions))
    if decisions is not None:
        if not Path(decisions).exists():
            raise InputError(f"there are no decisions {os.fspath(decisions)!r}; save them on the campaign's page")
        if place.is_dir() and Path(decisions).resolve() != (place / DECISIONS).resolve():
            shutil.copyfile(decisions, place / DECISIONS)
    return _Asked(rules, tuple(found), tuple(problems), said, place, failed_only, overwrite, workers)


def _pack(pack: PathLike | Pack) -> Pack:
    """A pack, from its file, or of one style without rules."""
    if isinstance(pack, Pack):
        return pack
    if Path(pack).suffix.lower() == ".toml":
        return read_pack(Path(pack))
    source = style_source(os.fspath(pack))
    return make_pack({"name": source.name, "styles": [source.source]}, os.fspath(pack))


def _planned(
    asked: _Asked, rows: Mapping[str, Result], targets: Mapping[str, float], mirror: Mirror | None = None
) -> Plan:
    """What is still to be done of all jobs, and what it costs."""
    jobs = make_jobs(asked.pack, asked.inputs, asked.place, targets, asked.decisions)
    todo: list[Job] = []
    finished: list[Result] = []
    rejected: list[Result] = []
    by_slot = {row.slot: row for row in rows.values() if row.status == "done"}
    for job in jobs:
        said, before = asked.decisions.get(job.slot), rows.get(job.key)
        approved = rows.get(said.key) if said and said.decision == "approve" else None
        done = next((row for row in (approved, before) if row and row.status == "done"), None)
        if said and said.decision == "reject":
            if job.slot in by_slot:
                rejected.append(by_slot[job.slot])
        elif done and all(mirror.has(name) if mirror else (asked.place / name).is_file() for name in done.outputs):
            finished.append(done)
        elif not asked.failed_only or (before and before.status == "failed"):
            todo.append(job)
    sizes = {str(one.path): (one.width, one.height) for one in asked.inputs}
    near = asked.place if asked.place.exists() else next(one for one in asked.place.absolute().parents if one.exists())
    return Plan(
        asked.place,
        tuple(todo),
        tuple(finished),
        tuple(rejected),
        asked.problems,
        _notes(asked.pack, todo),
        disk_mb(todo, sizes),
        shutil.disk_usage(near).free / 2**20,
    )


def _costed(plan: Plan, asked: _Asked) -> Plan:
    """The same plan with memory, workers and time; the job of middle size stands for all."""
    if not plan.jobs:
        return plan
    sizes = {str(one.path): one.width * one.height for one in asked.inputs}
    middle = sorted(plan.jobs, key=lambda job: sizes[job.content])[len(plan.jobs) // 2]
    cost = plan_picture(middle.content, middle.source, engine=middle.engine, **middle.settings)
    free = psutil.virtual_memory().available / 2**20
    most = min(cores(), int(free * _MEMORY_SHARE / max(cost.memory_mb, 1)))
    workers = max(1, min(asked.workers or most, len(plan.jobs)))
    return plan.but(memory_mb=cost.memory_mb, workers=workers, seconds=cost.seconds * len(plan.jobs) / workers)


def _notes(pack: Pack, todo: Sequence[Job]) -> tuple[str, ...]:
    """What a person should know before."""
    if pack.protect.mask is None:
        return ()
    bare = [job.picture for job in todo if job.mask is None]
    return (f"{len(bare)} pictures have no mask ({', '.join(bare[:5])} …): all of them is painted",) if bare else ()


def _measured(asked: _Asked, plan: Plan, journal: Journal, call: Call) -> bool:
    """Measure the style gain that a style's pictures are brought down to, once for a campaign's folder.

    Returns:
        Whether there is one that was not known before.
    """
    targets = journal.targets()
    engine, _ = asked.pack.run
    if not asked.pack.level or engine != "fast" or not plan.jobs:
        return False
    jobs = make_jobs(asked.pack, asked.inputs, asked.place, {}, {})
    identities = {job.source: style_source(job.source).identity for job in jobs}
    missing = [source for source, identity in identities.items() if identity not in targets]
    samples = []
    for source in missing:
        of_style = sorted((job for job in jobs if job.source == source), key=lambda job: job.key)
        if len(of_style) >= _SAMPLE[0]:
            samples += of_style[: _SAMPLE[1]]
    gains: dict[str, list[float]] = {}
    for _, result in call(measure_job, samples):
        if result and result.status == "done":
            gains.setdefault(identities[result.source], []).append(result.values["style_gain"])
    fresh = {
        identity: round(sorted(found)[int(TARGET_QUANTILE * len(found))], 4)
        for identity, found in gains.items()
        if len(found) >= _SAMPLE[0]
    }
    if fresh:
        journal.keep_targets(targets | fresh)
    return bool(fresh)


def _refuse_foreign(plan: Plan, journal: Journal, *, overwrite: bool) -> None:
    """Raise where an output would replace a file that no run of this campaign wrote.

    Raises:
        OutputError: names the file.
    """
    if overwrite:
        return
    own = {name for row in journal.rows.values() for name in row.outputs} | set(_planned_before(plan.place))
    for job in plan.jobs:
        for name in job.outputs:
            if name not in own and (plan.place / name).exists():
                raise OutputError(
                    f"{str(plan.place / name)!r} is there already and is not this campaign's; move it, give another "
                    "folder, or replace such files with --overwrite"
                )


def _planned_before(place: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((place / _PLANNED).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def _refuse_full(plan: Plan) -> None:
    """Raise where the outputs would not fit on the disk.

    Raises:
        OutputError: says how much is needed.
    """
    if plan.disk_mb * _DISK_RESERVE > plan.free_disk_mb:
        raise OutputError(
            f"the outputs take up to {plan.disk_mb:,.0f} MiB and {plan.free_disk_mb:,.0f} are free at "
            f"{str(plan.place)!r}; free some space, choose another folder, or a smaller image_size"
        )


def _set_aside(plan: Plan, place: Path) -> None:
    """Move the files of rejected rows to ``rejected/``; nothing is deleted."""
    for row in plan.left_out:
        for name in row.outputs:
            if (place / name).exists():
                target = place / "rejected" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (place / name).replace(target)


def _campaign(asked: _Asked, plan: Plan, rows: Mapping[str, Result]) -> Campaign:
    """The campaign as it stands."""
    now = [*plan.finished, *(rows[job.key] for job in plan.jobs if job.key in rows)]
    return Campaign(
        asked.pack.name, asked.place, tuple(now), plan.left_out, plan.problems, asked.decisions,
        missing=sum(job.key not in rows for job in plan.jobs),
    )  # fmt: skip


def _staging(address: str) -> Path:
    """The local folder of a campaign whose output lies elsewhere."""
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("impasto") / "campaigns" / digest
