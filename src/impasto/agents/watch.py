"""Who waits for a tool: hears how far it is, and may go away."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class CallerGoneError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Watch:
    """Whoever waits for an answer."""

    report: Callable[[float, str], None] = lambda _fraction, _message: None
    """Called with the share that is done, which never falls, and a few words."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits any more."""


_NOBODY: Final = Watch()

#: A caller that does not say anything waits silently to the end.
WATCH: ContextVar[Watch] = ContextVar("impasto_watch", default=_NOBODY)
