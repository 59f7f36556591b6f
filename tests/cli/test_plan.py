"""``impasto plan`` says what ``stylize`` would do, and paints nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from impasto import api

Run = Callable[..., CompletedProcess[str]]


def test_plan_shows_scales_memory_and_time_and_writes_nothing(run: Run, folder: Path, fast: tuple[str, ...]) -> None:
    before = sorted(folder.iterdir())
    outcome = run("plan", "content.png", "style.png", *fast)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    for part in ("64×48 px", "48×36 px, 2 steps", "MiB, whole", "about 0:0"):
        assert part in outcome.stdout
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_plan_json_is_what_stylize_then_does(run: Run, fast: tuple[str, ...]) -> None:
    planned = json.loads(run("plan", "content.png", "style.png", "--json", *fast).stdout)
    run("stylize", "content.png", "style.png", "-o", "out.png", *fast)
    recipe = api.read_recipe("out.png")
    assert planned["scales"] == [scale.model_dump() for scale in recipe.scales]
    assert (planned["width"], planned["height"]) == (64, 48)
    assert planned["memory"] == recipe.settings["memory"]
    assert 0 < planned["memory_mb"] < planned["free_mb"]
    assert planned["seconds"] > 0
    assert planned["warnings"] == []


@pytest.mark.usefixtures("folder")
def test_plan_needs_more_memory_for_a_larger_picture_and_less_in_strips(run: Run) -> None:
    def needed(*options: str) -> int:
        return json.loads(run("plan", "content.png", "style.png", "--json", "--scales", "48", *options).stdout)[
            "memory_mb"
        ]

    assert needed("--image-size", "1024") > needed("--image-size", "256")
    assert needed("--image-size", "1536", "--memory", "strips") < needed("--image-size", "1536", "--memory", "whole")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["content.png"], "no style was given"),
        (["missing.png", "style.png"], "missing.png"),
        (["content.png", "style.png", "--steps", "many"], "steps='many'"),
        (["content.png", "--region", "style.png"], "1 part"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_plan_refuses_what_stylize_refuses(run: Run, words: list[str], said: str) -> None:
    outcome = run("plan", *words)
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1
