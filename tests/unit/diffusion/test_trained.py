"""A toy model that was trained for it: the reference decides the colours, and the more the adapter counts the more.

See ``tests/assets/tiny-style-sdxl/README.md``. Its adapter was trained in all blocks, so that is where it acts here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import impasto

TOY = Path(__file__).parents[2] / "assets" / "tiny-style-sdxl"
SIDE = 16


def _reference(ground: tuple[int, int, int], figure: tuple[int, int, int]) -> np.ndarray:
    """A cross on a ground."""
    picture = np.empty((SIDE, SIDE, 3), np.uint8)
    picture[:] = ground
    picture[6:10, 3:13] = picture[3:13, 6:10] = figure
    return picture


STYLES = {"red": _reference((230, 25, 25), (120, 15, 15)), "blue": _reference((25, 25, 230), (15, 15, 120))}


@cache
def _redness(style: str, seed: int, scale: float) -> float:
    """Mean of red less blue, in grey levels, of a disc that is painted from noise."""
    result = impasto.stylize(
        np.full((SIDE, SIDE, 3), 128, np.uint8),
        STYLES[style],
        engine="diffusion",
        model=str(TOY),
        dtype="float32",
        preserve="free",
        prompt="disc",
        blocks="all",
        ip_adapter_scale=scale,
        guidance_scale=3,
        steps=12,
        seed=seed,
    )
    pixels = result.picture.pixels
    return float((pixels[0] - pixels[2]).mean()) * 255


def test_folder_is_a_model_with_all_it_needs() -> None:
    """Nothing of it comes from the registry, so that it runs without the hub."""
    files = [path for path in TOY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4_000_000
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".txt", ".md"}


def test_photo_is_kept_through_a_vae_that_is_a_tiny_autoencoder() -> None:
    """Pipelines made of others drop such a VAE."""
    photo = STYLES["blue"]
    result = impasto.stylize(
        photo, STYLES["red"], engine="diffusion", model=str(TOY), dtype="float32", steps=2, strength=0.05
    )
    assert float((result.picture.pixels - torch.from_numpy(photo).permute(2, 0, 1) / 255).abs().mean()) < 0.05


@pytest.mark.parametrize("seed", range(10))
def test_red_reference_gives_a_redder_picture_than_a_blue_one(seed: int) -> None:
    assert _redness("red", seed, 1.0) > _redness("blue", seed, 1.0) + 5


def test_colour_goes_with_the_scale() -> None:
    """Without the adapter there is no difference at all; with more of it, more."""
    seeds = range(2)
    gaps = [
        sum(_redness("red", seed, scale) - _redness("blue", seed, scale) for seed in seeds) / len(seeds)
        for scale in (0.0, 0.5, 1.0)
    ]
    assert gaps[0] == 0
    assert gaps[0] < gaps[1] < gaps[2]
