"""Both solvers on problems whose solution is known, inside the box and at its walls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from torch.testing import assert_close

from impasto.engines.optimize.solvers import BoxAdam, BoxLBFGS
from impasto.errors import DivergedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from impasto.engines.optimize.solvers import Evaluate, Solver

SHAPE = (1, 3, 5, 6)
SIZE = math.prod(SHAPE)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _quadratic() -> tuple[Evaluate, Tensor]:
    """½‖A x − b‖² with coupled pixels, and its minimum in the box as SciPy finds it: a third lies on a wall."""
    matrix = torch.eye(SIZE) + 0.3 * (_random(SIZE, SIZE) - 0.5)
    goal = matrix @ (2 * _random(SIZE, seed=1) - 0.5)

    def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
        rest = matrix @ pixels.flatten() - goal
        return float(rest.square().sum()) / 2, (matrix.T @ rest).view(SHAPE)

    solution = lsq_linear(matrix.double().numpy(), goal.double().numpy(), bounds=(0, 1), tol=1e-12).x
    assert np.mean((solution < 1e-6) | (solution > 1 - 1e-6)) > 0.2
    return evaluate, torch.from_numpy(solution).float().view(SHAPE)


def _run(solver: Solver, evaluate: Evaluate, steps: int, shape: tuple[int, ...] = SHAPE) -> list[float]:
    """Take steps and check that every point that was looked at, and every result, lies in the box."""

    def checked(pixels: Tensor) -> tuple[float, Tensor]:
        assert float(pixels.min()) >= 0
        assert float(pixels.max()) <= 1
        return evaluate(pixels)

    solver.start(_random(*shape, seed=2))
    losses = []
    for _ in range(steps):
        losses.append(solver.step(checked))
        assert solver.result.shape == shape
        assert float(solver.result.min()) >= 0
        assert float(solver.result.max()) <= 1
    return losses


def test_lbfgs_with_walls_ends_at_the_known_solution() -> None:
    evaluate, solution = _quadratic()
    solver = BoxLBFGS()
    _run(solver, evaluate, 150)
    assert_close(solver.result, solution, rtol=0, atol=2e-3)


def test_adam_with_walls_ends_at_the_known_solution() -> None:
    evaluate, solution = _quadratic()
    solver = BoxAdam(0.02)
    _run(solver, evaluate, 600)
    assert_close(solver.result, solution, rtol=0, atol=2e-2)
    assert not solver.converged


def test_lbfgs_never_climbs() -> None:
    evaluate, _ = _quadratic()
    losses = _run(BoxLBFGS(), evaluate, 60)
    assert all(later <= earlier for earlier, later in zip(losses, losses[1:], strict=False))
    assert losses[-1] < losses[0]


def test_lbfgs_reports_the_loss_of_its_result() -> None:
    evaluate, _ = _quadratic()
    solver = BoxLBFGS()
    losses = _run(solver, evaluate, 7)
    assert losses[-1] == evaluate(solver.result)[0]


@pytest.mark.parametrize(("goal", "start"), [(0.4, 0.4), (1.5, 1.0), (-2.0, 0.0)])
def test_lbfgs_at_the_optimum_says_so_and_stays(goal: float, start: float) -> None:
    """Inside the box, and at a wall that the slope points through."""
    solver = BoxLBFGS()
    pixels = torch.full(SHAPE, start)
    solver.start(pixels)
    assert not solver.converged
    solver.step(lambda x: (float((x - goal).square().sum()), 2 * (x - goal)))
    assert solver.converged
    assert torch.equal(solver.result, pixels)


def test_lbfgs_on_a_quadratic_converges_and_a_new_start_is_fresh() -> None:
    solver = BoxLBFGS()
    solver.start(_random(*SHAPE))
    goal = _random(*SHAPE, seed=3)
    for _ in range(300):
        solver.step(lambda x: (float((x - goal).square().sum()), 2 * (x - goal)))
        if solver.converged:
            break
    assert solver.converged
    assert_close(solver.result, goal, rtol=0, atol=1e-3)
    solver.start(_random(*SHAPE, seed=4))
    assert not solver.converged


@pytest.mark.parametrize("solver", [BoxLBFGS(), BoxAdam(0.05)], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_solver_whose_loss_is_not_finite_says_so(solver: Solver, value: float) -> None:
    solver.start(_random(*SHAPE))
    with pytest.raises(DivergedError):
        solver.step(lambda x: (value, torch.ones_like(x)))


@pytest.mark.parametrize("solver", [BoxLBFGS(), BoxAdam(0.05)], ids=["lbfgs", "adam"])
def test_solver_whose_gradient_is_not_finite_never_gives_nan_away(solver: Solver) -> None:
    """A gradient overflows before its loss does."""
    solver.start(_random(*SHAPE))
    try:
        for _ in range(3):
            solver.step(lambda x: (1.0, torch.full_like(x, math.nan)))
    except DivergedError:
        return
    assert bool(solver.result.isfinite().all())


def test_lbfgs_that_meets_nan_later_keeps_its_finite_picture() -> None:
    def cliff(x: Tensor) -> tuple[float, Tensor]:
        value = float(x.mean())
        return (value if value > 0.4 else math.nan), torch.full_like(x, 1 / x.numel())

    solver = BoxLBFGS()
    solver.start(torch.full(SHAPE, 0.5))
    for _ in range(30):
        assert math.isfinite(solver.step(cliff))
    assert bool(solver.result.isfinite().all())
    assert float(solver.result.mean()) > 0.4


@pytest.mark.parametrize("solver", [BoxLBFGS(), BoxAdam(0.05)], ids=["lbfgs", "adam"])
def test_solver_on_a_flat_objective_ends_without_nan(solver: Solver) -> None:
    pixels = _random(*SHAPE)
    solver.start(pixels)
    for _ in range(5):
        assert solver.step(lambda x: (0.0, torch.zeros_like(x))) == 0
    assert_close(solver.result, pixels, rtol=0, atol=1e-6)


@pytest.mark.parametrize("solver", [BoxLBFGS(), BoxAdam(0.05)], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (7, 8)])
def test_solver_on_pictures_a_pixel_wide_stays_finite_and_descends(solver: Solver, size: tuple[int, int]) -> None:
    goal = _random(1, 3, *size, seed=5)
    losses = _run(solver, lambda x: (float((x - goal).square().sum()), 2 * (x - goal)), 40, shape=(1, 3, *size))
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("solver", [BoxLBFGS(), BoxAdam(0.05)], ids=["lbfgs", "adam"])
def test_solver_leaves_the_picture_it_starts_from_alone(solver: Solver) -> None:
    evaluate, _ = _quadratic()
    pixels = _random(*SHAPE)
    before = pixels.clone()
    solver.start(pixels)
    for _ in range(3):
        solver.step(evaluate)
    assert torch.equal(pixels, before)


def test_adam_at_a_new_scale_begins_without_a_burst() -> None:
    """Its moments come along: the first step of a scale is no larger than the last of the one before."""
    solver = BoxAdam(0.05)
    goal = torch.full((1, 3, 8, 8), 0.5)
    solver.start(_random(1, 3, 8, 8))
    for _ in range(200):
        solver.step(lambda x: (float((x - goal).square().sum()), 2 * (x - goal)))
    large = torch.nn.functional.interpolate(solver.result, (16, 12), mode="bicubic").clamp(0, 1)
    solver.start(large)
    assert_close(solver.result, large)
    solver.step(lambda x: (float((x - 0.5).square().sum()), 2 * (x - 0.5)))
    assert float((solver.pixels - large).abs().max()) < 0.05
    assert bool(solver.pixels.isfinite().all())


@pytest.mark.parametrize("stop", [1, 2, 5, 6, 17])
@pytest.mark.parametrize(
    "make", [lambda: BoxLBFGS(5), lambda: BoxLBFGS(1), lambda: BoxAdam(0.05)], ids=["lbfgs", "lbfgs of 1 pair", "adam"]
)
def test_solver_that_is_restored_goes_on_as_if_nothing_had_been(make: Callable[[], Solver], stop: int) -> None:
    """Bit for bit; also where the ring of pairs is full and has begun to overwrite itself."""
    evaluate, _ = _quadratic()
    whole, first = make(), make()
    losses = _run(whole, evaluate, 20)
    assert _run(first, evaluate, stop) == losses[:stop]
    kept = {name: tensor.clone() for name, tensor in first.state().items()}
    for _ in range(3):
        first.step(evaluate)  # what it does afterwards is not what was kept
    again = make()
    again.restore({name: tensor.clone() for name, tensor in kept.items()})
    assert again.state().keys() == kept.keys()
    assert all(torch.equal(again.state()[name].nan_to_num(), kept[name].nan_to_num()) for name in kept)
    assert [again.step(evaluate) for _ in range(20 - stop)] == losses[stop:]
    assert torch.equal(again.result, whole.result)
    assert again.converged == whole.converged


@pytest.mark.parametrize("make", [lambda: BoxLBFGS(5), lambda: BoxAdam(0.05)], ids=["lbfgs", "adam"])
def test_solver_that_is_restored_starts_the_next_scale_alike(make: Callable[[], Solver]) -> None:
    evaluate, _ = _quadratic()
    goal, larger = _random(1, 3, 8, 9, seed=6), _random(1, 3, 8, 9, seed=7)
    one, other = make(), make()
    _run(one, evaluate, 7)
    other.restore({name: tensor.clone() for name, tensor in one.state().items()})
    for solver in (one, other):
        solver.start(larger)
        for _ in range(3):
            solver.step(lambda x: (float((x - goal).square().sum()), 2 * (x - goal)))
    assert torch.equal(one.result, other.result)


def test_lbfgs_state_holds_no_more_pairs_than_there_are() -> None:
    """A checkpoint is as small as it can be."""
    evaluate, _ = _quadratic()
    solver = BoxLBFGS(50)
    for steps in (1, 4):
        _run(solver, evaluate, steps)
        assert len(solver.state()["moves"]) <= steps


@pytest.mark.parametrize("history", [1, 4, 50])
def test_lbfgs_direction_is_that_of_the_two_loop_recursion(history: int) -> None:
    """Nocedal, Wright, algorithm 7.4, pair after pair, with the spectral filter in place of the identity."""
    evaluate, _ = _quadratic()
    solver = BoxLBFGS(history)
    solver.start(_random(*SHAPE, seed=2))
    pairs: list[tuple[Tensor, Tensor]] = []
    point = solver.result
    for step in range(12):
        grad = evaluate(point)[1]
        solver.step(evaluate)
        move, change = solver.result - point, evaluate(solver.result)[1] - grad
        assert float((move * change).sum()) > 0
        pairs = [*pairs, (move.double(), change.double())][-history:]
        point = solver.result
        probe = _random(*SHAPE, seed=10 + step) - 0.5
        expected = _two_loops(pairs, probe.double(), lambda x: solver._precondition(x.float()).double())
        found = solver._direction(probe).double()
        assert float((found - expected).norm() / expected.norm()) < 1e-3


def _two_loops(pairs: list[tuple[Tensor, Tensor]], grad: Tensor, precondition: Callable[[Tensor], Tensor]) -> Tensor:
    """Minus H · grad."""
    rest, alphas = grad.clone(), []
    for move, change in reversed(pairs):
        alphas.append((move * rest).sum() / (move * change).sum())
        rest = rest - alphas[-1] * change
    move, change = pairs[-1]
    found = precondition(rest) * (move * change).sum() / (change * precondition(change)).sum()
    for (move, change), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = (change * found).sum() / (move * change).sum()
        found = found + (alpha - beta) * move
    return -found


def test_lbfgs_told_of_another_objective_looks_again_and_keeps_what_it_knows() -> None:
    evaluate, _ = _quadratic()
    solver = BoxLBFGS()
    _run(solver, evaluate, 8)
    pairs = len(solver.state()["order"])
    looked = []

    def other(pixels: Tensor) -> tuple[float, Tensor]:
        looked.append(pixels)
        loss, grad = evaluate(pixels)
        return loss + 1, grad

    at = solver.result
    solver.objective_changed()
    solver.step(other)
    assert torch.equal(looked[0], at)
    assert len(solver.state()["order"]) >= pairs
