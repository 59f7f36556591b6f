"""The application: routes, guard and errors put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from impasto.service import campaigns, compatible, events, health, native, provenance, queue
from impasto.service.context import Context, WithOwner
from impasto.service.guard import Guard
from impasto.service.problems import answer_with_problems

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from impasto.jobs.durable import DurableJobs
    from impasto.service.config import ServiceConfig

#: Where agents find their tools.
AGENTS_PATH = "/mcp"
#: Sixteen pictures in one request, as OpenAI's clients may send, or a few large ones.
_FILES_IN_A_REQUEST = 4


def create_app(jobs: DurableJobs, config: ServiceConfig, agents: Starlette | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        jobs: what takes jobs; the caller closes it.
        config: to whom it answers.
        agents: the tools for AI agents, served beside the rest for the same keys.
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
    for part in (native, queue, campaigns, events, compatible, provenance, health):
        app.include_router(part.router)
    if agents is not None:
        app.router.lifespan_context = agents.router.lifespan_context
        app.router.routes.append(Route(AGENTS_PATH, endpoint=WithOwner(agents, app.state.context)))
    return app
