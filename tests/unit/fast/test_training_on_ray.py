"""A training on two processes of Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto import api
from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("ray.train", reason="needs the extra ray")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings


@pytest.fixture(scope="module", autouse=True)
def _one_ray_for_all() -> Iterator[None]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield
    ray.shutdown()


def picture(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


def test_two_processes_train_a_style_that_paints(tmp_path: Path) -> None:
    style = picture(tmp_path / "style.png", 0)
    for seed in range(1, 9):
        picture(tmp_path / "photos" / f"{seed}.png", seed)
    given = {"styles": [style], "photos": [tmp_path / "photos"], "output": tmp_path / "ours", "steps": 3, "batch": 2}
    found = api.train_on_ray("style", {**given, "size": 64}, workers=2)
    assert (found.about["processes"], found.about["steps"], found.stopped_early) == (2, 3, False)
    painted = impasto.stylize(picture(tmp_path / "photo.png", 9), tmp_path / "ours", engine="fast")
    assert painted.recipe.weights.sha256 == api.get_style(tmp_path / "ours").trained["fast"].sha256


def test_what_a_process_cannot_use_is_said(tmp_path: Path) -> None:
    style = picture(tmp_path / "style.png", 0)
    (tmp_path / "empty").mkdir()
    given = {"styles": [style], "photos": [tmp_path / "empty"], "output": tmp_path / "ours", "steps": 3, "size": 64}
    with pytest.raises(InputError, match="no picture is in"):
        api.train_on_ray("style", given, workers=1)
    assert not (tmp_path / "ours").exists()
