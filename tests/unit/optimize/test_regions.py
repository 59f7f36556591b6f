"""Parts of a picture with styles of their own: masks, transparency, turned styles."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import impasto
from impasto.engines.base import Region
from impasto.engines.parts import Part, Source, divide, turn
from impasto.images import Picture, read

LEFT = np.zeros((48, 64), np.uint8)
LEFT[:, :32] = 255
RED, BLUE = ([200, 40, 30], [30, 60, 190])


def _flat(color: list[int]) -> np.ndarray:
    return np.full((48, 64, 3), color, np.uint8)


def _patterned(style: np.ndarray, color: list[int]) -> np.ndarray:
    """A style around one colour."""
    grey = style.mean(2, keepdims=True) / 255 - 0.4
    return (np.array(color) + 60 * grey).clip(0, 255).astype(np.uint8)


def _difference(one: impasto.Stylization, other: impasto.Stylization) -> float:
    """Mean absolute difference in steps of 8 bits."""
    return 255 * float((one.picture.pixels - other.picture.pixels).abs().mean())


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("style_loss", ["w2", "gram", "swd", "remd"])
def test_each_region_takes_the_colours_of_its_own_style(stylize, content, style, flat: bool, style_loss: str) -> None:
    styles = [_flat(color) if flat else _patterned(style, color) for color in (RED, BLUE)]
    result = stylize(content, regions=[(LEFT, styles[0]), (255 - LEFT, styles[1])], style_loss=style_loss)
    for area, own in ((result.picture.pixels[..., :24], 0), (result.picture.pixels[..., 40:], 1)):
        apart = [
            float((area.mean((1, 2)) - read(each).pixels.mean((1, 2))).norm())
            for each in (styles[own], styles[1 - own])
        ]
        assert apart[0] < 0.25 * apart[1]


def test_order_of_regions_does_not_matter(stylize, content, style) -> None:
    regions = [(LEFT, style), (255 - LEFT, 255 - style)]
    assert _difference(stylize(content, regions=regions), stylize(content, regions=regions[::-1])) < 0.5


def test_region_that_covers_everything_is_a_plain_style(stylize, content, style) -> None:
    everything = np.full((48, 64), 255, np.uint8)
    plain, region = stylize(content, style), stylize(content, regions=[(everything, style)])
    assert _difference(plain, region) < 1
    beside = stylize(content, 255 - style, regions=[(everything, style)])
    assert _difference(beside, region) == 0  # nothing is left for the other


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init": "noise"},
        {"init": "style", "optimizer": "adam"},
        {"color": "palette", "palette": "#f00,#00f"},
        {"color": "luminance"},
    ],
    ids=str,
)
def test_what_no_region_covers_stays_the_photo_exactly(stylize, content, style, options) -> None:
    result = stylize(content, regions=[(LEFT, style)], steps=2, **options)
    photo = read(content).pixels
    assert torch.equal(result.picture.pixels[..., 32:], photo[..., 32:])
    assert float((result.picture.pixels - photo)[..., :32].abs().mean()) > 0.02


def test_what_no_region_covers_takes_the_plain_style(stylize, content, style) -> None:
    result = stylize(content, _flat(BLUE), regions=[(LEFT, _flat(RED))])
    for area, color in ((result.picture.pixels[..., :24], RED), (result.picture.pixels[..., 40:], BLUE)):
        assert_close(area.mean((1, 2)) * 255, torch.tensor(color).float(), rtol=0, atol=25)


def test_soft_region_fades_into_the_photo(stylize, content, style) -> None:
    ramp = np.broadcast_to(np.linspace(255, 0, 64).round().astype(np.uint8), (48, 64)).copy()
    result = stylize(content, regions=[(ramp, _flat(RED))], content_weight=0, tv_weight=0)
    moved = (result.picture.pixels - read(content).pixels).abs().mean((0, 1))
    eighths = moved.view(8, 8).mean(1)
    assert float(eighths[-1]) < 0.1 * float(eighths[0])
    assert float(eighths[:3].mean()) > float(eighths[3:5].mean()) > float(eighths[5:].mean())


def _picture(levels: np.ndarray) -> Picture:
    return read(levels.astype(np.uint8))


def test_masks_that_overlap_share_what_they_overlap_in(content, style) -> None:
    one, two = (np.zeros((48, 64), np.uint8) for _ in range(2))
    one[:, :40], two[:, 24:] = 255, 255
    regions = [Region(_picture(mask), read(style)) for mask in (one, two)]
    parts, free = divide(read(content), [], [], regions)
    assert free is None
    first, second = (part.mask[0, 0] for part in parts if part.mask is not None)
    assert_close(first + second, torch.ones(48, 64))
    assert_close(first[:, 24:40], torch.full((48, 16), 0.5))
    assert_close(first[:, :24], torch.ones(48, 24))


def test_soft_masks_and_the_rest_leave_no_gap(content, style) -> None:
    dice = np.random.default_rng(0)
    regions = [Region(_picture(dice.integers(0, 256, (48, 64))), read(style)) for _ in range(3)]
    parts, free = divide(read(content), [read(style)], [1.0], regions)
    assert free is None
    assert_close(torch.stack([part.mask for part in parts if part.mask is not None]).sum(0), torch.ones(1, 1, 48, 64))
    _, free = divide(read(content), [], [], regions[:1])
    assert free is not None
    assert_close(free, regions[0].mask.pixels[None, :1], rtol=0, atol=1e-6)


def test_mask_of_another_size_is_resized_with_a_warning(stylize, content, style, caplog) -> None:
    small = np.zeros((24, 32), np.uint8)
    small[:, :16] = 255
    with caplog.at_level(logging.WARNING, logger="impasto"):
        found = stylize(content, _flat(BLUE), regions=[(small, _flat(RED))])
    assert any("32x24" in record.getMessage() and "64x48" in record.getMessage() for record in caplog.records)
    assert _difference(found, stylize(content, _flat(BLUE), regions=[(LEFT, _flat(RED))])) < 6


def test_region_with_a_style_mask_takes_that_part_of_the_style(stylize, content) -> None:
    both = np.hstack([_flat(RED)[:, :32], _flat(BLUE)[:, :32]])
    everything = np.full((48, 64), 255, np.uint8)
    result = stylize(content, regions=[(everything, both, LEFT)])
    assert_close(result.picture.pixels.mean((1, 2)) * 255, torch.tensor(RED).float(), rtol=0, atol=12)


@pytest.mark.parametrize("style_loss", ["w2", "nn", "remd", "swd"])
def test_tiny_region_is_painted_and_finite(stylize, content, style, style_loss: str) -> None:
    spot = np.zeros((48, 64), np.uint8)
    spot[20, 30] = 255
    result = stylize(content, regions=[(spot, style)], style_loss=style_loss, steps=2)
    assert bool(result.picture.pixels.isfinite().all())
    assert np.isfinite(result.recipe.loss)


def test_mask_that_is_empty_is_refused(stylize, content, style) -> None:
    with pytest.raises(impasto.InputError, match=r"mask .* is empty.*white"):
        stylize(content, regions=[(np.zeros((48, 64), np.uint8), style)])
    with pytest.raises(impasto.InputError, match=r"mask .* is empty.*white"):
        stylize(content, regions=[(LEFT, style, np.zeros((56, 72), np.uint8))])


def test_mask_under_what_cannot_be_seen_is_refused(stylize, content, style) -> None:
    hidden = np.dstack([content, 255 - LEFT])
    with pytest.raises(impasto.InputError, match=r"mask array covers 0\.000% of what is visible of array.*0\.01 %"):
        stylize(hidden, regions=[(LEFT, style)])
    with pytest.raises(impasto.InputError, match=r"nothing of style array can be seen;"):
        stylize(content, np.dstack([content, np.zeros((48, 64), np.uint8)]))
    with pytest.raises(impasto.InputError, match=r"nothing of style array can be seen inside its mask;"):
        stylize(content, regions=[(LEFT, hidden, LEFT)])


@pytest.mark.parametrize("color", ["style", "luminance", "linear", "histogram"])
def test_garbage_that_cannot_be_seen_changes_nothing_that_can(stylize, content, style, color: str) -> None:
    hole = np.full((48, 64), 255, np.uint8)
    hole[8:30, 20:50] = 0
    dice = np.random.default_rng(1)
    results = []
    for _ in range(2):
        garbage = dice.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        pictures = [
            np.dstack([np.where(hole[..., None] > 0, each, garbage), hole]) for each in (content, style[:48, :64])
        ]
        results.append(stylize(*pictures, color=color, steps=2).picture)
    visible = torch.from_numpy(hole > 0)
    assert torch.equal(results[0].pixels[:, visible], results[1].pixels[:, visible])
    assert torch.equal(results[0].alpha[0], visible.float())


def test_transparent_half_of_a_style_gives_nothing(stylize, content) -> None:
    both = np.hstack([_flat(RED)[:, :32], _flat(BLUE)[:, :32]])
    half = stylize(content, np.dstack([both, LEFT])).picture.pixels
    cropped = stylize(content, both[:, :32]).picture.pixels
    assert_close(half.mean((1, 2)), cropped.mean((1, 2)), rtol=0, atol=0.03)


def test_invisible_content_gives_a_picture_that_is_finite(stylize, content, style) -> None:
    result = stylize(np.dstack([content, np.zeros((48, 64), np.uint8)]), style)
    assert bool(result.picture.pixels.isfinite().all())


def test_turned_style_is_the_style_given_turned(stylize, content, style) -> None:
    for degrees, quarters in ((90, 1), (-90, 3), (180, 2), (360, 0), (-360, 0)):
        turned = stylize(content, style, style_rotation=(degrees,), steps=2)
        given = stylize(content, np.rot90(style, quarters).copy(), steps=2)
        assert _difference(turned, given) == 0
    assert _difference(stylize(content, style, style_rotation=(90,)), stylize(content, style)) > 0.5


def test_several_angles_all_count(stylize, content, style) -> None:
    both = stylize(content, style, style_rotation=(0, 90))
    as_styles = stylize(content, [style, np.rot90(style).copy()])
    assert _difference(both, as_styles) == 0
    oblique = stylize(content, style, style_rotation=(0, 33, 66), regions=[(LEFT, 255 - style)])
    assert bool(oblique.picture.pixels.isfinite().all())


def test_turned_sources_share_and_keep_what_is_not_picture_out() -> None:
    pixels = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 20, 30)
    mask[..., 15:] = 1
    (part,) = turn([Part(None, (Source(pixels, mask, 3.0), Source(pixels, None, 1.0)))], (0.0, 45.0))
    assert [source.share for source in part.sources] == [1.5, 1.5, 0.5, 0.5]
    for source in part.sources[1:]:
        assert source.mask is None or source.mask.shape[-2:] == source.pixels.shape[-2:]
    oblique, whole = part.sources[1], part.sources[3]
    assert oblique.mask is not None
    assert whole.mask is not None
    assert float(oblique.mask.sum()) == pytest.approx(300, rel=0.05)
    assert float(whole.mask.sum()) == pytest.approx(600, rel=0.05)


def test_recipe_names_regions_and_makes_the_picture_again(stylize, content, style) -> None:
    regions = [(LEFT, style), (255 - LEFT, 255 - style, np.full((56, 72), 200, np.uint8))]
    result = stylize(content, regions=regions)
    assert [region.style_mask is None for region in result.recipe.regions] == [True, False]
    again = impasto.rerun(result.recipe, content, regions=regions)
    assert _difference(again, result) == 0
    assert again.recipe == result.recipe
    with pytest.raises(impasto.InputError, match="SHA-256"):
        impasto.rerun(result.recipe, content, regions=[(255 - LEFT, style), regions[1]])
    with pytest.raises(impasto.InputError, match="2 regions"):
        impasto.rerun(result.recipe, content, regions=regions[:1])
    with pytest.raises(impasto.InputError, match="style mask"):
        impasto.rerun(result.recipe, content, regions=[regions[0], regions[1][:2]])
