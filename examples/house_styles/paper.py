"""What pictures are made on: woven canvas, paper tooth and fibres, wood grain."""

import numpy as np
from noise import Field, fractal, smooth
from numpy.typing import NDArray


def canvas_weave(shape: tuple[int, int], thread: float, rng: np.random.Generator) -> Field:
    """Height of a plain weave, about -1..1, with threads of uneven thickness."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    x = x + 0.25 * thread * fractal(shape, (thread * 14, thread * 5), rng, 2)
    y = y + 0.25 * thread * fractal(shape, (thread * 5, thread * 14), rng, 2)
    over = np.sin(np.pi * x / thread) * np.sin(np.pi * y / thread)
    threads = 0.5 * (np.abs(np.sin(np.pi * x / thread)) + np.abs(np.sin(np.pi * y / thread))) - 0.6
    return (0.6 * over + threads + 0.12 * smooth(shape, thread * 0.5, rng)).astype(np.float32)


def tooth(shape: tuple[int, int], grain: float, rng: np.random.Generator) -> Field:
    """Height of cold-pressed paper: rounded bumps about `grain` apart; mean 0, sd 1."""
    bumps = 0.65 * smooth(shape, grain, rng) - 0.5 * np.abs(smooth(shape, grain * 1.7, rng))
    bumps += 0.35 * smooth(shape, grain * 0.45, rng)
    return ((bumps - bumps.mean()) / bumps.std()).astype(np.float32)


def fibres(shape: tuple[int, int], count: int, length: float, rng: np.random.Generator) -> Field:
    """Long thin hairs pressed into the sheet, 0..1."""
    sheet = np.zeros(shape, np.float32)
    steps = int(length)
    heading = rng.uniform(0, 2 * np.pi, count)
    bend = rng.normal(0, 2.2 / length, count)
    x, y = rng.uniform(0, shape[1], count), rng.uniform(0, shape[0], count)
    tone = rng.uniform(0.3, 1.0, count).astype(np.float32)
    for _ in range(steps):
        x, y, heading = x + np.cos(heading), y + np.sin(heading), heading + bend
        sheet[y.astype(np.int32) % shape[0], x.astype(np.int32) % shape[1]] = tone
    return sheet


def wood_grain(shape: tuple[int, int], ring: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Plank grain along the picture's width: wavy year rings and short pores, about -1..1."""
    y = np.mgrid[0 : shape[0], 0 : shape[1]][0].astype(np.float32)
    drift = fractal(shape, (ring * 14, ring * 60), rng, 3)
    phase = y / ring + 2.6 * drift
    rings = 2 * np.abs((phase % 1.0) - 0.5) - 0.5
    pores = smooth(shape, (1.6, ring * 5), rng)
    return (0.8 * rings + 0.3 * pores).astype(np.float32)
