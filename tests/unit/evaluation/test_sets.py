"""Figures of sets: what they must be for sets whose relation is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from impasto.errors import InputError
from impasto.evaluation.sets import (
    embedding,
    kernel_distance,
    style_consistency,
    style_statistics,
)
from impasto.evaluation.swatches import palette_adherence
from impasto.evaluation.view import View
from impasto.images import match_palette

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Photograph = Callable[[str, int, int], NDArray[np.uint8]]

NAMES = ("astronaut", "cat", "coffee", "rocket", "hubble_deep_field")
RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def photographs(photograph: Photograph) -> list[Tensor]:
    return [torch.from_numpy(photograph(name, 64, 80)).permute(2, 0, 1)[None] / 255 for name in NAMES]


@pytest.fixture(scope="module")
def contents(photographs: list[Tensor]) -> list[tuple[Tensor, ...]]:
    return _statistics(photographs)


def _statistics(pictures: list[Tensor]) -> list[tuple[Tensor, ...]]:
    return [style_statistics(View(pixels)) for pixels in pictures]


def _draw(count: int, mean: float, seed: int) -> Tensor:
    return mean + 0.3 * torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def _flat(*areas: tuple[tuple[float, float, float], int]) -> View:
    """A picture of vertical bands of one colour each, so many pixels wide."""
    bands = [torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 40, width) for color, width in areas]
    pixels = torch.cat(bands, -1)
    return View(pixels, small=(40, pixels.shape[-1]))


def test_kernel_distance_is_the_definition_written_out() -> None:
    x, y = _draw(4, 0.0, 1).double(), _draw(3, 0.5, 2).double()

    def k(a: Tensor, b: Tensor) -> float:
        return float((a @ b / 4 + 1) ** 3)

    expected = (
        sum(k(x[i], x[j]) for i in range(4) for j in range(4) if i != j) / 12
        + sum(k(y[i], y[j]) for i in range(3) for j in range(3) if i != j) / 6
        - 2 * sum(k(a, b) for a in x for b in y) / 12
    )
    assert kernel_distance(x, y).value == pytest.approx(expected)


def test_kernel_distance_interval_is_that_of_leaving_one_out() -> None:
    x, y = _draw(5, 0.0, 1), _draw(4, 0.5, 2)
    low, high = kernel_distance(x, y).interval
    without_x = [kernel_distance(torch.cat([x[:i], x[i + 1 :]]), y).value for i in range(5)]
    without_y = [kernel_distance(x, torch.cat([y[:i], y[i + 1 :]])).value for i in range(4)]
    error = np.sqrt(4 * np.var(without_x) + 3 * np.var(without_y))
    assert (high - low) / 2 == pytest.approx(3.182446 * error)  # Student's t at 97.5 % with 3 degrees of freedom
    assert (high + low) / 2 == pytest.approx(kernel_distance(x, y).value)


def test_kernel_distance_has_no_bias_where_both_sets_are_one_source() -> None:
    found = [kernel_distance(_draw(6, 0.4, seed), _draw(6, 0.4, 1000 + seed)).value for seed in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)
    assert min(found) < 0  # as an estimate without bias has to be now and then


@pytest.mark.parametrize("mean", [0.0, 0.6])
def test_kernel_distance_interval_covers_the_true_value(mean: float) -> None:
    here, there = _draw(40, 0.0, 1).double(), _draw(40, mean, 2 if mean else 1).double()
    # Two sources of 40 equally likely pictures each, so the distance of the sources is known exactly.
    truth = sum(
        sign * float(((a @ b.mT / 4 + 1) ** 3).mean())
        for a, b, sign in ((here, here, 1), (there, there, 1), (here, there, -2))
    )
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for _ in range(400):
        x, y = (source[torch.randint(40, (12,), generator=generator)] for source in (here, there))
        low, high = kernel_distance(x, y).interval
        covered += low <= truth <= high
    assert covered >= 400 * 0.92


def test_kernel_distance_grows_with_the_gap_and_its_interval_shrinks_with_the_number() -> None:
    near, far = (kernel_distance(_draw(30, 0.0, 1), _draw(30, mean, 2)) for mean in (0.2, 1.0))
    assert near.value < far.value
    many = kernel_distance(_draw(400, 0.0, 1), _draw(400, 1.0, 2))
    assert many.interval[1] - many.interval[0] < (far.interval[1] - far.interval[0]) / 2
    assert (many.outputs, many.references) == (400, 400)


@pytest.mark.parametrize(("outputs", "references", "named"), [(2, 5, "the outputs"), (5, 1, "the references")])
def test_kernel_distance_of_too_few_pictures_is_refused(outputs: int, references: int, named: str) -> None:
    with pytest.raises(InputError, match=rf"{named} are [12] pictures?, but .* at least 3"):
        kernel_distance(_draw(outputs, 0.0, 1), _draw(references, 0.0, 2))


def test_kernel_distance_tells_photographs_from_noise(photographs: list[Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = [torch.rand(1, 3, 64, 80, generator=generator) for _ in photographs]
    seen, unseen = (torch.stack([embedding(View(pixels)) for pixels in each]) for each in (photographs, noise))
    assert seen.shape == (len(NAMES), 1280)
    assert kernel_distance(unseen, seen).value > 0 > kernel_distance(seen, seen).value


def test_consistency_of_untouched_contents_is_one(contents: list[tuple[Tensor, ...]]) -> None:
    found = style_consistency(contents, contents)
    assert found.ratio == 1
    assert found.interval == pytest.approx((1.0, 1.0))


def test_consistency_of_one_and_the_same_output_is_zero(contents: list[tuple[Tensor, ...]]) -> None:
    found = style_consistency([contents[0]] * len(contents), contents)
    assert found.ratio == 0
    assert found.interval == (0.0, 0.0)


def test_consistency_rises_as_the_look_becomes_one(
    photographs: list[Tensor], contents: list[tuple[Tensor, ...]]
) -> None:
    ratios = []
    for share in (0.25, 0.5, 0.75):
        mixed = _statistics([pixels.lerp(photographs[0], share) for pixels in photographs])
        ratios.append(style_consistency(mixed, contents).ratio)
    assert 1 > ratios[0] > ratios[1] > ratios[2] > 0


def test_consistency_does_not_see_the_layout(photographs: list[Tensor], contents: list[tuple[Tensor, ...]]) -> None:
    one = photographs[0]
    turned = [one, one.flip(-1), one.flip(-2), one.flip(-1, -2), one]
    assert style_consistency(_statistics(turned), contents).ratio < 0.3


def test_consistency_names_the_output_that_stands_out(contents: list[tuple[Tensor, ...]]) -> None:
    alike = [contents[0], contents[0], contents[0], contents[3], contents[0]]
    found = style_consistency(alike, contents)
    assert found.farthest == 3
    assert found.distances[3] == max(found.distances)
    assert np.mean(found.distances) == pytest.approx(found.ratio)


def test_consistency_does_not_depend_on_the_order(contents: list[tuple[Tensor, ...]]) -> None:
    outputs = [contents[i] for i in (1, 1, 0, 2, 2)]
    found, back = style_consistency(outputs, contents), style_consistency(outputs[::-1], contents[::-1])
    assert back.ratio == pytest.approx(found.ratio)
    assert back.interval == pytest.approx(found.interval)
    assert back.distances == pytest.approx(found.distances[::-1])


def test_consistency_of_two_outputs_has_no_interval(contents: list[tuple[Tensor, ...]]) -> None:
    assert style_consistency(contents[:2], contents[2:4]).interval is None


def test_consistency_when_one_content_makes_all_the_difference_has_no_interval(
    contents: list[tuple[Tensor, ...]],
) -> None:
    assert style_consistency(contents[:3], [contents[0], contents[0], contents[1]]).interval is None


def test_consistency_of_one_output_is_refused(contents: list[tuple[Tensor, ...]]) -> None:
    with pytest.raises(InputError, match=r"the set has 1 picture, but .*; give two or more"):
        style_consistency(contents[:1], contents[:1])


def test_consistency_of_outputs_of_one_content_is_refused(contents: list[tuple[Tensor, ...]]) -> None:
    with pytest.raises(InputError, match=r"all 3 contents look the same"):
        style_consistency(contents[:3], [contents[0]] * 3)


def test_adherence_of_a_picture_in_the_swatches_colors_is_perfect() -> None:
    found = palette_adherence(_flat((RED, 30), (BLUE, 10)), [RED, GREEN, BLUE])
    assert (found.mean, found.median, found.percentile_95) == pytest.approx((0, 0, 0), abs=1e-6)
    assert (found.within_visible, found.within_close) == (1, 1)
    assert found.shares == (0.75, 0, 0.25)
    assert found.unused == (1,)


def test_adherence_when_the_color_lies_off_is_the_distance_in_oklab() -> None:
    found = palette_adherence(_flat(((1.0, 1.0, 1.0), 40)), [(0.0, 0.0, 0.0)])
    assert (found.mean, found.median, found.percentile_95) == pytest.approx((1, 1, 1), abs=1e-3)  # L runs from 0 to 1
    assert (found.within_visible, found.within_close, found.shares, found.unused) == (0, 0, (1.0,), (0,))


def test_adherence_does_not_depend_on_the_swatches_order(photographs: list[Tensor]) -> None:
    view = View(photographs[0])
    found, back = palette_adherence(view, [RED, GREEN, BLUE]), palette_adherence(view, [BLUE, GREEN, RED])
    assert back.mean == found.mean
    assert back.shares == found.shares[::-1]


def test_adherence_rises_when_the_picture_is_brought_to_the_palette(photographs: list[Tensor]) -> None:
    palette = [(0.1, 0.2, 0.35), (0.9, 0.25, 0.3), (0.95, 0.95, 0.85)]
    before = palette_adherence(View(photographs[0]), palette)
    after = palette_adherence(View(match_palette(photographs[0], palette)), palette)
    assert after.median < before.median
    assert after.within_close > before.within_close


def test_adherence_to_no_swatch_is_refused(photographs: list[Tensor]) -> None:
    with pytest.raises(InputError, match="no swatch"):
        palette_adherence(View(photographs[0]), [])
