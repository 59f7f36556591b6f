"""A page on this machine that paints in the browser: photos and the webcam, with ONNX Runtime Web.

The server hands out files and computes nothing; pictures never leave the page. Only programs on this machine reach it,
and no path from a request is opened.
"""

from __future__ import annotations

import json
import logging
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from impasto.browser import ISOLATED, SCRIPTS, WORKER_POLICY, script
from impasto.browser.ort_web import FILES
from impasto.cli.local_server import LocalHandler, LocalServer
from impasto.cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

logger = logging.getLogger("impasto")

_KINDS: Final = {".mjs": "text/javascript", ".wasm": "application/wasm"}


class BrowserPage:
    """Serves the page inside a ``with`` block, at :attr:`address`.

    Args:
        transfer: the self-contained transfer graph.
        encoder: the encoder of the same model; None for a model of one style.
        runtime: the folder with ONNX Runtime Web's files.
        codes: codes ``(code_size,)`` of styles to choose from, by name.

    Raises:
        OSError: this machine does not let it serve a page.
    """

    def __init__(
        self,
        transfer: bytes,
        encoder: bytes | None,
        runtime: Path,
        codes: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.runtime = runtime
        self.served: dict[str, tuple[str, bytes]] = {
            "transfer.onnx": ("application/octet-stream", transfer),
            "about.json": (
                "application/json",
                json.dumps({"any_style": encoder is not None, "codes": dict(codes or {})}).encode(),
            ),
        }
        if encoder is not None:
            self.served["encoder.onnx"] = ("application/octet-stream", encoder)
        for name in SCRIPTS:
            self.served[name] = ("text/javascript; charset=utf-8", script(name))

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
        self._server.stop()


class _Server(LocalServer):
    """Serves one page."""

    def __init__(self, page: BrowserPage) -> None:
        self.page = page
        super().__init__(_Handler, secrets.token_urlsafe(32))

    def warn(self, error: BaseException) -> None:
        """The page says that something failed."""
        logger.warning(f"the page could not be answered: {one_line(error)}")


class _Handler(LocalHandler):
    """Answers one request."""

    server: _Server

    def begin(self, code: int, kind: str | None = None, headers: dict[str, str] | None = None) -> None:
        """Send everything before the body; workers must be isolated as the page is."""
        super().begin(code, kind, ISOLATED | (headers or {}))

    def do_GET(self) -> None:  # noqa: N802 — http.server's name
        """The page, its scripts, the graphs, or a file of ONNX Runtime Web."""
        page, path = self.server.page, self.asked_path()
        if path is None:
            return
        match path.split("/"):
            case ["", ""]:
                self.send_page("browser/live.html", "worker-src 'self'; ")
            case ["", name] if name in page.served:
                kind, data = page.served[name]
                self._send(kind, data)
            case ["", "ort", name] if name in FILES:
                file = page.runtime / name
                self._send(_KINDS[file.suffix], file.read_bytes())
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, kind: str, data: bytes) -> None:
        self.begin(HTTPStatus.OK, kind, {"Content-Length": str(len(data)), "Content-Security-Policy": WORKER_POLICY})
        self.wfile.write(data)
