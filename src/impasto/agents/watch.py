"""Who waits for a tool: hears how far it is, and may go away."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Final


class CallerGoneError(Exception):
    """Nobody waits for the answer any more."""


class Watch:
    """What a tool and whoever waits for it tell each other, from one thread to another."""

    def __init__(self) -> None:
        self.gone: Final = threading.Event()
        """Set when nobody waits any more."""
        self.fraction = 0.0
        """Share that is done."""
        self.message = ""

    def report(self, fraction: float, message: str) -> None:
        """Say how far it is."""
        self.fraction, self.message = fraction, message


_NOBODY: Final = Watch()

#: A caller that does not say anything waits silently to the end.
WATCH: ContextVar[Watch] = ContextVar("impasto_watch", default=_NOBODY)
