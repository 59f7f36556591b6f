"""Contents for whoever has no photos: the one that Matplotlib ships, and pictures with a photograph's statistics.

A network learns from contents where edges, gradients and textures are; what they show matters less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import matplotlib.cbook
import numpy as np
import torch

from impasto.images import Picture, write

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_COUNT: Final = 48
_SIDE: Final = 384
#: Shapes that lie on each other in a picture.
_SHAPES: Final = (6, 24)


def make_contents(folder: Path, seed: int) -> list[str]:
    """Write pictures to train on into a folder that is made if need be; gives sources for :meth:`Collection.find`.

    Each is leaves of random size and colour, with 1/f noise in and over them (the dead-leaves model), which has the
    edges and the spectrum of photographs.

    Args:
        folder: where to.
        seed: of what they show.

    Source:
        Lee, Mumford, Huang, "Occlusion Models for Natural Images", IJCV 2001; learning from it: Baradad et al.,
        "Learning to See by Looking at Noise", NeurIPS 2021.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(_COUNT):
        path = folder / f"leaves-{number:02}.png"
        if not path.exists():
            pixels = _leaves(np.random.default_rng((seed, number)))
            write(Picture(torch.from_numpy(pixels).permute(2, 0, 1)), path)
    photo = str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return [str(folder), f"{photo}={_COUNT // 4}"]


def _leaves(rng: np.random.Generator) -> NDArray[np.float32]:
    """``(side, side, 3)`` in [0, 1]."""
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) / _SIDE
    picture = _noise(rng)[..., None] * 0.3 + rng.random(3, dtype=np.float32)
    for size in np.sort(rng.pareto(1.5, rng.integers(*_SHAPES)) * 0.08 + 0.04)[::-1]:
        angle, stretch, power = rng.uniform(0, np.pi), rng.uniform(0.3, 1.0), rng.choice([1, 2, 8])
        across, down = columns - rng.random(), rows - rng.random()
        along = np.cos(angle) * across + np.sin(angle) * down
        aside = (np.cos(angle) * down - np.sin(angle) * across) / stretch
        distance = (np.abs(along) ** power + np.abs(aside) ** power) ** (1 / power)
        inside = np.clip((size - distance) * _SIDE / 2 + 0.5, 0, 1)[..., None]  # an edge of two pixels
        shade = rng.random(3) + rng.uniform(0, 0.6) * (along / size)[..., None] * inside
        texture = rng.uniform(0, 0.4) * _noise(rng)[..., None]
        picture = picture * (1 - inside) + (shade + texture) * inside
    picture = picture + 0.08 * _noise(rng)[..., None]
    low, high = np.percentile(picture, [1, 99])
    pixels: NDArray[np.float32] = np.clip((picture - low) / (high - low), 0, 1).astype(np.float32)
    return pixels


def _noise(rng: np.random.Generator) -> NDArray[np.float64]:
    """1/f noise of deviation 1."""
    frequencies = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None])
    frequencies[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((_SIDE, _SIDE))) / frequencies ** rng.uniform(0.8, 1.6)
    field: NDArray[np.float64] = np.fft.irfft2(spectrum, (_SIDE, _SIDE))
    field /= field.std()
    return field
