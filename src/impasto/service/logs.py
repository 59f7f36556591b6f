"""Logs as JSON, a line for each thing that happens, with the request and the job that it belongs to.

Nothing of a file's content, no key and no query is in them.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from typing import TYPE_CHECKING, Final

from pythonjsonlogger.json import JsonFormatter
from starlette.datastructures import Headers, MutableHeaders

from impasto.jobs.origin import JOB_ID, REQUEST_ID

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("impasto")

#: What a client may call its request: it goes into logs and headers.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Asked for every few seconds by machines, and of no interest when answered well.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})


def log_as_json() -> None:
    """Write what is logged to stderr as JSON from now on, in place of sentences for people."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(levelname)s%(name)s%(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
    )
    handler.addFilter(_add_ids)
    logger.handlers.clear()
    logger.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)


def _add_ids(record: logging.LogRecord) -> bool:
    for name, known in (("request_id", REQUEST_ID.get()), ("job_id", JOB_ID.get())):
        if known is not None and not hasattr(record, name):
            setattr(record, name, known)
    return True


class RequestLog:
    """Gives every request an id, or keeps the one that it brings, and logs how it was answered.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        brought = Headers(scope=scope).get("x-request-id", "")
        request_id = brought if _REQUEST_ID.fullmatch(brought) else secrets.token_hex(8)
        REQUEST_ID.set(request_id)
        began, status = time.monotonic(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in _QUIET or status >= 400:
                known = {
                    "method": scope["method"],
                    "path": scope["path"][:200],
                    "status": status,
                    "seconds": round(time.monotonic() - began, 4),
                }
                logger.info("%s %s: %d", known["method"], known["path"], status, extra=known)
