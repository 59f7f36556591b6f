"""The sliced Wasserstein loss sees whole distributions, on the scale of the W2 loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.losses import SlicedTarget, W2Target, moments, swd_loss, w2_loss


def _columns(n: int, c: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _target(style: Tensor, directions: int = 64, *, seed: int = 0) -> SlicedTarget:
    return SlicedTarget.of(style, directions=directions, generator=torch.Generator().manual_seed(seed))


def _w2(x: Tensor, y: Tensor) -> Tensor:
    first, second = (moments(columns.T[None, :, :, None]) for columns in (x, y))
    return w2_loss(first, W2Target.of(second, kept_variance=1.0))


def test_swd_loss_of_identical_columns_is_zero_in_any_order() -> None:
    x = _columns(50, 8)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert float(swd_loss(x, _target(x))) < 1e-12
    assert float(swd_loss(x[order], _target(x))) < 1e-12


def test_swd_loss_in_one_dimension_pairs_by_rank() -> None:
    target = _target(torch.tensor([[1.0], [5.0], [2.0]]), 3)
    loss = swd_loss(torch.tensor([[7.0], [1.0], [3.0]]), target)
    assert_close(loss, torch.tensor((0 + 1 + 4) / 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sliced_target_is_sorted_of_unit_length_and_given_by_its_seed(dtype: torch.dtype) -> None:
    style = _columns(30, 8, dtype=dtype)
    target = _target(style, 5)
    assert target.directions.shape == (8, 5)
    assert target.quantiles.shape == (30, 5)
    assert target.directions.dtype == target.quantiles.dtype == dtype
    assert_close(target.directions.norm(dim=0), torch.ones(5, dtype=dtype))
    assert bool((target.quantiles.diff(dim=0) >= 0).all())
    assert torch.equal(target.directions, _target(style, 5).directions)
    assert not torch.equal(target.directions, _target(style, 5, seed=1).directions)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 2.0), (2.0, 0.0), (1.5, 1.0)])
def test_swd_loss_of_gaussians_is_as_large_as_the_w2_loss(scale: float, shift: float) -> None:
    x, y = _columns(3000, 16), scale * _columns(3000, 16, seed=1)
    y[:, :8] += shift
    assert_close(swd_loss(x, _target(y, 512)), _w2(x, y), rtol=0.1, atol=0)


def test_swd_loss_sees_what_the_w2_loss_does_not() -> None:
    """Two points against a Gaussian of the same mean and covariance."""
    gaussian = _columns(4000, 2)
    signs = gaussian.sign()
    assert float(_w2(signs, gaussian)) < 0.01
    assert float(swd_loss(signs, _target(gaussian))) > 0.05


@pytest.mark.parametrize("n", [1, 37, 250, 2000])
def test_swd_loss_takes_any_number_of_columns(n: int) -> None:
    """Every n-th quantile of the same distribution: what is left is the interpolation's error."""
    style = torch.linspace(-1, 1, 500)[:, None] * torch.ones(1, 4) / 2
    levels = (torch.arange(n) + 0.5) / n
    output = (2 * levels - 1)[:, None] * torch.ones(1, 4) / 2
    assert float(swd_loss(output, _target(style))) < 1e-5


def test_swd_loss_gradient_is_right_in_float64() -> None:
    x = _columns(7, 4, dtype=torch.float64).requires_grad_()
    for m in (7, 5, 12):
        target = _target(_columns(m, 4, seed=1, dtype=torch.float64), 6)
        assert torch.autograd.gradcheck(lambda f, target=target: swd_loss(f, target), (x,))


def test_swd_loss_descends_to_the_style() -> None:
    style = _columns(40, 3, seed=1).abs()
    x = _columns(60, 3).requires_grad_()
    target = _target(style)
    optimizer = torch.optim.Adam([x], lr=0.1)
    start = float(swd_loss(x, target).detach())
    for _ in range(100):
        optimizer.zero_grad()
        swd_loss(x, target).backward()
        optimizer.step()
    assert float(swd_loss(x, target).detach()) < 0.02 * start


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_swd_loss_of_flat_columns_is_finite(level: float) -> None:
    flat = torch.full((20, 8), level)
    for style in (flat, _columns(30, 8)):
        leaf = flat.clone().requires_grad_()
        loss = swd_loss(leaf, _target(style))
        loss.backward()
        assert bool(loss.isfinite())
        assert bool(leaf.grad.isfinite().all())
    assert float(swd_loss(flat, _target(flat))) < 1e-12


def test_swd_loss_of_another_layer_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"have 8 channels, expected 6"):
        swd_loss(_columns(5, 8), _target(_columns(5, 6)))
