"""How far a frame is from earlier ones: only where both show the same, with the gradient of exactly that."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from impasto.losses import temporal_loss


def _given(height: int = 6, width: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels, earlier = torch.rand(2, 1, 3, height, width, generator=generator, dtype=torch.float64)
    return pixels, earlier, torch.rand(1, 1, height, width, generator=generator, dtype=torch.float64)


def test_temporal_loss_of_the_same_picture_is_zero() -> None:
    pixels, _, weight = _given()
    loss, gradient = temporal_loss(pixels, pixels.clone(), weight)
    assert float(loss) == 0
    assert not bool(gradient.any())


def test_temporal_loss_is_the_mean_of_equation_6() -> None:
    pixels, earlier, weight = _given()
    wanted = sum(
        float(weight[0, 0, y, x]) * float(pixels[0, c, y, x] - earlier[0, c, y, x]) ** 2
        for c in range(3)
        for y in range(6)
        for x in range(5)
    ) / (3 * 6 * 5)
    assert_close(float(temporal_loss(pixels, earlier, weight)[0]), wanted)


def test_temporal_loss_gradient_is_the_one_that_autograd_finds() -> None:
    pixels, earlier, weight = _given()
    leaf = pixels.clone().requires_grad_()
    (weight * (leaf - earlier).square()).mean().backward()
    assert leaf.grad is not None
    assert_close(temporal_loss(pixels, earlier, weight)[1], leaf.grad)


def test_temporal_loss_does_not_look_where_the_weight_is_zero() -> None:
    pixels, earlier, weight = _given()
    weight[..., :2] = 0
    other = pixels.clone()
    other[..., :2] = 1 - other[..., :2]
    (loss, gradient), (changed, _) = temporal_loss(pixels, earlier, weight), temporal_loss(other, earlier, weight)
    assert_close(loss, changed)
    assert not bool(gradient[..., :2].any())
    assert bool(gradient[..., 2:].any())


def test_temporal_loss_does_not_depend_on_size() -> None:
    pixels, earlier, weight = _given()
    larger = [tensor.repeat_interleave(4, 2).repeat_interleave(4, 3) for tensor in (pixels, earlier, weight)]
    assert_close(temporal_loss(*larger)[0], temporal_loss(pixels, earlier, weight)[0])


def test_temporal_loss_leaves_what_it_is_given() -> None:
    given = _given()
    before = [tensor.clone() for tensor in given]
    temporal_loss(*given)
    assert all(torch.equal(*pair) for pair in zip(given, before, strict=True))
