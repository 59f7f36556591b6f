"""The style gain that a campaign's pictures are brought down to: measured once for a folder, on a sample of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from impasto.api.campaign_rows import measure_job
from impasto.batch.plan import make_jobs, style_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from impasto.batch.inputs import Input
    from impasto.batch.job import Job, Result
    from impasto.batch.journal import Journal
    from impasto.batch.plan import Plan
    from impasto.styles import Pack

    #: Calls a function for jobs, and gives each with its result; None for one that ended its process.
    Call = Callable[[Callable[[Job], Result], Sequence[Job]], Iterator[tuple[Job, Result | None]]]

#: Pictures of a style that its gain is measured on, at least and at most, and the share of them that have less than
#: what all are brought down to.
_SAMPLE: Final = (6, 24)
TARGET_QUANTILE: Final = 0.35


def measured(pack: Pack, inputs: Sequence[Input], plan: Plan, journal: Journal, call: Call) -> bool:
    """Measure the style gain that a style's pictures are brought down to, once for a campaign's folder.

    Returns:
        Whether there is one that was not known before.
    """
    targets = journal.targets()
    engine, _ = pack.run
    if not pack.level or engine != "fast" or not plan.jobs:
        return False
    identities = {source: style_source(source).identity for source in dict.fromkeys(job.source for job in plan.jobs)}
    missing = [source for source, identity in identities.items() if identity not in targets]
    jobs = make_jobs(pack, inputs, plan.place, {}, {}) if missing else []
    samples = []
    for source in missing:
        of_style = sorted((job for job in jobs if job.source == source), key=lambda job: job.key)
        if len(of_style) >= _SAMPLE[0]:
            samples += of_style[: _SAMPLE[1]]
    gains: dict[str, list[float]] = {}
    came = 0
    for _, result in call(measure_job, samples):
        came += 1
        if result and result.status == "done":
            gains.setdefault(identities[result.source], []).append(result.values["style_gain"])
    fresh = {
        identity: round(sorted(found)[int(TARGET_QUANTILE * len(found))], 4)
        for identity, found in gains.items()
        if len(found) >= _SAMPLE[0]
    }
    if came < len(samples):  # it was stopped, and a part of the samples is another sample
        return False
    if fresh:
        journal.keep_targets(targets | fresh)
    return bool(fresh)
