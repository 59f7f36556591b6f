"""Campaigns as an agent sees them: pictures and a look go in; counts, reasons and a sheet come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from impasto.agents.answers import Answer, Link, quoted
from impasto.errors import SettingsError, first_problem
from impasto.jobs.campaign import CampaignRequest
from impasto.settings import ENGINES, choose_engine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.batch.job import Result
    from impasto.jobs.durable import DurableJobs
    from impasto.jobs.job import Job

#: So many results and failures are listed, and so many results shown.
_LISTED: Final = 30
_SHOWN: Final = 6


def campaign_request(
    pictures: Mapping[str, str],
    styles: Sequence[str],
    *,
    quality: str,
    settings: dict[str, Any],
    pack: str | None,
    name: str | None,
) -> CampaignRequest:
    """What is asked of the jobs room.

    Args:
        pictures: ids of the photos, each with the name that its files get.
        styles: asset ids, or names of the library's styles.
        quality: of a campaign without a pack.
        settings: of the engine, for every picture.
        pack: the text of a brand pack's file, in place of styles and quality.
        name: of the campaign.

    Raises:
        SettingsError: one sentence on what cannot be used.
    """
    if (pack is None) == (not styles):
        raise SettingsError("give either style or pack, not both and not neither")
    if pack is None:
        engine, given = choose_engine(None, quality)
        ENGINES[engine].of(**{**given, **settings})
        pack = f"styles = {json.dumps(list(styles))}\nquality = {json.dumps(quality)}\n"
    try:
        return CampaignRequest.model_validate(
            {
                "pack": pack,
                "name": name,
                "inputs": [{"asset": asset, "name": stem, "settings": settings} for asset, stem in pictures.items()],
            }
        )
    except ValidationError as error:
        place, reason = first_problem(error)
        raise SettingsError(f"{place}: {reason}" if place else reason) from None


def told_campaign(jobs: DurableJobs, job: Job[CampaignRequest], address: str | None) -> Answer:
    """Where a campaign stands, in words, data and a sheet of what is painted.

    Args:
        jobs: the queue and the files.
        job: the campaign.
        address: of the service, where files can be fetched; None: they are files of this machine.
    """
    from impasto.batch.journal import read_rows  # PyTorch comes with it

    folder = jobs.store.job(job.id).campaign
    rows = sorted({row.slot: row for row in read_rows(folder).values()}.values(), key=_number)
    done, failed = [row for row in rows if row.status == "done"], [row for row in rows if row.status == "failed"]
    base = folder.as_uri() if address is None else f"{address}/v1/campaigns/{job.id}/files"
    page = folder / "report.html"
    report = page.as_uri() if address is None else f"{address}/v1/campaigns/{job.id}/report"
    counts = {name: sum(row.outcome == name for row in done) for name in ("ok", "review", "reject")}
    counts["failed"] = len(failed)
    data: dict[str, Any] = {
        "campaign_id": job.id,
        "state": job.state,
        "name": quoted(job.request.name or "campaign"),
        "pictures": len(job.request.inputs),
        "counts": counts,
        "failures": [
            {"picture": quoted(row.picture), "style": quoted(row.style), "reason": _clean(row, jobs)}
            for row in failed[:_LISTED]
        ],
        "results": [
            {
                "picture": quoted(row.picture),
                "style": quoted(row.style),
                "outcome": row.outcome,
                "reasons": list(row.reasons)[:3],
                "file": f"{base}/{row.outputs[0]}",
            }
            for row in done[:_LISTED]
        ],
    }
    link = None
    if page.is_file():
        about = "one page to approve, redo and reject on"
        link = Link(report, "report.html", "text/html", page.stat().st_size, about)
    if not job.is_over:
        wait = {"campaign_id": job.id, "wait_s": 40}
        data["next"] = [{"tool": "get_campaign", "arguments": wait, "because": "it goes on"}]
    sheet = None
    if done:
        from impasto.jobs.previews import contact_sheet

        shown = done[:_SHOWN]
        sheet = contact_sheet([(str(_number(row)), folder / row.outputs[0]) for row in shown])
    return Answer(_text(job, counts, done, failed, jobs, link), data, sheet, link=link)


def _text(
    job: Job[CampaignRequest],
    counts: dict[str, int],
    done: Sequence[Result],
    failed: Sequence[Result],
    jobs: DurableJobs,
    link: Link | None,
) -> str:
    found = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    again = f"Call get_campaign with campaign_id {job.id} and wait_s 40; cancel_job ends it and keeps what is painted."
    if job.state == "failed":
        return f"The campaign failed: {job.error['detail'] if job.error else 'no reason is known'}."
    if job.state == "cancelled":
        return f"The campaign was cancelled; what was painted stays ({found or 'nothing'})."
    if not job.is_over:
        known = job.progress or {}
        far = f"{known.get('done', 0)} of {known.get('rows') or len(job.request.inputs)} pictures are painted"
        return f"The campaign {job.id} is {job.state}: {far}{f' ({found})' if found else ''}. {again}"
    text = f"The campaign {job.id} is done: {found}."
    unsure = [row for row in done if row.outcome != "ok"]
    if unsure:
        named = "; ".join(f"{quoted(row.picture)} ({row.outcome}: {row.reasons[0]})" for row in unsure[:3])
        text += f" A person should look at {named}{' and others' if len(unsure) > 3 else ''}."
    if failed:
        text += f" The first failure: {quoted(failed[0].picture)}: {_clean(failed[0], jobs)}."
    return text + (f" Report: {link.uri}" if link else "")


def _number(row: Result) -> int:
    """Which of the pictures that were given it is, from 1: its name begins with it; 0 in a campaign of another door."""
    first = Path(row.picture).stem.partition(" ")[0]
    return int(first) if first.isdecimal() else 0


def _clean(row: Result, jobs: DurableJobs) -> str:
    return quoted(row.reason.replace(str(jobs.store.home), ""))
