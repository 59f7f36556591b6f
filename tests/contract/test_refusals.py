"""What every engine must refuse, before it computes anything."""

from __future__ import annotations

import numpy as np
import pytest

import impasto


def test_content_of_one_pixel_is_refused(quick, style) -> None:
    with pytest.raises(impasto.ImageTooSmallError, match="1x1"):
        quick(np.zeros((1, 1, 3), np.uint8), style, image_size=None, scales=None)


def test_style_of_one_pixel_is_refused(quick, content) -> None:
    with pytest.raises(impasto.ImageTooSmallError, match=r"style.*1x1"):
        quick(content, np.zeros((1, 1, 3), np.uint8))


def test_content_of_one_line_is_refused_with_the_size_it_would_have(quick, style) -> None:
    for shape, size in (((1, 200, 3), "200x1"), ((200, 1, 3), "1x200")):
        with pytest.raises(impasto.ImageTooSmallError, match=size) as caught:
            quick(np.zeros(shape, np.uint8), style)
        assert "image_size" in str(caught.value)


def test_style_of_one_line_is_refused(quick, content) -> None:
    with pytest.raises(impasto.ImageTooSmallError, match="200x1"):
        quick(content, np.zeros((1, 200, 3), np.uint8))


def test_no_style_is_refused(quick, content) -> None:
    with pytest.raises(impasto.SettingsError, match="style"):
        quick(content, [])


def test_setting_that_is_unknown_is_refused_with_the_known_ones(quick, content, style) -> None:
    with pytest.raises(impasto.SettingsError, match=r"'brush_size'.*image_size"):
        quick(content, style, brush_size=3)


def test_setting_out_of_bounds_is_refused_by_name(quick, content, style) -> None:
    with pytest.raises(impasto.SettingsError, match="image_size"):
        quick(content, style, image_size=-5)


@pytest.mark.parametrize("bad", ["missing.jpg", 3, None, np.zeros((4, 4, 7), np.uint8), np.full((20, 20), np.nan)])
def test_content_or_style_that_is_no_picture_is_refused(quick, content, style, bad: object) -> None:
    with pytest.raises(impasto.UnreadableImageError):
        quick(bad, style)
    with pytest.raises(impasto.UnreadableImageError):
        quick(content, [style, bad])


def test_init_that_is_no_picture_is_refused(quick, needs, content, style) -> None:
    needs("init")
    with pytest.raises(impasto.UnreadableImageError, match=r"nowhere\.png"):
        quick(content, style, init="nowhere.png")
