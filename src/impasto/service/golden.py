"""The golden set, made again when the service starts: does this machine still paint what it painted before?

It runs beside the service as ``impasto golden``, and what comes out is a warning: wrong pictures are worth an alarm,
but not an outage.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger("impasto")

State = Literal["running", "passed", "failed", "broken"]


class GoldenCheck:
    """One check in the background.

    Args:
        folder: the golden set.
        on_end: called with whether it passed.
    """

    def __init__(self, folder: Path, on_end: Callable[[bool], None]) -> None:
        self.state: State = "running"
        self._folder, self._on_end = folder, on_end
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin it."""
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        """Do not wait for it any longer."""
        if self._process is not None:
            self._process.kill()

    def _run(self) -> None:
        command = [sys.executable, "-m", "impasto", "golden", str(self._folder), "--quiet"]
        self._process = subprocess.Popen(  # noqa: S603 — our own program
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, 15)  # jobs go first
        _, said = self._process.communicate()
        code = self._process.returncode
        if code < 0:
            return  # the service ends
        self.state = {0: "passed", 3: "failed"}.get(code, "broken")  # type: ignore[assignment]
        self._on_end(code == 0)
        if self.state == "failed":
            logger.warning("the golden set does not come out the same; see `impasto golden %s`", self._folder)
        elif self.state == "broken":
            logger.warning("the golden set could not be checked: %s", " ".join(said.split())[-300:])
