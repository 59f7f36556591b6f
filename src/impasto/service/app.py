"""The application: routes, guard and errors put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from impasto.service import campaigns, compatible, events, health, native, queue
from impasto.service.context import Context
from impasto.service.guard import Guard
from impasto.service.problems import answer_with_problems
from impasto.service.web import campaigns as campaign_pages
from impasto.service.web import entry, live, pictures, routes
from impasto.service.web.pages import Static

if TYPE_CHECKING:
    from impasto.jobs.durable import DurableJobs
    from impasto.service.config import ServiceConfig

#: Sixteen pictures in one request, as OpenAI's clients may send, or a few large ones.
_FILES_IN_A_REQUEST = 4


def create_app(jobs: DurableJobs, config: ServiceConfig) -> FastAPI:
    """The service as an ASGI application.

    Args:
        jobs: what takes jobs; the caller closes it.
        config: to whom it answers.
    """
    app = FastAPI(
        title="impasto",
        description="The style of one picture, or of several, on the content of another.",
        docs_url=None,  # both pages would load scripts from a public network
        redoc_url=None,
        max_body_size=(config.max_upload_mb * _FILES_IN_A_REQUEST + 1) << 20,
    )
    app.state.context = Context(jobs, config)
    app.add_middleware(Guard, hosts=config.hosts)
    answer_with_problems(app)
    for part in (native, queue, campaigns, events, compatible, health):
        app.include_router(part.router)
    for part in (entry, pictures, routes, live, campaign_pages):
        app.include_router(part.router)
    app.mount("/studio/static", Static(), name="static")
    return app
