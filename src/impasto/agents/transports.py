"""How messages come: from a program that started this one, or over HTTP as a part of the service."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from impasto.agents.judging import Judge
from impasto.agents.server import create_server
from impasto.agents.tools import Tools

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from impasto.jobs.durable import DurableJobs

#: Bytes of a message: a picture inside one has at most a third of a megabyte.
_MOST_BYTES = 2 << 20


def serve_stdio(tools: Tools) -> None:
    """Answer the program that started this one, until it closes our standard input."""
    server = create_server(lambda _: tools)
    # PyTorch is loaded while the model still reads the list of tools.
    threading.Thread(target=import_module, args=("impasto.api",)).start()

    async def run() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(run)


def create_agents_app(
    jobs: DurableJobs, path: str = "/mcp", *, safety: str | None = None, urls: bool = False
) -> Starlette:
    """The MCP server as an ASGI application, streamable HTTP in both protocol eras.

    Whoever mounts it has checked the request's host, origin and key, and says whose it is: ``owner`` and ``quota`` in
    the scope's state. No file is opened by a path that comes over HTTP.

    Args:
        jobs: the queue and the files.
        path: at which it answers.
        safety: the safety check that looks at pictures; None: none does.
        urls: whether pictures may be loaded from the public web.
    """
    judge = Judge()

    def tools_for(request: Request) -> Tools:
        address = str(request.base_url).rstrip("/")
        whose = {"owner": request.state.owner, "quota": request.state.quota}
        return Tools(jobs, **whose, judge=judge, address=address, safety=safety, urls=urls)

    app = create_server(tools_for).streamable_http_app(
        streamable_http_path=path,
        max_request_body_size=_MOST_BYTES,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=False
        ),  # the service's guard has it
    )
    app.add_middleware(_SessionsBelongToOwners)
    return app


class _SessionsBelongToOwners:
    """Tells the SDK who asks, so that nobody can go on with the session of somebody else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            owner: Any = scope["state"]["owner"]
            scope = {**scope, "user": AuthenticatedUser(AccessToken(token="", client_id=owner, scopes=[]))}
        await self._app(scope, receive, send)
