"""The relaxed earth mover's distance of columns and of colours against its definition on the full matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.losses import NearestTarget, nearest_loss, palette_loss, remd_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    Loss = Callable[[Tensor, Tensor], Tensor]

both = pytest.mark.parametrize("loss", [remd_loss, palette_loss])


def _columns(n: int, c: int = 3, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """In [0.1, 1]: colours, none of them dark, as well as columns."""
    generator = torch.Generator().manual_seed(seed)
    return (0.1 + 0.9 * torch.rand(n, c, generator=generator, dtype=torch.float64)).to(dtype)


def _definition(loss: Loss, x: Tensor, y: Tensor) -> Tensor:
    """The larger mean of the whole cost matrix's smallest entries by row and by column."""
    cosine = 1 - torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(y, dim=1).mT
    step = 1 / 255
    euclidean = ((x[:, None] - y[None]).square().mean(2) + step**2).sqrt() - step
    costs = cosine if loss is remd_loss else cosine + euclidean
    return torch.maximum(costs.min(1).values.mean(), costs.min(0).values.mean())


@both
def test_remd_of_identical_columns_is_zero_in_any_order(loss: Loss) -> None:
    x = _columns(50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert float(loss(x, x)) < 1e-9
    assert float(loss(x[order], x)) < 1e-9


@both
@pytest.mark.parametrize(("n", "m"), [(1100, 900), (700, 1500), (40, 3), (3, 40)])
def test_remd_in_blocks_is_its_definition(loss: Loss, n: int, m: int) -> None:
    """Value and gradient; the first two take several blocks, the last of them not full."""
    x, y = _columns(n).requires_grad_(), _columns(m, seed=1)
    value = loss(x, y)
    (found,) = torch.autograd.grad(value, x)
    wide = x.detach().double().requires_grad_()
    definition = _definition(loss, wide, y.double())
    (expected,) = torch.autograd.grad(definition, wide)
    assert_close(value.detach().double(), definition.detach(), rtol=1e-3, atol=1e-6)
    # In three dimensions many columns are nearly ties, which may fall the other way in float32.
    assert float((found.double() - expected).norm() / expected.norm()) < 0.1


@both
def test_remd_makes_and_keeps_no_matrix_of_all_pairs(
    loss: Loss, memory_bytes: Callable[[Callable[[], Tensor]], tuple[int, int]]
) -> None:
    x, y = _columns(3000).requires_grad_(), _columns(3000, seed=1)  # 36 MB of pairs
    largest, kept = memory_bytes(lambda: loss(x, y))
    assert largest <= 16 * 2**20
    assert kept < 2**20


@both
@pytest.mark.parametrize(("n", "m"), [(7, 9), (9, 4)])
def test_remd_gradient_is_right_in_float64(loss: Loss, n: int, m: int) -> None:
    x, y = _columns(n, dtype=torch.float64).requires_grad_(), _columns(m, seed=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: loss(f, y), (x,))


@both
def test_remd_gradient_at_almost_zero_columns_is_right_in_float64(loss: Loss) -> None:
    """Black, and a position where no filter answers: the part that noise bounds. At 0 itself all the style is a tie."""
    x, y = _columns(5, dtype=torch.float64), _columns(4, seed=1, dtype=torch.float64)
    x[:2] *= 0.001
    assert torch.autograd.gradcheck(lambda f: loss(f, y), (x.requires_grad_(),), eps=1e-7)


@both
def test_remd_is_symmetric_and_ignores_position(loss: Loss) -> None:
    x, y = _columns(30), _columns(40, seed=1)
    assert_close(loss(y, x), loss(x, y))
    assert_close(loss(x.flip(0), y.flip(0)), loss(x, y))


@both
def test_remd_sees_a_part_of_the_style_that_is_left_out(loss: Loss) -> None:
    """Two clusters in the style, one of them in the output: its columns are all near, but not all of the style is."""
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])
    style = torch.cat([red.expand(20, 3), blue.expand(20, 3)])
    assert float(loss(red.expand(40, 3), style)) > 0.3
    assert float(loss(style, red.expand(40, 3))) > 0.3


def test_remd_loss_sees_a_part_left_out_that_the_nearest_loss_does_not() -> None:
    """Four columns in the style, two of them in the output; both have the same mean."""
    first, second = 0.8 * torch.eye(8)[:2]
    style = 1 + torch.stack([first, -first, second, -second])
    assert float(nearest_loss(style[:2], NearestTarget.of(style))) < 1e-9
    assert float(remd_loss(style[:2], style)) > 0.02


def test_remd_loss_ignores_the_length_of_each_column() -> None:
    x, y = _columns(30, 8), _columns(40, 8, seed=1)
    lengths = torch.linspace(0.5, 4, 30)[:, None]
    assert_close(remd_loss(lengths * x, y), remd_loss(x, y))


def test_palette_loss_sees_lightness() -> None:
    gray = torch.linspace(0.3, 0.5, 20)[:, None].expand(20, 3)
    assert float(palette_loss(gray + 0.4, gray)) == pytest.approx(0.3, abs=0.01)  # 0.2 overlaps with nothing


def test_palette_loss_ignores_a_rotation_of_the_axes() -> None:
    """Why there are no opponent colours in it: lightness and two differences are RGB rotated."""
    opponent = torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]])
    opponent /= opponent.norm(dim=1, keepdim=True)
    x, y = _columns(30), _columns(40, seed=1)
    assert_close(palette_loss(x @ opponent.T, y @ opponent.T), palette_loss(x, y))


@both
def test_remd_descends(loss: Loss) -> None:
    y = _columns(40, seed=1) * torch.tensor([1.0, 0.3, 0.1])
    x = _columns(30).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.02)
    start = float(loss(x, y).detach())
    for _ in range(80):
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()
    assert float(loss(x, y).detach()) < 0.3 * start


@both
@pytest.mark.parametrize("level", [0.0, 0.001, 0.7])
def test_remd_of_flat_columns_is_finite(loss: Loss, level: float) -> None:
    flat = torch.full((20, 3), level)
    for style in (flat, torch.zeros(5, 3), _columns(30)):
        leaf = flat.clone().requires_grad_()
        value = loss(leaf, style)
        value.backward()
        assert bool(value.isfinite())
        assert float(leaf.grad.norm()) < 100
    assert float(loss(flat, flat)) < 1e-9


def test_remd_loss_of_another_layer_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"have 8 channels, expected 6"):
        remd_loss(_columns(5, 8), _columns(5, 6))


def test_palette_loss_of_more_than_three_channels_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"have 4 channels, expected 3"):
        palette_loss(_columns(5, 4), _columns(5, 3))
    with pytest.raises(SettingsError, match=r"have 4 channels, expected 3"):
        palette_loss(_columns(5, 3), _columns(5, 4))
