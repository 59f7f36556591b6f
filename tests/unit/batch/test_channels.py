"""Pictures in the sizes of channels: exact, about the middle, and never stretched."""

from __future__ import annotations

import pytest
import torch
from tests.unit.batch.conftest import channel_of

from impasto.batch.channels import for_channel
from impasto.images import Picture


def quarters(height: int = 60, width: int = 90) -> Picture:
    """Red on the left, blue on the right, with a green bar down the middle."""
    pixels = torch.zeros(3, height, width)
    pixels[0, :, : width // 2], pixels[2, :, width // 2 :] = 1, 1
    pixels[:, :, width // 2 - 6 : width // 2 + 6] = torch.tensor([0.0, 1, 0])[:, None, None]
    return Picture(pixels)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(24, 40), (40, 24), (200, 33), (17, 300), (90, 60), (1, 1), (61, 61)])
def test_crop_and_pad_give_the_exact_size(fit: str, size: tuple[int, int]) -> None:
    width, height = (max(side, 16) for side in size)
    found = for_channel(quarters(), channel_of(fit=fit, width=width, height=height))
    assert (found.width, found.height) == (width, height)
    assert 0 <= float(found.pixels.min()) <= float(found.pixels.max()) <= 1


def test_crop_keeps_the_middle() -> None:
    found = for_channel(quarters(), channel_of(fit="crop", width=20, height=60))
    assert torch.allclose(found.pixels[:, 30, 10], torch.tensor([0.0, 1, 0]), atol=0.02)
    assert float(found.pixels[0, :, :4].mean()) > 0.9
    assert float(found.pixels[2, :, -4:].mean()) > 0.9


def test_pad_lays_the_whole_picture_on_the_ground() -> None:
    found = for_channel(quarters(), channel_of(fit="pad", width=90, height=100, background="#336699"))
    ground = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    assert torch.allclose(found.pixels[:, :20], ground.expand(3, 20, 90), atol=1e-6)
    assert torch.allclose(found.pixels[:, 80:], ground.expand(3, 20, 90), atol=1e-6)
    assert torch.equal(found.pixels[:, 20:80], quarters().pixels)
    assert found.alpha is None


def test_fit_never_enlarges_and_keeps_the_shape() -> None:
    small = for_channel(quarters(), channel_of(fit="fit", width=45, height=45))
    assert (small.width, small.height) == (45, 30)
    same = for_channel(quarters(), channel_of(fit="fit", width=900, height=900))
    assert (same.width, same.height) == (90, 60)
    assert torch.equal(same.pixels, quarters().pixels)


def test_transparency_is_kept_where_the_picture_fills_the_size_and_laid_on_the_ground_where_not() -> None:
    alpha = torch.zeros(1, 60, 90)
    alpha[..., 45:] = 1
    picture = Picture(quarters().pixels, alpha=alpha)
    for fit in ("crop", "fit"):
        found = for_channel(picture, channel_of(fit=fit, width=30, height=30))
        assert found.alpha is not None
        assert found.alpha.shape == (1, found.height, found.width)
        assert float(found.alpha[..., :10].max()) < 0.1
    found = for_channel(picture, channel_of(fit="pad", width=90, height=60, background="#ffff00"))
    assert found.alpha is None
    assert torch.allclose(found.pixels[:, 30, 5], torch.tensor([1.0, 1, 0]))
    assert torch.allclose(found.pixels[:, 30, 80], torch.tensor([0.0, 0, 1]))
