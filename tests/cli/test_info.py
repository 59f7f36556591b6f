"""``impasto info`` shows the recipe and lets nothing in it steer the terminal."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from impasto import api
from impasto.images import read, write
from impasto.settings import OptimizeSettings

Run = Callable[..., CompletedProcess[str]]


def test_info_shows_inputs_settings_scales_losses_and_environment(run: Run, finished: Path) -> None:
    outcome = run("info", finished / "out.png")
    recipe = api.read_recipe(finished / "out.png")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert f"content.png  96×72  sha256 {recipe.content.sha256[:12]}" in outcome.stdout
    assert f"style.png  80×80  sha256 {recipe.styles[0].sha256[:12]}" in outcome.stdout
    for name in (*recipe.settings, *recipe.terms, *recipe.environment.model_dump()):
        assert name in outcome.stdout
    assert "48×36" in outcome.stdout
    assert recipe.environment.torch in outcome.stdout


def test_info_marks_settings_that_differ_from_the_default(run: Run, finished: Path) -> None:
    lines = run("info", finished / "out.png").stdout.splitlines()
    words = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    assert words["steps"] == ["2", "default", str(OptimizeSettings.of().steps)]
    assert words["pooling"] == [OptimizeSettings.of().pooling]


def test_info_json_is_the_recipe(run: Run, finished: Path) -> None:
    outcome = run("info", finished / "out.png", "--json")
    assert outcome.stdout == api.read_recipe(finished / "out.png").to_json() + "\n"


def test_info_shows_settings_as_one_would_type_them(run: Run, finished: Path, tmp_path: Path) -> None:
    recipe = json.loads(api.read_recipe(finished / "out.png").to_json())
    recipe["settings"] |= {
        "palette": [[1.0, 0.0, 0.0], [0.2, 0.4, 0.6]],
        "style_loss": {"w2": 1.0, "nn": 0.25},
        "style_rotation": [0.0, -22.5],
        "content_weight": 0.1234567,
        "scales": {"made": ["up"]},
    }
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), tmp_path / "typed.png", metadata=json.dumps(recipe))
    lines = run("info", tmp_path / "typed.png").stdout.splitlines()
    words = {line.split()[0]: line.split()[1] for line in lines if line.startswith("  ")}
    assert words["palette"] == "#ff0000,#336699"
    assert words["style_loss"] == "w2,nn=0.25"
    assert words["style_rotation"] == "0,-22.5"
    assert words["content_weight"] == "0.1234567"


@pytest.mark.parametrize("name", ["style.png", "missing.png", "text.png"])
@pytest.mark.usefixtures("folder")
def test_info_on_a_file_without_recipe_ends_with_2(run: Run, name: str) -> None:
    Path("text.png").write_text("no picture")
    outcome = run("info", name)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("impasto: error: ")
    assert outcome.stderr.count("\n") == 1


def test_info_does_not_let_a_file_steer_the_terminal(run: Run, finished: Path, tmp_path: Path) -> None:
    recipe = json.loads(api.read_recipe(finished / "out.png").to_json())
    recipe["content"]["name"] = "\x1b[31m\x07[bold]red[/bold].png"
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), tmp_path / "evil.png", metadata=json.dumps(recipe))
    outcome = run("info", tmp_path / "evil.png")
    assert outcome.returncode == 0
    assert r"\x1b[31m\x07[bold]red[/bold].png" in outcome.stdout
    assert "\x1b" not in outcome.stdout


def test_info_on_a_changed_recipe_ends_with_2(run: Run, tmp_path: Path) -> None:
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), tmp_path / "odd.png", metadata='{"recipe": 99}')
    assert run("info", tmp_path / "odd.png").returncode == 2
    with Image.open(tmp_path / "odd.png") as image:
        assert image.size == (8, 8)
