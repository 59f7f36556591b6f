"""Birches by an autumn pond, laid with a palette knife: straight slabs, torn ends, ridges of paint."""

from dataclasses import dataclass

import numpy as np
from colour import blend, jitter, ramp, rgb, to_image
from noise import fractal, grid, sample, smooth, smoothstep
from numpy.typing import NDArray
from PIL import Image
from relief import shade
from scipy.ndimage import gaussian_filter
from strokes import TEXTURE_LENGTH, TEXTURE_WIDTH, TEXTURES, Brush, Canvas, lay, scatter

SHORE = 0.66
SKY = ["#fff3b8", "#ffd878", "#8fd0c8", "#4fa8d0", "#2f78b8", "#24589f"]
FOLIAGE = ["#4a1238", "#8f1a34", "#d0342a", "#f06a1f", "#fba52a", "#ffd860", "#fff0a0"]
DEEP_WOOD = ["#1a1a4a", "#2f2f6f", "#5a3a78", "#8f3a5f"]
BARK = ["#4a4a78", "#8f98b8", "#d8dce0", "#fff8ec", "#f7d8b0"]
WATER = ["#0f2f5a", "#14508a", "#1f7fa8", "#4fb0b8", "#a0d8d0"]
BANK = ["#5a2a1f", "#a8502a", "#e0983a", "#8f9a3a"]
# x at the foot, x at the top, half width.
TRUNKS = [
    (0.05, 0.02, 0.018),
    (0.175, 0.215, 0.034),
    (0.265, 0.235, 0.013),
    (0.385, 0.43, 0.017),
    (0.905, 0.875, 0.014),
    (0.985, 1.03, 0.024),
    (1.165, 1.125, 0.038),
    (1.275, 1.30, 0.016),
]


@dataclass(frozen=True)
class Scene:
    """Colour and knife direction everywhere; the trunks come last, with a knife of their own."""

    colour: NDArray[np.float32]
    angle: NDArray[np.float32]


def _leaning(foot: float, top: float, y: NDArray | float) -> NDArray | float:
    """Where across the picture a trunk stands at height y."""
    return foot + (top - foot) * (SHORE - y) / SHORE


def _woods(x: NDArray, y: NDArray, loose: NDArray, broad: NDArray) -> tuple[NDArray, NDArray]:
    """What stands above the shore: sky in a gap of the trees, far wood, crowns heavy at both sides."""
    glow = np.hypot((x - 0.66) * 1.1, (y - 0.52) * 0.8)
    colour = ramp(np.clip(glow * 1.35 + 0.06 * broad, 0, 1), SKY)
    wood = smoothstep(0.44, 0.60, y + 0.05 * loose + 0.30 * np.abs(x - 0.66))
    colour = blend(colour, ramp(np.clip(0.9 - glow * 1.1 + 0.2 * loose, 0, 1), DEEP_WOOD), 0.9 * wood)
    aside = np.abs(x - 0.66)
    crown = smoothstep(-0.15, 0.35, 1.9 * aside - 0.42 + 0.35 * broad + 0.30 * loose - 0.55 * np.abs(y - 0.22))
    light = np.clip(0.72 - 0.75 * np.clip(glow - 0.25, 0, 1) + 0.20 * loose + 0.12 * broad - 0.22 * (y - 0.25), 0.02, 1)
    colour = blend(colour, ramp(light, FOLIAGE), crown)
    bushes = smoothstep(0.0, 0.012, y - (0.605 - 0.05 * aside + 0.012 * loose))
    colour = blend(colour, ramp(np.clip(0.35 + 0.3 * loose + 0.25 * broad, 0, 1), BANK), bushes)
    return colour, crown


def _scene(width: int, height: int, rng: np.random.Generator) -> Scene:
    x, y = grid(width, height)
    loose = fractal(x.shape, height * 0.055, rng, 3)
    broad = fractal(x.shape, height * 0.22, rng, 3)
    above, crown = _woods(x, y, loose, broad)
    for foot, top, half in TRUNKS:
        reached = _leaning(foot, top, y)
        above = np.where((np.abs(x - reached) < half)[..., None], rgb("#e8e4e0"), above)
    # The pond returns what stands above it, bluer, in long flat slabs.
    rows = np.clip(((2 * SHORE - y) * height).astype(np.int32), 0, height - 1)
    mirror = np.take_along_axis(above, np.broadcast_to(rows[..., None], above.shape), axis=0)
    depth = y - SHORE
    ripple = np.sin(np.clip(depth, 0, 1) ** 0.6 * 60 + 2 * broad + 1.5 * loose)
    water = ramp(np.clip(0.40 + 0.22 * ripple - 0.5 * depth + 0.1 * broad, 0, 1), WATER)
    colour = blend(
        above,
        blend(mirror, water, np.clip(0.22 + 0.30 * ripple + 0.75 * depth, 0, 0.9)),
        (depth > 0).astype(float),
    )
    angle = np.where(
        depth > 0, 0.05 * loose, np.where(crown > 0.4, 0.9 * broad + 0.25 * loose - 0.6, 0.5 * broad - 0.3)
    )
    return Scene(colour.astype(np.float32), angle.astype(np.float32))


def _knife_textures(rng: np.random.Generator) -> NDArray[np.float32]:
    """What a blade leaves: broad half-mixed bands, faint drag lines, and skips."""
    patches = []
    for _ in range(TEXTURES):
        band = smooth((TEXTURE_LENGTH, TEXTURE_WIDTH), (190, 14), rng)
        drag = smooth((TEXTURE_LENGTH, TEXTURE_WIDTH), (120, 1.6), rng)
        skip = fractal((TEXTURE_LENGTH, TEXTURE_WIDTH), (34, 9), rng, 3, 0.7)
        patches.append(0.62 * band + 0.16 * drag + 0.42 * skip)
    return np.stack(patches)


def _slab(
    canvas: Canvas,
    at: NDArray,
    turn: float,
    brush: Brush,
    paint: tuple[NDArray, NDArray],
    textures: NDArray,
    rng: np.random.Generator,
) -> None:
    """One pull of the knife, centred at a point and very slightly bowed."""
    reach = np.linspace(-0.5, 0.5, 9)[:, None] * brush.length
    bow = 0.03 * brush.length * rng.normal() * (1 - np.linspace(-1, 1, 9)[:, None] ** 2)
    ahead, aside = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    lay(canvas, at + reach * ahead + bow * aside, brush, paint, textures, rng)


def _trunks(canvas: Canvas, unit: float, textures: NDArray, rng: np.random.Generator) -> None:
    """Bark scraped across each trunk in short slabs, light on the side of the glow, with dark scars."""
    size = canvas.height.shape[0]
    for foot, top, half in TRUNKS:
        lean = np.arctan2(-1.0, (top - foot) / SHORE)
        towards = 1.0 if foot < 0.66 else -1.0
        # Long pulls down the trunk first,
        for y in np.arange(-0.02, SHORE - 0.015, 0.032):
            for side in rng.permutation([-0.5, 0.5]):
                tone = np.clip(0.60 + 0.5 * side * towards + rng.normal(0, 0.10), 0, 1)
                paint = jitter(np.stack([ramp(tone, BARK), ramp(np.clip(tone + 0.22, 0, 1), BARK)]), rng, 0.02, 0.012)
                long = rng.uniform(0.05, 0.09) * size
                brush = Brush(half * size * rng.uniform(0.9, 1.15), long, 4.2 * unit, 0.35, 0.05, 0.5, 0.8, 0.2)
                at = np.array([_leaning(foot, top, y) + side * half, y]) * size
                _slab(canvas, at, lean + rng.normal(0, 0.03), brush, (paint[0], paint[1]), textures, rng)
        # then dark paint dragged in from the shaded edge, and the scars where branches were.
        for y in np.arange(0.0, SHORE - 0.01, 0.0105):
            if rng.random() < 0.62:
                dark = jitter(np.stack([rgb("#1c1638"), rgb("#5a4a70")]), rng, 0.03, 0.015)
                scar = rng.random() < 0.22
                long = half * size * (rng.uniform(0.9, 1.5) if scar else rng.uniform(0.3, 0.8))
                brush = Brush(rng.uniform(4, 11 if scar else 7) * unit, long, 2.6 * unit, 0.75, 0.3, 0.4, 0.6, 0.3)
                edge = rng.uniform(-0.3, 0.3) if scar else -towards * rng.uniform(0.45, 0.75)
                at = np.array([_leaning(foot, top, y) + edge * half, y]) * size
                turn = rng.normal(0.1, 0.18) + (0.0 if towards > 0 else np.pi)
                _slab(canvas, at, turn, brush, (dark[0], dark[1]), textures, rng)


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    scene = _scene(width, height, rng)
    unit = 2 * height / 768
    canvas = Canvas(np.tile(rgb("#3a2340"), (2 * height, 2 * width, 1)))
    textures = _knife_textures(rng)
    smoothed = gaussian_filter(scene.colour, (2, 2, 0))

    def work_over(wide: float, long: float, thick: float, spacing: float, share: float, dry: float) -> None:
        starts = scatter(canvas.height.shape, spacing * unit, rng)
        starts = starts[rng.random(len(starts)) < share]
        base = sample(smoothed, starts / 2)
        first, second = jitter(base, rng, 0.045, 0.018, 1.1), jitter(base, rng, 0.085, 0.04, 1.1)
        turns = sample(scene.angle, starts / 2) + rng.normal(0, 0.16, len(starts))
        for at, one, two, turn in zip(starts, first, second, turns, strict=True):
            # Slabs lie flat on the water; up in the leaves they are short and go every way.
            wet = at[1] / (2 * height) > SHORE
            turn = turn * (0.25 if wet else 1.0) + (0.0 if wet or rng.random() < 0.8 else 1.5)
            stretch, squeeze = (1.5, 0.55) if wet else (rng.uniform(0.7, 1.1), rng.uniform(0.75, 1.15))
            brush = Brush(wide * unit * squeeze, long * unit * stretch, thick * unit, dry, 0.08, 0.55, 0.85, 0.25)
            _slab(canvas, at, turn, brush, (one, two), textures, rng)

    work_over(66, 120, 7.0, 46, 1.0, 0.30)
    work_over(40, 82, 6.0, 31, 0.9, 0.40)
    work_over(23, 50, 5.0, 22, 0.5, 0.50)
    _trunks(canvas, unit, textures, rng)
    # Last touches, some across the trunks: single bright leaves and sparks on the water.
    work_over(11, 24, 3.6, 19, 0.16, 0.50)
    lit = shade(canvas.colour, canvas.height, strength=0.55, gloss=0.45, soften=0.9)
    return to_image(lit, (width, height))
