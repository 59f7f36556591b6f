"""Wheat under a turning night sky, in thick oil strokes that follow the wind."""

from dataclasses import dataclass

import numpy as np
from colour import blend, jitter, ramp, rgb, to_image
from noise import fractal, grid, sample, smoothstep
from numpy.typing import NDArray
from PIL import Image
from relief import shade
from scipy.ndimage import gaussian_filter
from strokes import Brush, Canvas, bristle_textures, follow, lay, scatter

# x, y, radius of the halo, turn: the picture's height is the unit.
LAMPS = [
    (0.36, 0.20, 0.175, 1.0),
    (0.08, 0.09, 0.060, -0.8),
    (0.66, 0.08, 0.052, 0.8),
    (0.09, 0.40, 0.050, 0.7),
    (0.62, 0.40, 0.046, -0.9),
    (1.27, 0.10, 0.060, -0.8),
    (0.96, 0.43, 0.040, 0.8),
]
SWIRLS = [(0.90, 0.22, 0.150, -1.4), (1.24, 0.38, 0.080, 1.0)]

SKY = ["#0b1846", "#12307f", "#1f57b3", "#3f8fd0", "#9fd3dc", "#2a6cc0", "#152a74"]
GLOW = ["#fffbe0", "#fff0a0", "#ffd34a", "#f7a62b", "#f2c85a", "#8fd0b8", "#3f9fcf"]
HILL = ["#16235c", "#2b4a93", "#6a5fb4", "#4fa0b0", "#e8a88a"]
WHEAT = ["#5d4a1c", "#a8641b", "#d8891f", "#f0b429", "#f9d65c", "#fff0a8"]
TREE = ["#071f1d", "#0f3a2b", "#1d5a35", "#4f7d2f", "#12332f"]
PATH = ["#6b3b53", "#a65f5a", "#d99a7a", "#7b6a9a"]


@dataclass(frozen=True)
class Scene:
    """What to paint at each pixel and which way the brush goes there."""

    colour: NDArray[np.float32]
    angle: NDArray[np.float32]
    detail: NDArray[np.float32]


def _band(stream: NDArray, rate: float, shift: NDArray) -> NDArray:
    """Position in a palette that comes and goes across the streamlines."""
    return 0.5 + 0.5 * np.sin(stream * rate + shift)


def _scene(width: int, height: int, rng: np.random.Generator) -> Scene:
    x, y = grid(width, height)
    shape = (height, width)

    # The sky's stream function: a wind across, whirls around the lamps, and a little chance.
    stream = y * 1.0 + 0.035 * np.sin(x * 5.0 + 1.0) + 0.012 * fractal(shape, height * 0.28, rng, 2)
    glow, swirl_light = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for cx, cy, radius, turn in LAMPS:
        far = np.hypot(x - cx, y - cy)
        stream += turn * radius * 1.5 * np.exp(-((far / (radius * 1.15)) ** 2))
        rings = 0.13 * np.sin(far / radius * 21.0) * smoothstep(0.25, 0.5, far / radius)
        glow = np.maximum(glow, (1.3 + rings) * np.exp(-((far / (radius * 0.72)) ** 2)) + 0.5 * rings)
    for cx, cy, radius, turn in SWIRLS:
        far = np.hypot((x - cx) * 0.85, y - cy)
        stream += turn * radius * 1.35 * np.exp(-((far / radius) ** 2))
        swirl_light = np.maximum(swirl_light, np.exp(-((far / (radius * 1.1)) ** 2)))
    down, across = np.gradient(gaussian_filter(stream, 2))
    wind_x, wind_y = down * height, -across * height
    for cx, cy, radius, turn in LAMPS:
        # Close to a lamp the brush goes round it, whatever the wind does.
        far = np.hypot(x - cx, y - cy)
        hold = 4.0 * np.exp(-((far / (radius * 0.8)) ** 4))
        wind_x = wind_x - hold * np.sign(turn) * (y - cy) / (far + 1e-3)
        wind_y = wind_y + hold * np.sign(turn) * (x - cx) / (far + 1e-3)
    angle = np.arctan2(wind_y, wind_x)
    loose = 0.5 * fractal(shape, height * 0.1, rng, 3)
    band = _band(stream, 46.0, loose) * 0.75 + 0.25 * _band(stream, 110.0, 2 * loose)
    colour = ramp(0.06 + 0.7 * band**1.3 * (0.55 + 0.45 * swirl_light + 0.35 * y), SKY)
    colour = blend(
        colour,
        ramp(1.12 - glow + 0.08 * (band - 0.5), GLOW),
        smoothstep(0.12, 0.42, glow + 0.1 * (band - 0.5)),
    )
    # Light gathers low over the hills.
    dawn = np.clip(1.25 * np.exp(-(((y - 0.56) / 0.07) ** 2)) * (0.3 + 0.9 * band), 0, 1) ** 1.5
    colour = blend(colour, ramp(0.4 + 0.6 * band, ["#e8705a", "#f79a5a", "#fbc66a", "#fbe79a"]), dawn)

    # Two ranges of hills, brushed along their slopes.
    for level, sizes, phase, shift in ((0.565, 0.035, 0.4, 0.0), (0.625, 0.028, 2.4, 0.35)):
        ridge = level + sizes * np.sin(x * 5.2 + phase) + sizes * 0.5 * np.sin(x * 11.0 + phase * 2.3)
        depth = y - ridge
        slope = np.gradient(ridge, axis=1) * height
        tone = _band(depth, 120.0, 2.5 * x + loose) * 0.6 + 0.35 * smoothstep(0.1, 0.0, depth)
        inside = smoothstep(-0.002, 0.002, depth)
        colour = blend(colour, ramp(np.clip(tone + shift * 0.5, 0, 1), HILL), inside)
        angle = np.where(depth > 0, np.arctan(slope * (1 - np.clip(depth * 6, 0, 1))), angle)

    # The field: rows of wheat that lean with the gusts, a sandy path winding up through it.
    edge = 0.675 + 0.012 * np.sin(x * 4.0 + 1.0)
    depth = y - edge
    gust = np.sin(9.0 * x + 26.0 * np.sqrt(np.clip(depth, 0, 1)) + 1.1 * loose)
    tone = 0.5 + 0.27 * gust + 0.16 * fractal(shape, (height * 0.02, height * 0.06), rng, 3) + 0.1 * (0.2 - depth)
    field = ramp(np.clip(tone, 0, 1), WHEAT)
    field = blend(field, rgb("#3f7a5a"), 0.75 * smoothstep(0.75, 1.6, -gust + 0.5 * loose))
    lean = -1.15 + 0.55 * np.sin(9.0 * x + 26.0 * np.sqrt(np.clip(depth, 0, 1)) + 1.2) + 0.2 * loose
    lean = lean * smoothstep(0.0, 0.05, depth)
    inside = smoothstep(-0.002, 0.002, depth)
    colour, angle = blend(colour, field, inside), np.where(depth > 0, lean, angle)
    centre = 0.50 + 0.33 * np.sin(np.clip(depth, 0, 1) * 9.5) * (0.25 + 2.0 * np.clip(depth, 0, 1))
    half = 0.012 + 0.36 * np.clip(depth, 0, 1)
    aside = (x - centre) / half
    on_path = smoothstep(1.05, 0.9, np.abs(aside)) * inside
    colour = blend(colour, ramp(np.clip(0.5 + 0.35 * np.sin(aside * 7 + loose) + 0.1 * loose, 0, 1), PATH), on_path)
    bend = np.gradient(centre, axis=0) * height
    angle = np.where(on_path > 0.5, np.arctan2(np.ones_like(bend), bend), angle)

    # Tall dark trees on the right, licking upwards like flames.
    for cx, top, base, girth, phase in ((1.03, 0.33, 0.84, 0.062, 1.7), (1.155, 0.10, 0.88, 0.095, 0.0)):
        rise = np.clip((base - y) / (base - top), 0, 1)
        sway = 0.018 * np.sin(y * 17 + phase)
        girth_here = girth * np.clip(np.sin(np.pi * rise**0.62), 0, 1) ** 0.9 * (1 - 0.25 * rise)
        girth_here = girth_here * (1 + 0.14 * np.sin(y * 62 + phase + 8 * (x - cx)))
        aside = (x - cx - sway) / np.maximum(girth_here, 1e-3)
        inside = smoothstep(1.06, 0.94, np.abs(aside)) * ((y > top) & (y < base))
        licks = _band(aside + 0.35 * np.sin(y * 24 + phase), 7.0, 0.8 * loose)
        tree = ramp(np.clip(0.85 * licks * (0.75 - 0.3 * aside), 0, 1), TREE)
        colour = blend(colour, tree, inside)
        licking = -np.pi / 2 + 0.42 * np.sin(y * 24 + phase + 2 * aside) + 0.3 * aside * (rise - 0.4)
        angle = np.where(inside > 0.5, licking, angle)

    soft = gaussian_filter(colour, (height / 140, height / 140, 0))
    detail = np.abs(colour - soft).sum(-1)
    return Scene(colour.astype(np.float32), angle.astype(np.float32), detail / np.percentile(detail, 95))


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    scene = _scene(width, height, rng)
    unit = 2 * height / 768
    canvas = Canvas(np.tile(rgb("#6b4a2c"), (2 * height, 2 * width, 1)))
    textures = bristle_textures(rng)
    angle = np.asarray(np.kron(scene.angle, np.ones((2, 2), np.float32)))
    passes = [
        # brush, spacing between strokes, how much detail a place must have to be worked over
        (Brush(30 * unit, 120 * unit, 5.0 * unit), 26 * unit, 0.0),
        (Brush(19 * unit, 84 * unit, 4.2 * unit), 17 * unit, 0.0),
        (Brush(11.5 * unit, 58 * unit, 3.4 * unit), 11 * unit, 0.22),
        (Brush(7 * unit, 34 * unit, 2.6 * unit, dryness=0.25), 8.5 * unit, 0.6),
    ]
    for brush, spacing, needed in passes:
        starts = scatter(angle.shape, spacing, rng)
        wanted = sample(scene.detail, starts / 2) * rng.uniform(0.4, 1.6, len(starts)) >= needed
        starts = starts[wanted]
        lengths = brush.length * rng.uniform(0.6, 1.3, len(starts)).astype(np.float32)
        paths = follow(angle, starts, lengths)
        base = sample(scene.colour, starts / 2)
        first = jitter(base, rng, 0.035, 0.014, 1.08)
        second = jitter(base, rng, 0.06, 0.03, 1.08)
        for path, one, two in zip(paths, first, second, strict=True):
            lay(canvas, path, brush, (one, two), textures, rng)
    lit = shade(canvas.colour, canvas.height, strength=0.6, gloss=0.5, soften=0.8)
    return to_image(lit, (width, height))
