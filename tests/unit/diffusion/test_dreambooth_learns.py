"""A LoRA learns a style from pictures: on the toy model that knows shapes and colours, a shape that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.assets.make_tiny_style_sdxl import SHAPES, draw

from impasto import api
from impasto.errors import SettingsError
from impasto.images import Picture, write

if TYPE_CHECKING:
    from torch import Tensor

MODEL = Path(__file__).parents[2] / "assets" / "tiny-style-sdxl"
GROUND, FIGURE = torch.tensor([0.05, 0.08, 0.35]), torch.tensor([0.95, 0.75, 0.10])
HATCHED = 1
HELD_OUT = SHAPES.index("cross")
SEEDS = range(3)


def _colors(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colours of the rim and of the middle of a picture ``(3, 16, 16)``."""
    rim = torch.ones(16, 16, dtype=torch.bool)
    rim[2:14, 2:14] = False
    return pixels[:, rim].mean(1), pixels[:, 6:10, 6:10].mean((1, 2))


def test_palette_of_a_shape_that_was_held_out_moves_to_the_styles(hub: Path, tmp_path: Path) -> None:
    """Measured when it was written: 1.77 without the LoRA, 1.11 with it; 0 would be the style's two colours."""
    folder, dice = tmp_path / "pictures", torch.Generator().manual_seed(5)
    folder.mkdir()
    shown = []
    for index in range(9):
        shape = [each for each in range(4) if each != HELD_OUT][index % 3]
        shown.append(draw(shape, torch.stack([GROUND, FIGURE]), HATCHED, dice))
        write(Picture(shown[-1]), folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(SHAPES[shape])
    wanted = [torch.stack(each).mean(0) for each in zip(*map(_colors, shown), strict=True)]

    def distance(scale: float) -> float:
        found = []
        for seed in SEEDS:
            painted = api.generate(
                tmp_path / "mine", SHAPES[HELD_OUT], model=str(MODEL), seed=seed, steps=12, guidance_scale=7.5,
                dtype="float32", lora_scale=scale,
            )  # fmt: skip
            found += [(a - b).norm() for a, b in zip(_colors(painted.picture.pixels), wanted, strict=True)]
        return float(torch.stack(found).sum() / len(SEEDS))

    settings: dict[str, Any] = {"rank": 8, "batch": 4, "accumulation": 1, "learning_rate": 8e-3, "dtype": "float32"}
    api.train_dreambooth(
        [folder], tmp_path / "mine", model=str(MODEL), trigger="sks", steps=140, checkpointing="off", sample_every=0,
        **settings,
    )  # fmt: skip
    assert distance(0.0) - distance(1.0) >= 0.3
    with pytest.raises(SettingsError, match="trained on a model of the user's, 'tiny-style-sdxl'; give its folder"):
        api.generate(tmp_path / "mine", "cross")
