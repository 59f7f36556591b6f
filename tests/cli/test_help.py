"""Help comes from the settings, is complete, and does not wait for PyTorch."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import impasto
from impasto.cli.options import PANELS
from impasto.settings import (
    ENGINES,
    AnyStyleTraining,
    DreamBoothTraining,
    OneStyleTraining,
    OptimizeSettings,
    VideoSettings,
)

Run = Callable[..., CompletedProcess[str]]

SOURCE = str(Path(impasto.__file__).parents[1])


@pytest.mark.parametrize(
    "words", [["--help"], ["stylize", "--help"], ["--version"], ["stylize", "a", "b", "-o", "c.png", "--steps", "x"]]
)
def test_command_line_without_computing_imports_neither_torch_nor_numpy(words: list[str]) -> None:
    program = (
        "import sys; from impasto.cli.main import main; main(sys.argv[1:]); "
        "sys.exit(len({'torch', 'numpy', 'PIL'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        check=False,
        env={"PYTHONPATH": SOURCE},
    )
    assert done.returncode == 0, done.stderr.decode()


def test_python_m_impasto_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "impasto", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": SOURCE},
    )
    assert done.returncode == 0
    assert done.stdout.startswith("impasto ")


def test_every_setting_has_a_panel() -> None:
    models = [*ENGINES.values(), AnyStyleTraining, OneStyleTraining, DreamBoothTraining, VideoSettings]
    assert set(PANELS) == {name for model in models for name in model.model_fields}


@pytest.mark.parametrize("verb", ["stylize", "plan"])
def test_help_shows_every_setting_with_its_default(run: Run, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 300)
    text = run(verb, "--help").stdout
    for name in OptimizeSettings.model_fields:
        assert f"--{name.replace('_', '-')} " in text
    for name in ("content_weight", "steps", "pooling"):
        assert f"default {OptimizeSettings.model_fields[name].default})" in text
    assert "(16 to 16384" in text
    assert "max|average|l2" in text
    assert "(above 0, at most 1; default " in text
    (first, weight), *_ = OptimizeSettings.of().layers.items()
    assert f"default {first}={weight:g}, " in text
    assert str(2**63 - 1) not in text


def test_stylize_help_has_the_panels_in_order(run: Run) -> None:
    text = run("stylize", "--help").stdout
    titles = ("Arguments", "Picture", "Style", "Solver", "Machine", "Regions", "Output")
    places = [text.index(f"─ {title} ─") for title in titles]
    assert places == sorted(places)


@pytest.mark.parametrize("verb", ["stylize", "plan", "info", "rerun", "doctor"])
def test_every_verb_has_help(run: Run, verb: str) -> None:
    assert run(verb, "-h").returncode == 0
    assert verb in run("--help").stdout


@pytest.mark.parametrize("words", [[], ["paint"], ["stylize"], ["stylize", "a.png", "b.png"], ["plan"], ["info"]])
def test_usage_error_ends_with_2(run: Run, words: list[str]) -> None:
    outcome = run(*words)
    assert outcome.returncode == 2
