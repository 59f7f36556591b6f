"""A leaded window: a turning sun over hills and a river, poppies and irises in front."""

from dataclasses import dataclass, field

import numpy as np
from colour import jitter, ramp, rgb, to_image
from noise import fractal, grid, smooth, smoothstep
from numpy.typing import NDArray
from PIL import Image
from relief import shade
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

SUN = (0.47, 0.335)
SKY = ["#f4f7c0", "#c9f0d0", "#8fe6de", "#3fb0dc", "#1f78d0", "#1b4fb4", "#2f2f9a", "#4a2a8c"]
SUNLIGHT = ["#fff6c0", "#ffe066", "#ffb81f", "#f78a12", "#e8501a"]
HILLS = (
    ["#9a7fd6", "#5f5fc0", "#3f78c0"],
    ["#2f9a9a", "#1f7f6a", "#3fae7a"],
    ["#a6cf3a", "#4fa535", "#1f7a3a", "#d9d23a"],
)
RIVER = ["#d6f3ee", "#7fd3e6", "#2f9fd8", "#1767b8", "#5fbfd0", "#1a3f98"]
MEADOW = ["#0f5a3a", "#2f8f35", "#6fb82f", "#b8d038", "#167050"]
POPPY = ["#ff7a3a", "#f0301f", "#c8102a", "#ff4a3a", "#a00f30"]
IRIS = ["#f0d0ff", "#c08af0", "#8f4fe0", "#b06fe8", "#6a3fd0"]
LEAF = ["#d0e05a", "#5fb03a", "#1f8040", "#0f5f3f"]


@dataclass
class Window:
    """Which piece of glass each pixel belongs to, which shape that piece is part of, and its colour."""

    width: int
    height: int
    rng: np.random.Generator
    x: NDArray = field(init=False)
    y: NDArray = field(init=False)
    piece: NDArray = field(init=False)
    shape: NDArray = field(init=False)
    colours: dict[int, NDArray] = field(default_factory=dict)
    shapes: int = 0

    def __post_init__(self) -> None:
        self.x, self.y = grid(self.width, self.height)
        self.piece = np.zeros((self.height, self.width), np.int64)
        self.shape = np.zeros_like(self.piece)

    def put(self, inside: NDArray, cuts: NDArray, palette: list[str], tone: NDArray | None = None) -> None:
        """Set a shape into the window, cut into pieces by the whole numbers `cuts`, coloured along `tone`."""
        self.shapes += 1
        names, numbers = np.unique(cuts[inside], return_inverse=True)
        if len(names) == 0:
            return
        first = self.shapes * 100_000
        self.piece[inside] = first + numbers
        self.shape[inside] = self.shapes
        count = np.bincount(numbers)
        if tone is None:
            place = self.rng.random(len(names))
        else:
            place = np.bincount(numbers, np.broadcast_to(tone, inside.shape)[inside]) / count
            place = place + self.rng.normal(0, 0.09, len(names))
        paint = jitter(ramp(np.clip(place, 0, 1), palette), self.rng, 0.03, 0.012)
        self.colours.update({first + k: paint[k] for k in range(len(names))})

    def cells(self, spacing: float, stretch: float = 1.0, bend: NDArray | float = 0.0) -> NDArray:
        """Voronoi cells about `spacing` apart (height = 1), `stretch` times as wide as tall."""
        aspect = self.width / self.height
        rows, columns = int(1.3 / spacing) + 1, int((aspect + 0.3) / (spacing * stretch)) + 1
        v, u = np.mgrid[0:rows, 0:columns].astype(np.float64)
        seeds = np.stack([u + 0.5 * (v % 2), v], -1).reshape(-1, 2) + self.rng.uniform(-0.33, 0.33, (rows * columns, 2))
        seeds = seeds * spacing - 0.1
        points = np.stack([self.x / stretch, self.y + bend], -1).reshape(-1, 2)
        return cKDTree(seeds).query(points)[1].reshape(self.x.shape)


def _sky(window: Window) -> None:
    x, y = window.x - SUN[0], window.y - SUN[1]
    far, bearing = np.hypot(x, y), np.arctan2(y, x)
    swirl = bearing + 0.55 * np.log(far + 0.1)
    rings = np.array([0, 0.30, 0.42, 0.56, 0.72, 0.90, 1.2, 2.0])
    wavy = far + 0.016 * np.sin(6 * swirl) + 0.01 * np.sin(11 * swirl + 1)
    ring = np.digitize(wavy, rings)
    rays = np.where(ring <= 1, 24, np.where(ring <= 3, 24, 36))
    ray = np.floor((swirl / (2 * np.pi) + 0.5 * (ring % 2) / rays) * rays) % rays
    alternate = 0.06 * np.where(ray % 2 == 0, 1, -1)
    window.put(np.ones(x.shape, bool), ring * 1000 + ray + 500, SKY, wavy * 1.02 - 0.06 + alternate)
    # The sun: a heart, two rows of petals, flames.
    flame = 0.255 + 0.040 * np.sign(np.sin(bearing * 12)) * np.abs(np.sin(bearing * 12)) ** 0.6
    curl = bearing + 1.1 * far
    window.put(far < flame, np.floor(curl / (2 * np.pi) * 24) % 24, SUNLIGHT, 0.82 + 0.16 * np.sin(bearing * 12))
    for radius, petals, tone in ((0.215, 18, 0.52), (0.145, 12, 0.22)):
        lobe = radius * (0.86 + 0.14 * np.abs(np.cos(curl * petals / 2)) ** 0.7)
        window.put(
            far < lobe,
            np.floor(curl / (2 * np.pi) * petals + 0.5) % petals,
            SUNLIGHT,
            np.full_like(far, tone),
        )
    window.put(far < 0.062, np.zeros(x.shape), SUNLIGHT, np.zeros_like(far))


def _land(window: Window) -> None:
    x, y = window.x, window.y
    ridges = [
        0.535 + 0.055 * np.sin(x * 4.4 + 0.7) + 0.02 * np.sin(x * 9),
        0.605 + 0.050 * np.sin(x * 3.9 + 3.0),
        0.655 - 0.060 * np.sin(x * 3.0 + 0.2),
    ]
    for k, (ridge, palette) in enumerate(zip(ridges, HILLS, strict=True)):
        depth = y - ridge
        strip = np.floor((depth + 0.012 * np.sin(x * 8 + k)) / (0.055 + 0.012 * k))
        cut = np.floor((x + 0.45 * depth * (-1) ** k + 0.03 * strip) / (0.105 + 0.012 * k))
        window.put(depth > 0, strip * 1000 + cut, palette, np.clip(depth * 3.0 + 0.25 * (cut % 3), 0, 1))
    # A lake lies before the hills; its waves carry the sun's colours under the sun.
    depth = y - (0.685 + 0.012 * np.sin(x * 6.0))
    wave = depth + 0.016 * np.sin(x * 15 + 40 * depth)
    strip = np.floor(np.sqrt(np.clip(wave, 0, 1)) * 15.5)
    cut = np.floor((x + 0.09 * strip + 0.03 * np.sin(strip * 4)) / (0.10 + 0.014 * strip))
    window.put(
        depth > 0,
        strip * 1000 + cut,
        RIVER,
        0.55 + 0.28 * np.sin(strip * 2.4 + cut) + 0.16 * np.sin(cut * 1.9),
    )
    glint = (np.abs(x - SUN[0]) < 0.055 + 0.25 * depth + 0.02 * np.sin(strip * 2.5)) & (depth > 0) & (strip % 2 == 1)
    window.put(glint, strip, SUNLIGHT, 0.15 + 0.12 * (strip % 5))
    bank = y - (0.885 + 0.03 * np.sin(x * 5 + 1) - 0.16 * np.abs(x - 0.66) ** 1.5)
    window.put(bank > 0, window.cells(0.075, 1.25, 0.03 * np.sin(x * 12)), MEADOW)


def _leaf(window: Window, root: tuple[float, float], tip: tuple[float, float], girth: float, bow: float) -> None:
    """A lens-shaped leaf, split down its rib and cut across."""
    dx, dy = tip[0] - root[0], tip[1] - root[1]
    length = np.hypot(dx, dy)
    along = ((window.x - root[0]) * dx + (window.y - root[1]) * dy) / length**2
    across = ((window.y - root[1]) * dx - (window.x - root[0]) * dy) / length
    across = across - bow * np.sin(np.pi * np.clip(along, 0, 1))
    inside = (np.abs(across) < girth * np.sin(np.pi * np.clip(along, 0, 1)) ** 0.8) & (along > 0) & (along < 1)
    part = np.floor(along * length / 0.10 + 0.3)
    window.put(inside, (across > 0) * 100 + part, LEAF, 0.35 + 0.3 * (across > 0) + 0.3 * along)


def _poppy(window: Window, cx: float, cy: float, size: float, turn: float) -> None:
    x, y = window.x - cx, (window.y - cy) * 1.12
    far, bearing = np.hypot(x, y) / size, np.arctan2(y, x) + turn
    for radius, petals, shift, tone in ((1.0, 6, 0.0, 0.35), (0.64, 4, 0.5, 0.02)):
        wave = bearing * petals / 2 + shift * np.pi / 2
        lobe = radius * (0.80 + 0.20 * np.abs(np.cos(wave)) ** 0.55 + 0.02 * np.sin(bearing * 17))
        petal = np.floor(wave / np.pi + 0.5)
        window.put(far < lobe, petal % petals, POPPY, tone + 0.5 * far)
    window.put(far < 0.27, np.zeros(x.shape), ["#3a1a58", "#2a1a4a"])
    window.put(far < 0.13, np.zeros(x.shape), ["#d8e03a", "#b8c83a"])


def _iris(window: Window, cx: float, cy: float, size: float) -> None:
    for angle, long, wide, bow in (
        (-1.57, 1.15, 0.42, 0.0),
        (-2.25, 1.0, 0.30, -0.08),
        (-0.9, 1.0, 0.30, 0.08),
        (2.55, 1.05, 0.33, 0.14),
        (0.6, 1.05, 0.33, -0.14),
        (1.57, 0.95, 0.36, 0.0),
    ):
        dx, dy = np.cos(angle), np.sin(angle)
        along = ((window.x - cx) * dx + (window.y - cy) * dy) / (size * long)
        across = ((window.y - cy) * dx - (window.x - cx) * dy) / size
        across = across - bow * np.sin(np.pi * np.clip(along, 0, 1))
        inside = (
            (np.abs(across) < wide * np.sin(np.pi * np.clip(along, 0, 1) ** 1.35) ** 0.7) & (along > 0) & (along < 1)
        )
        window.put(inside, (across > 0) * 10 + np.floor(along * 1.9), IRIS, 0.9 - 0.7 * along + 0.2 * (across > 0))
        tongue = (np.abs(across) < 0.085 * np.sin(np.pi * np.clip(along / 0.62, 0, 1))) & (along > 0) & (along < 0.62)
        if angle > 0:
            window.put(tongue, np.zeros(along.shape), ["#ffe45a", "#ffb52a"])


def _flowers(window: Window) -> None:
    for root, tip, girth, bow in (
        ((0.16, 1.02), (0.08, 0.60), 0.028, 0.05),
        ((0.20, 1.02), (0.36, 0.66), 0.030, -0.04),
        ((1.10, 1.02), (1.00, 0.64), 0.028, 0.04),
        ((1.16, 1.02), (1.28, 0.56), 0.030, -0.05),
        ((0.50, 1.02), (0.62, 0.80), 0.024, -0.02),
        ((0.86, 1.02), (0.76, 0.78), 0.024, 0.02),
        ((1.24, 1.02), (1.35, 0.72), 0.028, -0.03),
        ((0.04, 1.02), (-0.02, 0.70), 0.028, 0.02),
    ):
        _leaf(window, root, tip, girth, bow)
    for cx, cy, size, turn in (
        (0.17, 0.755, 0.130, 0.2),
        (0.385, 0.895, 0.115, 1.0),
        (0.055, 0.960, 0.105, 0.6),
        (0.965, 0.900, 0.125, 0.5),
        (1.265, 0.930, 0.115, 1.3),
        (0.675, 0.975, 0.095, 0.0),
    ):
        _poppy(window, cx, cy, size, turn)
    for cx, cy, size in ((1.135, 0.69, 0.160),):
        _iris(window, cx, cy, size)


def _merge_slivers(window: Window, smallest: float) -> None:
    """Give pieces no glazier could cut to the neighbour around them."""
    _, numbers, count = np.unique(window.piece, return_inverse=True, return_counts=True)
    small = (count < smallest)[numbers].reshape(window.piece.shape)
    rows, columns = distance_transform_edt(small, return_distances=False, return_indices=True)
    window.piece, window.shape = window.piece[rows, columns], window.shape[rows, columns]


def _edges(labels: NDArray) -> NDArray:
    """True where the label changes."""
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return edge


def _glass(window: Window, unit: float) -> tuple[NDArray, NDArray]:
    """Light through the glass, and the glass's own surface: streaks, ripples, hammering, seeds."""
    rng, size = window.rng, window.piece.shape
    names, numbers = np.unique(window.piece, return_inverse=True)
    numbers = numbers.reshape(size)
    colour = np.stack([window.colours[int(name)] for name in names])[numbers]
    kind = rng.integers(0, 6, len(names))[numbers]
    streaks, surface = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for k in range(6):
        chosen = kind == k
        if k < 2:
            cell = (120 * unit, 14 * unit) if k else (14 * unit, 120 * unit)
            streak, bump = fractal(size, cell, rng, 3, 0.55), smooth(size, 9 * unit, rng)
        elif k < 4:
            turned = fractal(size, 26 * unit, rng, 3)
            streak = np.sin(2.6 * turned + (window.x if k == 2 else window.y) * 30)
            bump = np.sin((window.x * (3 - k) + window.y * (k - 2)) * 2 * np.pi * 768 / 9 + 1.4 * turned) * 0.8
        else:
            streak, bump = fractal(size, 34 * unit, rng, 4, 0.6), -np.abs(smooth(size, 6 * unit, rng)) * 1.5
        streaks, surface = np.where(chosen, streak, streaks), np.where(chosen, bump, surface)
    light = 1 + 0.085 * streaks + 0.05 * fractal(size, 4 * unit, rng, 2)
    light = light * (0.88 + 0.26 * np.exp(-((np.hypot(window.x - SUN[0], window.y - SUN[1]) / 0.75) ** 2)))
    return np.clip(colour ** (2.2 - light)[..., None] ** 1.3 * light[..., None], 0, 1), surface


def _bubbles(surface: NDArray, unit: float, count: int, rng: np.random.Generator) -> NDArray:
    """Seeds in the glass: small bright ovals with a dark rim."""
    sparkle = np.zeros(surface.shape, np.float32)
    reach = int(5 * unit)
    v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    for _ in range(count):
        cy, cx = rng.integers(reach, surface.shape[0] - reach), rng.integers(reach, surface.shape[1] - reach)
        far = np.hypot(u, v / rng.uniform(0.6, 1.0)) / (unit * rng.uniform(1.0, 3.4))
        ring = np.exp(-(((far - 0.85) / 0.3) ** 2)) * -0.3 + 0.5 * np.exp(-((far / 0.55) ** 2))
        sparkle[cy - reach : cy + reach + 1, cx - reach : cx + reach + 1] += ring
    return sparkle


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    window = Window(2 * width, 2 * height, rng)
    unit = 2 * height / 768
    for part in (_sky, _land, _flowers):
        part(window)
    _merge_slivers(window, 90 * unit * unit)

    light, surface = _glass(window, unit)
    light = light * (1 + 0.35 * _bubbles(surface, unit, 1100, rng))[..., None]
    light = shade(light, surface * unit, strength=0.15, gloss=0.25, soften=1.2)

    near = distance_transform_edt(~_edges(window.piece)).astype(np.float32)
    near_shape = distance_transform_edt(~_edges(window.shape)).astype(np.float32)
    uneven = 1 + 0.10 * fractal(near.shape, 24 * unit, rng, 2)
    came, heavy = 2.2 * unit * uneven, 3.3 * unit * uneven
    depth = np.minimum(near - came, near_shape - heavy)
    grime = (
        np.exp(-np.clip(depth, 0, None) / (3.5 * unit)) * (0.55 + 0.15 * fractal(near.shape, 12 * unit, rng, 3)) * 0.8
    )
    light = light * (1 - np.clip(grime, 0, 0.85))[..., None]

    lead = smoothstep(0.8, -0.8, depth)
    profile = np.maximum(
        np.sqrt(np.clip(1 - (near / came) ** 2, 0, 1)) * came,
        np.sqrt(np.clip(1 - (near_shape / heavy) ** 2, 0, 1)) * heavy,
    )
    hammered = profile * 1.0 + 0.35 * unit * fractal(near.shape, 5 * unit, rng, 3)
    metal = rgb("#23232b") * (1 + 0.22 * fractal(near.shape, 9 * unit, rng, 3))[..., None]
    metal = shade(np.clip(metal, 0.02, 1), hammered, strength=0.75, gloss=0.55, soften=1.0)

    picture = light * (1 - lead[..., None]) + metal * lead[..., None]
    # Bright glass spills over the lead, as it does in the eye.
    glow = np.stack([gaussian_filter((light * (1 - lead[..., None]))[..., c] ** 2, 9 * unit) for c in range(3)], -1)
    picture = 1 - (1 - np.clip(picture, 0, 1)) * (1 - 0.26 * glow)
    return to_image(picture, (width, height))
