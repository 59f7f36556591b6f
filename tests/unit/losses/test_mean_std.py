"""The mean-and-deviation loss sees each channel's two statistics and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.losses import Moments, W2Target, mean_std_loss, moments, w2_loss


def _activation(c: int, h: int, w: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """As after a ReLU: half of it zero."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, c, h, w, generator=generator, dtype=torch.float64).relu().to(dtype)


def test_mean_std_loss_of_identical_activations_is_zero() -> None:
    x = moments(_activation(8, 5, 5))
    assert float(mean_std_loss(x, x)) == 0


def test_mean_std_loss_is_its_definition() -> None:
    x, y = _activation(6, 20, 20, dtype=torch.float64), 2 * _activation(6, 9, 9, seed=1, dtype=torch.float64)
    first, second = x[0].flatten(1), y[0].flatten(1)
    deviations = first.std(1, correction=0) - second.std(1, correction=0)
    expected = ((first.mean(1) - second.mean(1)).square() + deviations.square()).mean()
    assert_close(mean_std_loss(moments(x), moments(y)), expected, rtol=1e-3, atol=0)


def test_mean_std_loss_of_independent_channels_is_the_w2_loss() -> None:
    def independent(mean: float, deviations: Tensor) -> Moments:
        means = torch.full_like(deviations, mean)
        return Moments(means, torch.diag(deviations.square()) + torch.outer(means, means))

    x, y = independent(1.0, torch.tensor([0.5, 1.0, 2.0])), independent(1.3, torch.tensor([1.0, 0.7, 1.0]))
    assert_close(mean_std_loss(x, y), w2_loss(x, W2Target.of(y, kept_variance=1.0)), rtol=1e-3, atol=0)


def test_mean_std_loss_ignores_position_size_and_correlation() -> None:
    x, y = _activation(8, 6, 7), moments(_activation(8, 5, 5, seed=1))
    expected = mean_std_loss(moments(x), y)
    assert_close(mean_std_loss(moments(x.flip(2, 3)), y), expected)
    assert_close(mean_std_loss(moments(x.repeat(1, 1, 3, 2)), y), expected)
    apart = torch.cat([x[:, :4], x[:, 4:].flip(2, 3)], dim=1)  # half of the channels go elsewhere
    assert_close(mean_std_loss(moments(apart), y), expected)


def test_mean_std_loss_gradient_is_right_in_float64() -> None:
    x = _activation(4, 3, 4, dtype=torch.float64).requires_grad_()
    y = moments(_activation(4, 5, 5, seed=1, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda f: mean_std_loss(moments(f), y), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("level", [0.0, 0.7, 2.9])
def test_mean_std_loss_of_a_flat_activation_is_finite(level: float, dtype: torch.dtype) -> None:
    """Its variance is 0, or a little less by rounding."""
    leaf = torch.full((1, 8, 40, 40), level, dtype=dtype).requires_grad_()
    for target in (moments(_activation(8, 5, 5)), moments(leaf.detach())):
        leaf.grad = None
        loss = mean_std_loss(moments(leaf), target)
        loss.backward()
        assert bool(loss.isfinite())
        assert float(leaf.grad.abs().max()) < 1


def test_mean_std_loss_descends() -> None:
    y = moments(2 * _activation(8, 6, 6, seed=1) + 1)
    x = _activation(8, 6, 6).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    start = float(mean_std_loss(moments(x), y).detach())
    for _ in range(60):
        optimizer.zero_grad()
        mean_std_loss(moments(x), y).backward()
        optimizer.step()
    assert float(mean_std_loss(moments(x), y).detach()) < 0.01 * start


def test_mean_std_loss_of_another_layer_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"have 8 channels, expected 6"):
        mean_std_loss(moments(_activation(8, 5, 5)), moments(_activation(6, 5, 5)))
