"""What stays the photo: masks, colours and faces, as one with a soft edge."""

from __future__ import annotations

import pytest
import torch
from skimage import data

from impasto.batch.protection import protected
from impasto.errors import InputError
from impasto.images import Picture, read


def flag() -> Picture:
    """Red, white and blue from left to right."""
    pixels = torch.ones(3, 40, 60)
    pixels[1:, :, :20] = 0
    pixels[:2, :, 40:] = 0
    return Picture(pixels)


def test_nothing_is_protected_where_nothing_is_asked_for() -> None:
    assert protected(flag()) is None
    assert protected(flag(), keep=("#00ff00",)) is None


def test_kept_colour_stays_where_the_photo_has_it() -> None:
    found = protected(flag(), keep=("#f00000", "#0000ff"), keep_tolerance=0.05, feather=0)
    assert found is not None
    assert found.shape == (1, 1, 40, 60)
    assert torch.equal(found[0, 0, 0], torch.tensor([1.0] * 20 + [0.0] * 20 + [1.0] * 20))


def test_tolerance_is_whole_up_to_it_and_none_from_twice_that_on() -> None:
    close = [0.01, 0.05, 0.08, 0.2]
    shares = [protected(flag(), keep=("#e00000",), keep_tolerance=tolerance, feather=0) for tolerance in close]
    values = [0.0 if share is None else float(share[0, 0, 0, 0]) for share in shares]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[-1] == 1


def test_mask_is_white_where_the_photo_stays_and_takes_the_photos_size() -> None:
    mask = torch.zeros(3, 20, 30)
    mask[:, :10] = 1
    found = protected(flag(), mask=Picture(mask), feather=0)
    assert found is not None
    assert found.shape == (1, 1, 40, 60)
    assert float(found[..., :15, :].min()) > 0.99
    assert float(found[..., 25:, :].max()) < 0.01
    with pytest.raises(InputError, match="it is black all over"):
        protected(flag(), mask=Picture(torch.zeros(3, 20, 30)))


def test_parts_are_joined_and_their_edge_is_soft() -> None:
    mask = torch.zeros(3, 40, 60)
    mask[:, :, 40:] = 1
    both = protected(flag(), mask=Picture(mask), keep=("#ff0000",), feather=0)
    assert both is not None
    assert float(both.mean()) == pytest.approx(2 / 3)
    soft = protected(flag(), mask=Picture(mask), keep=("#ff0000",), feather=0.1)
    assert soft is not None
    assert 0.1 < float(soft[0, 0, 20, 20]) < 0.9
    assert float(soft[0, 0, 20, 0]) > 0.9
    assert float(soft[0, 0, 20, 30]) < 0.1


def test_colours_under_transparency_protect_nothing() -> None:
    alpha = torch.ones(1, 40, 60)
    alpha[..., :20] = 0
    picture = Picture(flag().pixels, alpha=alpha)
    assert protected(picture, keep=("#ff0000",), feather=0) is None


def test_face_of_the_astronaut_is_found_and_little_else() -> None:
    found = protected(read(data.astronaut()), faces=True)
    assert found is not None
    assert float(found[0, 0, 110, 220]) > 0.9  # between the eyes
    assert float(found[..., 300:, :].max()) < 0.1  # the suit
    assert 0.03 < float(found.mean()) < 0.2


def test_where_there_is_no_face_nothing_is_protected() -> None:
    assert protected(flag(), faces=True) is None
    assert protected(Picture(torch.rand(3, 20, 20)), faces=True) is None  # smaller than any face
