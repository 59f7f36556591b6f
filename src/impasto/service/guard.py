"""What stands before every route: by which name it was asked, from which page, how slowly; and what an answer has.

A header that a route has set is left as it is: a page of our own that needs more than the strictest policy sets its own
``Content-Security-Policy``, such as :data:`PAGE_POLICY`, or ``Permissions-Policy`` where it uses a camera.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders

from impasto.service.context import SAFE_METHODS
from impasto.service.problems import BodyRefused, Problem, problem_of, problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("impasto")

#: For a page without scripts: style sheets and pictures of this service, and nothing of others.
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

#: A body has this long, and longer by what it has brought at this rate: a large upload on a slow line is in time, one
#: that comes byte by byte to keep a place is not.
_BODY_S: Final = 10.0
_LEAST_BYTES_A_SECOND: Final = 16 << 10


class Guard:
    """Refuses what another page in the user's browser sends here, and adds headers to what is answered.

    Args:
        app: what it stands before.
        hosts: names it answers to; None: any.
        most_bytes: what a body may have.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, most_bytes: int) -> None:
        self._app, self._hosts, self._most_bytes = app, hosts, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._most_bytes)
        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if body.is_late:
                    headers["Connection"] = "close"
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await problem_response(scope["path"], refusal)(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, body if scope["method"] not in SAFE_METHODS else receive, send_with_headers)
        except Exception as error:
            # Here and not in a handler of the app, whose answer would pass no middleware and so lack the headers.
            if has_begun:
                raise
            await problem_response(scope["path"], problem_of(error))(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self._hosts is not None and name not in self._hosts:
            # A page whose name was made to point here (DNS rebinding) asks by that name.
            return Problem(403, "host", "the Host header does not name this service; --allow-host adds a name")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._most_bytes:
            return _too_large(self._most_bytes)
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            return Problem(403, "origin", "another site's page must not change anything here")
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return Problem(403, "origin", "another site's page must not change anything here")
        return None


def _too_large(most_bytes: int) -> Problem:
    return Problem(413, "too_large", f"the request has more than {most_bytes >> 20} MiB; send fewer or smaller files")


class _Body:
    """Receives a body that has to be of bearable size and come at a bearable pace.

    Args:
        receive: gives its pieces.
        most_bytes: what it may have, whatever it said or did not say of itself.
    """

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive, self._ends, self._left = receive, time.monotonic() + _BODY_S, most_bytes
        self._most_bytes = most_bytes
        self._is_whole = self.is_late = False

    async def __call__(self) -> Message:
        if self._is_whole:
            return await self._receive()  # tells when the client goes
        try:
            with anyio.fail_after(max(0.0, self._ends - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self.is_late = True
            raise BodyRefused(Problem(408, "too_slow", "the request's body came too slowly; send it again")) from None
        size = len(message.get("body", b""))
        self._ends += size / _LEAST_BYTES_A_SECOND
        self._left -= size
        if self._left < 0:
            raise BodyRefused(_too_large(self._most_bytes))
        self._is_whole = not message.get("more_body", False)
        return message
