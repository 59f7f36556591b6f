"""The content loss compares position by position."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.losses import content_loss


def _activation(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed))


def test_content_loss_of_identical_activations_is_zero() -> None:
    assert float(content_loss(_activation(8, 5, 6), _activation(8, 5, 6))) == 0


def test_content_loss_gradient_is_right_in_float64() -> None:
    x, y = _activation(3, 4, 5).double().requires_grad_(), _activation(3, 4, 5, seed=1).double()
    assert torch.autograd.gradcheck(lambda f: content_loss(f, y), (x,))
    assert content_loss(x, y).dtype == torch.float64


def test_content_loss_of_a_constant_shift_is_its_square_at_every_size() -> None:
    for size in ((2, 3), (20, 30)):
        x = _activation(8, *size)
        assert_close(content_loss(x + 0.5, x), torch.tensor(0.25))


def test_content_loss_sees_position() -> None:
    x = _activation(8, 6, 6)
    assert float(content_loss(x.flip(3), x)) > 0.01


def test_content_loss_of_bfloat16_is_float32_and_close() -> None:
    x, y = _activation(16, 40, 40), _activation(16, 40, 40, seed=1)
    found = content_loss(x.bfloat16(), y.bfloat16())
    assert found.dtype == torch.float32
    assert_close(found, content_loss(x, y), rtol=1e-2, atol=0)


def test_content_loss_of_another_shape_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\(1, 8, 5, 6\).*\(1, 8, 5, 5\)"):
        content_loss(_activation(8, 5, 5), _activation(8, 5, 6))
