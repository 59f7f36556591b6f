"""A page on this machine that shows a camera or a stream as it is painted, with how far it is behind."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from impasto.cli.local_server import LocalHandler, LocalServer
from impasto.cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

logger = logging.getLogger("impasto")

_BOUNDARY: Final = "frame"


class StreamPage:
    """Serves the page inside a ``with`` block, at :attr:`address`.

    Raises:
        OSError: this machine does not let it serve a page.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards what follows
        self._jpeg = b""
        self._state: dict[str, object] = {"frames": 0, "over": False}
        self._number = 0

    @property
    def address(self) -> str:
        """Where the page is."""
        return self._server.address

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        self._server.stop()

    def show(self, jpeg: bytes, **state: object) -> None:
        """The next frame, and what is said of it."""
        with self._changed:
            self._number += 1
            self._jpeg, self._state = jpeg, {**state, "frames": self._number, "over": False}
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._state = {**self._state, "over": True}
            self._changed.notify_all()

    def state(self) -> bytes:
        """What is said of the last frame, as JSON."""
        with self._changed:
            return json.dumps(self._state).encode()

    def frames(self) -> Iterator[bytes]:
        """Every frame from now on, as parts of an answer; those that a slow reader misses are left out."""
        seen = 0
        while True:
            with self._changed:
                while self._number == seen and not self._state["over"]:
                    self._changed.wait()
                if self._number == seen:
                    return
                seen, jpeg = self._number, self._jpeg
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"


class _Server(LocalServer):
    """Serves one page."""

    def __init__(self, page: StreamPage) -> None:
        self.page = page
        super().__init__(_Handler, secrets.token_urlsafe(32))

    def warn(self, error: BaseException) -> None:
        """The page says that something failed."""
        logger.warning(f"the page could not be answered: {one_line(error)}")


class _Handler(LocalHandler):
    """Answers one request."""

    server: _Server

    def do_GET(self) -> None:  # noqa: N802 — http.server's name
        """The page, its frames, or what is said of them."""
        page = self.server.page
        match self.asked_path():
            case "/":
                self.send_page("browser/stream.html")
            case "/state":
                self.begin(HTTPStatus.OK, "application/json")
                self.wfile.write(page.state())
            case "/frames":
                self.begin(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                for part in page.frames():
                    self.wfile.write(part)
            case str():
                self.send_error(HTTPStatus.NOT_FOUND)
