"""The Picture itself: its sizes, its alpha under other pixels, and what it refuses."""

import pytest
import torch
from torch.testing import assert_close

from impasto.images import Picture


def test_picture_knows_its_size() -> None:
    picture = Picture(torch.zeros(3, 4, 7))
    assert (picture.width, picture.height) == (7, 4)


def test_with_pixels_keeps_alpha_exactly_at_the_same_size() -> None:
    alpha = torch.rand(1, 4, 7, generator=torch.Generator().manual_seed(1))
    picture = Picture(torch.zeros(3, 4, 7), alpha, sha256="0" * 64, name="a.png", warnings=("odd",))
    other = picture.with_pixels(torch.ones(3, 4, 7))
    assert other.alpha is alpha
    assert (other.name, other.warnings, other.sha256) == ("a.png", ("odd",), None)
    assert_close(other.pixels, torch.ones(3, 4, 7))


def test_with_pixels_resamples_alpha_at_another_size() -> None:
    alpha = torch.zeros(1, 8, 8)
    alpha[:, :, 4:] = 1
    other = Picture(torch.zeros(3, 8, 8), alpha).with_pixels(torch.ones(3, 16, 12))
    assert other.alpha is not None
    assert other.alpha.shape == (1, 16, 12)
    assert float(other.alpha[0, 8, 0]) == 0.0
    assert float(other.alpha[0, 8, 11]) == 1.0


def test_with_pixels_without_alpha_stays_without() -> None:
    assert Picture(torch.zeros(3, 2, 2)).with_pixels(torch.zeros(3, 5, 5)).alpha is None


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (1, 4, 4), (4, 4), (4, 4, 3)])
def test_picture_refuses_another_layout(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(3, h, w\)"):
        Picture(torch.zeros(shape))


def test_picture_refuses_alpha_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"\(1, 4, 4\)"):
        Picture(torch.zeros(3, 4, 4), torch.zeros(1, 4, 5))
