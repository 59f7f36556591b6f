"""Progress as data, and the token that stops a run from outside. Nothing here prints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Cancelled(Exception):  # noqa: N818 — an outcome that the caller asked for, not an error
    """The run was cancelled through its token; nothing was kept."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    scale: int
    """Which scale is being worked on, from 1."""
    scales: int
    """How many there are."""
    width: int
    """Of the picture at this scale, pixels."""
    height: int
    step: int
    """Steps done at this scale, from 1."""
    steps: int
    """Steps planned at this scale."""
    loss: float | None
    """The weighted sum that is minimised; None where one pass minimises nothing."""
    terms: Mapping[str, float]
    """The weighted parts of ``loss`` by name: ``content relu4_2``, ``style w2 relu1_1``, …, ``tv``."""
    fraction: float
    """Share of the whole run's work that is done, 0..1, in units of computation, not of steps."""
    elapsed_s: float
    eta_s: float
    """Seconds still to go at the speed so far."""
    preview: Callable[[], Tensor] = field(repr=False, compare=False)
    """The picture as it would be kept now, ``(3, h, w)`` float32 in [0, 1] on the CPU; costs a copy."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands after a step."""

    step: int
    """Steps done, from 1."""
    steps: int
    terms: Mapping[str, float]
    """The weighted parts of the loss by name, averaged over the last steps."""
    samples_per_s: float
    elapsed_s: float
    eta_s: float
    """Seconds still to go at the speed so far."""
    preview: Callable[[], Tensor] = field(repr=False, compare=False)
    """Some pictures as the network paints them now, side by side, ``(3, h, w)`` float32 in [0, 1] on the CPU."""


@dataclass(frozen=True)
class VideoProgress:
    """Where a video stands after a frame."""

    frame: int
    """Frames painted, from 1; those of a run that was gone on from too."""
    frames: int | None
    """How many there will be, as far as the file says so."""
    fps: float
    """Frames a second so far."""
    elapsed_s: float
    eta_s: float | None
    """Seconds still to go at the speed so far; None where the file does not say how long it is."""
    preview: Callable[[], Tensor] = field(repr=False, compare=False)
    """The frame, ``(3, h, w)`` float32 in [0, 1] on the CPU."""


#: What a run calls after every step, in its own thread.
OnProgress = Callable[[Progress], None]


class CancelToken:
    """Stops a run from another thread or a signal handler.

    The run looks at it between two steps, so it answers within one step's time.
    """

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._stopped = threading.Event()

    def cancel(self) -> None:
        """End the run and drop its result: it raises :class:`Cancelled`."""
        self._cancelled.set()

    def stop(self) -> None:
        """End the run and keep the picture it has: it returns as if its steps were done."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise :class:`Cancelled` if :meth:`cancel` was called."""
        if self._cancelled.is_set():
            raise Cancelled("the run was cancelled")
