"""The W2 loss against its closed form, computed with SciPy's matrix square root in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torch.testing import assert_close

from impasto.losses import Moments, W2Target, moments, w2_loss


def _activation(c: int, h: int, w: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Channels that depend on each other and vary differently."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, c, h, w, generator=generator, dtype=torch.float64)
    mixing = torch.eye(c, dtype=torch.float64) + 0.3 * torch.randn(c, c, generator=generator, dtype=torch.float64) / c
    spread = 0.5 + torch.rand(c, generator=generator, dtype=torch.float64)
    mean = torch.rand(c, generator=generator, dtype=torch.float64)
    return (torch.einsum("ij,bjhw->bihw", mixing * spread[:, None], x) + mean.view(1, c, 1, 1)).to(dtype)


def _closed_form(x: Tensor, y: Tensor) -> float:
    """Dowson and Landau's formula, divided by the number of channels."""
    first, second = (f.double()[0].flatten(1) for f in (x, y))
    c = len(first)
    cov_x, cov_y = (torch.cov(f, correction=0).view(c, c) for f in (first, second))
    if c <= 64:
        root = sqrtm(cov_y.numpy()).real
        cross = float(np.trace(sqrtm(root @ cov_x.numpy() @ root).real))
    else:  # sqrtm wants full rank; the eigenvalues of the product are the same
        values, vectors = torch.linalg.eigh(cov_y)
        root = vectors * values.clamp_min(0).sqrt() @ vectors.mT
        cross = float(torch.linalg.eigvalsh(root @ cov_x @ root).clamp_min(0).sqrt().sum())
    means = (first.mean(1) - second.mean(1)).square().sum()
    return float(means + cov_x.trace() + cov_y.trace() - 2 * cross) / c


@pytest.mark.parametrize(("channels", "size"), [(1, (5, 5)), (4, (9, 9)), (24, (20, 20)), (64, (40, 30))])
def test_w2_loss_full_rank_equals_the_closed_form(channels: int, size: tuple[int, int]) -> None:
    x, y = _activation(channels, *size), 1.5 * _activation(channels, size[0] + 3, size[1], seed=1)
    found = w2_loss(moments(x), W2Target.of(moments(y), kept_variance=1.0))
    assert float(found) == pytest.approx(_closed_form(x, y), rel=5e-3)


@pytest.mark.parametrize(
    ("x_positions", "y_positions", "tolerance"),
    [
        ((6, 8), (6, 8), 0.01),
        ((40, 40), (6, 8), 0.01),
        ((6, 8), (40, 40), 0.015),  # the ridge of 1/100 fills 464 directions that the output lacks
    ],
)
def test_w2_loss_rank_deficient_is_right(
    x_positions: tuple[int, int], y_positions: tuple[int, int], tolerance: float
) -> None:
    """48 positions span a tenth of 512 channels: what relu5_1 of a small picture is."""
    x, y = _activation(512, *x_positions), _activation(512, *y_positions, seed=1)
    found = w2_loss(moments(x), W2Target.of(moments(y)))
    assert float(found) == pytest.approx(_closed_form(x, y), rel=tolerance)


def test_w2_loss_of_identical_activations_is_almost_zero() -> None:
    for shape in ((8, 20, 20), (64, 30, 30), (512, 6, 8)):
        x = moments(_activation(*shape))
        spread = float(x.covariance.trace()) / shape[0]
        assert abs(float(w2_loss(x, W2Target.of(x)))) < 2e-3 * spread, shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("level", [0.0, 0.7, 1.1, 2.9])
def test_w2_loss_of_a_flat_activation_is_not_negative(level: float, dtype: torch.dtype) -> None:
    """A clear sky: all energy in the mean. A distance below zero would be a reward for flatness."""
    flat = torch.full((1, 64, 40, 40), level).to(dtype).contiguous(memory_format=torch.channels_last)
    found = moments(flat)
    assert float(w2_loss(found, W2Target.of(found))) > -2e-3


def test_w2_loss_is_symmetric() -> None:
    x, y = moments(_activation(16, 20, 20)), moments(2 * _activation(16, 20, 20, seed=1))
    forward = w2_loss(x, W2Target.of(y, kept_variance=1.0))
    assert float(forward) == pytest.approx(float(w2_loss(y, W2Target.of(x, kept_variance=1.0))), rel=1e-2)


@pytest.mark.parametrize("distance", [0.1, 1.0, 5.0])
def test_w2_loss_of_a_shifted_mean_is_the_squared_distance(distance: float) -> None:
    x = _activation(16, 20, 20)
    direction = torch.nn.functional.normalize(torch.rand(16, generator=torch.Generator().manual_seed(1)), dim=0)
    shifted = moments(x + distance * direction.view(1, 16, 1, 1))
    target = W2Target.of(moments(x), kept_variance=1.0)
    change = float(w2_loss(shifted, target) - w2_loss(moments(x), target))
    assert change == pytest.approx(distance**2 / 16, rel=2e-3)


def test_w2_loss_grows_with_the_square_of_the_activations() -> None:
    x, y = _activation(16, 30, 30), 2 * _activation(16, 30, 30, seed=1)
    once = w2_loss(moments(x), W2Target.of(moments(y)))
    assert_close(w2_loss(moments(10 * x), W2Target.of(moments(10 * y))), 100 * once, rtol=1e-2, atol=0)


def test_w2_loss_ignores_position_and_size() -> None:
    x, target = _activation(16, 12, 10), W2Target.of(moments(_activation(16, 9, 9, seed=1)))
    expected = w2_loss(moments(x), target)
    assert_close(w2_loss(moments(x.flip(2, 3)), target), expected, rtol=1e-4, atol=1e-6)
    assert_close(w2_loss(moments(x.repeat(1, 1, 2, 3)), target), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kept_variance", [1.0, 0.8])
def test_w2_loss_gradient_is_right_in_float64(kept_variance: float) -> None:
    """All directions of the style, and only its strongest."""
    x = _activation(5, 6, 6, dtype=torch.float64).requires_grad_()
    target = W2Target.of(moments(1.5 * _activation(5, 7, 6, seed=1, dtype=torch.float64)), kept_variance=kept_variance)
    assert target.factor.shape[1] == 5 if kept_variance == 1 else target.factor.shape[1] < 5
    assert torch.autograd.gradcheck(lambda f: w2_loss(moments(f), target), (x,))


def test_w2_loss_gradient_of_degenerate_activations_is_finite() -> None:
    target = W2Target.of(moments(_activation(16, 8, 8, seed=1)))
    for x in (torch.zeros(1, 16, 4, 4), torch.ones(1, 16, 1, 1), _activation(1, 4, 4).expand(1, 16, 4, 4).clone()):
        leaf = x.requires_grad_()
        loss = w2_loss(moments(leaf), target)
        loss.backward()
        assert bool(loss.isfinite())
        assert bool(leaf.grad.isfinite().all())


def test_w2_target_of_a_flat_style_is_finite() -> None:
    target = W2Target.of(moments(torch.zeros(1, 16, 4, 4)))
    x = _activation(16, 6, 6).requires_grad_()
    loss = w2_loss(moments(x), target)
    loss.backward()
    found = moments(x.detach())
    assert float(loss.detach()) == pytest.approx(
        float(found.second.trace()) / 16, rel=2e-2
    )  # to a point: all the energy
    assert bool(x.grad.isfinite().all())


def test_w2_target_keeps_the_variance_asked_for() -> None:
    style = Moments(torch.zeros(4), torch.diag(torch.tensor([8.0, 1.0, 0.9, 0.1])))
    for share in (0.5, 0.85, 0.95, 1.0):
        target = W2Target.of(style, kept_variance=share)
        assert float(target.trace) >= share * 10 - 1e-3
        assert_close((target.factor @ target.factor.mT).trace(), target.trace)
    assert W2Target.of(style, kept_variance=0.5).factor.shape == (4, 1)
