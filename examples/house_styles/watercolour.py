"""Poppies before misty mountains at daybreak, in transparent washes on rough paper."""

from dataclasses import dataclass, field

import numpy as np
from colour import ramp, rgb, to_image
from curves import ribbon, through
from noise import fractal, grid, smooth, smoothstep
from numpy.typing import NDArray
from paper import tooth
from PIL import Image, ImageDraw
from relief import shade
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

Area = tuple[slice, slice]
PETALS = ["#ffa030", "#ff7030", "#f84830", "#f03048", "#d82868", "#e83858"]
BLUES = ["#a98fd8", "#7a6fd0", "#4f5fc4", "#3f7fd0", "#8a5fc0"]
GREENS = ["#b8c23a", "#6f9f35", "#2f7f4a", "#1f6a6a", "#2f5a7a"]


@dataclass
class Sheet:
    """Wet paper: how much of each primary the pigment so far takes out of the light."""

    width: int
    height: int
    rng: np.random.Generator
    x: NDArray = field(init=False)
    y: NDArray = field(init=False)
    density: NDArray = field(init=False)
    tooth: NDArray = field(init=False)
    turbulence: NDArray = field(init=False)
    ragged: NDArray = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.height, self.width)
        self.x, self.y = grid(self.width, self.height)
        self.density = np.zeros((*shape, 3), np.float32)
        self.tooth = tooth(shape, 4.2 * self.unit, self.rng)
        self.turbulence = fractal(shape, 110 * self.unit, self.rng, 5, 0.6)
        self.ragged = fractal(shape, 26 * self.unit, self.rng, 4, 0.6)

    @property
    def unit(self) -> float:
        return self.height / 768

    def window(self, left: float, top: float, right: float, bottom: float) -> Area:
        rows = slice(max(int(top * self.height), 0), min(int(bottom * self.height) + 1, self.height))
        return rows, slice(max(int(left * self.height), 0), min(int(right * self.height) + 1, self.width))

    def wash(
        self,
        at: Area,
        inside: NDArray,
        colour: NDArray,
        strength: NDArray | float,
        edge: float = 1.0,
        grain: float = 0.08,
    ) -> None:
        """Lay one transparent wash: pigment drifts to its rim, settles in hollows and flows unevenly."""
        if inside.size == 0 or not inside.any():
            return
        # Outside of the picture the wash goes on, so the sheet's border is no rim.
        padded = np.pad(inside, 1, mode="edge")
        deep = distance_transform_edt(padded)[1:-1, 1:-1].astype(np.float32) / self.unit
        rim = 1 + edge * (0.85 * np.exp(-deep / 1.5) + 0.30 * np.exp(-deep / 7))
        flow = 1 + 0.22 * self.turbulence[at] + 0.08 * self.ragged[at] - grain * self.tooth[at]
        soft = gaussian_filter(inside.astype(np.float32), 0.7 * self.unit)
        laid = soft * np.clip(flow, 0.1, 3) * rim * strength
        self.density[at] += laid[..., None] * -np.log(np.clip(colour, 0.02, 0.995))

    def bloom(self, centre: tuple[float, float], radius: float, lift: float) -> None:
        """A back-run: water pushed into a drying wash lifts pigment and heaps it in a crinkled ring."""
        at = self.window(
            centre[0] - 1.6 * radius,
            centre[1] - 1.6 * radius,
            centre[0] + 1.6 * radius,
            centre[1] + 1.6 * radius,
        )
        if self.x[at].size == 0:
            return
        x, y = self.x[at] - centre[0], self.y[at] - centre[1]
        frill = 0.10 * self.ragged[at] + 0.07 * np.sin(9 * np.arctan2(y, x) + 6 * self.turbulence[at])
        far = np.hypot(x, y) / radius * (1 + frill)
        change = 1 - lift * smoothstep(1.0, 0.55, far) + 0.75 * lift * np.exp(-(((far - 1.0) / 0.035) ** 2))
        change += 0.22 * lift * np.exp(-(((far - 1.06) / 0.10) ** 2))
        self.density[at] *= change[..., None]


def _sky(sheet: Sheet) -> None:
    x, y, turbulence = sheet.x, sheet.y, sheet.turbulence
    everywhere = (slice(None), slice(None))
    whole = np.ones(x.shape, bool)
    glow = np.hypot((x - 0.74) * 0.8, y - 0.29)
    colour = ramp(
        np.clip(glow * 1.25 + 0.07 * turbulence, 0, 1),
        ["#fff0a8", "#ffd07a", "#fbaa8a", "#d99ac8", "#8f9ae0", "#5f8fe0", "#3f78d0"],
    )
    sheet.wash(
        everywhere,
        whole,
        colour,
        (0.8 + 0.2 * smoothstep(0.2, 0.6, glow)) * smoothstep(0.62, 0.40, y),
        edge=0.0,
    )
    # Clouds: a wetter second glaze with soft and hard borders, leaving the light between.
    warp = 0.05 * turbulence
    tints = ramp(
        np.clip(glow * 1.5 - 0.1 + 0.1 * turbulence, 0, 1),
        ["#ffb870", "#f58f88", "#d088c8", "#7f82dc", "#4a78d4"],
    )
    for level, tone in ((0.13, 0.62), (0.25, 0.50), (0.04, 0.55)):
        bank = smooth(x.shape, (0.09 * sheet.height, 0.34 * sheet.height), sheet.rng) + 0.45 * sheet.ragged
        inside = (bank + 3.5 * warp - np.abs(y - level) * 11 > 0.15) & (
            glow + 0.05 * turbulence + 0.03 * sheet.ragged > 0.13
        )
        fade = smoothstep(-0.13, 0.05, level + 0.05 - y) * 0.8 + 0.2
        sheet.wash(everywhere, inside, tints, tone * fade, edge=0.55)
    # The sun is paper left dry.
    disc = smoothstep(0.066, 0.060, np.hypot(x - 0.74, y - 0.255) * (1 + 0.012 * sheet.ragged))
    sheet.density *= (1 - 0.93 * disc)[..., None]


def _mountains(sheet: Sheet) -> None:
    rng = sheet.rng
    row = sheet.x[0]
    everywhere = (slice(None), slice(None))
    layers = [
        (0.40, 0.10, 2.6, 0.5, ["#a88fe0", "#f0a0b0"], 0.62),
        (0.47, 0.09, 3.4, 2.2, ["#6a86e0", "#b090d8"], 0.75),
        (0.55, 0.065, 4.2, 4.0, ["#3f7fc8", "#6fb0c0"], 0.85),
        (0.625, 0.040, 5.5, 1.0, ["#2f8098", "#8fc8a0"], 0.85),
    ]
    for level, tall, pace, phase, colours, strength in layers:
        crags = fractal((2, len(row)), 0.18 * sheet.height, rng, 6, 0.5)[0]
        ridge = level - tall * (0.55 * np.sin(row * pace + phase) + 0.33 * crags)
        depth = sheet.y - ridge
        mist = np.exp(-np.clip(depth, 0, 1) / (0.03 + tall * 0.5)) + 0.03
        colour = ramp(np.clip(depth * 6 + 0.25 * sheet.turbulence, 0, 1), colours)
        sheet.wash(everywhere, depth > 0, colour, strength * mist, edge=0.6, grain=0.12)
        # A second glaze for the shadowed flanks, put on when the first had dried.
        flank = fractal(sheet.x.shape, (0.14 * sheet.height, 0.06 * sheet.height), rng, 4)
        shadow = (depth > 0.004) & (flank + 0.6 * np.sin(row * 14 + depth * 20) > 0.45) & (depth < tall * 1.6)
        sheet.wash(everywhere, shadow, colour, 0.45 * strength * mist, edge=0.7, grain=0.12)


def _spruces(sheet: Sheet) -> None:
    rng = sheet.rng
    for cx in np.concatenate([rng.uniform(-0.02, 0.42, 15), rng.uniform(0.98, 1.36, 13)]):
        tall = rng.uniform(0.07, 0.17)
        base = 0.70 + rng.uniform(-0.015, 0.02)
        at = sheet.window(cx - 0.3 * tall, base - 1.05 * tall, cx + 0.3 * tall, base + 0.03)
        x, y = sheet.x[at], sheet.y[at]
        drop = np.clip((y - base + tall) / tall, 0, 1)
        teeth = 0.55 + 0.45 * np.abs((drop * 8.5 + 0.1 * np.sign(x - cx)) % 1)
        inside = np.abs(x - cx) < 0.20 * tall * drop * teeth * (1 + 0.25 * sheet.ragged[at]) + 0.002
        inside &= (y > base - tall) & (y < base)
        colour = ramp(
            np.clip(0.4 + 0.3 * sheet.turbulence[at] + rng.normal(0, 0.15), 0, 1),
            ["#1f4f6a", "#1f6a5a", "#3f7a4a"],
        )
        sheet.wash(at, inside, colour, 0.95 * (1.15 - 0.75 * drop**3), edge=0.3)


def _meadow(sheet: Sheet) -> None:
    everywhere = (slice(None), slice(None))
    for level, sway, colours, strength in (
        (0.695, 0.012, ["#f0de70", "#c0d870", "#80c088"], 0.50),
        (0.785, 0.022, ["#c8d850", "#70b868", "#58a8a0"], 0.50),
        (0.885, 0.028, ["#88b848", "#48987a", "#4088a8"], 0.55),
    ):
        border = level + sway * np.sin(sheet.x * 4.5 + level * 40) + 0.006 * sheet.ragged
        tone = np.clip(0.4 + 0.3 * sheet.turbulence + 0.15 * sheet.ragged, 0, 1)
        sheet.wash(everywhere, sheet.y > border, ramp(tone, colours), strength, edge=0.7, grain=0.12)


def _drawn(sheet: Sheet, outline: NDArray) -> tuple[Area, NDArray]:
    """The pixels inside an outline (height = 1), with the paper's raggedness at its border."""
    low, high = outline.min(0) - 0.02, outline.max(0) + 0.02
    at = sheet.window(low[0], low[1], high[0], high[1])
    shape = sheet.x[at].shape
    if 0 in shape:
        return at, np.zeros(shape, bool)
    image = Image.new("L", (shape[1], shape[0]))
    corner = np.array([at[1].start, at[0].start])
    ImageDraw.Draw(image).polygon([tuple(p) for p in outline * sheet.height - corner], fill=255)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    push = 1.6 * sheet.unit * sheet.ragged[at]
    return at, map_coordinates(np.asarray(image), [rows + push, columns - push], order=1) > 127


def _stem(sheet: Sheet, points: list[tuple[float, float]], girth: float) -> None:
    path = through(points, 60)
    at, inside = _drawn(sheet, ribbon(path, girth * np.linspace(1.3, 0.7, 60)))
    colour = ramp(np.clip(0.45 + 0.4 * sheet.turbulence[at], 0, 1), GREENS[:4])
    sheet.wash(at, inside, colour, 0.9, edge=0.5)


def _leaf(sheet: Sheet, root: NDArray, tip: NDArray, girth: float, bow: float) -> None:
    """Two glazes, the second on the shaded half only."""
    across = np.array([-(tip - root)[1], (tip - root)[0]])
    rib = through([tuple(root), tuple((root + tip) / 2 + bow * across), tuple(tip)], 40)
    wide = girth * np.sin(np.linspace(0.02, np.pi - 0.02, 40)) ** 0.8 * (1 + 0.12 * np.sin(np.linspace(0, 25, 40)))
    place = float(sheet.rng.uniform(0.1, 0.9))
    for outline, strength in (
        (ribbon(rib, wide), 0.55),
        (np.concatenate([rib, ribbon(rib, wide)[40:]]), 0.40),
    ):
        at, inside = _drawn(sheet, outline)
        tone = np.clip(place + 0.25 * sheet.turbulence[at] + 0.1 * sheet.ragged[at], 0, 1)
        sheet.wash(at, inside, ramp(tone, GREENS), strength, edge=0.8)


def _flower(
    sheet: Sheet, centre: tuple[float, float], size: float, tilt: float, palette: list[str], petals: int
) -> None:
    """Petals glazed one over the other, darker where they cross, with a wet dark heart."""
    rng = sheet.rng
    cx, cy = centre
    at = sheet.window(cx - 1.4 * size, cy - 1.4 * size, cx + 1.4 * size, cy + 1.4 * size)
    x, y = sheet.x[at] - cx, (sheet.y[at] - cy) / tilt
    if x.size == 0:
        return
    far, bearing = np.hypot(x, y) / size, np.arctan2(y, x)
    start = rng.uniform(0, 2 * np.pi)
    glazes, kept_dry = [], np.zeros(x.shape, bool)
    for k in rng.permutation(petals):
        turn = start + 2 * np.pi * k / petals + rng.normal(0, 0.10)
        spread = 2 * np.pi / petals * rng.uniform(0.72, 0.95)
        aside = ((bearing - turn + np.pi) % (2 * np.pi) - np.pi) / spread
        reach = rng.uniform(0.82, 1.12) * np.clip(1 - np.abs(aside) ** 3.2, 0, 1) ** 0.55
        reach = reach * (1 + 0.05 * np.sin(bearing * 13 + k * 2) + 0.035 * sheet.ragged[at])
        veins = 0.10 * np.sin(aside * 26 + 1.5 * sheet.ragged[at]) * smoothstep(0.1, 0.5, far)
        tone = np.clip(0.80 - 0.50 * far + 0.22 * sheet.turbulence[at] + rng.normal(0, 0.13) + veins, 0, 1)
        strength = (0.62 + 0.40 * np.exp(-far * 2.6) + veins) * rng.uniform(0.8, 1.15)
        glazes.append((far < reach, ramp(tone, palette), strength))
        kept_dry |= far < reach
    # Paper under the flower was masked, so its colour stays clean.
    sheet.density[at] *= (1 - 0.93 * gaussian_filter(kept_dry.astype(np.float32), 1.5 * sheet.unit))[..., None]
    for inside, colour, strength in glazes:
        sheet.wash(at, inside, colour, strength, edge=0.85, grain=0.06)
    heart = far < 0.20 * (1 + 0.2 * sheet.ragged[at])
    sheet.wash(at, heart, np.broadcast_to(rgb("#3a2a5a"), (*x.shape, 3)), 0.95, edge=0.3)
    for _ in range(46):
        angle, long = rng.uniform(0, 2 * np.pi), rng.uniform(0.18, 0.36)
        dot = np.hypot(x / size - long * np.cos(angle), y / size - long * np.sin(angle)) < rng.uniform(0.010, 0.028)
        sheet.wash(at, dot, np.broadcast_to(rgb("#2a1f4a"), (*x.shape, 3)), 0.9, edge=0.2)
    if rng.random() < 0.7:
        angle = rng.uniform(0, 2 * np.pi)
        sheet.bloom((cx + 0.6 * size * np.cos(angle), cy + 0.6 * size * tilt * np.sin(angle)), 0.28 * size, 0.5)


def _foreground(sheet: Sheet, flowers: list[tuple[float, float, float, float, list[str], int]]) -> None:
    rng = sheet.rng
    for _ in range(46):
        root = np.array([rng.uniform(-0.05, 1.4), 1.03])
        tip = root + np.array([rng.normal(0, 0.09), -rng.uniform(0.12, 0.40)])
        _leaf(sheet, root, tip, rng.uniform(0.008, 0.026), rng.normal(0, 0.14))
    for cx, cy, size, *_ in flowers:
        lean = rng.normal(0, 0.06)
        _stem(
            sheet,
            [(cx + lean, 1.04), (cx + 0.5 * lean + 0.02, (cy + 1.04) / 2), (cx, cy + 0.3 * size)],
            0.008,
        )
    for cx, cy, size, tilt, palette, petals in flowers:
        _flower(sheet, (cx, cy), size, tilt, palette, petals)


def _splatter(sheet: Sheet, count: int) -> None:
    rng = sheet.rng
    for _ in range(count):
        cx, cy, r = rng.uniform(0, 1.33), rng.uniform(0.3, 1.0), 0.0012 + 0.006 * rng.random() ** 4
        at = sheet.window(cx - 2 * r, cy - 2 * r, cx + 2 * r, cy + 2 * r)
        far = np.hypot(sheet.x[at] - cx, sheet.y[at] - cy)
        code = str(rng.choice([*PETALS[1:5], *GREENS[1:4], *BLUES[:3]]))
        sheet.wash(at, far < r, np.broadcast_to(rgb(code), (*far.shape, 3)), 0.6, edge=0.9)


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    sheet = Sheet(2 * width, 2 * height, rng)
    _sky(sheet)
    for _ in range(9):
        sheet.bloom((rng.uniform(0, 1.33), rng.uniform(0, 0.32)), rng.uniform(0.04, 0.12), rng.uniform(0.25, 0.45))
    _mountains(sheet)
    _spruces(sheet)
    _meadow(sheet)
    for _ in range(12):
        sheet.bloom((rng.uniform(0, 1.33), rng.uniform(0.42, 1.0)), rng.uniform(0.03, 0.09), rng.uniform(0.25, 0.5))
    flowers = [
        (0.58, 0.76, 0.060, 0.75, PETALS, 5),
        (1.25, 0.66, 0.062, 0.8, BLUES, 6),
        (0.86, 0.80, 0.072, 0.7, BLUES, 6),
        (0.06, 0.66, 0.075, 0.85, BLUES, 6),
        (0.42, 0.90, 0.095, 0.8, PETALS, 5),
        (0.24, 0.70, 0.145, 0.86, PETALS, 5),
        (1.06, 0.72, 0.135, 0.82, PETALS, 5),
        (0.70, 0.93, 0.085, 0.75, PETALS, 6),
        (0.09, 0.92, 0.100, 0.9, PETALS, 5),
        (1.27, 0.90, 0.115, 0.8, PETALS, 5),
        (0.97, 0.95, 0.070, 0.8, BLUES, 6),
    ]
    _foreground(sheet, flowers)
    _splatter(sheet, 150)

    # Cotton paper: a touch of warmth and the shadow of its own tooth.
    paper = rgb("#fdf8ea") * (1 + 0.012 * fractal(sheet.tooth.shape, 0.3 * sheet.height, rng, 3))[..., None]
    # Washes saturate: ever more layers go deep, never black.
    density = 2.1 * (1 - np.exp(-sheet.density / 1.9))
    picture = paper * np.exp(-density)
    picture = shade(picture, sheet.tooth * 0.9 * sheet.unit, strength=0.07, soften=0.8)
    return to_image(picture, (width, height))
