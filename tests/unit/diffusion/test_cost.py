"""What a run will take is said before; the ladder of memory is walked from the top."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

import impasto
from impasto.engines.diffusion import cost
from impasto.engines.diffusion.plan import _timetable

if TYPE_CHECKING:
    from pathlib import Path

CUDA = torch.device("cuda")
PIXELS = 1024 * 1024


@pytest.fixture
def real_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> cost.Sizes:
    """SDXL's published numbers of parameters."""
    sizes = {
        "unet": 2_567_500_000, "vae": 83_700_000, "text_encoder": 123_100_000, "text_encoder_2": 694_700_000,
        "control": 1_251_000_000, "adapter": 351_300_000,
    }  # fmt: skip
    (tmp_path / "text_encoder").mkdir()
    (tmp_path / "text_encoder_2").mkdir()
    monkeypatch.setattr(cost, "parameters", lambda folder: sizes[folder.name])
    monkeypatch.setattr(cost, "_in_file", lambda _: sizes["adapter"])
    return cost.Sizes(
        SimpleNamespace(
            base=tmp_path, control=tmp_path / "control", adapter=SimpleNamespace(path=tmp_path), style=None
        ),
        1,
    )


def test_every_rung_takes_less_than_the_one_before(real_size) -> None:
    needed = [real_size.memory_mb(rung, PIXELS, 2) for rung in cost.RUNGS]
    assert needed == sorted(needed, reverse=True)
    assert len(set(needed)) == len(needed)


@pytest.mark.parametrize(
    ("free_gb", "rung"), [(80, "whole"), (24, "whole"), (12, "offload"), (8, "fp8"), (4, "groups"), (2, "sequential")]
)
def test_first_rung_that_fits_is_taken(real_size, free_gb: int, rung: str) -> None:
    assert cost.choose_rung("auto", real_size, PIXELS, CUDA, 2, free_gb * 1024) == rung
    assert cost.choose_rung("fp8", real_size, PIXELS, CUDA, 2, free_gb * 1024) == "fp8"


def test_what_fits_nowhere_is_refused_before_it_is_loaded(real_size) -> None:
    with pytest.raises(impasto.OutOfMemoryError, match=r"sequential.*1,024 MiB are free"):
        cost.choose_rung("auto", real_size, PIXELS, CUDA, 2, 1024)
    with pytest.raises(impasto.OutOfMemoryError, match=r"sd15-lcm.*fast or optimize"):
        cost.choose_rung("auto", real_size, PIXELS, torch.device("cpu"), 4, 4096)


@pytest.mark.parametrize("steps", [1, 2, 4, 6, 18, 30])
@pytest.mark.parametrize("denoise", [1.0, 0.6, 0.57, 0.3, 0.061])
def test_timetable_has_as_many_steps_left_as_were_asked_for(steps: int, denoise: float) -> None:
    assert int(_timetable(steps, denoise, 1000) * denoise) == steps


def test_plan_knows_more_steps_take_longer(content, style) -> None:
    seconds = [
        impasto.plan(content, style, engine="diffusion", steps=steps, image_size=64, control="none").seconds
        for steps in (10, 1000)
    ]
    assert seconds[0] < seconds[1]


def test_long_run_on_a_processor_names_the_faster_engines(content, style, caplog, monkeypatch) -> None:
    monkeypatch.setattr("impasto.engines.diffusion.plan._LONG_S", 0.01)
    impasto.plan(content, style, engine="diffusion", image_size=64, device="cpu", control="none")
    assert "fast and optimize" in caplog.text
