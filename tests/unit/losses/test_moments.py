"""Moments, Gram matrices and the Gram loss: blind to position, to size, and exact enough in bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from impasto.losses import blend_moments, gram_loss, gram_matrix, moments


def _activation(c: int, h: int, w: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """As after a ReLU: half of it zero."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, c, h, w, generator=generator, dtype=torch.float64).relu().to(dtype)


def _shuffled(features: torch.Tensor) -> torch.Tensor:
    n = features.shape[2] * features.shape[3]
    order = torch.randperm(n, generator=torch.Generator().manual_seed(3))
    return features.flatten(2)[..., order].reshape_as(features)


def test_moments_equal_their_definition() -> None:
    x = _activation(6, 5, 7, dtype=torch.float64)
    rows = x[0].flatten(1).T
    found = moments(x)
    assert_close(found.mean, rows.mean(0))
    assert_close(found.second, torch.einsum("ni,nj->ij", rows, rows) / 35)
    assert_close(found.covariance, torch.cov(rows.T, correction=0))
    assert_close(gram_matrix(x), found.second)


@pytest.mark.parametrize("channels_last", [False, True])
def test_moments_gradient_is_right_in_float64(*, channels_last: bool) -> None:
    x = _activation(4, 3, 5, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: tuple(moments(f)), (x,))
    # Not symmetric in the two channel axes, as a loss's gradient need not be.
    skew = torch.arange(16, dtype=torch.float64).view(4, 4)
    assert torch.autograd.gradcheck(lambda f: (moments(f).second * skew).sum(), (x,))
    assert torch.autograd.gradcheck(lambda f: moments(f).mean.square().sum(), (x,))


@pytest.mark.parametrize("size", [(1, 1), (30, 30), (32, 32), (45, 67), (64, 64)])
def test_moments_in_bfloat16_are_close_for_any_number_of_positions(size: tuple[int, int]) -> None:
    x = _activation(32, *size)
    found, expected = moments(x.bfloat16().contiguous(memory_format=torch.channels_last)), moments(x)
    assert found.mean.dtype == found.second.dtype == torch.float32
    assert float((found.second - expected.second).norm() / expected.second.norm()) < 1e-2
    assert float((found.mean - expected.mean).norm() / expected.mean.norm()) < 1e-2


def test_moments_in_bfloat16_gradient_is_close() -> None:
    x = _activation(32, 45, 67)
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        leaf = x.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
        found = moments(leaf)
        (found.second.square().sum() + found.mean.sum()).backward()
        gradients.append(leaf.grad.float())
    assert float((gradients[1] - gradients[0]).norm() / gradients[0].norm()) < 2e-2


def test_blend_moments_of_two_by_their_counts_is_both_together() -> None:
    x, y = _activation(5, 4, 6, dtype=torch.float64), _activation(5, 9, 6, seed=1, dtype=torch.float64)
    blended = blend_moments([moments(x), moments(y)], [24, 54])
    together = moments(torch.cat([x, y], dim=2))
    assert_close(blended.mean, together.mean)
    assert_close(blended.second, together.second)
    assert_close(blended.covariance, together.covariance)


def test_blend_moments_counts_only_the_ratio_of_weights() -> None:
    parts = [moments(_activation(5, 4, 4)), moments(_activation(5, 4, 4, seed=1))]
    assert_close(blend_moments(parts, [1, 3]).second, blend_moments(parts, [0.2, 0.6]).second)
    assert_close(blend_moments(parts, [2, 0]).second, parts[0].second)


def test_gram_loss_of_identical_activations_is_zero() -> None:
    x = moments(_activation(8, 5, 5))
    assert float(gram_loss(x, x)) == 0


def test_gram_loss_ignores_position() -> None:
    x = _activation(8, 6, 7)
    assert float(gram_loss(moments(_shuffled(x)), moments(x))) < 1e-12
    y = moments(_activation(8, 6, 7, seed=1))
    assert_close(gram_loss(moments(_shuffled(x)), y), gram_loss(moments(x), y))


def test_gram_loss_ignores_size() -> None:
    x, y = _activation(8, 6, 7), moments(_activation(8, 5, 5, seed=1))
    assert_close(gram_loss(moments(x.repeat(1, 1, 3, 2)), y), gram_loss(moments(x), y))


def test_gram_loss_gradient_is_right_in_float64() -> None:
    x = _activation(4, 3, 4, dtype=torch.float64).requires_grad_()
    y = moments(_activation(4, 5, 5, seed=1, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda f: gram_loss(moments(f), y), (x,))


def test_gram_loss_grows_with_the_fourth_power_of_the_activations() -> None:
    x, y = _activation(8, 6, 7), _activation(8, 6, 7, seed=1)
    assert_close(gram_loss(moments(3 * x), moments(3 * y)), 81 * gram_loss(moments(x), moments(y)))
