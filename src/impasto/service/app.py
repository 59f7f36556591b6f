"""The application: routes, guard and errors put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from impasto.service import campaigns, compatible, events, health, native, provenance, queue, reference
from impasto.service.context import Context, WithOwner
from impasto.service.golden import GoldenCheck
from impasto.service.guard import Guard
from impasto.service.logs import RequestLog
from impasto.service.metrics import Metrics
from impasto.service.problems import answer_with_problems
from impasto.service.web import campaigns as campaign_pages
from impasto.service.web import entry, live, pictures, routes
from impasto.service.web.pages import Static

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
    most_bytes = (config.max_upload_mb * _FILES_IN_A_REQUEST + 1) << 20
    app = FastAPI(
        title="impasto",
        description="The style of one picture, or of several, on the content of another.",
        docs_url=None,  # both pages would load scripts from a public network
        redoc_url=None,
        openapi_url=None,  # served by reference.py, beside its page
    )
    metrics = Metrics(jobs)
    golden = None
    if config.golden is not None:
        golden = GoldenCheck(config.golden, lambda passed: metrics.golden.set(passed))
        golden.start()
    app.state.context = Context(jobs, config, metrics, golden)
    app.add_middleware(Guard, hosts=config.hosts, most_bytes=most_bytes)
    app.add_middleware(RequestLog)  # outermost: a refusal of the guard has an id too
    answer_with_problems(app)
    for part in (native, queue, campaigns, events, compatible, provenance, health, reference):
        app.include_router(part.router)
    for part in (entry, pictures, routes, live, campaign_pages):
        app.include_router(part.router)
    app.mount("/studio/static", Static(), name="static")
    if agents is not None:
        app.router.lifespan_context = agents.router.lifespan_context
        app.router.routes.append(Route(AGENTS_PATH, endpoint=WithOwner(agents, app.state.context)))
    return app
