"""The nearest-neighbour loss against its definition on the full matrix, and what it is blind to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.losses import NearestTarget, nearest_loss

if TYPE_CHECKING:
    from collections.abc import Callable


def _columns(n: int, c: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu().to(dtype)


def _definition(x: Tensor, y: Tensor) -> Tensor:
    """Mean over rows of the smallest entry of the whole cosine distance matrix."""
    first, second = (torch.nn.functional.normalize(columns - columns.mean(0), dim=1) for columns in (x, y))
    return (1 - first @ second.mT).min(1).values.mean()


def test_nearest_loss_of_identical_columns_is_zero_in_any_order() -> None:
    x = _columns(50, 8)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert float(nearest_loss(x, NearestTarget.of(x))) == 0
    assert float(nearest_loss(x[order], NearestTarget.of(x))) < 1e-12


def test_nearest_loss_of_identical_columns_is_zero_where_one_is_the_mean() -> None:
    """That column has no direction: it matches itself, not one of unit length."""
    x = 1 + torch.tensor([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.0]])
    assert float(nearest_loss(x, NearestTarget.of(x))) == 0


@pytest.mark.parametrize(("n", "m"), [(1100, 900), (700, 1500), (40, 3)])
def test_nearest_loss_in_blocks_is_its_definition(n: int, m: int) -> None:
    """Value and gradient; the first two take several blocks, the last of them not full."""
    x, y = _columns(n, 6).requires_grad_(), _columns(m, 6, seed=1)
    loss = nearest_loss(x, NearestTarget.of(y))
    (found,) = torch.autograd.grad(loss, x)
    wide = x.detach().double().requires_grad_()
    definition = _definition(wide, y.double())
    (expected,) = torch.autograd.grad(definition, wide)
    assert_close(loss.detach().double(), definition.detach(), rtol=1e-4, atol=0)
    # A near tie may fall the other way in float32: almost all columns agree.
    differ = (found.double() - expected).norm(dim=1) > 1e-3 * expected.norm(dim=1)
    assert float(differ.double().mean()) < 0.01


def test_nearest_loss_makes_and_keeps_no_matrix_of_all_pairs(
    memory_bytes: Callable[[Callable[[], Tensor]], tuple[int, int]],
) -> None:
    x, target = _columns(3000, 4).requires_grad_(), NearestTarget.of(_columns(3000, 4, seed=1))  # 36 MB of pairs
    largest, kept = memory_bytes(lambda: nearest_loss(x, target))
    assert largest <= 16 * 2**20
    assert kept < 2**20


def test_nearest_loss_gradient_is_right_in_float64() -> None:
    """Through the output's own mean too."""
    x = _columns(7, 5, dtype=torch.float64).requires_grad_()
    target = NearestTarget.of(_columns(9, 5, seed=1, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda f: nearest_loss(f, target), (x,))


def test_nearest_loss_ignores_brightness_and_contrast() -> None:
    x, target = _columns(30, 8), NearestTarget.of(_columns(40, 8, seed=1))
    assert_close(nearest_loss(3 * x + 0.5, target), nearest_loss(x, target))


def test_nearest_loss_ignores_position() -> None:
    x, y = _columns(30, 8), _columns(40, 8, seed=1)
    assert_close(nearest_loss(x.flip(0), NearestTarget.of(y.flip(0))), nearest_loss(x, NearestTarget.of(y)))


def test_nearest_loss_descends() -> None:
    target = NearestTarget.of(_columns(40, 16, seed=1))
    x = _columns(30, 16).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    start = float(nearest_loss(x, target).detach())
    for _ in range(60):
        optimizer.zero_grad()
        nearest_loss(x, target).backward()
        optimizer.step()
    assert float(nearest_loss(x, target).detach()) < 0.1 * start


@pytest.mark.parametrize("level", [0.0, 0.7, 2.9])
def test_nearest_loss_of_flat_columns_is_finite(level: float) -> None:
    flat = torch.full((20, 8), level)
    for style in (flat, _columns(30, 8), _columns(1, 8)):
        leaf = flat.clone().requires_grad_()
        loss = nearest_loss(leaf, NearestTarget.of(style))
        loss.backward()
        assert 0 <= float(loss.detach()) <= 1
        assert float(leaf.grad.norm()) < 10  # the inverse of noise, not of rounding errors
    assert float(nearest_loss(flat, NearestTarget.of(flat))) < 1e-9


def test_nearest_loss_of_one_column_is_finite() -> None:
    leaf = _columns(1, 8).requires_grad_()
    loss = nearest_loss(leaf, NearestTarget.of(_columns(30, 8, seed=1)))
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(leaf.grad.isfinite().all())


def test_nearest_loss_of_another_layer_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"have 8 channels, expected 6"):
        nearest_loss(_columns(5, 8), NearestTarget.of(_columns(5, 6)))
