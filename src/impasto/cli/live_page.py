"""A page on this machine that shows a run while it goes on, and that can end it.

Only programs on this machine reach it. It reads the packaged page and the content, never a path from a request. It
takes a picture only while somebody looks, and whatever fails here, the run goes on.
"""

from __future__ import annotations

import json
import logging
import mimetypes
import secrets
import shutil
import threading
from base64 import b64encode
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from impasto.cli.local_server import LocalHandler, LocalServer
from impasto.cli.preview import MIN_PAUSE_S, Pace
from impasto.cli.terminal import one_line, say
from impasto.errors import ImpastoError
from impasto.progress import Cancelled

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import TracebackType

    from impasto.images import Picture
    from impasto.progress import CancelToken, Progress

logger = logging.getLogger("impasto")

#: Longer side of the pictures on the page, pixels; a finer one would not show beside another.
_LONGER_SIDE_PX: Final = 1024

#: So many points make the curve, however many steps a run has.
_CURVE_POINTS: Final = 300

#: How long the end of a run waits for its pages to get the final picture.
_FAREWELL_S: Final = 2.0


class LivePage:
    """Serves the page inside a ``with`` block, at :attr:`address`.

    Args:
        content: the file to show beside the picture, if any; a browser that cannot show its format leaves it out.
        output: where the picture will go; only its name is shown.
        token: of the run; the page's buttons stop or cancel it.
    """

    def __init__(self, content: Path | None, output: Path, token: CancelToken) -> None:
        self.content = content
        self.pace = Pace()
        self.secret = secrets.token_urlsafe(32)
        self._token = token
        self._server: _Server | None = None
        self._changed = threading.Condition()  # guards what follows
        self._version = 0
        self._shown: dict[str, object] = {"phase": "preparing", "output": output.name}
        self._losses: list[tuple[int, float]] = []
        self._watchers = 0
        self._picture: Picture | None = None
        self._pictures = 0
        self._over = threading.Event()
        self._encoding = threading.Lock()  # guards what follows; never asked for by the run
        self._jpeg = b""
        self._encoded = 0
        self._warned = False

    @property
    def address(self) -> str | None:
        """Where the page is; None if it could not be served."""
        return self._server.address if self._server else None

    def __enter__(self) -> Self:
        try:
            self._server = _Server(self)
        except OSError as error:
            self.warn(error)
        else:
            self._server.start()
            say(f"watch it at {self.address}")
        return self

    def update(self, progress: Progress) -> None:
        """Show a step, with a new picture if somebody looks and it is time for one."""
        picture = self._take(progress)
        with self._changed:
            if progress.loss is not None:
                self._losses.append((progress.scale, progress.loss))
            self._shown |= {
                "phase": "stopping" if self._token.stopped else "running",
                **{name: getattr(progress, name) for name in ("scale", "scales", "width", "height", "step", "steps")},
                **{name: getattr(progress, name) for name in ("loss", "fraction", "elapsed_s", "eta_s")},
            }
            self._tell(picture)

    def finish(self, picture: Picture) -> None:
        """Show the final picture, once it is written."""
        with self._changed:
            self._shown |= {"width": picture.width, "height": picture.height, "fraction": 1.0}
            self._tell(picture)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            if error is None:
                self._shown["phase"] = "done"
            elif isinstance(error, (Cancelled, KeyboardInterrupt)):
                self._shown["phase"] = "cancelled"
            else:
                self._shown |= {"phase": "failed", "message": one_line(error)}
            self._over.set()
            self._tell(None)
            self._changed.wait_for(lambda: not self._watchers, _FAREWELL_S)
        if self._server:
            self._server.stop()

    def stop(self) -> None:
        """End the run and keep its picture."""
        self._token.stop()

    def cancel(self) -> None:
        """End the run and drop its picture."""
        self._token.cancel()

    def events(self) -> Generator[bytes]:
        """Server-sent events until the run is over: ``picture``, a JPEG in base64, and ``state``, a JSON object."""
        version, sent = -1, 0
        with self._changed:
            self._watchers += 1
        try:
            while True:
                with self._changed:
                    while self._version == version:
                        self._changed.wait()
                    version, over = self._version, self._over.is_set()
                    state = self._shown | {"curve": _curve(self._losses)}
                picture, jpeg = self._newest()
                if jpeg and picture != sent:
                    sent = picture
                    yield b"event: picture\ndata: " + jpeg + b"\n\n"
                yield b"event: state\ndata: " + json.dumps(state).encode() + b"\n\n"
                if over:
                    return
                self._over.wait(MIN_PAUSE_S)
        finally:
            with self._changed:
                self._watchers -= 1
                self._changed.notify_all()

    def warn(self, error: BaseException) -> None:
        """Say once that the page does not work as it should."""
        if not self._warned:
            self._warned = True
            logger.warning(f"the live page does not work as it should: {one_line(error)}; the run goes on")

    def _take(self, progress: Progress) -> Picture | None:
        """A new picture, unless nobody looks, the last one was not looked at, or it is too early."""
        if not self._watchers or self._encoded != self._pictures or not self.pace.due():
            return None
        from impasto.images import Picture

        try:
            with self.pace.taking():
                return Picture(progress.preview())
        except (MemoryError, RuntimeError) as error:  # PyTorch's errors are RuntimeErrors
            self.warn(error)
            return None

    def _tell(self, picture: Picture | None) -> None:
        """Wake the pages' threads, for a new picture too if there is one."""
        if picture:
            self._picture = picture
            self._pictures += 1
        self._version += 1
        self._changed.notify_all()

    def _newest(self) -> tuple[int, bytes]:
        """The number of the newest picture and its JPEG in base64, made now unless another page has asked before."""
        with self._encoding:
            with self._changed:
                picture, number = self._picture, self._pictures
            if picture and number != self._encoded:
                from impasto.images import encode, fit_size, resize

                try:
                    with self.pace.working():
                        longer = min(max(picture.height, picture.width), _LONGER_SIDE_PX)
                        small = resize(picture.pixels, *fit_size(picture.height, picture.width, longer))
                        self._jpeg = b64encode(encode(picture.with_pixels(small), ".jpg", quality=85))
                except (ImpastoError, MemoryError, RuntimeError) as error:
                    self.warn(error)
                self._encoded = number
            return self._encoded, self._jpeg


def _curve(losses: list[tuple[int, float]]) -> list[tuple[int, int, float]]:
    """Step from 1 over all scales, scale and loss at evenly spread steps, the last one among them."""
    stride = -(-len(losses) // _CURVE_POINTS) or 1
    first = (len(losses) - 1) % stride
    return [(index + 1, *losses[index]) for index in range(first, len(losses), stride)]


class _Server(LocalServer):
    """Serves one run."""

    def __init__(self, page: LivePage) -> None:
        self.page = page
        super().__init__(_Handler, page.secret)

    def warn(self, error: BaseException) -> None:
        """One warning, and the run goes on."""
        self.page.warn(error)


class _Handler(LocalHandler):
    """Answers one request."""

    server: _Server

    def do_GET(self) -> None:  # noqa: N802 — http.server's name
        """The page, the content, or the events."""
        page = self.server.page
        match self.asked_path():
            case "/":
                self.send_page("live.html")
            case "/content":
                self._send_content(page.content)
            case "/events":
                self.begin(HTTPStatus.OK, "text/event-stream")
                with closing(page.events()) as events:
                    for event in events:
                        self.wfile.write(event)
            case str():
                self.send_error(HTTPStatus.NOT_FOUND)

    def _send_content(self, content: Path | None) -> None:
        """The content's file as it is: decoding a photograph for the page could need more memory than the run."""
        try:
            file = content.open("rb") if content else None
        except OSError:
            file = None
        if not (content and file):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            kind = mimetypes.guess_type(content.name)[0] or ""
            self.begin(HTTPStatus.OK, kind if kind.startswith("image/") else "application/octet-stream")
            shutil.copyfileobj(file, self.wfile)

    def do_POST(self) -> None:  # noqa: N802 — http.server's name
        """Stop or cancel the run; the token proves that the page itself asks."""
        page = self.server.page
        path = self.asked_path()
        if path is None:
            return
        action = {"/stop": page.stop, "/cancel": page.cancel}.get(path)
        if action is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.has_token():
            action()
            self.begin(HTTPStatus.NO_CONTENT)
