"""Campaigns: one look over many pictures, planned, painted once each, judged, and gone on with after any end."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs
import psutil

from impasto.api.campaign_levels import measured
from impasto.api.campaign_rows import paint_job
from impasto.api.stylize import plan as plan_picture
from impasto.batch.inputs import inputs_of, read_manifest
from impasto.batch.job import Result
from impasto.batch.journal import DECISIONS, ROWS, TARGETS, Journal, read_decisions
from impasto.batch.local import LocalRunner, cores
from impasto.batch.on_ray import RayRunner
from impasto.batch.outputs import PLANNED, Outputs, keep_planned, refuse_full
from impasto.batch.plan import Plan, disk_mb, make_jobs, style_source
from impasto.batch.remote import Mirror, is_remote
from impasto.batch.summary import Campaign
from impasto.errors import ImpastoError, InputError, OutputError, SettingsError
from impasto.evaluation.gates import Gates
from impasto.progress import CancelToken
from impasto.provenance.signers import load_signer
from impasto.provenance.signing import sign as sign_file
from impasto.settings import ENGINES
from impasto.styles import Pack, make_pack, read_pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from impasto.api.campaign_levels import Call
    from impasto.batch.inputs import Input, Problem
    from impasto.batch.job import Job
    from impasto.batch.journal import Decision
    from impasto.provenance.signers import Signer

    PathLike = str | os.PathLike[str]

REPORT: Final = "report.html"
#: Pictures that a note names.
_NAMED: Final = 5
#: Of the memory that is free, what all workers together may take.
_MEMORY_SHARE: Final = 0.8
#: What judging takes beside painting: two networks, and a style's activations that are kept. Measured over 40 rows.
_JUDGE_MB: Final = 1100


@dataclass(frozen=True)
class _Asked:
    """A campaign as it was asked for, found on disk."""

    pack: Pack
    inputs: tuple[Input, ...]
    problems: tuple[Problem, ...]
    decisions: Mapping[str, Decision]
    place: Path
    failed_only: bool
    workers: int | None


def plan_campaign(
    pack: PathLike | Pack,
    inputs: PathLike | Sequence[PathLike] = (),
    *,
    output: PathLike,
    manifest: PathLike | None = None,
    decisions: PathLike | None = None,
    workers: int | None = None,
    failed_only: bool = False,
    overwrite: bool = False,
) -> Plan:
    """What :func:`run_campaign` would do with the same arguments, and about what it would cost.

    Nothing is written but copies of inputs that lie elsewhere.

    Raises:
        Everything that it raises before it paints.
    """
    place, mirror = _placed(os.fspath(output))
    asked = _asked(pack, inputs, place, manifest, decisions, workers, failed_only=failed_only)
    journal = Journal.peek(place)
    return _costed(_planned(asked, journal, Outputs(place, journal.rows, mirror), overwrite=overwrite), asked)


def run_campaign(
    pack: PathLike | Pack,
    inputs: PathLike | Sequence[PathLike] = (),
    *,
    output: PathLike,
    manifest: PathLike | None = None,
    decisions: PathLike | None = None,
    workers: int | None = None,
    ray: str | None = None,
    failed_only: bool = False,
    overwrite: bool = False,
    sign: str | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    on_result: Callable[[int, int, Result], None] | None = None,
    cancel: CancelToken | None = None,
) -> Campaign:
    """Paint every picture in every style of a pack, once each.

    What is finished stays finished: the same call goes on where a run was ended, paints what has changed, and tries
    again what failed. One row that fails never ends the others.

    Args:
        pack: a brand pack's file or a :class:`~impasto.styles.Pack`; or a style, which stands for a pack without rules.
        inputs: pictures, folders, patterns, or addresses such as ``s3://bucket/photos``; one or several.
        output: the campaign's folder, or an address. Pictures go to ``pictures/``, a channel's to its own folder.
        manifest: CSV, JSON lines or TOML with a ``picture`` a row, and if wanted ``style`` and settings of its own.
        decisions: what a person decided on the report; None: ``decisions.json`` in the output, if there is one.
        workers: processes; None: one for each core that the memory allows.
        ray: ``local``, or the address of a Ray cluster that sees the same folders; None: processes of this machine.
        failed_only: only what failed before.
        overwrite: whether files that are not the campaign's own may be replaced.
        sign: who signs what is painted now, see :func:`~impasto.provenance.signers.load_signer`; None: nobody. It is
            done here, so the workers need no key.
        on_plan: called with the plan before the first picture.
        on_result: called with number, count and result after each.
        cancel: ends it between two pictures; what is finished is kept and reported.

    Returns:
        Every row with its figures, and the sums; its page lies in ``report.html``.

    Raises:
        InputError: the pack, the inputs or the manifest cannot be used, or another run works in the folder.
        SettingsError: a rule of the pack is none.
        OutputError: there is no space, or a file of somebody else would be replaced.
        SigningError: the signer cannot sign.
        MissingExtraError: Ray, what finds faces, or what signs is not installed.

    Example:
        >>> import impasto
        >>> impasto.run_campaign("brand.toml", ["photos/"], output="spring").counts  # doctest: +SKIP
    """
    place, mirror = _placed(os.fspath(output))
    token = cancel or CancelToken()
    signer = load_signer(sign) if sign else None
    asked = _asked(pack, inputs, place, manifest, decisions, workers, failed_only=failed_only)
    with Journal(place) as journal:
        if decisions is not None:
            journal.keep_decisions(Path(decisions))
        outputs = Outputs(place, journal.rows, mirror)
        plan = _costed(_planned(asked, journal, outputs, overwrite=overwrite), asked)
        if on_plan:
            on_plan(plan)
        with RayRunner(ray, workers, token) if ray and plan.jobs else LocalRunner(plan.workers, token) as call:
            campaign = _run(asked, plan, journal, outputs, call, on_result, mirror, signer, overwrite=overwrite)
        campaign.to_html(place / REPORT)
    if mirror:
        for name in (ROWS, TARGETS, DECISIONS, PLANNED, REPORT):
            if (place / name).exists():
                mirror.put(place, name)
    return campaign


def advance_campaign(
    pack: Pack,
    *,
    manifest: Path,
    output: Path,
    call: Call,
    on_plan: Callable[[Plan], None] | None = None,
    signer: Signer | None = None,
) -> Campaign:
    """The same as :func:`run_campaign` for whoever has workers of its own, and needs neither costs nor a page.

    Args:
        pack: a pack.
        manifest: rows, as there.
        output: the campaign's folder.
        call: calls a function for every job, as long as it likes, and gives each with its result; None for one that
            ended its process.
        on_plan: called with the plan before the first picture.
        signer: who signs what is painted now; None: nobody.

    Raises:
        Everything that :func:`run_campaign` raises.
    """
    asked = _asked(pack, (), output, manifest, None, None, failed_only=False)
    with Journal(output) as journal:
        outputs = Outputs(output, journal.rows, None)
        plan = _planned(asked, journal, outputs, overwrite=False)
        if on_plan:
            on_plan(plan)
        return _run(asked, plan, journal, outputs, call, signer=signer)


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


def _run(
    asked: _Asked,
    plan: Plan,
    journal: Journal,
    outputs: Outputs,
    call: Call,
    on_result: Callable[[int, int, Result], None] | None = None,
    mirror: Mirror | None = None,
    signer: Signer | None = None,
    *,
    overwrite: bool = False,
) -> Campaign:
    """Paint what is to be painted, and remember each row when it comes."""
    if measured(asked.pack, asked.inputs, plan, journal, call):
        plan = _planned(asked, journal, outputs, overwrite=overwrite)
    keep_planned(asked.place, plan.jobs)
    outputs.set_aside({row.slot for row in plan.left_out})
    fresh: dict[str, Result] = {}
    for number, (job, result) in enumerate(call(paint_job, plan.jobs), start=1):
        kept = result or Result.failed(job, "its process died twice; there may not be enough memory for it")
        if signer and kept.status == "done":
            kept = _signed(job, kept, signer)
        if mirror and kept.status == "done":
            kept = _sent(job, kept, mirror)
        journal.add(kept)
        fresh[job.key] = kept
        if on_result:
            on_result(number, len(plan.jobs), kept)
    return _campaign(asked, plan, journal.rows, fresh)


def _asked(
    pack: PathLike | Pack,
    inputs: PathLike | Sequence[PathLike],
    place: Path,
    manifest: PathLike | None,
    decisions: PathLike | None,
    workers: int | None,
    *,
    failed_only: bool,
) -> _Asked:
    """Everything that was given, read and checked; nothing is written but copies of inputs that lie elsewhere."""
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
        words = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
        found, problems = inputs_of([os.fspath(one) for one in words], place)
    found = [_typed(one, engine, settings) for one in found]
    if not found:
        first = f"; {problems[0].name}: {problems[0].reason}" if problems else ""
        raise InputError(f"there is no picture that can be used{first}")
    said = read_decisions(place / DECISIONS if decisions is None else Path(decisions))
    if decisions is not None and not Path(decisions).exists():
        raise InputError(f"there are no decisions {os.fspath(decisions)!r}; save them on the campaign's page")
    return _Asked(rules, tuple(found), tuple(problems), said, place, failed_only, workers)


def _typed(one: Input, engine: str, settings: Mapping[str, Any]) -> Input:
    """A row with its settings checked, and as what they are: in CSV all are text.

    Raises:
        SettingsError: one is none.
    """
    if not one.overrides:
        return one
    try:
        checked = ENGINES[engine].of(**{**settings, **one.overrides}).model_dump(mode="json")
    except SettingsError as error:
        raise SettingsError(f"the manifest's row of {one.path.name}: {error}") from None
    return replace(one, overrides={name: checked[name] for name in one.overrides})


def _pack(pack: PathLike | Pack) -> Pack:
    """A pack, from its file, or of one style without rules."""
    if isinstance(pack, Pack):
        return pack
    if Path(pack).suffix.lower() == ".toml":
        return read_pack(Path(pack))
    source = style_source(os.fspath(pack))
    return make_pack({"name": source.name, "styles": [source.source]}, os.fspath(pack))


def _planned(asked: _Asked, journal: Journal, outputs: Outputs, *, overwrite: bool) -> Plan:
    """What is still to be done of all jobs.

    Raises:
        OutputError: it would replace a file of somebody else, or does not fit on the disk.
    """
    rows = journal.rows
    jobs = make_jobs(asked.pack, asked.inputs, asked.place, journal.targets(), asked.decisions)
    todo: list[Job] = []
    finished: list[Result] = []
    rejected: list[Result] = []
    by_slot = {row.slot: row for row in rows.values() if row.status == "done"}
    # A picture or a mask that was mended has another key.
    last = {(row.content, row.style): row.status for row in rows.values()}
    for job in jobs:
        said, before = asked.decisions.get(job.slot), rows.get(job.key)
        approved = rows.get(said.key) if said and said.decision == "approve" else None
        there = (row for row in (approved, before) if row and row.status == "done" and outputs.hold(row))
        if said and said.decision == "reject":
            if job.slot in by_slot:
                rejected.append(by_slot[job.slot])
        elif done := next(there, None):
            finished.append(done.model_copy(update={"content": job.content}))  # which may have been moved
        elif not asked.failed_only or last.get((job.content, job.style)) == "failed":
            todo.append(job)
    if not overwrite:
        outputs.refuse_foreign(todo)
    sizes = {str(one.path): (one.width, one.height) for one in asked.inputs}
    near = asked.place if asked.place.exists() else next(one for one in asked.place.absolute().parents if one.exists())
    plan = Plan(
        asked.place,
        tuple(todo),
        tuple(finished),
        tuple(rejected),
        asked.problems,
        _notes(asked, jobs, todo),
        disk_mb(todo, sizes),
        shutil.disk_usage(near).free / 2**20,
    )
    refuse_full(plan)
    return plan


def _costed(plan: Plan, asked: _Asked) -> Plan:
    """The same plan with memory, workers and time; the job of middle size stands for all."""
    if not plan.jobs:
        return plan
    sizes = {str(one.path): one.width * one.height for one in asked.inputs}
    by_size = sorted(plan.jobs, key=lambda job: sizes[job.content])
    half = len(by_size) // 2
    for job in (*by_size[half:], *by_size[:half]):
        try:
            cost = plan_picture(job.content, job.source, engine=job.engine, **job.settings)
            break
        except InputError:  # it will be told when its turn comes
            continue
    else:
        return plan
    free = psutil.virtual_memory().available / 2**20
    memory_mb = cost.memory_mb + _JUDGE_MB
    most = min(cores(), int(free * _MEMORY_SHARE / memory_mb))
    workers = max(1, min(asked.workers or most, len(plan.jobs)))
    return replace(plan, memory_mb=memory_mb, workers=workers, seconds=cost.seconds * len(plan.jobs) / workers)


def _notes(asked: _Asked, jobs: Sequence[Job], todo: Sequence[Job]) -> tuple[str, ...]:
    """What a person should know before."""
    notes = []
    bare = list(dict.fromkeys(job.picture for job in todo if job.mask is None))
    if asked.pack.protect.mask is not None and bare:
        names = ", ".join(bare[:_NAMED]) + (", …" if len(bare) > _NAMED else "")
        notes.append(f"without a mask, so that all of it is painted: {names} ({len(bare)} in all)")
    if strange := len(set(asked.decisions) - {job.slot for job in jobs}):
        notes.append(f"{strange} of the decisions are about pictures or styles that are not among these")
    return tuple(notes)


def _signed(job: Job, result: Result, signer: Signer) -> Result:
    """What came of a job when its files are signed: one with a file that cannot be signed failed."""
    try:
        for name in result.outputs:
            sign_file(Path(job.place) / name, signer)
    except ImpastoError as error:
        return Result.failed(job, " ".join(str(error).split()))
    return result


def _sent(job: Job, result: Result, mirror: Mirror) -> Result:
    """What came of a job when its files are put to the address: one that cannot be put there failed."""
    try:
        for name in (*result.outputs, *([result.mask] if result.mask else [])):
            mirror.put(Path(job.place), name)
    except OutputError as error:
        return Result.failed(job, str(error))
    return result


def _campaign(asked: _Asked, plan: Plan, rows: Mapping[str, Result], fresh: Mapping[str, Result]) -> Campaign:
    """The campaign as it stands: what was there, what came now, and what failed before and was not tried again."""
    failed = {key: row for key, row in rows.items() if row.status == "failed"}
    came = failed | dict(fresh)
    now = (*plan.finished, *(came[job.key] for job in plan.jobs if job.key in came))
    return Campaign(
        asked.pack.name,
        asked.place,
        tuple(sorted(now, key=lambda row: (row.picture, row.style, row.slot))),
        plan.left_out,
        plan.problems,
        asked.decisions,
        missing=sum(job.key not in came for job in plan.jobs),
    )


def _placed(address: str) -> tuple[Path, Mirror | None]:
    """The campaign's folder; where it lies elsewhere, one on the way there, with what that place remembers."""
    if not is_remote(address):
        return Path(address), None
    mirror = Mirror(address)
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    place = platformdirs.user_cache_path("impasto") / "campaigns" / digest
    for name in (ROWS, TARGETS, PLANNED):
        mirror.get(place, name)
    mirror.get(place, DECISIONS, anew=True)
    return place, mirror
