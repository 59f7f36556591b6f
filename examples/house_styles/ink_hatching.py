"""Pen, ink and a little wash: a hill town among ploughed hills under tall clouds."""

from dataclasses import dataclass, field

import numpy as np
from colour import rgb, to_image
from hatching import Pen, contour, crosshatch
from noise import fractal, grid, smooth, smoothstep
from numpy.typing import NDArray
from paper import fibres, tooth
from PIL import Image
from scipy.ndimage import gaussian_filter

SEPIA, INDIGO, PAPER = "#2e1408", "#101a4c", "#f4e2bb"
SUN = (1.02, 0.40)


@dataclass
class Sheet:
    """The drawing so far, at twice its final size; shapes drawn later hide what lies behind them."""

    width: int
    height: int
    rng: np.random.Generator
    x: NDArray = field(init=False)
    y: NDArray = field(init=False)
    sepia: NDArray = field(init=False)
    indigo: NDArray = field(init=False)
    wash: NDArray = field(init=False)

    def __post_init__(self) -> None:
        self.x, self.y = grid(self.width, self.height)
        self.sepia = np.zeros((self.height, self.width), np.float32)
        self.indigo = np.zeros_like(self.sepia)
        self.wash = np.ones((self.height, self.width, 3), np.float32)

    @property
    def unit(self) -> float:
        """One pixel of a picture 768 high."""
        return self.height / 768

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """The pixels between these coordinates, so that a small shape costs little."""
        rows = slice(max(int(top * self.height), 0), min(int(bottom * self.height) + 1, self.height))
        return rows, slice(max(int(left * self.height), 0), min(int(right * self.height) + 1, self.width))

    def put(
        self,
        at: tuple[slice, slice],
        inside: NDArray,
        ink: NDArray,
        tint: str = "#ffffff",
        tinted: NDArray | float = 0.0,
        blue: float = 0.0,
    ) -> None:
        """Draw a shape: `inside` hides what was there, `ink` goes on, `blue` of it in indigo."""
        hide = np.asarray(inside, np.float32)
        self.sepia[at] = self.sepia[at] * (1 - hide) + hide * ink * (1 - blue)
        self.indigo[at] = self.indigo[at] * (1 - hide) + hide * ink * blue
        stain = 1 + (rgb(tint) - 1) * np.clip(np.broadcast_to(tinted, hide.shape), 0, 1)[..., None]
        self.wash[at] = self.wash[at] * (1 - hide[..., None]) + hide[..., None] * stain


def _sky(sheet: Sheet) -> None:
    x, y, unit, rng = sheet.x, sheet.y, sheet.unit, sheet.rng
    far = np.hypot(x - SUN[0], y - SUN[1])
    swell = 0.012 * fractal(x.shape, sheet.height * 0.3, rng, 2)
    tone = np.clip(0.10 + 0.62 * far + 0.09 * np.sin(far * 42 + 3 * swell * 60) + 0.15 * (0.2 - y), 0, 0.95)
    tone = tone * smoothstep(0.085, 0.15, far)
    around = np.arctan2(y - SUN[1], x - SUN[0]) * far
    pen = Pen(6.2 * unit, 120 * unit, 0.85 * unit, 0.8 * unit)
    ink = crosshatch((far + swell) * sheet.height, around * sheet.height, tone, pen, rng, (0.0, 0.6, -0.5))
    everywhere = (slice(None), slice(None))
    sheet.put(everywhere, np.ones_like(x), ink, "#4f8fd0", np.clip(0.85 * far - 0.05, 0, 0.8), blue=0.85)
    # The sun: blank paper, a ring, and short rays.
    bearing = np.arctan2(y - SUN[1], x - SUN[0])
    rays = (np.abs(np.sin(bearing * 24)) > 0.93) & (far > 0.092) & (far < 0.118 + 0.014 * np.sin(bearing * 12))
    disc = smoothstep(0.124, 0.120, far)
    ring = contour((far - 0.08) * sheet.height, 2.2 * unit)
    sheet.put(everywhere, disc, np.maximum(ring, rays), "#ffc65a", 0.85 * smoothstep(0.083, 0.079, far))


def _cloud(sheet: Sheet, cx: float, base: float, size: float, puffs: int) -> None:
    """A heap of round puffs, back ones first, each modelled by arcs on its side away from the sun."""
    rng, unit = sheet.rng, sheet.unit
    heap = []
    for _ in range(puffs):
        t = rng.uniform(-1, 1)
        tall = (1 - t * t) * size * 0.62
        lift = rng.uniform(0, 1)
        heap.append((cx + t * size, base - lift * tall, size * (0.17 + 0.16 * (1 - abs(t))) * rng.uniform(0.8, 1.15)))
    pen = Pen(5.2 * unit, 60 * unit, 0.75 * unit, 0.5 * unit)
    for px, py, r in sorted(heap, key=lambda puff: puff[1] + 0.3 * puff[2]):
        at = sheet.window(px - 1.3 * r, py - 1.3 * r, px + 1.3 * r, py + 1.3 * r)
        x, y = sheet.x[at], sheet.y[at]
        if x.size == 0:
            continue
        bearing = np.arctan2(y - py, x - px)
        lumpy = r * (1 + 0.045 * np.sin(bearing * 6 + px * 40) + 0.03 * np.sin(bearing * 11 + py * 70))
        far = np.hypot(x - px, y - py)
        inside = smoothstep(0.7, -0.7, (far - lumpy) * sheet.height) * smoothstep(base + 0.035, base + 0.025, y)
        shade = ((px - x) * 0.55 + (y - py) * 0.95) / r
        tone = np.clip(0.16 + 0.55 * shade + 0.28 * smoothstep(base - 0.25 * size, base + 0.03, y), 0, 0.85)
        # The arcs turn about a point well outside the puff, or they would close into targets.
        bow_x, bow_y = x - px - 0.9 * r, y - py + 1.3 * r
        bow = np.hypot(bow_x, bow_y)
        swing = np.arctan2(bow_y, bow_x) * 1.6 * r
        ink = crosshatch(bow * sheet.height, swing * sheet.height, tone, pen, rng)
        edge = contour((far - lumpy) * sheet.height + 1.2 * unit, np.clip(1.9 + 1.4 * shade, 0.5, 4.0) * unit)
        sheet.put(at, inside, np.maximum(ink, edge), "#c9a98a", np.clip(0.5 * shade + 0.1, 0, 0.5), blue=0.35)


def _mountains(sheet: Sheet) -> None:
    rng, unit = sheet.rng, sheet.unit
    at = sheet.window(0, 0.28, 9, 0.66)
    x, y = sheet.x[at], sheet.y[at]
    row = x[0]
    jag = np.abs(np.interp(row, np.linspace(0, 1.4, 24), rng.uniform(-1, 1, 24)))
    ridge = 0.505 - 0.075 * np.sin(row * 3.1 + 0.4) ** 2 - 0.045 * jag + 0.02 * np.sin(row * 9)
    depth = y - ridge
    facet = np.sin((x + 0.35 * depth) * 34 + 2.2 * fractal(x.shape, sheet.height * 0.07, rng, 2))
    tone = np.clip(0.44 + 0.34 * np.sign(facet) * np.abs(facet) ** 0.4 - 1.4 * depth, 0.02, 0.8)
    pen = Pen(5.0 * unit, 50 * unit, 0.7 * unit, 0.5 * unit)
    lean = 0.65 * x + 0.75 * depth
    ink = crosshatch(lean * sheet.height, (0.75 * x - 0.65 * depth) * sheet.height, tone, pen, rng, (0.0, -0.5, 0.9))
    edge = contour(depth * sheet.height - unit, 2.4 * unit * (0.7 + 0.5 * smooth(x.shape, 30 * unit, rng)))
    sheet.put(at, smoothstep(-0.5, 0.5, depth * sheet.height), np.maximum(ink, edge), "#8d84c4", 0.6, blue=0.8)


def _hill(sheet: Sheet, ridge: NDArray, kind: str, dark: float, tint: str, shift: float) -> None:
    """One hill from its ridge line to the foot of the sheet, with its own kind of field."""
    rng, unit, size = sheet.rng, sheet.unit, sheet.height
    at = sheet.window(0, float(ridge.min()) - 0.01, 9, 1.0)
    x, y = sheet.x[at], sheet.y[at]
    depth = y - ridge
    slope = np.gradient(ridge) * size
    inside = smoothstep(-0.5, 0.5, depth * size)
    patch = fractal(x.shape, (size * 0.05, size * 0.2), rng, 2)
    if kind == "furrow":
        # Rows fan out from a point beyond the ridge.
        fan = (x - shift) / (0.16 + 1.5 * np.clip(depth, 0, 1))
        across = fan * 0.30 * size + 6 * unit * np.sin(depth * 30)
        along = depth * size * 1.2
        tone = 0.34 + dark + 0.42 * np.sin(fan * 27.0) * smoothstep(0, 0.02, depth) - 0.1 * patch
    else:
        across = (np.sqrt(np.clip(depth, 0, 1) + 0.01) * 0.62 + 0.02 * np.sin(x * 9 + shift)) * size
        along = x * size
        tone = 0.30 + dark + 0.13 * patch + 0.2 * np.sin(depth * 70 + x * 5 + shift)
    tone = tone - 0.55 * np.clip(slope, -0.6, 0.6) + 0.2 * smoothstep(0.3, 0.0, depth) * np.clip(slope, -1, 0) * -1
    tone = np.clip(tone - 0.25 * smoothstep(0.018, 0.0, depth), 0.0, 1)
    pen = Pen(6.0 * unit, 75 * unit, 0.9 * unit, 0.9 * unit)
    ink = crosshatch(across, along, tone, pen, rng, (0.0, 0.8, -0.7))
    edge = contour(depth * size - 1.5 * unit, (2.6 + 0.9 * smooth(x.shape, 40 * unit, rng)) * unit)
    sheet.put(at, inside, np.maximum(ink, edge), tint, np.clip(0.45 + 0.4 * (tone - 0.4), 0, 0.8), blue=0.12)


def _cypress(sheet: Sheet, cx: float, base: float, tall: float) -> None:
    rng, unit, size = sheet.rng, sheet.unit, sheet.height
    at = sheet.window(cx - 0.25 * tall, base - 1.05 * tall, cx + 0.25 * tall, base + 0.02)
    x, y = sheet.x[at], sheet.y[at]
    rise = np.clip((base - y) / tall, 0, 1)
    girth = 0.135 * tall * np.clip(np.sin(np.pi * rise**0.55), 0, 1) ** 0.8 + 0.008 * tall
    rough = 1 + 0.13 * np.sin(y * size / unit * 0.33 + cx * 90) + 0.08 * fractal(x.shape, 7 * unit, rng, 2)
    aside = (x - cx - 0.01 * tall * np.sin(y * 50)) / (girth * rough)
    inside = smoothstep(1.06, 0.94, np.abs(aside)) * (y < base) * (y > base - tall)
    tone = np.clip(0.74 - 0.40 * aside + 0.16 * np.sin(y * 130 + aside * 4), 0.12, 1)
    pen = Pen(4.6 * unit, 30 * unit, 1.1 * unit, 0.9 * unit)
    ink = crosshatch((x + 0.10 * tall * aside * rise) * size, y * size, tone, pen, rng, (0.12, -0.55, 0.6))
    edge = contour((np.abs(aside) - 0.97) * girth * size, 1.8 * unit)
    sheet.put(at, inside, np.maximum(ink, edge), "#3f6f4a", 0.9, blue=0.4)


def _town(sheet: Sheet, centre: float, ridge: NDArray) -> None:
    """Houses heaped on a hilltop, back rows first, with towers."""
    rng, unit, size = sheet.rng, sheet.unit, sheet.height
    houses = []
    for row in range(4):
        for cx in np.arange(-0.21 + 0.035 * row, 0.21 - 0.035 * row + 1e-3, 0.040):
            at_x = centre + cx + rng.uniform(-0.012, 0.012)
            tall = rng.uniform(0.040, 0.062) + (rng.random() < 0.25) * rng.uniform(0.02, 0.06)
            houses.append((at_x, float(np.interp(at_x, sheet.x[0], ridge)) + 0.02 - 0.026 * row, tall))
    pen = Pen(3.8 * unit, 34 * unit, 0.8 * unit, 0.35 * unit)
    for cx, base, tall in houses[::-1]:
        wide = rng.uniform(0.017, 0.026) if tall < 0.065 else 0.013
        roof = wide * 0.75
        at = sheet.window(cx - 1.4 * wide, base - tall - roof - 0.01, cx + 1.4 * wide, base + 0.03)
        x, y = sheet.x[at], sheet.y[at]
        wall = (np.abs(x - cx) < wide) & (y > base - tall) & (y < base + 0.025)
        gable = (np.abs(x - cx) < wide * 1.15 * (y - (base - tall - roof)) / roof) & (y <= base - tall)
        shadow = x - cx < -0.15 * wide
        tone = np.where(gable, 0.55, np.where(shadow, 0.62, 0.04)) + 0.25 * smoothstep(base - 0.01, base + 0.02, y)
        windows = (np.abs(np.abs(x - cx) - 0.45 * wide) < 0.13 * wide) & (np.abs(((base - y) / 0.021) % 1 - 0.5) < 0.2)
        ink = crosshatch(np.where(gable, y, x) * size, np.where(gable, x, y) * size, tone, pen, rng, (0.0, 0.8))
        ink = np.maximum(ink, windows & wall & (y < base + 0.005))
        solid = (wall | gable).astype(np.float32)
        edge = np.clip(solid - gaussian_filter(solid, 0.9 * unit), 0, 1) * 2.6
        tint = rng.choice(["#d98a5a", "#e0a878", "#cf7a55"])
        sheet.put(at, solid, np.clip(ink + edge, 0, 1), str(tint), np.where(gable, 0.9, 0.35), blue=0.1)


def _road(sheet: Sheet) -> None:
    """A white road winding up from the foreground: bare paper between two lines."""
    at = sheet.window(0, 0.69, 9, 1.0)
    x, y = sheet.x[at], sheet.y[at]
    depth = y - 0.70
    centre = 0.60 + 0.17 * np.sin(np.sqrt(np.clip(depth, 0, 1)) * 17.5 + 0.3) * (0.25 + 3.2 * np.clip(depth, 0, 1))
    half = 0.004 + 0.20 * np.clip(depth, 0, 1) ** 1.15
    distance = (np.abs(x - centre) - half) * sheet.height
    inside = smoothstep(0.5, -0.5, distance) * (depth > 0)
    rut = contour((np.abs((x - centre) / half - 0.1) - 0.42) * half * sheet.height, 1.3 * sheet.unit)
    rut = rut * (smooth(x.shape, (14 * sheet.unit, 60 * sheet.unit), sheet.rng) > 0.1)
    verge = contour(distance + 1.5 * sheet.unit, (1.5 + 4 * np.clip(depth, 0, 1)) * sheet.unit)
    sheet.put(at, inside, np.maximum(rut, verge), "#e8c690", 0.5)


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    sheet = Sheet(2 * width, 2 * height, rng)
    _sky(sheet)
    for cx, base, size, puffs in (
        (0.30, 0.30, 0.26, 26),
        (0.78, 0.17, 0.17, 15),
        (1.27, 0.24, 0.15, 13),
        (0.62, 0.43, 0.13, 12),
    ):
        _cloud(sheet, cx, base, size, puffs)
    _mountains(sheet)
    row = sheet.x[0]
    town_hill = 0.575 - 0.085 * np.exp(-(((row - 0.42) / 0.20) ** 2)) + 0.012 * np.sin(row * 7)
    _town(sheet, 0.42, town_hill)
    _hill(sheet, town_hill, "slope", 0.10, "#e0b45c", 0.0)
    _hill(
        sheet,
        0.625 + 0.035 * np.sin(row * 4.2 + 2.2) + 0.008 * np.sin(row * 13),
        "furrow",
        0.0,
        "#dcc04f",
        1.15,
    )
    for cx, tall in (
        (0.84, 0.10),
        (0.89, 0.12),
        (0.945, 0.11),
        (1.0, 0.125),
        (1.06, 0.10),
        (0.09, 0.09),
        (0.14, 0.11),
    ):
        _cypress(sheet, cx, 0.645 + 0.035 * np.sin(cx * 4.2 + 2.2), tall)
    _hill(sheet, 0.71 - 0.05 * np.sin(row * 3.6 + 0.2) + 0.01 * np.sin(row * 10), "slope", 0.12, "#8fae52", 1.0)
    _hill(sheet, 0.79 + 0.06 * np.sin(row * 3.4 + 1.0), "furrow", 0.08, "#e09a4c", 0.25)
    _road(sheet)
    for cx, base, tall in ((1.235, 0.93, 0.44), (1.135, 0.90, 0.30), (0.10, 0.92, 0.27), (0.185, 0.95, 0.20)):
        _cypress(sheet, cx, base, tall)

    shape = sheet.sepia.shape
    grain = tooth(shape, 3.2 * sheet.unit, rng)
    flow = 0.93 + 0.07 * fractal(shape, 60 * sheet.unit, rng, 3) + 0.05 * grain
    paper = rgb(PAPER) * (1 + 0.018 * grain + 0.02 * fractal(shape, 0.4 * sheet.height, rng, 4))[..., None]
    paper = paper * (1 - 0.10 * fibres(shape, 700, 60 * sheet.unit, rng))[..., None]
    wash = np.stack([gaussian_filter(sheet.wash[..., channel], 5 * sheet.unit) for channel in range(3)], -1)
    pool = (
        1
        + 0.35 * fractal(shape, 0.12 * sheet.height, rng, 4)[..., None] * (1 - wash)
        + 0.05 * (1 - wash) * grain[..., None]
    )
    picture = paper * np.clip(1 - (1 - wash) * pool, 0, 1)
    for ink, code in ((sheet.sepia, SEPIA), (sheet.indigo, INDIGO)):
        cover = np.clip(ink * flow, 0, 1)[..., None]
        picture = picture * (1 - cover) + rgb(code) * (0.55 + 0.45 * picture) * cover
    return to_image(picture, (width, height))
