"""A breaking sea as a many-block woodcut: key block, blues, a graded sky and bare paper for the foam."""

from dataclasses import dataclass, field

import numpy as np
from colour import ramp, rgb, to_image
from curves import normals, ribbon, through
from noise import fractal, grid, smooth, smoothstep
from numpy.typing import NDArray
from paper import fibres, tooth, wood_grain
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, shift

FOAM, KEY, DEEP, MIDDLE, PALE, SKY, SUN, ROCK, CLOUD, MIST = range(10)
INKS = {
    MIST: "#c3d7d2",
    CLOUD: "#f3c9a0",
    PALE: "#86b6c6",
    MIDDLE: "#2f6fa6",
    ROCK: "#5c7f9c",
    SUN: "#d8412a",
    DEEP: "#123a72",
    KEY: "#0d1c3a",
}
PAPER = "#f3e6c8"

# A breaker curling to the right, one unit high, y upwards: its back and its face, from foot to lip.
BACK = [
    (-1.75, -0.25),
    (-1.25, 0.08),
    (-0.85, 0.34),
    (-0.45, 0.68),
    (-0.10, 0.92),
    (0.25, 1.02),
    (0.56, 0.97),
    (0.78, 0.82),
    (0.86, 0.62),
]
FACE = [
    (1.35, -0.30),
    (0.95, -0.10),
    (0.50, -0.02),
    (0.22, 0.14),
    (0.12, 0.38),
    (0.20, 0.62),
    (0.40, 0.745),
    (0.64, 0.72),
    (0.86, 0.62),
]


@dataclass
class Block:
    """The design as one picture of ink numbers; what is cut later covers what was cut before."""

    width: int
    height: int
    rng: np.random.Generator
    design: Image.Image = field(init=False)
    pen: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.design = Image.new("L", (self.width, self.height), SKY)
        self.pen = ImageDraw.Draw(self.design)

    @property
    def unit(self) -> float:
        return self.height / 768

    def area(self, outline: NDArray, ink: int) -> None:
        self.pen.polygon([tuple(p) for p in outline * self.height], fill=ink)

    def line(self, path: NDArray, width: NDArray | float, ink: int = KEY) -> None:
        """A cut line, its width in pixels of a picture 768 high."""
        self.area(ribbon(path, np.asarray(width) / 768), ink)

    def disc(self, centre: NDArray, radius: float, ink: int) -> None:
        x, y, r = centre[0] * self.height, centre[1] * self.height, radius * self.height
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)

    def outlined(self, shapes: list[tuple[NDArray, NDArray]], ink: int, edge: float) -> None:
        """Tapering fingers (path, widths) with round ends, outlined together as one shape."""
        for grow, fill in ((2 * edge / 768, KEY), (0.0, ink)):
            for path, widths in shapes:
                self.area(ribbon(path, widths + grow), fill)
                for end in (0, -1):
                    self.disc(path[end], (widths[end] + grow) / 2, fill)


def _swell(count: int, low: float, high: float) -> NDArray:
    """Widths of a hand-cut line: thin, thick, thin."""
    return low + (high - low) * np.sin(np.linspace(0.05, np.pi - 0.05, count)) ** 0.8


def _claw(
    root: NDArray,
    heading: float,
    length: float,
    width: float,
    curl: float,
    rng: np.random.Generator,
    depth: int = 2,
) -> list[tuple[NDArray, NDArray]]:
    """A hooked finger of foam and the smaller fingers that spring from it."""
    count = 16
    turn = heading + curl * np.linspace(0, 1, count) ** 1.3
    path = root + np.cumsum(np.stack([np.cos(turn), np.sin(turn)], -1), 0) * length / count
    shapes = [(path, width * np.linspace(1.0, 0.36, count))]
    if depth:
        for at, side in ((0.35, -1), (0.60, 1), (0.85, -1)):
            k = int(at * (count - 1))
            shapes += _claw(
                path[k],
                turn[k] + side * rng.uniform(0.5, 0.9),
                length * rng.uniform(0.36, 0.5),
                width * 0.52,
                curl * rng.uniform(0.7, 1.2),
                rng,
                depth - 1,
            )
    return shapes


def _breaker(block: Block, foot: tuple[float, float], size: float, flip: float, bands: int) -> None:
    """One curling wave: striped body, outline, foam along the lip, fingers and spray."""
    rng = block.rng

    def place(points: NDArray) -> NDArray:
        return np.array(foot) + points * np.array([flip * size, -size])

    back, face = through(BACK, 240), through(FACE, 240)
    t = np.linspace(0, 1, 240)
    block.area(place(np.concatenate([back, face[::-1]])), MIDDLE)

    # Stripes run from the foot to the lip between back and face, swelling in the belly of the wave.
    def between(share: NDArray | float) -> NDArray:
        share = np.broadcast_to(share, 240)[:, None]
        return place(back * (1 - share) + face * share)

    edges = np.linspace(0, 1, bands + 1) ** 1.15
    for k in range(bands):
        low, high = edges[k], edges[k + 1]
        ink = (DEEP, PALE, MIDDLE, DEEP, FOAM)[k % 5] if k else DEEP
        wide = (high - low) * (0.55 + 0.35 * np.sin(np.pi * t) ** 2)
        stripe = np.concatenate([between(low), between(low + wide)[::-1]])
        block.area(stripe, ink)
        if size > 0.3:
            # Fine cuts of the gouge beside and within each stripe.
            for share, tool in ((0.30, FOAM if ink == DEEP else DEEP), (0.86, KEY)):
                start, stop = sorted(rng.integers(10, 225, 2))
                if stop - start > 40:
                    path = between(low + (high - low) * share)[start:stop]
                    block.line(path, _swell(len(path), 0.3, 2.3 if size > 0.5 else 1.5), tool)
    block.line(place(back), _swell(240, 2.0, 4.6))
    block.line(place(face), _swell(240, 2.0, 4.6))

    # Foam: a broken cap along the back, then claws around the lip.
    cap = place(back)[120:]
    lip = place(np.concatenate([back[118:], face[:150:-1]]))
    outward = normals(lip) * flip
    nearness = np.exp(-(((np.arange(len(lip)) - 122) / 52) ** 2))
    fingers = [(cap + normals(cap) * 0.004 * flip, size * np.linspace(0.008, 0.07, len(cap)))]
    under = lip[118:190]
    fingers.append((under, size * np.linspace(0.075, 0.006, len(under))))
    for step in np.linspace(4, 188, int(26 + 20 * size)).astype(int):
        over = step < 122
        heading = np.arctan2(outward[step, 1] + 0.35, outward[step, 0] + 0.55 * flip * over) + rng.normal(0, 0.22)
        length = size * (0.045 + (0.12 if over else 0.05) * nearness[step]) * rng.uniform(0.6, 1.35)
        curl = flip * (1.6 if over else -1.5) * rng.uniform(0.8, 1.3)
        root = lip[step] - outward[step] * 0.012 * size
        fingers += _claw(root, heading, length, size * (0.018 + 0.018 * nearness[step]), curl, rng)
    block.outlined(fingers, FOAM, 1.5)
    for path, widths in fingers[2::2]:
        if widths[0] > 0.012 * size:
            block.line(path[2:-2] + normals(path)[2:-2] * widths[2:-2, None] * 0.22, _swell(12, 0.4, 1.8), PALE)
    block.area(ribbon(cap[25:], size * np.linspace(0.002, 0.028, len(cap) - 25)), MIST)
    for share in (0.02, 0.055):
        block.line(between(share)[135:225], _swell(90, 0.4, 1.8), MIDDLE)
    for _ in range(int(150 * size)):
        at = lip[rng.integers(30, len(lip) - 20)] + rng.normal(0, 1, 2) * size * np.array([0.14, 0.10])
        block.disc(at + np.array([flip * 0.08, 0.02]) * size, rng.uniform(0.0015, 0.0055), FOAM)


def _rolling(block: Block, level: float, tall: float, period: float, phase: float, rows: int, foam: bool) -> None:
    """A row of peaked swells: each line below the crest is a calmer copy of it."""
    rng = block.rng
    x = np.linspace(-0.05, block.width / block.height + 0.05, 700)
    peaked = 1 - np.abs(np.sin(np.pi * (x / period + phase))) ** 0.75
    lean = 1 + 0.25 * np.sin(x * 2.3 + phase * 5)
    crest = np.stack([x, level - tall * peaked * lean], -1)
    floor = np.array([[x[-1], 1.05], [x[0], 1.05]])
    block.area(np.concatenate([crest, floor]), DEEP)
    for k in range(rows):
        share = (k + 0.6) / rows
        calm = (1 - share) ** 1.1
        row = np.stack(
            [x, level + 0.62 * tall * share * 2 - tall * peaked * lean * calm + 0.002 * np.sin(x * 40 + k)],
            -1,
        )
        wide = (9.5 - 4.5 * share) * (0.35 + 0.65 * np.abs(np.sin(np.pi * (x / period + phase) + 0.5 * k)))
        block.line(row, wide, (PALE, MIDDLE, FOAM, MIDDLE)[k % 4])
    block.line(crest, 3.2)
    if not foam:
        return
    shapes: list[tuple[NDArray, NDArray]] = []
    for at in np.flatnonzero((peaked[1:-1] > peaked[:-2]) & (peaked[1:-1] >= peaked[2:])) + 1:
        for k in range(-34, 35, 5):
            j = int(np.clip(at + k, 1, len(x) - 2))
            near = 1 - abs(k) / 40
            heading = 0.35 + 0.9 * k / 34 + rng.normal(0, 0.2)
            shapes += _claw(crest[j], heading, tall * (0.16 + 0.34 * near), tall * (0.09 + 0.12 * near), 1.2, rng, 1)
    block.outlined(shapes, FOAM, 1.4)


def _backdrop(block: Block) -> None:
    rng = block.rng
    block.disc(np.array([1.10, 0.24]), 0.112, SUN)
    # Drifting bars of cloud with round ends, cut as parallel tongues.
    for cx, cy, wide, count in (
        (1.02, 0.325, 0.42, 4),
        (0.16, 0.16, 0.34, 4),
        (1.22, 0.10, 0.30, 3),
        (0.62, 0.075, 0.26, 3),
        (1.2, 0.47, 0.3, 3),
    ):
        bars = []
        for k in range(count):
            half = wide / 2 * rng.uniform(0.55, 1.0)
            middle = cx + rng.uniform(-0.25, 0.25) * wide
            u = np.linspace(middle - half, middle + half, 30)
            bars.append((np.stack([u, cy + 0.019 * k + 0.003 * np.sin(u * 22 + k)], -1), np.full(30, 0.0165)))
        block.outlined(bars, CLOUD, 1.1)
        for path, _ in bars:
            block.line(path[3:-3], _swell(24, 0.2, 1.6), SUN)
    # A far snow peak and its ridges.
    peak = through(
        [
            (0.86, 0.80),
            (1.00, 0.70),
            (1.09, 0.60),
            (1.145, 0.545),
            (1.18, 0.545),
            (1.24, 0.61),
            (1.36, 0.72),
            (1.5, 0.80),
        ],
        120,
    )
    block.area(peak, ROCK)
    snow = np.array(
        [
            (1.066, 0.625),
            (1.145, 0.545),
            (1.18, 0.545),
            (1.262, 0.632),
            (1.235, 0.622),
            (1.222, 0.66),
            (1.195, 0.618),
            (1.172, 0.665),
            (1.15, 0.615),
            (1.125, 0.65),
            (1.112, 0.61),
        ]
    )
    block.area(snow, FOAM)
    for k in range(26):
        start = np.array([1.163 + rng.normal(0, 0.03), 0.60 + rng.uniform(0, 0.08)])
        lean = (start[0] - 1.163) * 3.5
        path = start + np.linspace(0, 1, 14)[:, None] * np.array([lean * 0.6, 0.10 + 0.002 * k])
        block.line(path, _swell(14, 0.3, 1.8), DEEP)
    block.line(peak, _swell(120, 1.6, 3.0))


def _print(block: Block) -> NDArray:
    """Pull the sheet, one block after the other, each a little off its marks and grained by its plank."""
    rng, unit = block.rng, block.unit
    shape = (block.height, block.width)
    _, y = grid(block.width, block.height)
    design = np.asarray(block.design)
    grain, fine = wood_grain(shape, 15 * unit, rng), tooth(shape, 2.6 * unit, rng)
    chip = smooth(shape, 2.4 * unit, rng) * 0.07 + smooth(shape, 8 * unit, rng) * 0.04
    sheet = rgb(PAPER) * (1 + 0.016 * fine + 0.018 * fractal(shape, 0.3 * block.height, rng, 4))[..., None]
    sheet = sheet * (1 - 0.07 * fibres(shape, 900, 70 * unit, rng))[..., None]

    def pull(mask: NDArray, colour: NDArray, strength: float, loose: float) -> None:
        nonlocal sheet
        plate = gaussian_filter(mask.astype(np.float32), 0.9 * unit)
        plate = shift(plate, rng.uniform(-1, 1, 2) * loose * unit, order=1, mode="nearest")
        cover = smoothstep(0.36, 0.64, plate + chip)
        # Ink is squeezed to the rim of each raised part and thin where the baren passed lightly.
        rim = np.clip(plate - gaussian_filter(plate, 4 * unit), 0, 1)
        baren = 0.05 * fractal(shape, (30 * unit, 90 * unit), rng, 3)
        density = strength - 0.11 * (grain > 0.1) * (grain + 0.3) - 0.035 * fine + baren + 0.25 * rim
        sheet = sheet * (1 - (cover * np.clip(density, 0, 1.1))[..., None] * (1 - colour))

    dusk = ramp(smoothstep(0.0, 0.82, y), ["#1c4a80", "#4f8cb0", "#a9c9bf", "#ecd9a8", "#f3b98a", "#ee9a72"])
    # Long gouge marks left standing open in the sky block.
    drift = y * 768 / 8.5 + 1.3 * fractal(shape, (90 * unit, 400 * unit), rng, 2)
    cut = (np.abs(drift % 1 - 0.5) < 0.085) & (smooth(shape, (8 * unit, 130 * unit), rng) > 0.1)
    pull((design == SKY) & ~cut, dusk, 0.95, 1.0)
    # The first blue runs on under the darker ones, so that misfits show blue, not white.
    pull(np.isin(design, (PALE, MIDDLE, DEEP)), rgb(INKS[PALE]), 0.75, 1.2)
    for ink in (MIST, CLOUD, ROCK, SUN, MIDDLE, DEEP, KEY):
        pull(design == ink, rgb(INKS[ink]), 0.97 if ink == KEY else 0.92, 0.4 if ink == KEY else 1.7)
    return sheet


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    block = Block(2 * width, 2 * height, rng)
    _backdrop(block)
    _rolling(block, 0.80, 0.07, 0.26, 0.2, 8, foam=False)
    _breaker(block, (0.36, 0.93), 0.74, 1.0, 24)
    _rolling(block, 0.90, 0.07, 0.33, 0.45, 7, foam=True)
    _breaker(block, (1.16, 0.99), 0.34, -1.0, 15)
    _rolling(block, 0.985, 0.075, 0.42, 0.12, 6, foam=True)
    return to_image(_print(block), (width, height))
