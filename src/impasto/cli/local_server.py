"""What every page on this machine shares: who may ask, what each answer carries, and that it stays quiet.

Only programs on this machine reach it, under its own name only, at a port that the system chooses.
"""

from __future__ import annotations

import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any, Final

ADDRESS: Final = "127.0.0.1"

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LocalServer(ThreadingHTTPServer):
    """Listens on the loopback interface only, at a port that the system chooses.

    Args:
        handler: answers the requests.
        secret: the token that proves that the page itself asks.

    Raises:
        OSError: this machine does not let it listen.
    """

    daemon_threads = True

    def __init__(self, handler: type[LocalHandler], secret: str) -> None:
        self.secret = secret
        super().__init__((ADDRESS, 0), handler)

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://{ADDRESS}:{self.server_port}"

    def start(self) -> None:
        """Answer from now on, in a thread."""
        # Waiting in short turns, so that the end does not wait for the server.
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def stop(self) -> None:
        """Answer no more, and free the port."""
        self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """Bind without asking the network for this machine's name, as HTTPServer does: that can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """A client that has gone is no error; anything else is for :meth:`warn`."""
        error = sys.exception()
        if error and not isinstance(error, (ConnectionError, TimeoutError)):
            self.warn(error)

    def warn(self, error: BaseException) -> None:
        """Say that a request could not be answered."""
        raise NotImplementedError


class LocalHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: LocalServer
    timeout = 10.0  # seconds; a client that does not read any more is left

    def asked_path(self) -> str | None:
        """The path asked for; None, and an answer, if the request came by another name than this machine's own.

        A name that some page in the user's browser has made to point here must not read from us (DNS rebinding).
        """
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.FORBIDDEN, explain="the Host header does not name this page")
            return None
        return self.path.partition("?")[0]

    def has_token(self) -> bool:
        """Whether the page itself asks; if not, it is answered."""
        given = self.headers.get("X-Impasto-Token", "").encode()
        if secrets.compare_digest(given, self.server.secret.encode()):
            return True
        self.send_error(HTTPStatus.FORBIDDEN, explain="the token is missing or not this page's")
        return False

    def send_page(self, name: str, policy_more: str = "") -> None:
        """A packaged page; only its own script and style run, and they know the token.

        Args:
            name: of a file in this package, with ``{{nonce}}`` and ``{{secret}}`` in it.
            policy_more: directives for the Content-Security-Policy of a page that needs more, each ended by ``;``.
        """
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; {policy_more}"
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        text = files("impasto.cli").joinpath(name).read_text("utf-8")
        self.begin(HTTPStatus.OK, "text/html; charset=utf-8", {"Content-Security-Policy": policy})
        self.wfile.write(text.replace("{{nonce}}", nonce).replace("{{secret}}", self.server.secret).encode())

    def begin(self, code: int, kind: str | None = None, headers: dict[str, str] | None = None) -> None:
        """Send everything before the body."""
        self.send_response(code)
        kinds = {"Content-Type": kind} if kind else {}
        for name, value in (
            {"Content-Security-Policy": "default-src 'none'"} | _HEADERS | kinds | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with a line of text instead of a page."""
        phrase = message or HTTPStatus(code).phrase
        self.begin(code, "text/plain; charset=utf-8")
        self.wfile.write(f"{code} {phrase}{': ' if explain else ''}{explain or ''}\n".encode())

    def version_string(self) -> str:
        """What the Server header says."""
        return "impasto"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: requests are no news for the terminal."""
