"""Colour control: lightness kept, statistics and histograms reached, palettes followed; flat pictures stay whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from impasto.errors import SettingsError
from impasto.images import ColorStatistics, keep_luminance, match_histogram, match_linear, match_palette
from impasto.images.oklab import CHUNK, map_colors, oklab_to_srgb, sample_colors, srgb_to_oklab
from impasto.images.swatches import assign, extract_palette
from impasto.palette import parse_palette

BRAND = parse_palette("#1d3557,#457b9d,#a8dadc,#f1faee,#e63946")

Photo = Callable[[str, int, int], Tensor]


@pytest.fixture(scope="module")
def photo(photograph) -> Photo:
    def load(name: str, height: int, width: int) -> Tensor:
        return torch.from_numpy(photograph(name, height, width)).permute(2, 0, 1)[None] / 255

    return load


def muted(seed: int, height: int = 40, width: int = 50) -> Tensor:
    """Random soft colours, so far from the borders of sRGB that nothing clips."""
    generator = torch.Generator().manual_seed(seed)
    mixing = 0.06 * (torch.eye(3) + torch.rand(3, 3, generator=generator))
    colors = torch.einsum("ij,bjhw->bihw", mixing, torch.rand(1, 3, height, width, generator=generator) * 2 - 1)
    return colors + 0.4 + 0.2 * torch.rand(1, 3, 1, 1, generator=generator)


def oklab(pixels: Tensor) -> Tensor:
    return srgb_to_oklab(pixels.reshape(3, -1))


EVERY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "keep_luminance": keep_luminance,
    "match_linear": lambda pixels, reference: match_linear(pixels, ColorStatistics.of(reference)),
    "match_histogram": match_histogram,
    "match_palette": lambda pixels, _: match_palette(pixels, BRAND),
}


# --- OkLab


def test_oklab_of_known_colours() -> None:
    """White and the primaries as Ottosson's article and CSS Color 4 give them."""
    colors = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]).mT
    expected = [[1, 0, 0], [0.628, 0.2249, 0.1258], [0.8664, -0.2339, 0.1795], [0.452, -0.0325, -0.3115], [0, 0, 0]]
    assert_close(srgb_to_oklab(colors), torch.tensor(expected).mT, atol=1e-4, rtol=0)


def test_oklab_there_and_back_is_the_same_colour() -> None:
    levels = torch.linspace(0, 1, 12)
    colors = torch.cartesian_prod(levels, levels, levels).mT
    assert_close(oklab_to_srgb(srgb_to_oklab(colors)), colors, atol=5e-5, rtol=0)


def test_colours_beyond_srgb_keep_lightness_and_hue() -> None:
    generator = torch.Generator().manual_seed(1)
    lab = torch.rand(3, 20_000, generator=generator) * torch.tensor([[0.9], [0.8], [0.8]])
    lab = lab + torch.tensor([[0.05], [-0.4], [-0.4]])
    found = srgb_to_oklab(oklab_to_srgb(lab))
    assert_close(found[0], lab[0], atol=0.003, rtol=0)
    across = (found[1] * lab[2] - found[2] * lab[1]) / lab[1:].norm(dim=0).clamp_min(0.02)
    assert float(across.abs().max()) < 0.008  # how far it lies from the ray of its hue
    assert bool((found[1:].norm(dim=0) <= lab[1:].norm(dim=0) + 0.003).all())


@pytest.mark.parametrize("turn", [0.0, 5e-4, 1e-3, 1.5e-3])
def test_pure_blue_at_other_lightness_changes_smoothly(turn: float) -> None:
    """The edge of sRGB is dented there; a search caught in the dent gives neighbouring pixels different colours."""
    _, a, b = srgb_to_oklab(torch.tensor([[0.0], [0.0], [1.0]]))
    lightness = torch.linspace(0.05, 0.9, 800)[None]
    lab = torch.cat([lightness, (a - turn * b).expand_as(lightness), (b + turn * a).expand_as(lightness)])
    kept = srgb_to_oklab(oklab_to_srgb(lab))[1:].norm(dim=0)
    assert float(kept.diff().abs().max()) < 0.005


def test_map_colors_covers_a_picture_of_several_pieces() -> None:
    picture = torch.rand(1, 3, 3, CHUNK // 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(map_colors(lambda a, b: a + 2 * b, picture, picture.flip(1)), picture + 2 * picture.flip(1))


# --- What holds for all of them


@pytest.mark.parametrize("name", EVERY)
def test_results_keep_shape_and_range_and_repeat_exactly(name: str, photo: Photo) -> None:
    pixels, reference = photo("astronaut", 40, 56), photo("coffee", 31, 47)
    before = pixels.clone(), reference.clone()
    found = EVERY[name](pixels, reference)
    assert found.shape == pixels.shape
    assert found.dtype == torch.float32
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert torch.equal(found, EVERY[name](pixels, reference))
    assert torch.equal(pixels, before[0])
    assert torch.equal(reference, before[1])
    assert not torch.allclose(found, pixels, atol=0.05)


@pytest.mark.parametrize("name", EVERY)
def test_memory_layout_makes_no_difference(name: str, photo: Photo) -> None:
    pixels, reference = photo("astronaut", 24, 32), photo("coffee", 24, 32)
    found = EVERY[name](pixels.contiguous(memory_format=torch.channels_last), reference.mT.contiguous().mT)
    assert_close(found, EVERY[name](pixels, reference), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_stay_flat_and_finite(name: str, level: float, photo: Photo) -> None:
    flat, lively = torch.full((1, 3, 8, 9), level), photo("coffee", 16, 20)
    for pixels, reference in ((flat, 1 - flat), (flat, flat), (torch.full((1, 3, 1, 1), level), lively)):
        found = EVERY[name](pixels, reference)
        assert bool(found.isfinite().all())
        if name != "keep_luminance":
            assert_close(found, found[..., :1, :1].expand_as(found), atol=1e-5, rtol=0)
    assert bool(EVERY[name](lively, flat).isfinite().all())


@pytest.mark.parametrize("name", ["keep_luminance", "match_linear", "match_histogram"])
def test_a_picture_recoloured_after_itself_is_unchanged(name: str, photo: Photo) -> None:
    picture = photo("astronaut", 48, 64)
    assert_close(EVERY[name](picture, picture), picture, atol=2e-3, rtol=0)


# --- keep_luminance


def test_keep_luminance_takes_lightness_from_one_and_chroma_from_the_other() -> None:
    output, content = muted(1), muted(2)
    found = oklab(keep_luminance(output, content))
    assert_close(found[:1], oklab(output)[:1], atol=1e-3, rtol=0)
    assert_close(found[1:], oklab(content)[1:], atol=1e-3, rtol=0)


def test_keep_luminance_keeps_lightness_where_the_colour_does_not_fit(photo: Photo) -> None:
    output = photo("coffee", 40, 40)
    content = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1)).round()
    assert_close(oklab(keep_luminance(output, content))[0], oklab(output)[0], atol=5e-3, rtol=0)


def test_keep_luminance_of_a_grey_content_is_grey(photo: Photo) -> None:
    found = keep_luminance(
        photo("coffee", 40, 50), photo("astronaut", 40, 50).mean(1, keepdim=True).expand(1, 3, -1, -1)
    )
    assert float((found.amax(1) - found.amin(1)).max()) < 1e-3


def test_keep_luminance_takes_a_content_of_another_size(photo: Photo) -> None:
    output = photo("coffee", 40, 50)
    found = keep_luminance(output, torch.tensor([0.6, 0.5, 0.4]).view(1, 3, 1, 1).expand(1, 3, 7, 11))
    assert_close(found, keep_luminance(output, torch.tensor([0.6, 0.5, 0.4]).view(1, 3, 1, 1).expand_as(output)))


# --- ColorStatistics and match_linear


def test_statistics_are_the_mean_and_covariance() -> None:
    picture = torch.rand(1, 3, 300, 500, generator=torch.Generator().manual_seed(1))  # several pieces
    found, colors = ColorStatistics.of(picture), picture.reshape(3, -1).double()
    assert_close(found.mean, colors.mean(1), atol=1e-6, rtol=0)
    assert_close(found.covariance, colors.cov(correction=0), atol=1e-6, rtol=0)


def test_statistics_with_weights_are_those_of_the_part_that_counts() -> None:
    left, right = muted(1), muted(2)
    both = torch.cat([left, right], 3)
    mask = torch.cat([torch.full_like(left[:, :1], 0.5), torch.zeros_like(right[:, :1])], 3)
    for found, expected in zip(ColorStatistics.of(both, mask), ColorStatistics.of(left), strict=True):
        assert_close(found, expected, atol=1e-6, rtol=0)


def test_statistics_with_weights_of_zero_count_every_pixel() -> None:
    picture = muted(1)
    for found, expected in zip(
        ColorStatistics.of(picture, torch.zeros(1, 1, 40, 50)), ColorStatistics.of(picture), strict=True
    ):
        assert torch.equal(found, expected)


def test_statistics_blended_are_those_of_the_pixels_together() -> None:
    one, other = muted(1, 40, 50), muted(2, 40, 150)
    blended = ColorStatistics.blend([ColorStatistics.of(one), ColorStatistics.of(other)], [2, 6])
    for found, expected in zip(blended, ColorStatistics.of(torch.cat([one, other], 3)), strict=True):
        assert_close(found, expected, atol=1e-6, rtol=0)


def test_match_linear_reaches_the_statistics() -> None:
    target = ColorStatistics.of(muted(2, 30, 20))
    found = ColorStatistics.of(match_linear(muted(1), target))
    assert_close(found.mean, target.mean, atol=1e-4, rtol=0)
    assert float((found.covariance - target.covariance).norm() / target.covariance.norm()) < 0.02


def test_match_linear_with_a_source_maps_every_picture_alike() -> None:
    """A part recoloured with the statistics of the whole is that part of the whole, recoloured."""
    picture, target = muted(1), ColorStatistics.of(muted(2))
    part = match_linear(picture[..., 5:20, 8:30], target, source=ColorStatistics.of(picture))
    assert_close(part, match_linear(picture, target)[..., 5:20, 8:30], atol=1e-6, rtol=0)


def test_match_linear_moves_colours_less_than_any_other_such_map() -> None:
    """Rotating in the target's own ellipsoid gives the same statistics; Monge's map needs none."""
    picture, target = muted(1), ColorStatistics.of(muted(2))
    direct = match_linear(picture, target)
    values, vectors = torch.linalg.eigh(target.covariance)
    root = (vectors @ values.sqrt().diag()).float()
    white = torch.linalg.solve(root, (direct - target.mean.float().view(1, 3, 1, 1)).reshape(3, -1))
    for plane in ((0, 1), (0, 2), (1, 2)):
        turn = torch.eye(3)
        turn[list(plane), list(plane)] = torch.tensor(0.6).cos()
        turn[plane[0], plane[1]], turn[plane[1], plane[0]] = -torch.tensor(0.6).sin(), torch.tensor(0.6).sin()
        turned = (root @ turn @ white).view_as(picture) + target.mean.float().view(1, 3, 1, 1)
        assert float((turned - picture).square().mean()) > float((direct - picture).square().mean())


# --- match_histogram


def test_match_histogram_reaches_every_decile(photo: Photo) -> None:
    reference, levels = photo("coffee", 60, 70), torch.linspace(0.1, 0.9, 9)
    reference = 0.3 + 0.4 * reference  # within sRGB after the exchange of channels as well
    found, wanted = oklab(match_histogram(photo("astronaut", 48, 64), reference)), oklab(reference)
    assert_close(found.quantile(levels, 1), wanted.quantile(levels, 1), atol=0.01, rtol=0)


def test_match_histogram_is_rising_in_each_channel() -> None:
    pixels, reference = muted(1), muted(2)
    before, after = oklab(pixels), oklab(match_histogram(pixels, reference))
    for channel in range(3):
        assert float(after[channel][before[channel].argsort()].diff().min()) > -1e-5


def test_match_histogram_of_a_smooth_ramp_leaves_no_bands(photo: Photo) -> None:
    ramp = torch.linspace(0.2, 0.8, 4000).view(1, 1, 1, -1).expand(1, 3, 4, -1)
    found = oklab(match_histogram(ramp, photo("coffee", 60, 70)))[0, :4000]
    assert len(found.unique()) > 3900
    assert float(found.diff().max()) < 0.004  # the mean step is 0.0002


def test_match_histogram_does_not_make_a_pattern_of_grain(photo: Photo) -> None:
    """An even sky with grain of half a step of 8 bits has no tones to spread over the reference's."""
    sky = 0.6 + 0.002 * torch.randn(1, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    reference = photo("coffee", 40, 50)
    assert float(oklab(match_histogram(sky, reference))[0].std()) < 0.2 * float(oklab(reference)[0].std())


def test_match_histogram_ignores_what_has_no_weight() -> None:
    pixels, reference, noise = muted(1), muted(2), torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(9))
    ones, zeros = torch.ones(1, 1, 40, 50), torch.zeros(1, 1, 40, 50)
    mask = torch.cat([ones, zeros], 3)
    found = match_histogram(
        torch.cat([pixels, noise], 3), torch.cat([reference, noise], 3), weights=mask, reference_weights=mask
    )
    assert_close(found[..., :50], match_histogram(pixels, reference), atol=2e-3, rtol=0)


def test_samples_follow_the_weights_and_come_from_everywhere() -> None:
    columns = torch.arange(64.0).expand(1, 3, 64, 64)
    assert len(sample_colors(columns, None, 256).unique()) == 64
    weights = torch.zeros(1, 1, 64, 64)
    weights[..., 3], weights[..., 7] = 1, 3
    found = sample_colors(columns, weights, 4096)[0]
    assert found.unique().tolist() == [3, 7]
    assert_close((found == 7).float().mean(), torch.tensor(0.75), atol=1e-3, rtol=0)


def test_match_histogram_keeps_the_ends_of_a_full_range(photo: Photo) -> None:
    """Black and white are at the ends of the curves, where a table is easily one step short."""
    pixels = photo("coffee", 40, 50)
    pixels[..., 0], pixels[..., 1] = 0, 1
    found = match_histogram(pixels, pixels)
    assert_close(found[..., :2], pixels[..., :2], atol=2e-4, rtol=0)


# --- match_palette


def swatch_distance(pixels: Tensor, palette: tuple[tuple[float, float, float], ...]) -> float:
    """Mean distance to the nearest swatch, in OkLab."""
    swatches = srgb_to_oklab(torch.tensor(palette).mT)
    return float(torch.cdist(oklab(pixels).mT, swatches.mT).amin(1).mean())


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("palette", ["#1d3557,#457b9d,#a8dadc,#f1faee,#e63946", "#0b3d2e,#f4a300,#fff4d6"])
def test_match_palette_brings_colours_a_third_nearer_to_the_swatches(name: str, palette: str, photo: Photo) -> None:
    picture, swatches = photo(name, 96, 128), parse_palette(palette)
    assert swatch_distance(match_palette(picture, swatches), swatches) < 0.67 * swatch_distance(picture, swatches)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_match_palette_of_one_swatch_tints_and_keeps_light_and_shade(name: str, photo: Photo) -> None:
    picture, swatches = photo(name, 96, 128), parse_palette("#ff6f00")
    found = match_palette(picture, swatches)
    assert swatch_distance(found, swatches) < 0.85 * swatch_distance(picture, swatches)
    before, after = oklab(picture)[0], oklab(found)[0]
    assert float(after[before.argsort()].diff().min()) > -5e-3


def test_match_palette_keeps_a_quarter_of_what_sets_colours_apart_in_chroma() -> None:
    picture = muted(1)
    before, after = oklab(picture)[1:], oklab(match_palette(picture, parse_palette("#888888")))[1:]
    assert_close(after.std(1) / before.std(1), torch.full((2,), 0.25), atol=0.01, rtol=0)


def test_match_palette_carries_palette_colours_onto_swatches() -> None:
    """Three flat areas become three swatches, light to light and dark to dark."""
    areas = torch.tensor([[0.1, 0.1, 0.2], [0.5, 0.6, 0.4], [0.9, 0.9, 0.8]]).mT.view(1, 3, 1, 3)
    swatches = parse_palette("#fdf0d5 #780000 #669bbc")
    found = match_palette(areas.repeat_interleave(20, 3).repeat(1, 1, 20, 1), swatches)
    expected = torch.tensor([swatches[1], swatches[2], swatches[0]]).mT
    assert_close(found[0, :, 0, [10, 30, 50]], expected, atol=0.02, rtol=0)


def test_match_palette_keeps_gradients_smooth() -> None:
    across = torch.linspace(0, 1, 2000)
    gradient = torch.stack([across, 0.7 - 0.5 * across, 0.3 + 0.4 * across]).view(1, 3, 1, -1)
    found = oklab(match_palette(gradient, BRAND))
    steps = found.diff(dim=1).norm(dim=0)
    assert float(steps.max()) < 12 * float(steps.mean())
    assert found.mT.unique(dim=0).shape[0] > 1900


def test_match_palette_finds_its_palette_where_weights_say(photo: Photo) -> None:
    picture, noise = photo("coffee", 40, 50), torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(9))
    mask = torch.cat([torch.ones(1, 1, 40, 50), torch.zeros(1, 1, 40, 50)], 3)
    whole = match_palette(torch.cat([picture, noise], 3), BRAND, weights=mask)
    assert_close(whole[..., :50], match_palette(picture, BRAND), atol=0.02, rtol=0)


def test_match_palette_takes_sixteen_swatches_and_more_swatches_than_colours(photo: Photo) -> None:
    levels = torch.linspace(0, 1, 16).tolist()
    palette = [(level, 1 - level, (5 * level) % 1) for level in levels]
    assert bool(match_palette(photo("coffee", 20, 30), palette).isfinite().all())
    one = match_palette(torch.full((1, 3, 6, 6), 0.5), palette)
    assert min(float((one[0, :, 0, 0] - torch.tensor(swatch)).abs().max()) for swatch in palette) < 1e-3


def test_extract_palette_finds_the_colours_of_a_flag() -> None:
    stripes = torch.tensor([[0.8, 0.1, 0.1], [0.95, 0.95, 0.9], [0.1, 0.2, 0.6]])
    flag = stripes.mT.view(1, 3, 1, 3).repeat_interleave(9, 3).repeat(1, 1, 12, 1)
    found = oklab_to_srgb(extract_palette(flag, 8).mT).mT.float()
    assert len(found) == 3
    assert_close(found[found[:, 2].argsort()], stripes[stripes[:, 2].argsort()], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 5), (4, 4), (5, 6), (6, 6)])
def test_assign_is_as_cheap_as_the_best_of_all_orders(rows: int, columns: int) -> None:
    for seed in range(20):
        costs = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)).tolist()
        found = assign(costs)
        best = min(sum(costs[row][c] for row, c in enumerate(order)) for order in permutations(range(columns), rows))
        assert len(set(found)) == rows
        assert sum(costs[row][column] for row, column in enumerate(found)) == pytest.approx(best)


# --- parse_palette


@pytest.mark.parametrize("text", ["#f00,#336699", " F00 #336699 ", "#F00,\n#336699,", ["#f00", "336699"]])
def test_parse_palette_reads_hex_in_its_usual_forms(text: str | list[str]) -> None:
    assert parse_palette(text) == ((1.0, 0.0, 0.0), (0.2, 0.4, 0.6))


@pytest.mark.parametrize("text", ["", " , ", [], ["#fff"] * 17, ",".join(["#fff"] * 17)])
def test_parse_palette_of_none_or_too_many_says_how_many_are_allowed(text: str | list[str]) -> None:
    with pytest.raises(SettingsError, match="1 to 16"):
        parse_palette(text)


@pytest.mark.parametrize(
    "word", ["red", "#12345", "#1234567", "#gggggg", "##fff", "#ff ff", "#٣٣٣", "-12", ["#fff", ""]]
)
def test_parse_palette_names_what_is_no_colour(word: str | list[str]) -> None:
    with pytest.raises(SettingsError, match="#RRGGBB and #RGB"):
        parse_palette(word)
