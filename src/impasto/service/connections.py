"""Connections that send nothing, or their headers byte by byte: they keep no place from others.

uvicorn waits for a request's headers as long as a client likes, and for as many clients as there are file descriptors.
"""

from __future__ import annotations

import resource
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

#: From the first moment of a connection, or the first byte of a later request, to the end of its headers.
HEADERS_S: Final = 10.0
#: So many connections may wait for their headers; the one that has waited longest makes place for the next.
MOST_WAITING: Final = 512
_FILES: Final = 8192


class TimedConnection(H11Protocol):
    """uvicorn's connection with a time for headers."""

    #: Connections without a request, in the order in which they began to wait; of this process.
    waiting: ClassVar[OrderedDict[TimedConnection, None]] = OrderedDict()

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()
        if len(self.waiting) > MOST_WAITING:
            next(iter(self.waiting)).give_up()

    def data_received(self, data: bytes) -> None:
        """Wait on, or no longer."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            if self._timer is None:  # the beginning of another request
                self._wait()
        elif self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request, which uvicorn ends after a while; or for the rest of a body that nobody reads."""
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self.conn.their_state is h11.IDLE:
            self.waiting[self] = None
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self.waiting[self] = None
        self._timer = self.loop.call_later(HEADERS_S, self.give_up)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def give_up(self) -> None:
        """Close it."""
        self._stop_waiting()
        self.transport.close()


def allow_many_files() -> None:
    """Let this process have more connections open than the usual 1024 files, where the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
