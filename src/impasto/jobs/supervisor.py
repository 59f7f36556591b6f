"""Keeps a worker process alive beside whatever takes its jobs, and no longer than that lives."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = logging.getLogger("impasto")

#: A worker that cannot even start is tried again more and more seldom.
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_LIVED_S: Final = 20.0
_GRACE_S: Final = 40.0


class Supervisor:
    """Keeps a worker process alive.

    Args:
        words: the command line of the worker, after ``impasto``.
        environment: variables that it gets besides those of this process.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        # By number: this process may be gone before the worker is far enough to look who its parent is.
        self._command = [sys.executable, "-m", "impasto", *words, "--with-parent", str(os.getpid())]
        self._environment = {**os.environ, **environment}
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start it, from now on and whenever it ends."""
        self._thread.start()

    def end(self) -> None:
        """Ask it to end, and wait: it finishes its chunk first."""
        self.ask_to_end()
        process = self._process
        if process is None:
            return
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ask_to_end(self) -> None:
        """Ask it to end after its chunk, and do not wait for that."""
        self._ending.set()
        if self._process is not None:
            self._process.terminate()

    def _keep(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._ending.is_set():
            # A session of its own: Ctrl-C in the terminal is for the service, which then asks the worker to end.
            # What it prints is for people: the standard output of an MCP server belongs to its client.
            self._process = subprocess.Popen(  # noqa: S603 — our own program
                self._command,
                env=self._environment,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=2,  # the file descriptor of the standard error, whatever stands in its place in Python
            )
            try:
                self._process.wait(_LIVED_S)
            except subprocess.TimeoutExpired:
                pause = _FIRST_PAUSE_S
            code = self._process.wait()
            if self._ending.is_set():
                return
            logger.warning("the worker ended with code %d; it is started again", code)
            self._ending.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
