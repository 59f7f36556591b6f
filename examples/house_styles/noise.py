"""Smooth random fields, each drawn from the generator it is handed."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]


def smooth(shape: tuple[int, int], cell: float | tuple[float, float], rng: np.random.Generator) -> Field:
    """One octave: chance values `cell` (or (down, across)) pixels apart, joined smoothly; mean 0, sd 1."""
    down, across = cell if isinstance(cell, tuple) else (cell, cell)
    rows, columns = int(shape[0] / down) + 5, int(shape[1] / across) + 5
    grid = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
    window = (1.5, 1.5, 1.5 + shape[1] / across, 1.5 + shape[0] / down)
    field = np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=window))
    return ((field - field.mean()) / (field.std() + 1e-6)).astype(np.float32)


def fractal(
    shape: tuple[int, int],
    cell: float | tuple[float, float],
    rng: np.random.Generator,
    octaves: int = 4,
    gain: float = 0.5,
) -> Field:
    """Several octaves, each half as coarse and `gain` times as strong as the one before; mean 0, sd 1."""
    down, across = cell if isinstance(cell, tuple) else (cell, cell)
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        scale = 0.5**octave
        if min(down, across) * scale < 1.0:
            break
        total += gain**octave * smooth(shape, (down * scale, across * scale), rng)
    return ((total - total.mean()) / (total.std() + 1e-6)).astype(np.float32)


def smoothstep(low: float, high: float, values: NDArray) -> Field:
    """0 below `low`, 1 above `high`, an S curve between (either way round)."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def grid(width: int, height: int) -> tuple[Field, Field]:
    """Coordinates of every pixel with the picture's height as the unit: x across, y down."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x + 0.5) / height, (y + 0.5) / height


def sample(field: NDArray, points: NDArray) -> NDArray:
    """The field's value at the pixel under each (x, y) point; points outside take the nearest edge."""
    rows = np.clip(points[..., 1].astype(np.int32), 0, field.shape[0] - 1)
    columns = np.clip(points[..., 0].astype(np.int32), 0, field.shape[1] - 1)
    return field[rows, columns]
