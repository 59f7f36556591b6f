"""The pages of the studio, and the parts of them that are asked for again: parse, ask the jobs, fill in a template."""

from dataclasses import replace
from typing import Annotated, Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, UploadFile
from fastapi.responses import Response

from impasto.errors import InputError
from impasto.jobs.job import Job, State
from impasto.jobs.refusals import UnknownAssetError, UnknownJobError
from impasto.recipe import Source
from impasto.service.context import Context, Service
from impasto.service.native import keep_upload
from impasto.service.web.cards import Card
from impasto.service.web.drafts import Draft, fields
from impasto.service.web.entry import Visitor
from impasto.service.web.pages import page
from impasto.settings import QUALITIES
from impasto.styles import style_pictures, style_showing

router = APIRouter(include_in_schema=False)

_RECENT: Final = 12
_A_PAGE: Final = 24
_MOST_COMPARED: Final = 12

_JobId = Annotated[str, Query(max_length=64)]


@router.get("/")
def studio(request: Request, service: Service, owner: Visitor, job: _JobId = "") -> Response:
    """The page to paint on."""
    draft = _kept(service, owner, Draft.read(request.query_params.multi_items()))
    known = _queue(service, owner) | _recent(service, owner) | _stage(service, owner, job) | _advanced(draft)
    return page(request, "studio.html", draft=draft, styles=_styles(), qualities=list(QUALITIES), **known)


@router.get("/studio/stage")
def stage(request: Request, service: Service, owner: Visitor, job: _JobId = "") -> Response:
    """The large picture."""
    return page(request, "stage.html", **_stage(service, owner, job))


@router.get("/studio/queue")
def queue(request: Request, service: Service, owner: Visitor) -> Response:
    """What is being painted, and what waits."""
    return page(request, "queue.html", **_queue(service, owner))


@router.get("/studio/recent")
def recent(request: Request, service: Service, owner: Visitor) -> Response:
    """The last results."""
    return page(request, "recent.html", **_recent(service, owner))


@router.get("/studio/advanced")
def advanced(request: Request, owner: Visitor) -> Response:  # noqa: ARG001
    """Every setting of the engine that a quality stands for."""
    return page(request, "advanced.html", **_advanced(Draft.read(request.query_params.multi_items())))


@router.post("/studio/jobs")
async def submit(request: Request, service: Service, owner: Visitor) -> Response:
    """Take a job from the form; answers with the queue."""
    async with request.form(max_files=0, max_fields=300, max_part_size=64 << 10) as form:
        draft = Draft.read([(name, value) for name, value in form.multi_items() if isinstance(value, str)])
    asked = draft.request()
    await run_sync(lambda: service.jobs.submit(asked, owner=owner))
    return page(request, "queue.html", **await run_sync(_queue, service, owner))


@router.post("/studio/drop")
async def drop(file: UploadFile, service: Service, owner: Visitor) -> dict[str, Any]:
    """Keep a dropped picture; of one that was painted here, also the page with its settings."""
    kept = await keep_upload(file, service, owner)
    draft = await run_sync(_draft_of_file, service, owner, str(kept["id"]))
    return {**kept, "address": None if draft is None else draft.address}


@router.get("/gallery")
def gallery(
    request: Request,
    service: Service,
    owner: Visitor,
    state: State | None = None,
    style: Annotated[str, Query(max_length=64)] = "",
    starred: bool = False,
    before: _JobId = "",
) -> Response:
    """All results, or those with a style, a state or a star."""
    found = service.jobs.jobs(
        owner=owner,
        state=state or "done",
        style=style or None,
        starred=starred or None,
        limit=_A_PAGE,
        before=before or None,
    )
    known: dict[str, Any] = {
        "cards": [Card.of(service, job) for job in found],
        "more": found[-1].id if len(found) == _A_PAGE else None,
        "styles": _styles(),
        "chosen": {"state": state or "done", "style": style, "starred": starred},
    }
    return page(request, "tiles.html" if "hx-request" in request.headers else "gallery.html", **known)


@router.get("/compare")
def compare(
    request: Request, service: Service, owner: Visitor, job: Annotated[tuple[str, ...], Query()] = ()
) -> Response:
    """Several results side by side, each photo with what was painted of it."""
    cards = [Card.of(service, found) for one in job[:_MOST_COMPARED] if (found := _job(service, owner, one))]
    groups: dict[str, list[Card]] = {}
    for card in cards:
        if card.job.state == "done":
            groups.setdefault(card.job.request.content, []).append(card)
    return page(request, "compare.html", groups=list(groups.values()))


def _styles() -> list[str]:
    return list(style_pictures())


def _advanced(draft: Draft) -> dict[str, Any]:
    return {"fields": fields(draft.engine, draft.settings), "format": draft.format}


def _queue(service: Context, owner: str) -> dict[str, Any]:
    in_turn: dict[State, list[Card]] = {
        state: [Card.of(service, job) for job in service.jobs.jobs(owner=owner, state=state)]
        for state in ("running", "queued", "paused")
    }
    in_turn["queued"].sort(key=lambda card: card.position or 0)
    return {
        "open_cards": [card for cards in in_turn.values() for card in cards],
        "waiting": len(in_turn["queued"]),
        "is_paused": service.jobs.queue(owner=owner).paused_s is not None,
        "may_pause": not service.config.needs_keys,
    }


def _recent(service: Context, owner: str) -> dict[str, Any]:
    done = service.jobs.jobs(owner=owner, state="done", limit=_RECENT)
    return {"recent": [Card.of(service, job) for job in done]}


def _stage(service: Context, owner: str, job_id: str) -> dict[str, Any]:
    """The job that was asked for; else the last result, so that it stays while the next is painted."""
    job = _job(service, owner, job_id) if job_id else None
    states: tuple[State, ...] = ("done", "running", "queued", "paused")
    for state in states:
        job = job or next(iter(service.jobs.jobs(owner=owner, state=state, limit=1)), None)
    return {"card": None if job is None else Card.of(service, job), "picked": bool(job_id)}


def _job(service: Context, owner: str, job_id: str) -> Job | None:
    """A job; None where it is gone: an old address is no error."""
    try:
        return service.jobs.get(job_id, owner=owner)
    except UnknownJobError:
        return None


def _kept(service: Context, owner: str, draft: Draft) -> Draft:
    """The draft without what is not here any more, or never was."""

    def here(asset: str) -> bool:
        try:
            return service.jobs.store.asset(asset, owner=owner).is_file()
        except UnknownAssetError:
            return False

    known = set(_styles())
    return replace(
        draft,
        content=draft.content if here(draft.content) else "",
        dropped=draft.dropped if here(draft.dropped) else "",
        styles=tuple(style for style in draft.styles if style in known or here(style)),
        regions=tuple(
            f"{mask}:{style}" for mask, style in draft.masks if here(mask) and (style in known or here(style))
        ),
    )


def _draft_of_file(service: Context, owner: str, asset: str) -> Draft | None:
    """The draft that a result's file asks for; None of a picture without a recipe that can be read."""
    from impasto import api

    store = service.jobs.store
    try:
        found = api.read_recipe(store.asset(asset, owner=owner))
    except InputError:
        return None

    def here(source: Source) -> str | None:
        if style := style_showing(source.sha256):
            return style
        try:
            return source.sha256 if store.asset(source.sha256, owner=owner).is_file() else None
        except UnknownAssetError:
            return None

    return Draft.of_recipe(found, asset, here)
