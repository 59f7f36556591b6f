"""Every engine says beforehand what a run will do, and refuses then what it would refuse later."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import impasto


def test_plan_has_the_results_size_and_scales(quick, planned, content, style) -> None:
    for settings in ({}, {"image_size": 57}, {"image_size": 80}):
        plan, result = planned(content, style, **settings), quick(content, style, **settings)
        assert (plan.width, plan.height) == (result.picture.width, result.picture.height)
        assert plan.scales == result.recipe.scales


def test_plan_knows_what_it_costs(planned, content, style) -> None:
    plan = planned(content, style)
    assert plan.memory in ("whole", "strips", "tiles")
    assert plan.memory_mb > 0
    assert plan.free_mb > 0
    assert 0 < plan.seconds < 600


def test_plan_is_told_once_before_the_first_step(quick, planned, content, style) -> None:
    told: list[object] = []
    result = quick(content, style, on_plan=told.append, on_progress=told.append)
    assert isinstance(told[0], impasto.RunPlan)
    assert all(isinstance(later, impasto.Progress) for later in told[1:])
    assert told[0].scales == planned(content, style).scales == result.recipe.scales
    assert torch.equal(result.picture.pixels, quick(content, style).picture.pixels)


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ({"style": []}, {}),
        ({"content": np.zeros((1, 200, 3), np.uint8)}, {}),
        ({"style": np.zeros((1, 1, 3), np.uint8)}, {}),
        ({"content": "nowhere.png"}, {}),
        ({}, {"brush_size": 3}),
        ({}, {"image_size": -5}),
        ({}, {"init": "nowhere.png"}),
        ({}, {"style_weights": (1, 2, 3)}),
        ({}, {"regions": [(np.zeros((48, 64), np.uint8), np.full((48, 64, 3), 99, np.uint8))]}),
        ({}, {"regions": [(np.full((48, 64), 255, np.uint8), "nowhere.png")]}),
    ],
    ids=str,
)
def test_plan_raises_what_the_run_raises(quick, planned, needs, content, style, change, settings) -> None:
    if "init" in settings:
        needs("init")
    pictures = {"content": content, "style": style} | change
    messages = []
    for call in (planned, quick):
        with pytest.raises(impasto.ImpastoError) as caught:
            call(pictures["content"], pictures["style"], **settings)
        messages.append((caught.type, str(caught.value)))
    assert messages[0] == messages[1]


def test_plan_of_regions_without_a_style_is_one(planned, quick, content, style) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 20:] = 255
    plan = planned(content, [], regions=[(mask, style)])
    assert plan.scales == quick(content, [], regions=[(mask, style)]).recipe.scales
