"""The self-similarity loss against its definition on full matrices, and what it is blind to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.losses import self_similarity_loss

if TYPE_CHECKING:
    from collections.abc import Callable


def _columns(n: int, c: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (0.1 + torch.rand(n, c, generator=generator, dtype=torch.float64)).to(dtype)


def _definition(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of cosine distance matrices whose columns sum to n."""
    matrices = []
    for columns in (x, y):
        units = torch.nn.functional.normalize(columns, dim=1)
        distances = 1 - units @ units.mT
        matrices.append(len(columns) * distances / distances.sum(0))
    return (matrices[0] - matrices[1]).abs().mean()


def test_self_similarity_loss_of_identical_columns_is_zero_with_no_slope() -> None:
    x = _columns(50, 8).requires_grad_()
    loss = self_similarity_loss(x, x.detach())
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(x.grad.norm()) < 1e-6


@pytest.mark.parametrize("n", [40, 600])
def test_self_similarity_loss_in_blocks_is_its_definition(n: int) -> None:
    """Value and gradient; the second takes several blocks, the last of them not full."""
    x, y = _columns(n, 6, dtype=torch.float64).requires_grad_(), _columns(n, 6, seed=1, dtype=torch.float64)
    loss, definition = self_similarity_loss(x, y), _definition(x, y)
    assert_close(loss, definition)
    assert_close(torch.autograd.grad(loss, x), torch.autograd.grad(definition, x))


def test_self_similarity_loss_in_float32_is_close() -> None:
    x, y = _columns(600, 6), _columns(600, 6, seed=1)
    assert_close(self_similarity_loss(x, y).double(), _definition(x.double(), y.double()), rtol=1e-5, atol=0)


def test_self_similarity_loss_makes_and_keeps_no_matrix_of_all_pairs(
    memory_bytes: Callable[[Callable[[], Tensor]], tuple[int, int]],
) -> None:
    x, y = _columns(2500, 4).requires_grad_(), _columns(2500, 4, seed=1)  # 25 MB of pairs
    largest, kept = memory_bytes(lambda: self_similarity_loss(x, y))
    assert largest <= 16 * 2**20
    assert kept < 2**20


def test_self_similarity_loss_gradient_is_right_in_float64() -> None:
    x, y = _columns(7, 4, dtype=torch.float64).requires_grad_(), _columns(7, 4, seed=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: self_similarity_loss(f, y), (x,))


def test_self_similarity_loss_gradient_at_zero_columns_is_right_in_float64() -> None:
    x, y = _columns(7, 4, dtype=torch.float64), _columns(7, 4, seed=1, dtype=torch.float64)
    x[2] = 0
    assert torch.autograd.gradcheck(lambda f: self_similarity_loss(f, y), (x.requires_grad_(),), eps=1e-7)


def test_self_similarity_loss_ignores_the_length_of_columns_and_a_rotation_of_channels() -> None:
    x, y = _columns(30, 8), _columns(30, 8, seed=1)
    expected = self_similarity_loss(x, y)
    assert_close(self_similarity_loss(torch.linspace(0.5, 9, 30)[:, None] * x, y), expected)
    assert_close(self_similarity_loss(x, 100 * y), expected)
    rotation = torch.linalg.qr(_columns(8, 8, seed=2)).Q
    assert float(self_similarity_loss(x @ rotation, x)) < 1e-4


def test_self_similarity_loss_ignores_the_order_of_positions_but_not_their_pairing() -> None:
    x, y = _columns(30, 8), _columns(30, 8, seed=1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    assert_close(self_similarity_loss(x[order], y[order]), self_similarity_loss(x, y))
    assert float(self_similarity_loss(x[order], x)) > 0.1


def test_self_similarity_loss_does_not_depend_on_the_number_of_positions() -> None:
    x, y = _columns(30, 8), _columns(30, 8, seed=1)
    assert_close(self_similarity_loss(x.repeat(4, 1), y.repeat(4, 1)), self_similarity_loss(x, y))


def test_self_similarity_loss_descends() -> None:
    y = _columns(30, 8, seed=1)
    x = _columns(30, 8).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.02)
    start = float(self_similarity_loss(x, y).detach())
    for _ in range(100):
        optimizer.zero_grad()
        self_similarity_loss(x, y).backward()
        optimizer.step()
    assert float(self_similarity_loss(x, y).detach()) < 0.3 * start


@pytest.mark.parametrize("level", [0.0, 0.001, 0.7])
def test_self_similarity_loss_of_flat_columns_is_finite(level: float) -> None:
    flat = torch.full((20, 8), level)
    for content in (flat, _columns(20, 8), torch.zeros(20, 8)):
        leaf = flat.clone().requires_grad_()
        loss = self_similarity_loss(leaf, content)
        loss.backward()
        assert 0 <= float(loss.detach()) < 2
        assert float(leaf.grad.norm()) < 10
    assert float(self_similarity_loss(flat, flat)) == 0


def test_self_similarity_loss_of_almost_flat_columns_has_a_bounded_slope() -> None:
    """Rounding errors are no structure."""
    leaf = (0.7 + 1e-6 * _columns(20, 8)).requires_grad_()
    loss = self_similarity_loss(leaf, torch.full((20, 8), 0.7))
    loss.backward()
    assert float(loss.detach()) < 1e-6
    assert float(leaf.grad.norm()) < 1e-2


def test_self_similarity_loss_of_other_positions_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\(6, 8\), expected \(5, 8\)"):
        self_similarity_loss(_columns(5, 8), _columns(6, 8))
    with pytest.raises(SettingsError, match=r"\(5, 6\), expected \(5, 8\)"):
        self_similarity_loss(_columns(5, 8), _columns(5, 6))
