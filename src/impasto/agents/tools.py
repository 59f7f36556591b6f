"""The tools themselves: plain functions with types, which answer in words, data and a small picture.

They are what an MCP server offers, what OpenAI's tool calls name, and what an agent framework takes as functions. Every
one of them is a thin call of the jobs room or of the api.
"""

import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from impasto.agents.answers import Answer
from impasto.agents.campaigns import campaign_request
from impasto.agents.choosing import Estimates, Failure, Faithfulness, Preset, Quality, choose
from impasto.agents.judging import Judge, Verdict
from impasto.agents.pictures import Pictures
from impasto.agents.schemas import SETTING
from impasto.agents.talk import WHY, Talk
from impasto.agents.waiting import need_worker, wait_for
from impasto.errors import InputError
from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import ASSET, MAX_SIZE_PX, STYLE, Job, JobRequest, Served
from impasto.jobs.keys import Quota
from impasto.jobs.refusals import IdempotencyError
from impasto.settings import DEFAULT_PX, ENGINES, QUALITIES
from impasto.whole import write_whole

#: Clients drop a call after about a minute.
LONGEST_WAIT_S: Final = 50.0
_CANCEL_WAIT_S: Final = 10.0
_HISTORY: Final = 30

Picture = Annotated[
    str, Field(description="asset:ID, job:ID (what a job made), data URL up to 256 KiB, or a path in an open folder")
]
Styles = Annotated[
    str | list[str], Field(description="name from list_styles, or a picture as for content; several are mixed")
]
Wait = Annotated[
    float, Field(ge=0, le=LONGEST_WAIT_S, description="seconds to wait; then you get the job id and the picture so far")
]
JobId = Annotated[str, Field(description="32 letters and digits")]


class Tools:
    """The tools of one owner.

    Args:
        jobs: the queue and the files.
        owner: whose jobs and pictures.
        judge: judges results; shared by all owners.
        roots: folders whose pictures may be named by their path.
        address: of the service, where results can be fetched; None: results are files of this machine.
        safety: the safety check that looks at pictures; None: none does.
        urls: whether pictures may be loaded from the public web.
        quota: how much the owner may ask for; None: as much as there is.
    """

    def __init__(
        self,
        jobs: DurableJobs,
        *,
        owner: str,
        judge: Judge,
        roots: Sequence[Path] = (),
        address: str | None = None,
        safety: str | None = None,
        urls: bool = False,
        quota: Quota | None = None,
    ) -> None:
        self.jobs, self.owner, self._quota = jobs, owner, quota
        self.pictures = Pictures(jobs, jobs.store, owner, roots, safety, urls=urls)
        self.talk = Talk(jobs, address)
        self._judge = judge

    def list_styles(
        self,
        query: Annotated[str, Field(description="words that the name or a colour must have")] = "",
        limit: Annotated[int, Field(ge=1, le=50)] = 20,
    ) -> Answer:
        """List the styles of the library: names that `stylize` takes as style, with their main colours."""
        from impasto import api  # PyTorch comes with it

        return self.talk.styles(api.list_styles(), query, limit)

    def describe_engines(
        self,
        image_size: Annotated[int, Field(ge=16, le=MAX_SIZE_PX, description="longer side of the output, pixels")] = 512,
        settings_of: Annotated[Served | None, Field(description="also list every setting of this engine")] = None,
    ) -> Answer:
        """Describe the qualities and what each takes here: engine, seconds, limits, jobs that wait."""
        size = (image_size, image_size * 3 // 4)
        estimates = self._estimates()
        seconds = {quality: estimates.seconds(quality, *size) for quality in QUALITIES}  # type: ignore[arg-type]
        return self.talk.engines(seconds, size, ENGINES[settings_of] if settings_of else None)

    def stylize(
        self,
        content: Picture,
        style: Styles,
        faithfulness: Annotated[
            Faithfulness | None, Field(description="how much of the photo's shapes must stay")
        ] = None,
        avoid: Annotated[
            list[Failure], Field(description="failures that matter most to the user; slow: quickest answer")
        ] = [],  # noqa: B006 — never changed, and an empty list is what the schema shall show
        quality: Annotated[
            Quality | None, Field(description="draft: one pass; standard; fine. Left out, the best that ends in wait_s")
        ] = None,
        engine: Annotated[
            Literal["diffusion"] | None, Field(description="a diffusion model instead, if the service offers it")
        ] = None,
        preset: Annotated[Preset | None, SETTING] = None,
        strength: Annotated[float | None, SETTING] = None,
        color: Annotated[Literal["style", "luminance", "linear", "histogram", "palette"] | None, SETTING] = None,
        palette: Annotated[
            list[str] | None, Field(description='colours to reach with color=palette: ["#1d3557", "#e63946"]')
        ] = None,
        image_size: Annotated[int | None, SETTING] = None,
        style_scale: Annotated[float | None, SETTING] = None,
        seed: Annotated[int | None, SETTING] = None,
        settings: Annotated[
            dict[str, Any], Field(description="other settings of the engine by name, see describe_engines")
        ] = {},  # noqa: B006
        format: Literal["png", "jpeg", "webp", "avif", "tiff"] = "png",  # noqa: A002 — as in JobRequest
        wait_s: Wait = 40.0,
        request_id: Annotated[
            str | None, Field(min_length=1, max_length=128, description="the same id again gives the same job")
        ] = None,
    ) -> Answer:
        """Paint a picture: the style of one picture, or of several, on the content of another.

        Say what matters (faithfulness, avoid) and quality and preset are chosen for you, with the reason. Start with
        avoid=["slow"] for a quick look. wait_s=0 starts a job and returns at once.
        """
        started = time.time()
        asset = self.pictures.asset(content)
        styles = tuple(self._style(one) for one in ([style] if isinstance(style, str) else style))
        given = {
            "strength": strength,
            "color": color,
            "palette": palette,
            "image_size": image_size,
            "style_scale": style_scale,
            "seed": seed,
            **settings,
        }
        explicit = {name: value for name, value in given.items() if value is not None}
        key = None if request_id is None else f"agents:stylize:{request_id}"
        known = None if key is None else self.jobs.known(key, owner=self.owner)
        if known is not None:
            self._check_same(known, asset, styles, explicit, quality)
            job, why = self._revived(known), self.talk.why(known)
        else:
            if engine is not None:
                if quality or preset or faithfulness or avoid:
                    raise InputError(
                        "quality, preset, faithfulness and avoid choose between the other engines; leave them out with "
                        "engine diffusion, or leave out engine"
                    )
                asked: dict[str, Any] = {"engine": engine, "settings": explicit}
                why = "engine diffusion as asked for."
            else:
                from impasto.jobs.previews import size_of

                width, height = size_of(self.jobs.store.asset(asset, owner=self.owner))
                longest = image_size or min(DEFAULT_PX, max(width, height))
                scale = longest / max(width, height)
                choice = choose(
                    self._estimates(),
                    (max(1, round(width * scale)), max(1, round(height * scale))),
                    wait_s=wait_s,
                    quality=quality,
                    preset=preset,
                    faithfulness=faithfulness,
                    avoid=avoid,
                )
                settings = {"image_size": longest, **choice.settings, **_for(choice.quality, explicit)}
                asked, why = {"quality": choice.quality, "settings": settings}, choice.why
            request = JobRequest.of(content=asset, styles=styles, format=format, **asked)
            need_worker(self.jobs)
            job = self.jobs.submit(request, owner=self.owner, idempotency_key=key, quota=self._quota)
            self._remember(job, why)
        # Who asks again for a job that another call began does not end it by going away.
        job = self._wait(job, wait_s, drop=known is None and job.created_s >= started)
        left = wait_s - (time.time() - started)
        return self.talk.job(job, why=why, verdict=self._verdict(job, left) if _is_worth_judging(job) else None)

    def get_job(
        self,
        job_id: JobId,
        wait_s: Wait = 0.0,
        preview: Annotated[bool, Field(description="with a small picture")] = True,
    ) -> Answer:
        """Tell where a job stands, after waiting up to wait_s for its end, with the picture so far."""
        job = self._wait(self._job(job_id), wait_s, drop=False)
        return self.talk.job(job, why=self.talk.why(job), verdict=self._verdict(job, 0), preview=preview)

    def cancel_job(
        self,
        job_id: JobId,
        keep: Annotated[bool, Field(description="keep the picture as far as it is")] = True,
    ) -> Answer:
        """End a job or a campaign: keep what it has so far (a waiting job has nothing), or drop it."""
        job = self.jobs.cancel(job_id.removeprefix("job:"), owner=self.owner, keep=keep)
        job = self._wait(job, _CANCEL_WAIT_S, drop=False)
        return self.talk.campaign(job) if job.kind == "campaign" else self.talk.job(job, why=self.talk.why(job))

    def evaluate(
        self,
        picture: Picture,
        content: Annotated[str | None, Field(description="the photo; known already for job:ID")] = None,
        style: Annotated[str | list[str] | None, Field(description="the style; known already for job:ID")] = None,
        wait_s: Wait = 40.0,
    ) -> Answer:
        """Judge a result: is the style there, is the photo recognisable, is anything broken; and what to change."""
        kind, _, rest = picture.partition(":")
        if kind == "job" and content is None and style is None:
            self.pictures.result(rest)
            job = self._job(rest)
            return self.talk.verdict(job, self._verdict(job, wait_s))
        if content is None or style is None:
            raise InputError("evaluate needs content and style beside a picture that is no job's; give both, or job:ID")
        given = [style] if isinstance(style, str) else style
        place = self._file_of(self.pictures.asset(picture))
        photo = self._file_of(self.pictures.asset(content))
        found = self._judge.verdict(place, photo, [self._file_of(self._style(one)) for one in given], wait_s=wait_s)
        return self.talk.verdict(None, found)

    def compare(
        self,
        job_ids: Annotated[list[str], Field(min_length=2, max_length=5, description="finished jobs")],
        wait_s: Wait = 40.0,
    ) -> Answer:
        """Compare finished jobs: one sheet with the photo and all results, a verdict on each, and what differs."""
        end = time.monotonic() + wait_s
        jobs = [self._job(job_id) for job_id in dict.fromkeys(job_ids)]
        for job in jobs:
            self.pictures.result(job.id)
        photo = self._file_of(jobs[0].request.content)
        return self.talk.comparison(jobs, [self._verdict(job, end - time.monotonic()) for job in jobs], photo)

    def start_campaign(
        self,
        pictures: Annotated[list[Picture], Field(min_length=1, max_length=100)],
        style: Styles | None = None,
        quality: Quality = "standard",
        settings: Annotated[
            dict[str, Any], Field(description="of the engine for all, such as strength, preset, image_size, color")
        ] = {},  # noqa: B006
        pack: Annotated[
            str | None, Field(max_length=65536, description="instead of style and quality: a brand pack, its TOML text")
        ] = None,
        name: Annotated[str | None, Field(max_length=200)] = None,
        wait_s: Wait = 0.0,
        request_id: Annotated[str | None, Field(min_length=1, max_length=128)] = None,
    ) -> Answer:
        """Paint many pictures in one look, each judged. Try the look on one picture with stylize first."""
        named: dict[str, str] = {}
        for number, one in enumerate(pictures, start=1):
            named.setdefault(self.pictures.asset(one), f"{number} {self.pictures.name_of(one)}".strip())
        request = campaign_request(
            named,
            () if style is None else [self._style(one) for one in ([style] if isinstance(style, str) else style)],
            quality=quality,
            settings=settings,
            pack=pack,
            name=name,
        )
        need_worker(self.jobs)
        started = time.time()
        key = None if request_id is None else f"agents:start_campaign:{request_id}"
        job = self.jobs.submit_campaign(request, owner=self.owner, idempotency_key=key, quota=self._quota)
        job = self._wait(job, wait_s, drop=job.created_s >= started)
        return self.talk.campaign(job)

    def get_campaign(
        self, campaign_id: Annotated[str, Field(description="32 letters and digits")], wait_s: Wait = 0.0
    ) -> Answer:
        """Tell where a campaign stands, after waiting up to wait_s: counts, failures with reasons, a sheet."""
        job = self._wait(self.jobs.campaign(campaign_id, owner=self.owner), wait_s, drop=False)
        return self.talk.campaign(job)

    def verify_provenance(self, picture: Picture) -> Answer:
        """Tell who signed a picture, whether it was changed since, and what it says of how it was made."""
        kind, _, rest = picture.partition(":")
        path = self.pictures.result(rest) if kind == "job" else self._file_of(self.pictures.asset(picture))
        from impasto import api
        from impasto.jobs.decode import MAX_PIXELS

        return self.talk.provenance(api.verify(path, registry=self.jobs.store.registry, max_pixels=MAX_PIXELS))

    # What they share.

    def _wait(self, job: Job[Any], seconds: float, *, drop: bool) -> Job[Any]:
        return wait_for(self.jobs, job, seconds, self.talk.progress, drop=drop)

    def _job(self, job_id: str) -> Job:
        return self.jobs.get(job_id.removeprefix("job:"), owner=self.owner)

    def _style(self, style: str) -> str:
        """A style as a job names it: a name of the library, or an asset.

        Raises:
            InputError: there is no such style, or no such picture.
        """
        if ASSET.fullmatch(style) or not STYLE.fullmatch(style):
            return self.pictures.asset(style)
        from impasto import api  # PyTorch comes with it

        try:
            api.get_style(style)
        except InputError:
            names = [known.name for known in api.list_styles()]
            meant = get_close_matches(style, names, 1)
            raise InputError(
                f"there is no style {style!r}{f'; did you mean {meant[0]!r}?' if meant else ''}; the library has "
                f"{', '.join(names[:20])}, and a picture can be a style too"
            ) from None
        return style

    def _file_of(self, name: str) -> Any:
        """An asset's file; a name of the library stays one."""
        return self.jobs.store.asset(name, owner=self.owner) if ASSET.fullmatch(name) else name

    def _estimates(self) -> Estimates:
        return Estimates.of(self.jobs.jobs(owner=self.owner, state="done", limit=_HISTORY))

    def _verdict(self, job: Job, wait_s: float) -> Verdict | None:
        """The verdict on a finished job; None where there is none in time. Without a wait, only one that is there."""
        if job.state != "done":
            return None
        request, path = job.request, self.jobs.store.job(job.id).result(job.request.format)
        styles = [self._file_of(style) for style in request.styles]
        if wait_s <= 0:
            return self._judge.known(path, self._file_of(request.content), styles)
        return self._judge.verdict(path, self._file_of(request.content), styles, wait_s=wait_s)

    def _check_same(
        self, known: Job, content: str, styles: tuple[str, ...], explicit: dict[str, Any], quality: Quality | None
    ) -> None:
        """Whether a request id was used for the same request.

        Raises:
            IdempotencyError: it was used for another.
        """
        before = known.request
        same = (before.content, before.styles) == (content, styles) and quality in (None, before.quality)
        if not same or any(
            before.settings.get(name) != value for name, value in _for(before.quality, explicit).items()
        ):
            raise IdempotencyError(
                f"this request_id belongs to the job {known.id}, which has other pictures or settings; use a new "
                "request_id for a new picture"
            )

    def _revived(self, job: Job) -> Job:
        """A job that was asked for before; one that was dropped begins again."""
        if job.wanted == "discard" and not job.is_over:
            job = self._wait(job, _CANCEL_WAIT_S, drop=False)
        return self.jobs.retry(job.id, owner=self.owner, quota=self._quota) if job.state == "cancelled" else job

    def _remember(self, job: Job, why: str) -> None:
        """Keep why a job is as it is, beside its files."""
        folder = self.jobs.store.job(job.id)
        folder.make()
        write_whole(folder.path / WHY, why.encode())


def _for(quality: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without a seed where nothing is drawn: one pass is the same every time."""
    return {name: value for name, value in settings.items() if not (name == "seed" and quality == "draft")}


def _is_worth_judging(job: Job) -> bool:
    """A draft is a quick look, and judging it would take longer than painting it."""
    return job.request.quality != "draft"
