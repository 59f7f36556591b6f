"""The picture that a run starts from."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from impasto.engines.optimize.initial import noise, recolor
from impasto.engines.parts import Part, Source
from impasto.images import cover
from impasto.losses import moments


def _colors(spread: float, *, seed: int, middle: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> torch.Tensor:
    """Far enough from black and white that nothing clips."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(3) + 0.5 * torch.rand(3, 3, generator=generator)
    x = torch.rand(1, 3, 24, 30, generator=generator) - 0.5
    return torch.einsum("ij,bjhw->bihw", spread * mixing, x) + torch.tensor(middle).view(1, 3, 1, 1)


def _whole(*styles: torch.Tensor, shares: tuple[float, ...] = (1.0, 1.0)) -> list[Part]:
    """One part, all of the picture, in these styles."""
    return [Part(None, tuple(Source(style, None, share) for style, share in zip(styles, shares, strict=False)))]


def test_recolor_gives_the_styles_mean_and_covariance() -> None:
    content, style = _colors(0.15, seed=1), _colors(0.2, seed=2, middle=(0.6, 0.5, 0.4))
    found, expected = moments(recolor(content, _whole(style), 1.0)), moments(style)
    assert_close(found.mean, expected.mean, rtol=0, atol=1e-3)
    assert float((found.covariance - expected.covariance).norm() / expected.covariance.norm()) < 0.02


def test_recolor_to_its_own_colours_changes_nothing() -> None:
    content = _colors(0.3, seed=1)
    assert_close(recolor(content, _whole(content), 1.0), content, rtol=0, atol=1e-3)


def test_recolor_with_shares_follows_the_one_that_counts() -> None:
    content, styles = _colors(0.2, seed=1), [_colors(0.2, seed=2), _colors(0.1, seed=3, middle=(0.3, 0.6, 0.6))]
    assert_close(
        recolor(content, _whole(*styles, shares=(0, 2)), 1.0),
        recolor(content, _whole(styles[1]), 1.0),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_recolor_of_flat_pictures_is_finite(level: float) -> None:
    flat, lively = torch.full((1, 3, 8, 8), level), _colors(0.5, seed=1).clamp(0, 1)
    for content, style in ((flat, lively), (lively, flat), (flat, 1 - flat), (flat, flat)):
        found = recolor(content, _whole(style), 1.0)
        assert bool(found.isfinite().all())
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1
        assert_close(found.mean((0, 2, 3)), style.mean((0, 2, 3)), rtol=0, atol=0.05)


def test_recolor_of_a_grey_content_stays_finite() -> None:
    grey = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)).expand(1, 3, -1, -1)
    found = recolor(grey, _whole(_colors(0.3, seed=2).clamp(0, 1)), 1.0)
    assert bool(found.isfinite().all())


def test_recolor_goes_as_far_as_strength_says() -> None:
    content, parts = _colors(0.15, seed=1), _whole(_colors(0.2, seed=2, middle=(0.6, 0.5, 0.4)))
    full = recolor(content, parts, 1.0)
    assert torch.equal(recolor(content, parts, 0.0), content)
    assert_close(recolor(content, parts, 0.5), (content + full) / 2, rtol=0, atol=1e-6)


def test_recolor_gives_each_part_the_colours_of_its_own_style() -> None:
    content, styles = _colors(0.15, seed=1), [_colors(0.1, seed=seed, middle=(seed / 8,) * 3) for seed in (3, 5)]
    left = torch.zeros(1, 1, 24, 30)
    left[..., :15] = 1
    masks = (left, 1 - left)
    parts = [Part(mask, _whole(style)[0].sources) for mask, style in zip(masks, styles, strict=True)]
    found = recolor(content, parts, 1.0)
    assert_close(found[..., :15].mean((0, 2, 3)), styles[0].mean((0, 2, 3)), rtol=0, atol=2e-3)
    assert_close(found[..., 15:].mean((0, 2, 3)), styles[1].mean((0, 2, 3)), rtol=0, atol=2e-3)
    assert torch.equal(recolor(content, parts[:1], 1.0)[..., 15:], content[..., 15:])


def test_noise_depends_on_the_seed_only() -> None:
    state = torch.get_rng_state()
    first = noise(12, 10, seed=3)
    torch.rand(5, generator=torch.Generator().manual_seed(9))
    assert torch.equal(first, noise(12, 10, seed=3))
    assert not torch.equal(first, noise(12, 10, seed=4))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (1, 3, 12, 10)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1


@pytest.mark.parametrize(("source", "wanted"), [((40, 40), (20, 60)), ((30, 90), (64, 64)), ((50, 20), (31, 47))])
def test_cover_fills_the_size_without_distortion(source: tuple[int, int], wanted: tuple[int, int]) -> None:
    """The slopes of a ramp in both directions stay in the same ratio; a stretched picture would change it."""
    y, x = torch.meshgrid(torch.arange(source[0]), torch.arange(source[1]), indexing="ij")
    ramp = torch.stack([x, y, x]).float()[None] / 100
    found = cover(ramp, *wanted)
    assert found.shape == (1, 3, *wanted)
    middle = found[..., wanted[0] // 4 : -wanted[0] // 4, wanted[1] // 4 : -wanted[1] // 4]
    across, down = middle[0, 0].diff(dim=1).mean(), middle[0, 1].diff(dim=0).mean()
    assert_close(across, down, rtol=0.05, atol=0)
    factor = max(wanted[0] / source[0], wanted[1] / source[1])
    assert_close(across, torch.tensor(0.01 / factor), rtol=0.05, atol=0)
