"""What every route needs: the jobs, the configuration, and whose request it is."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

import anyio
from anyio.to_thread import run_sync
from fastapi import Depends, Request
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import Job
from impasto.jobs.keys import owner_of
from impasto.service.config import LOCAL_OWNER, ServiceConfig
from impasto.service.problems import Problem


@dataclass(frozen=True)
class Context:
    """The parts of a running service."""

    jobs: DurableJobs
    config: ServiceConfig
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the service ends: whoever streams ends then."""

    async def until(self, job: Job, seconds: float, *, gone: Callable[[], Awaitable[bool]] | None = None) -> Job:
        """The job once it has ended, or as it is when the time is up, the client is gone or the service ends."""
        with anyio.move_on_after(seconds):
            while not job.is_over and not self.closing.is_set() and not (gone and await gone()):
                await anyio.sleep(self.config.poll_s)
                job = await self.again(job)
        return job

    async def again(self, job: Job) -> Job:
        """The job as it is now."""
        return await run_sync(lambda: self.jobs.get(job.id, owner=job.owner))


def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


Service = Annotated[Context, Depends(_context)]


def _owner(request: HTTPConnection, service: Service) -> str:
    """Whose request it is.

    Raises:
        Problem: it brings no key that is in use.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if not service.config.needs_keys:
        return LOCAL_OWNER
    owner = owner_of(service.jobs.engine, key.strip()) if scheme.lower() == "bearer" else None
    if owner is None:
        raise Problem(
            401,
            "invalid_api_key",
            "send an API key as `Authorization: Bearer impasto_…`; `impasto keys add` makes one",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return owner


Owner = Annotated[str, Depends(_owner)]


class WithOwner:
    """Another application behind our keys: it finds whose request it is as ``owner`` in the scope's state.

    Args:
        app: the application.
        service: whose keys.
    """

    def __init__(self, app: ASGIApp, service: Context) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            Problem: it brings no key that is in use.
        """
        owner = await run_sync(_owner, HTTPConnection(scope), self._service)
        await self._app({**scope, "state": {**scope.get("state", {}), "owner": owner}}, receive, send)
