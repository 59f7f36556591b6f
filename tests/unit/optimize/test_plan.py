"""Scales, memory and time are known before anything is computed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import impasto
from impasto.engines.optimize.plan import (
    estimate_memory_mb,
    estimate_seconds,
    fit_memory,
    fit_to_time,
    output_size,
    plan_scales,
    smallest_side,
    strip_mb,
    work,
)
from impasto.errors import ImageTooSmallError, OutOfMemoryError
from impasto.settings import LAYERS, OptimizeSettings
from impasto.vgg import Precision


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


@pytest.mark.parametrize("memory", ["whole", "strips"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_memory_estimate_is_linear_in_pixels(optimizer: str, memory: str) -> None:
    settings = _settings(optimizer=optimizer, memory=memory)
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


CPU = Precision(torch.device("cpu"), torch.float32, "")


def _needed(settings: OptimizeSettings, **changes: object) -> int:
    """MiB that must be free for 4000x3000 px."""
    return round(estimate_memory_mb(3000, 4000, settings.model_copy(update=changes), torch.float32) / 0.8)


def _fitted(settings: OptimizeSettings, free_mb: int) -> OptimizeSettings:
    return fit_memory(3000, 4000, settings, CPU, free_mb)


def test_memory_that_suffices_is_used_whole() -> None:
    settings = _settings()
    fitted = _fitted(settings, _needed(settings, memory="whole"))
    assert fitted == settings.model_copy(update={"memory": "whole"})


def test_memory_that_is_short_brings_strips_then_a_shorter_history_and_last_a_refusal() -> None:
    settings = _settings()
    decided = [(fitted.memory, fitted.history) for fitted in _descending(settings)]
    assert decided[0] == ("whole", 20)
    modes = [memory for memory, _ in decided]
    assert modes == sorted(modes, reverse=True)  # whole first, strips from some point on
    in_strips = [history for memory, history in decided if memory == "strips"]
    assert in_strips == sorted(in_strips, reverse=True)
    assert (in_strips[0], in_strips[-1]) == (20, 4)
    with pytest.raises(OutOfMemoryError, match=r"4000x3000 px.*MiB are free") as caught:
        _fitted(settings, 500)
    assert "image_size" in str(caught.value)
    assert "memory=strips" not in str(caught.value)  # it was tried


def _descending(settings: OptimizeSettings) -> list[OptimizeSettings]:
    """What is decided with less and less memory, until it is refused."""
    found, free_mb = [], _needed(settings, memory="whole") + 100
    while True:
        try:
            found.append(_fitted(settings, free_mb))
        except OutOfMemoryError:
            return found
        free_mb = int(free_mb * 0.97)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_memory_that_was_decided_fits(optimizer: str) -> None:
    """Of what is free four fifths, and what the process has already."""
    settings = _settings(optimizer=optimizer)
    for free_mb in (_needed(settings, memory="strips", history=4), 20_000, 30_000, 60_000):
        fitted = _fitted(settings, free_mb)
        assert estimate_memory_mb(3000, 4000, fitted, torch.float32) <= 0.8 * free_mb + 400


@pytest.mark.parametrize("memory", ["whole", "strips"])
def test_memory_that_was_asked_for_is_kept_to(memory: str) -> None:
    settings = _settings(memory=memory)
    assert _fitted(settings, 10**6).memory == memory
    short = _fitted(settings, _needed(settings, history=5))
    assert short.memory == memory
    assert 4 <= short.history < 20
    with pytest.raises(OutOfMemoryError) as caught:
        _fitted(settings, _needed(settings, history=4) // 3)
    assert ("memory=strips" in str(caught.value)) == (memory == "whole")


def test_history_that_was_asked_for_short_is_not_lengthened() -> None:
    settings = _settings(history=2, memory="strips")
    assert _fitted(settings, 10**6).history == 2
    assert _fitted(settings, _needed(settings)).history == 2


def test_strips_are_for_scales_that_would_be_large_whole() -> None:
    settings = _settings(memory="strips")
    assert strip_mb(100, 100, settings, torch.float32) is None
    assert strip_mb(4000, 4000, settings, torch.float32) is not None
    assert strip_mb(4000, 4000, _settings(memory="whole"), torch.float32) is None


def test_seconds_grow_with_steps_scales_and_strips() -> None:
    def seconds(**options: object) -> float:
        settings = _settings(**{"image_size": 4000, "style_loss": "w2", "steps": 50, **options})
        return estimate_seconds(plan_scales(3000, 4000, settings), settings, torch.float32, 1e-6)

    assert seconds(steps=20, image_size=512) == pytest.approx(2 * seconds(steps=10, image_size=512))
    assert seconds(scales=(4000,)) < seconds()
    assert seconds(memory="whole") < seconds(memory="strips") <= 1.5 * seconds(memory="whole") + 1e-9
    assert seconds(style_loss="w2,nn") > seconds()
    assert seconds(style_loss="w2,nn=0") == seconds()
    assert seconds(steps=0) == 0


@pytest.mark.parametrize("steps", [0, 3, 8, 25, 200])
def test_steps_are_fewer_at_large_scales_but_never_next_to_none(steps: int) -> None:
    plan = plan_scales(3000, 4000, _settings(image_size=4000, steps=steps))
    taken = [scale.steps for scale in plan]
    assert taken == sorted(taken, reverse=True)
    assert {scale.steps for scale in plan if scale.longer <= 512} == {steps}
    assert min(taken) >= min(steps, 8)


def test_run_plan_says_what_the_run_will_do(stylize, content, style) -> None:
    plans: list[impasto.RunPlan] = []
    options = {"image_size": 64, "scales": (32, 64), "steps": 3, "dtype": "float32", "device": "cpu"}
    result = impasto.stylize(content, style, on_plan=plans.append, **options)
    (told,) = plans
    asked = impasto.plan(content, style, **options)
    for plan in (told, asked):
        assert (plan.width, plan.height) == (64, 48)
        assert plan.scales == result.recipe.scales
        assert plan.memory == "whole"
        expected = estimate_memory_mb(48, 64, _settings(**options), torch.float32)
        assert plan.memory_mb == expected < plan.free_mb
        assert 0 < plan.seconds < 60
    assert impasto.plan(content, style, **options | {"memory": "strips"}).memory == "strips"
    assert torch.equal(impasto.stylize(content, style, **options).picture.pixels, result.picture.pixels)


def test_run_plan_tells_of_the_strips_that_little_memory_brings(content, style, monkeypatch) -> None:
    options = {
        "image_size": 2048,
        "dtype": "float32",
        "device": "cpu",
        "layers": "relu1_1",
        "content_layers": "relu1_2",
    }
    settings = _settings(**options)
    free_mb = round(estimate_memory_mb(1536, 2048, settings, torch.float32) / 0.8) - 600
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free_mb * 2**20, total=2**36))
    plan = impasto.plan(content, style, **options)
    assert plan.memory == "strips"
    assert plan.memory_mb <= free_mb
    assert plan.free_mb <= free_mb


def test_start_by_the_fast_engine_leaves_the_last_scales_to_do() -> None:
    whole = plan_scales(384, 512, OptimizeSettings.of())
    rest = plan_scales(384, 512, OptimizeSettings.of(init="fast"))
    assert rest == whole[-2:]
    assert plan_scales(384, 512, OptimizeSettings.of(init="fast", scales=(64, 512)))[0].longer == 64
