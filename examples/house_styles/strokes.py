"""Brush strokes with bristle streaks and a height of their own, laid along a direction field."""

from dataclasses import dataclass, field

import numpy as np
from noise import sample, smooth
from numpy.typing import NDArray


@dataclass
class Canvas:
    """Paint so far: its colour and how thick it stands."""

    colour: NDArray[np.float32]
    height: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.height = np.zeros(self.colour.shape[:2], np.float32)


@dataclass(frozen=True)
class Brush:
    """How one pass of strokes is laid; lengths are in pixels of the canvas."""

    width: float
    length: float
    thickness: float
    dryness: float = 0.35
    taper: float = 0.35
    streak: float = 0.45
    ridge: float = 0.5
    roundness: float = 1.0


TEXTURE_LENGTH, TEXTURE_WIDTH, TEXTURES = 256, 48, 24


def bristle_textures(rng: np.random.Generator) -> NDArray[np.float32]:
    """A stock of streaky patches (patch, along, across): long thin noise, as hairs leave it."""
    patches = []
    for _ in range(TEXTURES):
        hair = smooth((TEXTURE_LENGTH, TEXTURE_WIDTH), (150, 2.2), rng)
        clump = smooth((TEXTURE_LENGTH, TEXTURE_WIDTH), (220, 9.0), rng)
        break_up = smooth((TEXTURE_LENGTH, TEXTURE_WIDTH), (26, 2.5), rng)
        patches.append(0.62 * hair + 0.5 * clump + 0.33 * break_up)
    return np.stack(patches)


def scatter(shape: tuple[int, int], spacing: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Points (x, y) about `spacing` apart in chance order: a shaken grid, so no holes and no rows."""
    rows, columns = int(shape[0] / spacing) + 2, int(shape[1] / spacing) + 2
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    points = np.stack([x + 0.5 * (y % 2), y], -1).reshape(-1, 2)
    points = (points + rng.uniform(-0.5, 0.5, points.shape)) * spacing
    return points[rng.permutation(len(points))].astype(np.float32)


def follow(angle: NDArray, starts: NDArray, lengths: NDArray, points: int = 18) -> NDArray[np.float32]:
    """Paths (n, points, 2) through the direction field, each centred on its start."""
    halves = []
    for sign in (-1.0, 1.0):
        here = starts.astype(np.float32).copy()
        step = (sign * lengths / (points - 1))[:, None]
        walk = []
        for _ in range(points // 2):
            turn = sample(angle, here)
            here = here + step * np.stack([np.cos(turn), np.sin(turn)], -1)
            walk.append(here)
        halves.append(walk)
    return np.stack([*halves[0][::-1], starts, *halves[1]], axis=1).astype(np.float32)


def lay(
    canvas: Canvas,
    path: NDArray,
    brush: Brush,
    colours: tuple[NDArray, NDArray],
    textures: NDArray,
    rng: np.random.Generator,
) -> None:
    """One opaque stroke: two half-mixed paints streaked along the path, ridged at its rim, dry at the end."""
    rows, columns = canvas.height.shape
    low, high = path.min(0), path.max(0)
    if high[0] < 0 or high[1] < 0 or low[0] >= columns or low[1] >= rows:
        return
    legs = np.diff(path, axis=0)
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(legs[:, 0], legs[:, 1]))])
    if travelled[-1] < 2:
        return
    along_count = max(int(travelled[-1] / 0.62), 4)
    across_count = max(int(brush.width / 0.62), 3)
    at = np.linspace(0, travelled[-1], along_count)
    x, y = np.interp(at, travelled, path[:, 0]), np.interp(at, travelled, path[:, 1])
    slope_x, slope_y = np.gradient(x), np.gradient(y)
    norm = np.hypot(slope_x, slope_y) + 1e-6
    u = np.linspace(0, 1, along_count)[:, None]
    v = np.linspace(-1, 1, across_count)[None, :]

    patch = textures[rng.integers(len(textures))]
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    texture = patch[
        np.linspace(0, TEXTURE_LENGTH - 1, along_count).astype(np.int32)[:, None],
        np.linspace(0, TEXTURE_WIDTH - 1, across_count).astype(np.int32)[None, :],
    ]
    # A round start and a slimmer end; the hairs at the rim reach unequally far.
    cap = brush.roundness * np.clip(0.5 * brush.width / travelled[-1], 0.05, 0.4)
    nearest_end = np.minimum(u, (1 - u) * 1.3 + 0.12 * cap) / cap
    start = np.sqrt(np.clip(1 - (1 - nearest_end).clip(0, 1) ** 2, 0, 1))
    half = start * (1 - brush.taper * np.clip((u - 0.55) / 0.45, 0, 1) ** 2)
    painted = np.abs(v) < half * (1 + 0.07 * texture)
    painted &= texture > -2.6 + 3.6 * brush.dryness * np.clip((u - 0.35) / 0.65, 0, 1) ** 1.5 * 2.2
    reach = half * brush.width / 2
    px = (x[:, None] - (slope_y / norm)[:, None] * v * reach / np.maximum(half, 1e-3)).astype(np.int32)
    py = (y[:, None] + (slope_x / norm)[:, None] * v * reach / np.maximum(half, 1e-3)).astype(np.int32)
    painted &= (px >= 0) & (px < columns) & (py >= 0) & (py < rows)
    px, py = px[painted], py[painted]

    streak = np.clip(0.5 + brush.streak * texture, 0, 1)
    tone = 1 + 0.05 * texture
    pigment = (colours[0] + (colours[1] - colours[0]) * streak[..., None]) * tone[..., None]
    ridge = np.exp(-(((np.abs(v) / np.maximum(half, 1e-3) - 0.86) / 0.14) ** 2))
    body = 0.55 + 0.28 * texture + brush.ridge * ridge + 0.35 * np.exp(-(((u - 0.93) / 0.06) ** 2))
    thick = brush.thickness * np.clip(body, 0.05, None) * (1 - 0.45 * u)
    canvas.colour[py, px] = pigment[painted]
    canvas.height[py, px] = 0.3 * canvas.height[py, px] + thick[painted]
