"""Solvers that keep the picture inside the box [0, 1], so that what is optimised is what gets saved.

Peers let L-BFGS leave the box and clip once at the end; the picture they save then has about twice the loss that they
report. Both solvers here project every iterate and take their progress from the projected point.
Sources: Kingma, Ba, "Adam", ICLR 2015; Nocedal, Wright, "Numerical Optimization", 2006, algorithms 7.4 and 7.5;
Bertsekas, "Projected Newton methods", 1982 (which variables count as bound).
"""

import math
from collections.abc import Callable, Mapping
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

    def objective_changed(self) -> None:
        """The function has changed a little: what was computed of it at the present point no longer holds."""

    def state(self) -> dict[str, Tensor]:
        """All of it, to go on from elsewhere; between two steps."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave, on a solver made with the same arguments."""

    def step(self, evaluate: Evaluate) -> float:
        """Take one step; returns the loss of the point it started from (Adam) or reached (L-BFGS)."""

    @property
    def converged(self) -> bool:
        """Whether further steps would change nothing."""

    @property
    def result(self) -> Tensor:
        """The picture to keep, ``(1, 3, h, w)`` in [0, 1]."""


class BoxAdam:
    """Adam on the box, returning a bias-corrected average of its iterates.

    The average takes away the noise of a large step; Adam's moments are carried over to the next scale, resampled,
    with their step count, so that a new scale begins without a burst. Both are crowsonkb/style-transfer-pytorch's
    departures from Kingma and Ba.
    """

    _BETA1, _BETA2, _EPS = 0.9, 0.99, 1e-8
    _DECAY = 0.9  # of the average: the last ten iterates or so

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.steps = 0
        self._first: Tensor | None = None
        self._second: Tensor | None = None

    def start(self, pixels: Tensor) -> None:
        """Begin a scale from ``pixels``, resampling the moments of the scale before."""
        self.pixels = pixels
        if self._first is None or self._second is None:
            self._first, self._second = torch.zeros_like(pixels), torch.zeros_like(pixels)
        elif self._first.shape != pixels.shape:
            size = pixels.shape[-2:]
            self._first = F.interpolate(self._first, size, mode="bicubic")
            self._second = F.interpolate(self._second, size, mode="bilinear").relu_()
        self._average, self._weight = torch.zeros_like(pixels), 0.0
        self._accumulate()

    def step(self, evaluate: Evaluate) -> float:
        """One step of Adam, projected onto the box; returns the loss before it."""
        assert self._first is not None and self._second is not None  # noqa: S101, PT018 — start() came before
        loss, grad = evaluate(self.pixels)
        if not (math.isfinite(loss) and bool(torch.isfinite(grad).all())):
            raise DivergedError(
                f"the loss became {loss}, or its gradient is not finite; "
                "use a smaller learning_rate, dtype=float32 or optimizer=lbfgs"
            )
        self.steps += 1
        self._first.lerp_(grad, 1 - self._BETA1)
        self._second.lerp_(grad * grad, 1 - self._BETA2)
        mean = self._first / (1 - self._BETA1**self.steps)
        root = (self._second / (1 - self._BETA2**self.steps)).sqrt_().add_(self._EPS)
        self.pixels = (self.pixels - self.learning_rate * mean / root).clamp_(0, 1)
        self._accumulate()
        return loss

    def objective_changed(self) -> None:
        """Nothing of the function is kept but averages."""

    def state(self) -> dict[str, Tensor]:
        """Picture, moments, average and their counts."""
        assert self._first is not None and self._second is not None  # noqa: S101, PT018 — start() came before
        counts = torch.tensor([self.steps, self._weight], dtype=torch.float64)
        return {
            "pixels": self.pixels, "first": self._first, "second": self._second,
            "average": self._average, "counts": counts,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self.pixels, self._first, self._second = state["pixels"], state["first"], state["second"]
        self._average, self.steps = state["average"], int(state["counts"][0])
        self._weight = float(state["counts"][1])

    def _accumulate(self) -> None:
        self._average.lerp_(self.pixels, 1 - self._DECAY)
        self._weight += (1 - self._DECAY) * (1 - self._weight)

    @property
    def converged(self) -> bool:
        """Never: Adam's steps keep their size."""
        return False

    @property
    def result(self) -> Tensor:
        """The average of the iterates."""
        return (self._average / self._weight).clamp(0, 1)


class BoxLBFGS:
    """Projected L-BFGS with a spectral preconditioner.

    Pixels that sit on a bound with the gradient pointing outwards are left out of the quasi-Newton direction
    (Bertsekas); the step is then projected onto the box and accepted by Armijo's rule along that path.

    Where L-BFGS starts from a multiple of the identity, this one starts from a filter |f|^-0.7 over spatial
    frequencies f: style losses pool over neighbourhoods, so their curvature is small where pictures vary slowly and
    the plain method spends its first dozens of steps on getting that right. Measured on pastiche's objective at
    256 px: 40 steps with the filter end lower than 60 without it (``docs/performance.md``).

    Args:
        history: pairs of moves and changes of the gradient that are remembered; each costs 24 bytes a pixel.
    """

    _EXPONENT = 0.7
    _FIRST_MOVE = 0.02  # mean move of a pixel in a step that no curvature is known for
    _BACKTRACKS = 6

    def __init__(self, history: int = 20) -> None:
        self._history = history

    def start(self, pixels: Tensor) -> None:
        """Begin a scale from ``pixels``; curvature does not carry over, the objective is another one."""
        self.result = pixels
        self.converged = False
        self._point: tuple[float, Tensor] | None = None
        self._scale: float | None = None  # of the filter, so that it fits the curvature last seen
        self._filter = _spectral_filter(pixels, self._EXPONENT)
        # Rows are kept in a ring; memory is touched, and so taken, only as it fills.
        size = (self._history, pixels.numel())
        self._moves = torch.empty(size, dtype=pixels.dtype, device=pixels.device)
        self._changes = torch.empty(size, dtype=pixels.dtype, device=pixels.device)
        self._products = torch.zeros(self._history, self._history, dtype=torch.float64)  # moves · changes
        self._order: list[int] = []  # rows in use, oldest first

    def objective_changed(self) -> None:
        """Evaluate the present point again before the next step; what is known of the curvature stays."""
        self._point = None
        self.converged = False

    def state(self) -> dict[str, Tensor]:
        """Picture, the loss and gradient there, and the pairs."""
        kept = {
            "pixels": self.result,
            "products": self._products,
            "order": torch.tensor(self._order, dtype=torch.int64),
            "moves": self._moves[: self._rows],
            "changes": self._changes[: self._rows],
            "flags": torch.tensor(
                [float(self.converged), math.nan if self._scale is None else self._scale], dtype=torch.float64
            ),
        }
        if self._point is not None:
            kept |= {"loss": torch.tensor(self._point[0], dtype=torch.float64), "grad": self._point[1]}
        return kept

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self.start(state["pixels"])
        self._products, self._order = state["products"], state["order"].tolist()
        self._moves[: len(state["moves"])] = state["moves"]
        self._changes[: len(state["changes"])] = state["changes"]
        converged, scale = state["flags"].tolist()
        self.converged, self._scale = bool(converged), None if math.isnan(scale) else scale
        if "grad" in state:
            self._point = (float(state["loss"]), state["grad"])

    def step(self, evaluate: Evaluate) -> float:
        """One quasi-Newton step; returns the loss it reached."""
        pixels = self.result
        if self._point is None:
            self._point = evaluate(pixels)
            if not math.isfinite(self._point[0]):
                raise DivergedError(f"the loss of the first picture is {self._point[0]}; use dtype=float32")
        loss, grad = self._point
        free = ~(((pixels <= 0) & (grad > 0)) | ((pixels >= 1) & (grad < 0)))
        direction = self._direction(grad * free).mul_(free)
        if not _dot(direction, grad) < 0:
            if not self._order:  # no slope left to go down
                self.converged = True
                return loss
            self._order = []
            direction = self._direction(grad * free).mul_(free)
        length = 1.0
        for _ in range(self._BACKTRACKS):
            trial = (pixels + length * direction).clamp_(0, 1)
            move = trial - pixels
            new_loss, new_grad = evaluate(trial)
            if new_loss <= loss + 1e-4 * _dot(move, grad):
                break
            length *= 0.4
        else:
            # Once more from the gradient alone; if that fails too, rounding hides any further descent.
            self.converged = not self._order
            self._order = []
            return loss
        self._remember(move, new_grad - grad)
        self.result, self._point = trial, (new_loss, new_grad)
        return new_loss

    @property
    def _rows(self) -> int:
        """How many rows of the ring have been written to."""
        return max(self._order) + 1 if self._order else 0

    def _remember(self, move: Tensor, change: Tensor) -> None:
        """Keep a pair, in place of the oldest if the ring is full; one without positive curvature is dropped."""
        if not _dot(move, change) > 1e-10 * _dot(change, change):
            return
        row = len(self._order) if len(self._order) < self._history else self._order.pop(0)
        self._moves[row], self._changes[row] = move.flatten(), change.flatten()
        self._order.append(row)
        # The only products that are needed: older moves with this change (and its own move).
        self._products[: self._rows, row] = (self._moves[: self._rows] @ self._changes[row]).double().cpu()

    def _direction(self, grad: Tensor) -> Tensor:
        """Minus the inverse Hessian's approximation times ``grad``.

        Nocedal, Wright, algorithm 7.4, with its two loops over coefficients and the pictures only in four products
        with all pairs at once: half the memory traffic of pair after pair.
        """
        order = self._order
        if not order:
            filtered = self._precondition(grad)
            # The scale is known still after the pairs have been dropped.
            scale = self._scale
            if scale is None:
                scale = self._FIRST_MOVE / float(filtered.abs().mean().clamp_min(1e-30))
            return filtered.mul_(-scale)
        moves, changes = self._moves[: self._rows], self._changes[: self._rows]
        products = self._products
        alphas = torch.zeros(self._rows, dtype=torch.float64)
        slopes = (moves @ grad.flatten()).double().cpu()
        for i, row in reversed(list(enumerate(order))):
            rest = sum(float(alphas[later]) * float(products[row, later]) for later in order[i + 1 :])
            alphas[row] = (slopes[row] - rest) / products[row, row]
        reduced = torch.addmv(grad.flatten(), changes.mT, alphas.to(grad), alpha=-1)
        newest = order[-1]
        change = changes[newest].view_as(grad)
        self._scale = float(products[newest, newest]) / _dot(self._precondition(change), change)
        filtered = self._precondition(reduced.view_as(grad)).mul_(self._scale)
        slopes = (changes @ filtered.flatten()).double().cpu()
        factors = torch.zeros(self._rows, dtype=torch.float64)
        for i, row in enumerate(order):
            rest = sum(float(factors[earlier]) * float(products[earlier, row]) for earlier in order[:i])
            factors[row] = alphas[row] - (slopes[row] + rest) / products[row, row]
        direction: Tensor = torch.addmv(filtered.flatten(), moves.mT, factors.to(grad)).neg_()
        return direction.view_as(grad)

    def _precondition(self, values: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(values).mul_(self._filter)
        filtered: Tensor = torch.fft.irfft2(spectrum, s=values.shape[-2:])
        return filtered


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))


def _spectral_filter(pixels: Tensor, exponent: float) -> Tensor:
    """|f|^-exponent on the grid of ``rfft2``; the constant component counts as half a period per picture."""
    height, width = pixels.shape[-2:]
    vertical = torch.fft.fftfreq(height, dtype=pixels.dtype, device=pixels.device)[:, None]
    horizontal = torch.fft.rfftfreq(width, dtype=pixels.dtype, device=pixels.device)[None, :]
    frequency = (vertical.square() + horizontal.square()).sqrt()
    filtered: Tensor = frequency.clamp_min(0.5 / max(height, width)) ** -exponent
    return filtered
