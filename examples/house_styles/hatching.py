"""Pen hatching: families of parallel strokes that swell with the tone, break off and start again."""

from dataclasses import dataclass

import numpy as np
from noise import fractal, smoothstep
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pen:
    """How one family of lines is drawn; lengths are in pixels of the sheet."""

    spacing: float
    stroke: float
    finest: float
    wobble: float


def _chance(line: NDArray, salt: float) -> NDArray:
    """A number in 0..1 that is the same all along one line and unlike its neighbours'."""
    return np.modf(np.abs(np.sin(line * 12.9898 + salt * 78.233)) * 43758.5453)[0]


def lines(across: NDArray, along: NDArray, weight: NDArray, pen: Pen, rng: np.random.Generator) -> NDArray:
    """Ink cover 0..1 of lines at even steps of `across`, each as heavy as `weight` (0..1) says."""
    shape = across.shape
    wander = pen.wobble * (fractal(shape, pen.stroke * 0.6, rng, 3) + 0.35 * fractal(shape, pen.spacing * 1.6, rng, 2))
    drawn = across + wander
    down, right = np.gradient(drawn)
    steep = np.clip(np.hypot(down, right), 0.15, 6.0)
    position = drawn / pen.spacing
    line = np.floor(position)
    salt = float(rng.uniform(0, 9))
    # No hand keeps an exact distance: each line sits a little off its place.
    off = 0.5 + 0.3 * (_chance(line, salt) - 0.5)
    distance = np.abs(position - line - off) * pen.spacing / steep
    # Long strokes laid end to end, each line broken elsewhere, tapering at both ends.
    length = pen.stroke * (0.7 + 0.6 * _chance(line, salt + 1))
    part = (along + 0.15 * wander) / length + 7 * _chance(line, salt + 2)
    within = part - np.floor(part)
    taper = smoothstep(0.0, 0.10, within) * smoothstep(1.0, 0.72, within)
    pressure = 0.82 + 0.36 * _chance(line + 31 * np.floor(part), salt + 3)
    heavy = np.clip(weight, 0, 1)
    width = (
        np.where(heavy > 0.02, pen.finest + heavy * pen.spacing * 0.62 / steep, 0) * (0.25 + 0.75 * taper) * pressure
    )
    width = np.minimum(width, 0.8 * pen.spacing / steep)
    cover = np.clip(0.5 + width / 2 - distance, 0, 1) * np.clip(width / 0.6, 0, 1)
    return np.where((taper < 0.04) & (heavy < 0.85), 0, cover)


def crosshatch(
    across: NDArray,
    along: NDArray,
    tone: NDArray,
    pen: Pen,
    rng: np.random.Generator,
    turns: tuple[float, ...] = (0.0, 0.75, -0.6),
) -> NDArray:
    """Layers of lines, each turned from the first; the darker the tone, the more layers and the heavier."""
    ink = np.zeros(across.shape)
    starts = (0.07, 0.38, 0.62)
    for turn, start in zip(turns, starts, strict=False):
        weight = np.clip((tone - start) / (1.12 - start), 0, 1)
        if not (weight > 0.02).any():
            continue
        layer = lines(
            np.cos(turn) * across + np.sin(turn) * along,
            np.cos(turn) * along - np.sin(turn) * across,
            weight,
            pen,
            rng,
        )
        ink = 1 - (1 - ink) * (1 - layer)
    return ink


def contour(distance: NDArray, width: NDArray | float) -> NDArray:
    """Ink cover of an outline where the signed distance passes zero."""
    return np.clip(0.5 + np.asarray(width) / 2 - np.abs(distance), 0, 1)
