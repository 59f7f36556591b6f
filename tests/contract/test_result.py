"""What every engine's result must be, whatever went in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from impasto.engines.registry import load_engine
from impasto.images import read

if TYPE_CHECKING:
    import impasto


def _assert_sound(result: impasto.Stylization, height: int, width: int) -> None:
    pixels = result.picture.pixels
    assert pixels.shape == (3, height, width)
    assert (pixels.dtype, pixels.device.type) == (torch.float32, "cpu")
    assert bool(pixels.isfinite().all())
    assert float(pixels.min()) >= 0
    assert float(pixels.max()) <= 1
    assert_close(pixels * 255, (pixels * 255).round(), rtol=0, atol=1e-4)


def test_engine_has_the_name_it_is_registered_under(engine: str) -> None:
    assert load_engine(engine).name == engine


def test_result_is_an_8_bit_picture_of_the_planned_size(quick, content, style) -> None:
    _assert_sound(quick(content, style), 48, 64)
    _assert_sound(quick(content, style, image_size=57), 43, 57)  # an odd size, smaller than the content
    _assert_sound(quick(content, style, image_size=80), 60, 80)  # larger


def test_result_differs_from_the_content_and_from_another_styles(quick, content, style) -> None:
    one, other = quick(content, style), quick(content, 255 - style)
    assert float((one.picture.pixels - read(content).pixels).abs().mean()) > 0.01
    assert float((one.picture.pixels - other.picture.pixels).abs().mean()) > 0.01


def test_result_carries_its_evidence(quick, engine: str, content, style) -> None:
    result = quick(content, style)
    assert result.recipe.engine == engine
    assert bool(result.trace) == (result.recipe.loss is not None)
    assert all(np.isfinite(point.loss) for point in result.trace)
    assert all(point.loss == pytest.approx(sum(point.terms.values()), rel=1e-4) for point in result.trace)
    assert result.timings["total"] >= max(seconds for name, seconds in result.timings.items() if name != "total")
    assert result.peak_memory_mb > 1
    assert result.stopped_early is False


def test_same_call_twice_gives_the_same_bytes_and_recipe(quick, content, style) -> None:
    for settings in ({}, {"init": "noise", "seed": 5}):
        one, two = quick(content, style, **settings), quick(content, style, **settings)
        assert torch.equal(one.picture.pixels, two.picture.pixels)
        assert one.recipe == two.recipe


def test_another_seed_gives_another_picture_from_noise(quick, needs, content, style) -> None:
    needs("seed")
    one, two = (quick(content, style, init="noise", seed=seed).picture.pixels for seed in (1, 2))
    assert not torch.equal(one, two)


def test_two_runs_at_once_do_not_disturb_each_other(quick, content, style) -> None:
    """A service runs several; they share the network."""
    sizes = (48, 64)
    alone = [quick(content, style, image_size=size, steps=4).picture.pixels for size in sizes]
    together: dict[int, torch.Tensor] = {}

    def run(size: int) -> None:
        together[size] = quick(content, style, image_size=size, steps=4).picture.pixels

    threads = [threading.Thread(target=run, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together.keys() == set(sizes)
    for size, expected in zip(sizes, alone, strict=True):
        assert torch.equal(together[size], expected)


def test_global_state_is_left_alone(quick, content, style) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.mkldnn.enabled,
        )

    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002 — the global generator is what is watched
    rng, numpy_rng, before = torch.get_rng_state(), np.random.get_state()[1].copy(), state()  # noqa: NPY002
    quick(content, style, init="noise")
    assert torch.equal(torch.get_rng_state(), rng)
    assert np.array_equal(np.random.get_state()[1], numpy_rng)  # noqa: NPY002
    assert state() == before


def test_global_seed_changes_nothing(quick, content, style) -> None:
    pictures = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        pictures.append(quick(content, style, init="noise").picture.pixels)
    assert torch.equal(*pictures)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_run_inside_a_block_without_gradients_is_the_same(quick, content, style, mode) -> None:
    """Where a caller's own models live, gradients are often switched off."""
    expected = quick(content, style).picture.pixels
    with mode():
        found = quick(content, style).picture.pixels
    assert torch.equal(found, expected)


def test_run_under_another_default_dtype_is_the_same(quick, content, style) -> None:
    expected = {init: quick(content, style, init=init).picture.pixels for init in ("content", "noise", "style")}
    torch.set_default_dtype(torch.float64)
    try:
        found = {init: quick(content, style, init=init).picture.pixels for init in expected}
    finally:
        torch.set_default_dtype(torch.float32)
    for init, pixels in expected.items():
        assert_close(found[init], pixels, rtol=0, atol=3 / 255)


def test_inputs_are_left_alone(quick, content, style) -> None:
    pictures = [torch.from_numpy(each.copy()).permute(2, 0, 1) / 255 for each in (content, style)]
    copies = [picture.clone() for picture in pictures]
    quick(*pictures)
    read_once = [read(picture) for picture in pictures]
    before = [picture.pixels.clone() for picture in read_once]
    quick(*read_once, style_weight=0)
    assert all(torch.equal(a, b) for a, b in zip(pictures, copies, strict=True))
    assert all(torch.equal(a.pixels, b) for a, b in zip(read_once, before, strict=True))


def test_every_kind_of_input_gives_the_same_picture(quick, content, style, tmp_path) -> None:
    Image.fromarray(content).save(tmp_path / "content.png")
    Image.fromarray(style).save(tmp_path / "style.png")
    expected = quick(content, style).picture.pixels
    kinds = {
        "path": (tmp_path / "content.png", str(tmp_path / "style.png")),
        "pillow": (Image.fromarray(content), Image.fromarray(style)),
        "tensor": tuple(torch.from_numpy(each.copy()).permute(2, 0, 1) / 255 for each in (content, style)),
        "float array": (content.astype(np.float32) / 255, style.astype(np.float64) / 255),
        "picture": (read(content), read(style)),
        "list of one": (content, [style]),
    }
    for kind, (one, other) in kinds.items():
        assert torch.equal(quick(one, other).picture.pixels, expected), kind


def test_alpha_is_carried_through(quick, content, style) -> None:
    alpha = np.linspace(0, 255, 48 * 64).round().astype(np.uint8).reshape(48, 64)
    rgba = np.dstack([content, alpha])
    same = quick(rgba, style)
    assert_close(same.picture.alpha[0], torch.from_numpy(alpha) / 255)
    smaller = quick(rgba, style, image_size=48)
    assert smaller.picture.alpha.shape == (1, 36, 48)
    assert float(smaller.picture.alpha[0, 0].mean()) < 0.1 < 0.9 < float(smaller.picture.alpha[0, -1].mean())
    assert quick(content, style).picture.alpha is None
    assert quick(content, np.dstack([style, np.full((56, 72), 9, np.uint8)])).picture.alpha is None


def test_several_styles_all_count(quick, content, style) -> None:
    other = 255 - style
    both = quick(content, [style, other]).picture.pixels
    assert not torch.equal(both, quick(content, style).picture.pixels)
    assert not torch.equal(both, quick(content, other).picture.pixels)
    assert torch.equal(both, quick(content, (style, other)).picture.pixels)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_give_finite_ones(quick, content, style, level: int) -> None:
    flat = np.full((48, 64, 3), level, np.uint8)
    for one, other in ((flat, style), (content, flat), (flat, 255 - flat)):
        _assert_sound(quick(one, other), 48, 64)


def test_extreme_pictures_give_finite_ones(quick, content) -> None:
    checks = np.indices((48, 64)).sum(0) % 2 * 255
    dice = np.random.default_rng(0)
    for odd in (checks.astype(np.uint8), dice.integers(0, 2, (48, 64, 3), dtype=np.uint8) * 255):
        _assert_sound(quick(content, odd), 48, 64)
        _assert_sound(quick(odd, content), 48, 64)
    grey = content.mean(2).astype(np.uint8)
    _assert_sound(quick(grey, grey > 127), 48, 64)


@pytest.mark.parametrize("size", [(16, 16), (16, 64), (64, 17)])
def test_smallest_pictures_work(quick, content, style, size: tuple[int, int]) -> None:
    height, width = size
    _assert_sound(
        quick(content[:height, :width][:48], style, image_size=max(size), scales=None), *_fitted(content, size)
    )
    _assert_sound(quick(content, style[:16, :16]), 48, 64)


def _fitted(content, size: tuple[int, int]) -> tuple[int, int]:
    """The size that a crop of the content has when its longer side is enlarged to ``max(size)``."""
    height, width = content[: size[0], : size[1]].shape[:2]
    longer = max(height, width)
    return (
        max(1, (2 * height * max(size) + longer) // (2 * longer)),
        max(1, (2 * width * max(size) + longer) // (2 * longer)),
    )


def test_chaining_uses_a_result_as_the_next_input(quick, content, style) -> None:
    first = quick(content, style)
    second = quick(first.picture, style)
    third = quick(content, first.picture)
    _assert_sound(second, 48, 64)
    _assert_sound(third, 48, 64)
    for result, name in ((second, second.recipe.content), (third, third.recipe.styles[0])):
        assert len(name.sha256) == 64, "the recipe does not say which picture went in"
        assert result.recipe.to_json()
