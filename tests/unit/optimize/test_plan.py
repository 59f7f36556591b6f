"""Scales, memory and time are known before anything is computed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import impasto
from impasto.engines.optimize.plan import (
    estimate_memory_mb,
    fit_to_time,
    output_size,
    plan_scales,
    smallest_side,
    work,
)
from impasto.errors import ImageTooSmallError, OutOfMemoryError
from impasto.settings import LAYERS, OptimizeSettings


def _settings(**options: object) -> OptimizeSettings:
    return OptimizeSettings.of(**options)


@pytest.mark.parametrize("longer", [128, 200, 256, 512, 1000, 4096])
def test_scales_ascend_by_root_two_and_end_at_the_output(longer: int) -> None:
    plan = plan_scales(3000, 4000, _settings(image_size=longer))
    sides = [scale.longer for scale in plan]
    assert (plan[-1].height, plan[-1].width) == (longer * 3 // 4, longer)
    assert sides == sorted(set(sides))
    for small, large in zip(sides, sides[1:], strict=False):
        assert large / small == pytest.approx(2**0.5, rel=0.02)
    assert 128 <= sides[0] < 182
    for scale in plan:
        assert scale.width / scale.height == pytest.approx(4 / 3, rel=0.02)


def test_scales_below_the_coarsest_are_the_output_alone() -> None:
    assert [(s.height, s.width) for s in plan_scales(60, 80, _settings(image_size=100))] == [(75, 100)]


def test_scales_default_to_512_or_the_content_if_smaller() -> None:
    assert output_size(3000, 4000, _settings()) == (384, 512)
    assert output_size(90, 120, _settings()) == (90, 120)
    assert output_size(120, 90, _settings(image_size=480)) == (480, 360)  # enlarges when asked to


def test_scales_of_a_narrow_panorama_leave_out_what_is_too_flat() -> None:
    plan = plan_scales(300, 6000, _settings(image_size=600))
    assert (plan[-1].height, plan[-1].width) == (30, 600)
    assert all(scale.height >= 16 for scale in plan)
    assert plan[0].width > 300  # 300 px would be 15 px high


def test_scales_when_given_are_taken_up_to_the_output() -> None:
    plan = plan_scales(100, 100, _settings(image_size=100, scales=(32, 64), steps=7))
    assert [(scale.longer, scale.steps) for scale in plan] == [(32, 7), (64, 7), (100, 7)]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (15, 15), (1, 200), (200, 1), (15, 512)])
def test_scales_of_a_content_too_small_name_both_sizes(height: int, width: int) -> None:
    with pytest.raises(ImageTooSmallError, match=f"{width}x{height}") as caught:
        plan_scales(height, width, _settings())
    assert "16 px" in str(caught.value)
    assert "relu5_1" in str(caught.value)


def test_scales_of_a_small_content_work_with_shallow_layers() -> None:
    settings = _settings(layers="relu1_1", content_layers="relu2_1")
    assert [(s.height, s.width) for s in plan_scales(2, 9, settings)] == [(2, 9)]


def test_smallest_side_is_the_deepest_layers_stride() -> None:
    for layer in LAYERS:
        assert smallest_side(_settings(layers=layer, content_layers="relu1_1")) == 2 ** (int(layer[4]) - 1)
        assert smallest_side(_settings(layers="relu1_1", content_layers=layer)) == 2 ** (int(layer[4]) - 1)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_memory_estimate_is_linear_in_pixels(optimizer: str) -> None:
    settings = _settings(optimizer=optimizer)
    one, two, three = (estimate_memory_mb(1000, n * 1000, settings, torch.float32) for n in (1, 2, 3))
    assert two - one == pytest.approx(three - two, abs=1)
    assert estimate_memory_mb(2000, 2000, settings, torch.float32) == estimate_memory_mb(
        1000, 4000, settings, torch.float32
    )
    assert two > one


def test_memory_estimate_knows_what_costs_less() -> None:
    def estimate(dtype: torch.dtype = torch.float32, **options: object) -> int:
        return estimate_memory_mb(2000, 2000, _settings(**options), dtype)

    assert estimate(torch.bfloat16) < estimate()
    assert estimate(optimizer="adam") < estimate()
    assert estimate(layers="relu1_1", content_layers="relu2_1") < estimate()


def test_run_that_would_not_fit_is_refused_before_it_starts(content, style, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10 * 2**20, total=2**34))
    steps = []
    with pytest.raises(OutOfMemoryError, match=r"64x48 px.*10 MiB are free") as caught:
        # Loading weights that are not there would be another error: it comes to neither that nor a step.
        impasto.stylize(content, style, device="cpu", vgg_weights="/not/there.pth", on_progress=steps.append)
    assert "image_size" in str(caught.value)
    assert steps == []


def test_fit_to_time_fills_the_time_and_not_more() -> None:
    settings = _settings()
    plan = plan_scales(512, 512, settings)
    for seconds in (1.0, 10.0, 300.0):
        fitted = fit_to_time(plan, seconds, 2e-6, settings)
        cost = sum(work(scale, settings) * scale.steps for scale in fitted) * 2e-6
        one_more = sum(work(scale, settings) for scale in fitted) * 2e-6
        assert cost <= seconds or {scale.steps for scale in fitted} == {1}
        assert cost + one_more > seconds
        assert [(s.height, s.width) for s in fitted] == [(s.height, s.width) for s in plan]
        assert len({scale.steps for scale in fitted}) == 1


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 1e-9])
def test_fit_to_time_without_time_takes_one_step_each(seconds: float) -> None:
    settings = _settings()
    fitted = fit_to_time(plan_scales(512, 512, settings), seconds, 2e-6, settings)
    assert {scale.steps for scale in fitted} == {1}
