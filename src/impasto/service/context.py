"""What every route needs: the jobs, the configuration, and whose request it is."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, cast

import anyio
from anyio.to_thread import run_sync
from fastapi import Depends, Request

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


#: Where the studio's form keeps the key of whoever signed in.
KEY_COOKIE: Final = "impasto_key"


def owner_of_request(request: Request, service: Service) -> str:
    """Whose request it is, by its key: in the header, or in the cookie of a browser that signed in.

    Raises:
        Problem: it brings no key that is in use.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if not service.config.needs_keys:
        return LOCAL_OWNER
    if not scheme:
        scheme, key = "bearer", request.cookies.get(KEY_COOKIE, "")
    owner = owner_of(service.jobs.engine, key.strip()) if scheme.lower() == "bearer" else None
    if owner is None:
        raise Problem(
            401,
            "invalid_api_key",
            "send an API key as `Authorization: Bearer impasto_…`; `impasto keys add` makes one",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return owner


Owner = Annotated[str, Depends(owner_of_request)]
