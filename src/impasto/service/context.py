"""What every route needs: the jobs, the configuration, and whose request it is.

A route that takes an :data:`Owner` is open to a key with ``jobs:read`` if it only looks, and to one with ``jobs:write``
if it changes something. What concerns all owners takes an :data:`Admin`.
"""

import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, cast

import anyio
from anyio.to_thread import run_sync
from fastapi import Depends, Request
from httpcore2 import AsyncNetworkBackend
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import Job
from impasto.jobs.keys import SCOPES, Key, Quota, find_key, note_use
from impasto.service.config import LOCAL_OWNER, ServiceConfig
from impasto.service.golden import GoldenCheck
from impasto.service.metrics import Metrics
from impasto.service.problems import Problem

logger = logging.getLogger("impasto")

#: Methods that only look.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Where no key is asked for, whoever is here may do everything.
_LOCAL: Final = Key(id="local", owner=LOCAL_OWNER, created_s=0.0, scopes=frozenset(SCOPES))


@dataclass(frozen=True)
class Context:
    """The parts of a running service."""

    jobs: DurableJobs
    config: ServiceConfig
    metrics: Metrics
    golden: GoldenCheck | None = None
    """The check of a golden set that was asked for."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the service ends: whoever streams ends then."""
    rates: SlidingWindowCounterRateLimiter = field(
        default_factory=lambda: SlidingWindowCounterRateLimiter(MemoryStorage())
    )
    """Requests of each key in the last minute, as this process saw them."""
    intake: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))
    """Uploads that are looked at; others wait here, where they keep no thread from those who only ask."""
    network: AsyncNetworkBackend | None = None
    """Connects to the hosts of URLs; None: to public addresses only."""
    fetching: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(8))
    """URLs that are fetched at once, each into memory."""
    probing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(4))
    """Threads that look whether the service is ready."""
    writing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(32))
    """Threads that may wait for the database to be written to, so that the others stay free."""

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


# The dependencies are coroutines, as FastAPI gives every other one a thread of its own, and a thread costs more than
# what they do.


async def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


Service = Annotated[Context, Depends(_context)]


#: Where the studio's form keeps the key of whoever signed in.
KEY_COOKIE: Final = "impasto_key"


async def caller(request: HTTPConnection, service: Service) -> Key:
    """With which key the request comes: in the header, or in the cookie of a browser that signed in.

    Raises:
        Problem: it brings no key that is in use, or this one comes too often.
    """
    if not service.config.needs_keys:
        return _LOCAL
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        scheme, shown = "bearer", request.cookies.get(KEY_COOKIE, "")
    key = await run_sync(_shown_key, service, shown.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise Problem(
            401,
            "invalid_api_key",
            "send an API key that is in use as `Authorization: Bearer impasto_…`; `impasto keys add` makes one",
            headers={"WWW-Authenticate": "Bearer"},
        )
    check_rate(service, key)
    return key


def _shown_key(service: Context, shown: str) -> Key | None:
    """The key, if it is one that is in use; that it was used is written down."""
    key = find_key(service.jobs.engine, shown)
    if key is not None:
        try:
            note_use(service.jobs.engine, key)
        except SQLAlchemyError as error:  # nothing that the client asked for
            logger.warning("the use of key %s could not be noted: %s", key.id, type(error).__name__)
    return key


def check_rate(service: Context, key: Key) -> None:
    """Count a request of a key.

    Raises:
        Problem: it comes too often.
    """
    rate = RateLimitItemPerMinute(key.quota.requests_a_minute or service.config.requests_a_minute)
    if service.rates.hit(rate, key.id):
        return
    wait_s = max(0.1, service.rates.get_window_stats(rate, key.id).reset_time - time.time())
    raise Problem(
        429,
        "rate_limited",
        f"this key may send {rate.amount} requests a minute; wait a moment",
        headers={"Retry-After": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(1000 * wait_s))},
    )


Caller = Annotated[Key, Depends(caller)]


def check_scope(key: Key, scope: str) -> None:
    """Refuse what a key may not do.

    Raises:
        Problem: it has not the scope.
    """
    if not key.may(scope):
        raise Problem(
            403, "missing_scope", f"this key has not the scope {scope}; make one with `impasto keys add --scope`"
        )


def require_scope(scope: str) -> Callable[[Key], Awaitable[Key]]:
    """A dependency: the caller's key, which has a scope; or else the answer 403."""

    async def checked(key: Caller) -> Key:
        check_scope(key, scope)
        return key

    return checked


#: For what concerns the whole service or other owners' jobs.
Admin = Annotated[Key, Depends(require_scope("admin"))]


async def owner_of(request: Request, key: Caller) -> str:
    """Whose request it is, if its key may look, or change something, as the method does."""
    check_scope(key, "jobs:read" if request.method in SAFE_METHODS else "jobs:write")
    return key.owner


Owner = Annotated[str, Depends(owner_of)]


async def _quota(key: Caller) -> Quota:
    return key.quota


#: How much the caller may ask for.
Allowed = Annotated[Quota, Depends(_quota)]


class WithOwner:
    """Another application behind our keys: it finds ``owner`` and ``quota`` of the request's key in the scope's state.

    Args:
        app: the application.
        service: whose keys.
    """

    def __init__(self, app: ASGIApp, service: Context) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            Problem: it brings no key that is in use and may change something.
        """
        key = await caller(HTTPConnection(scope), self._service)
        check_scope(key, "jobs:write")
        state = {**scope.get("state", {}), "owner": key.owner, "quota": key.quota}
        await self._app({**scope, "state": state}, receive, send)
