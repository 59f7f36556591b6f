"""Chromium without a window, driven by its DevTools protocol over a pipe: what the tests of the page look through."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Never through a network: everything the page needs comes from this machine, or the test fails.
_OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
_WINDOWLESS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--disable-gpu")
_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def find_chromium() -> str | None:
    """The program, if it is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Chromium:
    """One page, inside a ``with`` block.

    Args:
        program: of the browser.
        profile: an empty folder.
        flags: more words for its command line.
    """

    def __init__(self, program: str, profile: Path, *flags: str) -> None:
        self._command = [program, *_WINDOWLESS, *_CAMERA, _OFFLINE, "--remote-debugging-pipe", *flags]
        self._command += [f"--user-data-dir={profile}", "about:blank"]
        self._count, self._rest = 0, b""
        self.requests: list[str] = []
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        # The browser reads from descriptor 3 and writes to 4; ours are far above, so that neither is in the way.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 100) for pair in (os.pipe(), os.pipe()) for end in pair]
        its_in, self._out, self._in, its_out = ends
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{its_in} 4>&{its_out}', "bash", *self._command],
            pass_fds=(its_in, its_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_in)
        os.close(its_out)
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log", "DOM"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._ask("Browser.close")
            self._process.wait(10)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for end in (self._in, self._out):
            os.close(end)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One call to the page."""
        return self._ask(method, session=self._session, **parameters)

    def open(self, address: str) -> None:
        """Go there."""
        self.ask("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """What an expression gives in the page; promises are waited for."""
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, limit_s: float = 120.0) -> None:
        """Wait until an expression holds in the page; a page that says that something failed ends the wait."""
        end = time.monotonic() + limit_s
        while not self.value(expression):
            failed = self.value("document.body && document.body.dataset.error")
            assert not failed, f"{failed}; {self.problems}"
            assert time.monotonic() < end, f"{expression} did not come true; {self.problems}"
            time.sleep(0.05)

    def choose(self, selector: str, file: Path) -> None:
        """Give a file to an input, as a user would."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def _ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        words = {"id": self._count, "method": method, "params": parameters}
        if session:
            words["sessionId"] = session
        os.write(self._out, json.dumps(words).encode() + b"\0")
        while True:
            message = self._next(60.0)
            if message.get("id") == self._count:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        """Keep what the page fetched, and what it complained about."""
        match message.get("method"), message.get("params", {}):
            case "Network.requestWillBeSent", found:
                self.requests.append(found["request"]["url"])
            case "Runtime.exceptionThrown", found:
                self.problems.append(str(found["exceptionDetails"]))
            case "Log.entryAdded", found:
                self.problems.append(found["entry"]["text"])

    def _next(self, limit_s: float) -> dict[str, Any]:
        end = time.monotonic() + limit_s
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._in, 1 << 20)
            if not part:
                raise TimeoutError("the browser has ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)
