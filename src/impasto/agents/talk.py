"""What the tools say: short sentences that a model can act on, with the same as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from impasto.agents.advice import next_steps
from impasto.agents.answers import Answer, Link, quoted
from impasto.agents.campaigns import told_campaign
from impasto.agents.choosing import quality_of
from impasto.jobs.job import ASSET, MAX_SIZE_PX, NOT_YOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from impasto.agents.judging import Verdict
    from impasto.jobs.campaign import CampaignRequest
    from impasto.jobs.durable import DurableJobs
    from impasto.jobs.job import Job
    from impasto.provenance.verification import Verification
    from impasto.settings import PictureSettings
    from impasto.styles import Style

#: The file of a job that says why it was asked for as it was.
WHY: Final = "why.txt"

_LABELS: Final = "ABCDE"
_QUALITIES: Final = {
    "draft": "one pass through a network; quick looks, many variants",
    "standard": "one pass, then a short optimisation; a good result for most uses",
    "fine": "the full optimisation; the finest strokes",
}
_PRESETS: Final = {
    "faithful": "holds shapes best",
    "balanced": "the default",
    "painterly": "more style, shapes still hold",
    "texture": "the most style; objects of the style picture may show",
    "abstract": "large strokes, free shapes",
}
_OUTCOMES: Final = {
    "ok": "Verdict: ok. The style shows, the photo can be recognised, and nothing looks broken.",
    "review": "Verdict: review. A person should look at it, because {reasons}.",
    "reject": "Verdict: reject. Do not use it, because {reasons}.",
}
#: Metrics that a sentence can name, with what they say.
_PLAIN: Final = {
    "style_gain": "style (0 none, 1 all)",
    "recognition": "photo recognisable (0..1)",
    "edge_content": "edges kept (0..1)",
}


class Talk:
    """Puts what the tools know into words.

    Args:
        jobs: the queue and the files.
        address: of the service, where results can be fetched; None: results are files of this machine.
    """

    def __init__(self, jobs: DurableJobs, address: str | None) -> None:
        self._jobs, self._address = jobs, address

    def styles(self, styles: Sequence[Style], query: str, limit: int) -> Answer:
        """The library's styles that have all words of a query."""
        words = query.lower().split()
        rows = [
            {
                "name": style.name,
                "colors": list(style.palette)[:5],
                "pictures": len(style.references),
                "licence": quoted(style.look.licence),
                "resource": f"impasto://styles/{style.name}",
            }
            for style in styles
        ]
        found = [row for row in rows if all(word in f"{row['name']} {row['colors']}".lower() for word in words)]
        shown = found[:limit]
        names = ", ".join(str(row["name"]) for row in shown)
        if not found:
            text = f"No style of the {len(rows)} in the library has {quoted(query)} in its name; call without query."
        else:
            more = f" {len(found) - len(shown)} more: raise limit." if len(found) > len(shown) else ""
            text = f"{len(found)} style{'' if len(found) == 1 else 's'}: {names}.{more} Any picture can be a style too."
        return Answer(text, {"styles": shown, "total": len(found)})

    def engines(
        self, seconds: Mapping[str, float], size: tuple[int, int], settings_of: type[PictureSettings] | None
    ) -> Answer:
        """What can be asked for, and what it takes."""
        waiting, workers = self._jobs.waiting(), self._jobs.workers()
        lines = [f"{name} (about {seconds[name]:.0f} s): {text}." for name, text in _QUALITIES.items()]
        lines.append(
            "Looks (preset, for standard and fine): " + "; ".join(f"{k}: {v}" for k, v in _PRESETS.items()) + "."
        )
        lines.append(
            f"Times are for {size[0]}x{size[1]} px on this machine; {waiting} jobs wait, {workers} workers run."
        )
        data: dict[str, Any] = {
            "qualities": [
                {"id": name, "seconds": round(seconds[name], 1), "about": text} for name, text in _QUALITIES.items()
            ],
            "presets": _PRESETS,
            "size": list(size),
            "max_image_size": MAX_SIZE_PX,
            "waiting": waiting,
            "workers": workers,
        }
        if settings_of is not None:
            data["settings"] = {
                name: field.description for name, field in settings_of.model_fields.items() if name not in NOT_YOURS
            }
        return Answer(" ".join(lines), data)

    def job(self, job: Job, *, why: str, verdict: Verdict | None = None, preview: bool = True) -> Answer:
        """Where a job stands."""
        data = self._facts(job, why, verdict)
        if job.state != "done":
            small = self._so_far(job) if preview else None
            return Answer(self._standing(job, why), data, small)
        from impasto.jobs.previews import preview as small_picture

        link = self.link(job)
        judged = _OUTCOMES[verdict.outcome].format(reasons=_reasons(verdict)) if verdict else "It was not judged yet."
        text = (
            f"Done in {data['seconds']:.0f} s: {data['size'][0]}x{data['size'][1]} px, "
            f"style {_names(job)}, {_how(job)}. {judged} Chosen: {why} Full file: {link.uri}"
        )
        if job.metrics and job.metrics["stopped_early"]:
            text = f"It was ended early, and the picture so far was kept. {text}"
        path = self._jobs.store.job(job.id).result(job.request.format)
        return Answer(text, data, small_picture(path) if preview else None, link=link)

    def verdict(self, job: Job | None, verdict: Verdict | None) -> Answer:
        """What was found of one picture."""
        if verdict is None:
            return Answer(
                "It is still being judged; call evaluate again with the same arguments to get the verdict.",
                {"verdict": None, "job_id": job.id if job else None},
            )
        figures = ", ".join(
            f"{meaning} {verdict.metrics[name]:.2f}" for name, meaning in _PLAIN.items() if name in verdict.metrics
        )
        steps = next_steps(job, verdict) if job else []
        text = f"{_OUTCOMES[verdict.outcome].format(reasons=_reasons(verdict))} Figures: {figures}."
        if steps and verdict.outcome != "ok":
            text += f" To try next: {'; or '.join(_told(step) for step in steps)}."
        data = {
            "job_id": job.id if job else None,
            "verdict": verdict.to_dict(),
            "metrics": dict(verdict.metrics),
            "next": steps,
        }
        return Answer(text, data)

    def comparison(self, jobs: Sequence[Job], verdicts: Sequence[Verdict | None], photo: Path) -> Answer:
        """Several results beside each other."""
        from impasto.jobs.previews import contact_sheet

        labels = dict(zip(_LABELS, jobs, strict=False))
        sheet = contact_sheet(
            [
                ("photo", photo),
                *((label, self._jobs.store.job(job.id).result(job.request.format)) for label, job in labels.items()),
            ]
        )
        rows, lines = [], []
        for (label, job), verdict in zip(labels.items(), verdicts, strict=True):
            same = {
                name for name in job.request.settings if all(_setting(job, name) == _setting(one, name) for one in jobs)
            }
            differs = {name: value for name, value in job.request.settings.items() if name not in same}
            rows.append(
                {
                    "label": label,
                    "job_id": job.id,
                    "quality": quality_of(job),
                    "style": _names(job),
                    "differs_in": differs,
                    "verdict": verdict.to_dict() if verdict else None,
                    "metrics": {name: verdict.metrics[name] for name in _PLAIN if name in verdict.metrics}
                    if verdict
                    else None,
                }
            )
            figures = (
                "; ".join(f"{name} {verdict.metrics[name]:.2f}" for name in _PLAIN if name in verdict.metrics)
                if verdict
                else "not judged yet"
            )
            settings = ", ".join(f"{name} {value}" for name, value in differs.items())
            lines.append(
                f"{label} = {job.id} ({_names(job)}, {quality_of(job)}{', ' if settings else ''}{settings}): "
                f"{verdict.outcome if verdict else 'no verdict'}; {figures}."
            )
        return Answer(" ".join([*lines, *_winners(labels, verdicts)]), {"results": rows}, sheet)

    def campaign(self, job: Job[CampaignRequest]) -> Answer:
        """Where a campaign stands."""
        return told_campaign(self._jobs, job, self._address)

    def provenance(self, found: Verification) -> Answer:
        """What a file says of itself, and how far that can be believed. All its words are quoted."""
        text = _SIGNED[found.outcome].format(
            signer=quoted(found.signer or "somebody unnamed"), problems=", ".join(map(quoted, found.problems[:3]))
        )
        data: dict[str, Any] = {
            "outcome": found.outcome,
            "problems": [quoted(problem) for problem in found.problems[:10]],
            **{
                name: quoted(said) if (said := getattr(found, name)) else None
                for name in ("signer", "issuer", "signed_at", "source_type")
            },
            "sha256": found.sha256,
            "recipe": None,
        }
        if found.copy_of is not None:  # of which nothing else is told: it may be another owner's
            data["copy_of"] = {"sha256": found.copy_of.sha256, "likeness": found.copy_of.likeness}
            text += f" It is like a picture that was signed here ({found.copy_of.likeness})."
        if found.recipe is not None and found.recipe_from in _TOLD_BY:
            recipe = found.recipe
            data["recipe"] = {
                "told_by": found.recipe_from,
                "engine": quoted(recipe.engine),
                "content": {"name": quoted(recipe.content.name), "sha256": quoted(recipe.content.sha256)},
                "styles": [{"name": quoted(one.name), "sha256": quoted(one.sha256)} for one in recipe.all_styles[:8]],
                "settings": {
                    quoted(name): quoted(value)
                    for name, value in list(recipe.settings.items())[:60]
                    if value is not None
                },
            }
            text += f" Engine {quoted(recipe.engine)} of impasto made it, {_TOLD_BY[found.recipe_from]}."
        return Answer(text, data)

    def progress(self, job: Job[Any]) -> tuple[float, str]:
        """The share of a job that is done, and a few words."""
        if job.state == "queued":
            return 0.0, "waiting in the queue"
        known = job.progress or {}
        far = float(known.get("fraction", 0.0))
        if job.kind == "campaign":
            return far, f"{known.get('done', 0)} of {known.get('rows', 0)} pictures painted"
        return far, f"{far:.0%} painted" + (f", about {known['eta_s']:.0f} s left" if known.get("eta_s") else "")

    def why(self, job: Job) -> str:
        """Why a job is as it is; what was asked for, where nothing was chosen."""
        try:
            return (self._jobs.store.job(job.id).path / WHY).read_text("utf-8")
        except OSError:
            return f"quality {quality_of(job) or 'of its own settings'} as asked for."

    def explanation(self, job: Job) -> str:
        """What was done and why, as Markdown."""
        request = job.request
        lines = [f"# Job {job.id}", f"State: {job.state}. {self.why(job)}", ""]
        lines += [f"- content: asset:{request.content}", f"- style: {_names(job)}", f"- quality: {quality_of(job)}"]
        lines += [f"- {name}: {value}" for name, value in sorted(request.settings.items())]
        lines += [f"- format: {request.format}"]
        if job.metrics:
            facts = job.metrics
            lines += [f"- size: {facts['width']}x{facts['height']} px, {facts['bytes']} bytes"]
            lines += [f"- sha256 of the file: {facts['sha256']}"]
            lines += [f"- steps: {facts['steps']}"] if facts.get("steps") else []
        lines += ["", _METHODS["fast" if quality_of(job) == "draft" else "optimize"]]
        lines += [
            "",
            "The recipe inside the file has everything else. The same request gives the same bytes on this machine.",
        ]
        return "\n".join(lines)

    def _facts(self, job: Job, why: str, verdict: Verdict | None) -> dict[str, Any]:
        request, quality = job.request, quality_of(job)
        facts: dict[str, Any] = {
            "job_id": job.id,
            "state": job.state,
            "quality": quality,
            "engine": request.engine_name,
            "content": f"asset:{request.content}",
            "style": _names(job),
            "settings": request.settings,
            "seed": None if quality == "draft" else request.settings.get("seed", 0),
            "why": why,
        }
        if job.state == "done" and job.metrics is not None:
            known = job.metrics
            facts |= {
                "size": [known["width"], known["height"]],
                "seconds": round((job.ended_s or 0.0) - (job.started_s or 0.0), 1),
                "gate": verdict.to_dict() if verdict else None,
                "metrics": {
                    **(verdict.metrics if verdict else {}),
                    **{name: known[name] for name in ("bytes", "sha256", "loss", "stopped_early")},
                },
                "resources": {name: f"impasto://jobs/{job.id}/{name}" for name in ("result", "recipe", "explain")},
                "next": next_steps(job, verdict),
            }
        elif job.is_over:
            facts["error"] = job.error
        else:
            facts["progress"] = job.progress and {name: job.progress[name] for name in ("fraction", "eta_s")}
            facts["position"] = self._jobs.position(job)
            facts["next"] = [
                {"tool": "get_job", "arguments": {"job_id": job.id, "wait_s": 40}, "because": "it goes on"}
            ]
        return facts

    def _standing(self, job: Job, why: str) -> str:
        """A sentence on a job without a result."""
        if job.state == "failed":
            reason = job.error["detail"] if job.error else "no reason is known"
            return f"The job {job.id} failed: {reason}. Change what it names and call stylize again."
        if job.state == "cancelled":
            return f"The job {job.id} was cancelled and has no picture. Call stylize again if it is wanted after all."
        if job.state == "paused":
            return f"The job {job.id} is paused by somebody, and waits until it is resumed; cancel_job ends it."
        again = f"Call get_job with job_id {job.id} and wait_s 40 for the result; cancel_job ends it."
        if job.state == "queued":
            ahead = self._jobs.position(job)
            nobody = "" if self._jobs.workers() else " No worker is running now; it is painted when one is."
            return f"Not begun yet: {ahead} jobs are before it.{nobody} {again} Chosen: {why}"
        return f"Still being painted: {self.progress(job)[1]}. {again} Chosen: {why}"

    def _so_far(self, job: Job) -> bytes | None:
        """The picture so far, if there is one."""
        if job.state not in ("running", "paused"):
            return None
        from impasto.jobs.previews import preview as small_picture

        try:
            return small_picture(self._jobs.store.job(job.id).preview)
        except OSError:  # there is none yet, or no more
            return None

    def link(self, job: Job) -> Link:
        """Where the whole picture of a job that is done can be fetched."""
        kind = job.request.format
        path = self._jobs.store.job(job.id).result(kind)
        uri = path.as_uri() if self._address is None else f"{self._address}/v1/jobs/{job.id}/result"
        about = "the whole picture" + (
            "" if self._address is None else "; fetch it with the same API key, if there is one"
        )
        return Link(uri, f"impasto-{job.id[:8]}.{kind}", f"image/{kind}", path.stat().st_size, about)


_SIGNED: Final = {
    "trusted": "Trusted: signed by {signer}, and unchanged since.",
    "valid": "Signed and unchanged, but by {signer}, whom nobody here vouches for: the name may be anybody's.",
    "invalid": "Not to be trusted: it was changed after {signer} signed it, or the signature is none ({problems}).",
    "not present": "Not signed: nothing in it proves where it comes from.",
}
_TOLD_BY: Final = {"signature": "as its signature tells", "file": "as the file tells, which anybody can write"}

_METHODS: Final = {
    "fast": "One pass through a network that was trained on many styles: the style becomes a code, and the "
    "photo is painted with it. Nothing is drawn at random.",
    "optimize": "The picture was optimised until its statistics in a network were the style's and its activations "
    "the photo's (Gatys et al. 2016), coarse to fine.",
}


def _names(job: Job) -> str:
    """The styles of a job in words."""
    return " + ".join(f"asset:{style}" if ASSET.fullmatch(style) else style for style in job.request.styles)


def _setting(job: Job, name: str) -> Any:
    return job.request.settings.get(name)


def _reasons(verdict: Verdict) -> str:
    return "; ".join(finding.reason for finding in verdict.findings[:3])


def _told(step: dict[str, Any]) -> str:
    """A next step in words."""
    return f"{step['tool']} again with {step['change']} ({step['because']})" if step.get("change") else step["because"]


def _winners(labels: Mapping[str, Job], verdicts: Sequence[Verdict | None]) -> list[str]:
    """Who has most of the style, and who keeps most of the photo, among those that are not rejected."""
    judged = {
        label: verdict.metrics
        for label, verdict in zip(labels, verdicts, strict=True)
        if verdict is not None and verdict.outcome != "reject"
    }
    if len(judged) < 2:
        return []
    most_style = max(judged, key=lambda label: judged[label]["style_gain"])
    most_photo = max(judged, key=lambda label: judged[label]["recognition"])
    if most_style == most_photo:
        return [f"{most_style} has more of the style and keeps more of the photo."]
    return [f"{most_style} has more of the style; {most_photo} keeps more of the photo."]


def _how(job: Job) -> str:
    """With which quality a job was painted, or by which engine where it has none."""
    quality = quality_of(job)
    return f"engine {job.request.engine_name}" if quality is None else f"quality {quality}"
