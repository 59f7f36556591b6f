"""News of jobs as server-sent events: snapshots, not a log, so a client that was away misses nothing it needs."""

import json
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from impasto.service.context import Context, Owner, Service
from impasto.service.documents import errors
from impasto.service.problems import Problem
from impasto.service.views import job_view

router = APIRouter(prefix="/v1", tags=["native"])

#: Proxies close what is silent for longer than about half a minute.
_KEEP_ALIVE_S: Final = 15.0
#: So many of a client's last jobs come at the beginning; older ones are in the list.
_AT_FIRST: Final = 50


_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A stream of events `job`, each with a job as its data.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: job\nid: 17\ndata: {"id": "0f9a…", "state": "running", …}\n\n',
            }
        },
    }
}


@router.get("/events", response_class=StreamingResponse, responses={**_STREAM, **errors()})
async def events(
    service: Service, owner: Owner, last_event_id: Annotated[str | None, Header(max_length=18)] = None
) -> StreamingResponse:
    """All your jobs as they are, then each one anew whenever it changes: one stream for a whole page.

    ``id`` grows with every change; a client that comes back with ``Last-Event-ID`` gets what changed meanwhile.
    """
    if last_event_id is not None and not (last_event_id.isascii() and last_event_id.isdigit()):
        raise Problem(422, "invalid", "Last-Event-ID: give the id of an event of this stream")
    since = None if last_event_id is None else int(last_event_id)
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(service, owner, since), media_type="text/event-stream", headers=headers)


async def _stream(service: Context, owner: str, since: int | None) -> AsyncIterator[str]:
    if since is None:
        first = await run_sync(lambda: service.jobs.jobs(owner=owner, limit=_AT_FIRST))
        since = max((job.changed for job in first), default=0)
        for job in sorted(first, key=lambda job: job.changed):
            yield _event(job.changed, job_view(job, await run_sync(service.jobs.position, job)))
    yield ": here\n\n"  # headers and a first line at once, also where there is no job yet
    spoke = time.monotonic()
    with service.metrics.sse_clients.track_inprogress():
        while not service.closing.is_set():
            for job in await run_sync(partial(service.jobs.changed_since, since, owner=owner)):
                since = job.changed
                spoke = time.monotonic()
                yield _event(job.changed, job_view(job, await run_sync(service.jobs.position, job)))
            if time.monotonic() - spoke > _KEEP_ALIVE_S:
                spoke = time.monotonic()
                yield ": still here\n\n"
            await anyio.sleep(service.config.poll_s)


def _event(number: int, view: dict[str, object]) -> str:
    return f"event: job\nid: {number}\ndata: {json.dumps(view)}\n\n"
