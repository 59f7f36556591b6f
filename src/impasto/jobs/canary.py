"""A canary: a share of the jobs is made with something new, and it is held as soon as that is shown to be worse.

Which arm a job is in is decided once, by a hash of its id, and stands in its row: a job that goes on after a restart
goes on as it began. Jobs that the canary could not be tried on take no part.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from impasto.errors import SettingsError
from impasto.jobs import tally
from impasto.jobs.database import CANARIES, JOBS
from impasto.jobs.outcomes import VERSION
from impasto.settings import ENGINES, choose_engine

if TYPE_CHECKING:
    from impasto.jobs.config import CanaryConfig
    from impasto.jobs.job import Job

logger = logging.getLogger("impasto")

#: The first look is taken at so many ended jobs of the canary, and each one after at twice as many as the one before.
FIRST_LOOK: Final = 10
#: How often a canary that is as good as what it is compared with may be held, over all looks together.
FALSE_HOLDS: Final = 0.05
ARMS: Final = ("stable", "canary")
#: What is tested at each look: what went wrong, out of how many.
_TESTS: Final = (("canary_failures", "canary_jobs", "failed"), ("canary_not_ok", "canary_judged", "were not ok"))


def assign(connection: sa.Connection, job: Job[Any], canary: CanaryConfig | None) -> Job[Any]:
    """Decide what a job that begins is made with, unless that was decided before; gives the job with it."""
    if job.variant is not None:
        return job
    variant: dict[str, Any] = {"impasto": VERSION}
    # A job that is tried again has had its chance with something new.
    if canary is not None and not job.runs and _can_be_tried_on(canary, job) and not _is_held(connection, canary):
        variant |= {"canary": canary.id, "arm": "stable"}
        if _share_of(job.id, canary.id) < canary.share:
            variant |= {"arm": "canary", "settings": canary.settings, "styles": canary.styles}
    connection.execute(sa.update(JOBS).where(JOBS.c.id == job.id).values(variant=variant))
    return replace(job, variant=variant)


def as_made(job: Job[Any]) -> Job[Any]:
    """The job as it is to be computed: with the canary's settings and styles, if it is in its arm."""
    known = job.variant or {}
    if known.get("arm") != "canary":
        return job
    asked = job.request
    styles = tuple(known["styles"].get(style, style) for style in asked.styles)
    # Not checked again: the operator may name what a client may not, such as a network's file.
    return replace(
        job, request=asked.model_copy(update={"settings": {**asked.settings, **known["settings"]}, "styles": styles})
    )


def look(connection: sa.Connection, job: Job[Any]) -> None:
    """Hold the canary whose job has just ended, if this is the time for a look and it is worse."""
    known = job.variant or {}
    if known.get("arm") != "canary":
        return
    name = known["canary"]
    row = connection.execute(sa.select(CANARIES).where(CANARIES.c.id == name)).one_or_none()
    if row is None or row.held_s is not None:
        return
    figures = {figure: _by_arm(connection, figure, name) for test in _TESTS for figure in test[:2]}
    if figures["canary_jobs"]["canary"] < FIRST_LOOK * 2**row.looks:
        return
    ours = sa.update(CANARIES).where(CANARIES.c.id == name, CANARIES.c.looks == row.looks)
    if not connection.execute(ours.values(looks=row.looks + 1)).rowcount:
        return  # another worker looks
    for bad, of, words in _TESTS:
        wrong, all_of = figures[bad], figures[of]
        p = p_worse(wrong["canary"], all_of["canary"], wrong["stable"], all_of["stable"])
        if p > limit(row.looks):
            continue
        reason = (
            f"{wrong['canary']:.0f} of {all_of['canary']:.0f} {words}, and {wrong['stable']:.0f} of "
            f"{all_of['stable']:.0f} of the others (p = {p:.2g})"
        )
        connection.execute(
            sa.update(CANARIES).where(CANARIES.c.id == name).values(held_s=time.time(), reason=reason[:255])
        )
        logger.warning("the canary %s is held: %s", name, reason)
        return


def p_worse(wrong_canary: float, canary: float, wrong_stable: float, stable: float) -> float:
    """How likely so many more wrong ones would be if both were the same: Fisher's exact test, one-sided."""
    from scipy import stats  # a second to load, and most services have no canary

    if not canary or not stable:
        return 1.0
    # The same as scipy's fisher_exact(alternative="greater"), whose result has no type.
    return float(stats.hypergeom.sf(wrong_canary - 1, canary + stable, wrong_canary + wrong_stable, canary))


def limit(looks: int) -> float:
    """What the p of each test must not pass at the look after so many: half of what is left goes to every look."""
    return FALSE_HOLDS * 0.5 ** (looks + 1) / len(_TESTS)


def _can_be_tried_on(canary: CanaryConfig, job: Job[Any]) -> bool:
    asked = job.request
    if job.kind != "picture":
        return False
    if canary.engine not in (None, asked.engine_name) or canary.quality not in (None, asked.quality):
        return False
    if canary.settings.keys() & asked.settings.keys() or (canary.styles and not canary.styles.keys() & {*asked.styles}):
        return False
    engine, settings = choose_engine(asked.engine, asked.quality)
    try:
        ENGINES[engine].of(**{**settings, **asked.settings, **canary.settings})
    except SettingsError:
        return False  # with what the client asked for they contradict each other
    return True


def _is_held(connection: sa.Connection, canary: CanaryConfig) -> bool:
    """Whether it is held; begins it if this is its first job."""
    row = connection.execute(sa.select(CANARIES.c.held_s).where(CANARIES.c.id == canary.id)).one_or_none()
    if row is None:
        new = tally.insert(connection, CANARIES).values(id=canary.id, began_s=time.time(), looks=0)
        connection.execute(new.on_conflict_do_nothing())  # another worker may begin it in this moment
        return False
    return row.held_s is not None


def _share_of(job_id: str, canary_id: str) -> float:
    """A number in [0, 1) that looks drawn, and is the same every time."""
    return int(hashlib.sha256(f"{canary_id} {job_id}".encode()).hexdigest()[:13], 16) / 16**13


def _by_arm(connection: sa.Connection, figure: str, canary: str) -> dict[str, float]:
    found = tally.read(connection, figure, canary=canary)
    return {arm: sum(value for labels, value in found.items() if dict(labels)["arm"] == arm) for arm in ARMS}
