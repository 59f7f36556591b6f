"""Verdicts on pictures, for callers that do not wait for ever: judged in a thread, one picture at a time, and kept."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from impasto.agents.watch import WATCH, CallerGoneError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: So many verdicts are kept.
_KEPT: Final = 256
_POLL_S: Final = 0.2


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a picture."""

    metric: str
    reason: str
    is_low: bool
    """Whether the metric is too low; otherwise it is too high."""


@dataclass(frozen=True)
class Verdict:
    """What the gates say of a picture."""

    outcome: str
    """ok, review or reject."""
    findings: Sequence[Finding]
    metrics: Mapping[str, float]

    def to_dict(self) -> dict[str, object]:
        """A JSON document, without the metrics."""
        return {"outcome": self.outcome, "reasons": [finding.reason for finding in self.findings]}


class Judge:
    """Judges pictures; the same ones once."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Path | str, ...], Future[Verdict]] = OrderedDict()
        self._lock = threading.Lock()
        self._hands = ThreadPoolExecutor(1, "impasto-judge")  # a picture takes all processors

    def verdict(self, output: Path, content: Path, styles: Sequence[Path | str], *, wait_s: float) -> Verdict | None:
        """The verdict; None if it is not there when the time is up. It is worked on all the same.

        Args:
            output: what is judged.
            content: what it was made from.
            styles: pictures, or names of the library's styles.
            wait_s: how long the caller waits.

        Raises:
            ImpastoError: the pictures cannot be judged.
            CallerGoneError: nobody waits any more.
        """
        key = (output, content, *styles)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = self._hands.submit(_judged, output, content, styles)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        gone, end = WATCH.get().gone, time.monotonic() + wait_s
        while not found.done() and (left := end - time.monotonic()) > 0:
            if gone.is_set():
                raise CallerGoneError
            wait([found], min(_POLL_S, left))
        return found.result() if found.done() else None

    def known(self, output: Path, content: Path, styles: Sequence[Path | str]) -> Verdict | None:
        """A verdict that is there already."""
        found = self._known.get((output, content, *styles))
        return found.result() if found is not None and found.done() and not found.exception() else None

    def close(self) -> None:
        """Judge nothing more."""
        self._hands.shutdown(wait=False, cancel_futures=True)


def _judged(output: Path, content: Path, styles: Sequence[Path | str]) -> Verdict:
    from impasto import api  # PyTorch comes with it

    found = api.evaluate(output, content=content, style=list(styles))
    return Verdict(
        found.verdict.outcome,
        [Finding(one.metric, one.reason, is_low="expected at least" in one.reason) for one in found.verdict.findings],
        {name: float(f"{value:.3g}") for name, value in found.values.items()},
    )
