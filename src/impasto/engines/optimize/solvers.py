"""Solvers that keep the picture inside the box [0, 1], so that what is optimised is what gets saved.

Peers let L-BFGS leave the box and clip once at the end; the picture they save then has about twice the loss that they
report. Both solvers here project every iterate and take their progress from the projected point.
Sources: Kingma, Ba, "Adam", ICLR 2015; Nocedal, Wright, "Numerical Optimization", 2006, algorithms 7.4 and 7.5;
Bertsekas, "Projected Newton methods", 1982 (which variables count as bound).
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import DivergedError

#: Picture to (loss as a number, gradient): ``(1, 3, h, w)`` float32.
Evaluate = Callable[[Tensor], tuple[float, Tensor]]


class Solver(Protocol):
    """Improves a picture; one instance serves all scales of a run."""

    def start(self, pixels: Tensor) -> None:
        """Begin a scale from ``pixels``, which are in the box already."""

    def step(self, evaluate: Evaluate) -> float:
        """Take one step; returns the loss of the point it started from (Adam) or reached (L-BFGS)."""

    @property
    def result(self) -> Tensor:
        """The picture to keep, ``(1, 3, h, w)`` in [0, 1]."""
