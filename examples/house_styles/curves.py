"""Smooth curves through a few points, and ribbons along them."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline


def through(points: list[tuple[float, float]] | NDArray, count: int = 160) -> NDArray[np.float64]:
    """`count` points, evenly spaced by chord length, on a smooth curve through the given ones."""
    knots = np.asarray(points, np.float64)
    chord = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    return CubicSpline(chord, knots)(np.linspace(0, chord[-1], count))


def normals(path: NDArray) -> NDArray[np.float64]:
    """Unit vectors to the left of the way the path goes (y pointing down)."""
    step = np.gradient(path, axis=0)
    step /= np.hypot(step[:, 0], step[:, 1])[:, None] + 1e-9
    return np.stack([step[:, 1], -step[:, 0]], -1)


def ribbon(path: NDArray, widths: NDArray | float) -> NDArray[np.float64]:
    """The outline of a band along the path, `widths` wide at each point."""
    side = normals(path) * (np.broadcast_to(widths, len(path)) / 2)[:, None]
    return np.concatenate([path + side, (path - side)[::-1]])
