"""A peacock's garden of tesserae: rows of small stones that follow every contour of the design."""

from dataclasses import dataclass, field

import numpy as np
from colour import jitter, ramp, rgb, to_image
from noise import fractal, grid, sample, smooth, smoothstep
from numpy.typing import NDArray
from PIL import Image
from relief import shade
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

GROUND = ["#0f2f5f", "#14528a", "#1f86a8", "#5fc0b8", "#d9e6c0"]
GOLD = ["#8a4f14", "#c98a1f", "#f0bf3a", "#ffe48a"]
SUNSET = ["#b3203a", "#e2512f", "#f58f2f", "#ffcf5a"]
BODY = ["#10205f", "#1440a0", "#1f7fd0", "#3fc8d0"]
FEATHER = ["#0f4f3a", "#1f8a4a", "#7fbf3a", "#d8d84a"]
EARTH = ["#3a1a2a", "#7a2f2f", "#b8603a", "#e0a868"]


@dataclass
class Design:
    """For every pixel: the local colour, and the distance whose even steps are the rows of stones."""

    width: int
    height: int
    x: NDArray = field(init=False)
    y: NDArray = field(init=False)
    colour: NDArray = field(init=False)
    rows: NDArray = field(init=False)

    def __post_init__(self) -> None:
        self.x, self.y = grid(self.width, self.height)
        self.colour = np.zeros((self.height, self.width, 3), np.float32)
        self.rows = np.zeros((self.height, self.width), np.float32)

    def put(self, inside: NDArray, colour: NDArray, rows: NDArray) -> None:
        """Lay a shape over what is there; `rows` is in units of the picture's height."""
        self.colour[inside] = np.broadcast_to(colour, self.colour.shape)[inside]
        self.rows[inside] = np.broadcast_to(rows, inside.shape)[inside]


def _eye(design: Design, cx: float, cy: float, size: float, turn: float) -> None:
    """The eye of a feather: nested drops, each its own ring of stones."""
    x, y = design.x - cx, design.y - cy
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    far = np.hypot(along / np.where(along > 0, 1.0, 1.5), across * 1.12) / size
    for radius, palette, tone in (
        (1.0, FEATHER, 0.75),
        (0.80, GOLD, 0.62),
        (0.60, SUNSET, 0.25),
        (0.44, BODY, 0.85),
        (0.25, BODY, 0.08),
    ):
        design.put(far < radius, ramp(np.clip(tone + 0.25 * (far / radius - 0.6), 0, 1), palette), far * size)


def _design(width: int, height: int, rng: np.random.Generator) -> Design:
    design = Design(width, height)
    x, y = design.x, design.y
    loose = fractal(x.shape, height * 0.12, rng, 3)
    # Sky: arcs about a low sun, gold near it, deep blue away.
    sun_x, sun_y = 1.06, 0.30
    far = np.hypot(x - sun_x, y - sun_y)
    arcs = far + 0.012 * np.sin(6 * np.arctan2(y - sun_y, x - sun_x))
    tone = np.clip(1.05 - 1.05 * arcs + 0.10 * np.sin(arcs * 62) + 0.05 * loose, 0, 1)
    design.put(np.ones(x.shape, bool), ramp(tone, [*GROUND, "#ffe9a0"]), arcs)
    bearing = np.arctan2(y - sun_y, x - sun_x)
    ray = 0.205 + 0.05 * np.abs(((bearing / (2 * np.pi) * 16) % 1) * 2 - 1)
    design.put(far < ray, ramp(np.clip(1.4 - far * 4.6, 0, 1), SUNSET), far)
    design.put(far < 0.145, ramp(np.clip(1.15 - far * 4, 0, 1), GOLD), far)
    # Hills in bands.
    for level, tall, pace, phase, palette in (
        (0.60, 0.06, 4.0, 0.3, ["#3a2f7a", "#6a4fa8", "#b080c0"]),
        (0.70, 0.05, 5.0, 2.0, ["#123f5a", "#1f7a80", "#6fc0a0"]),
        (0.80, 0.05, 3.6, 4.1, EARTH),
    ):
        depth = y - (level - tall * np.sin(x * pace + phase))
        band = np.clip(0.55 + 0.4 * np.sin(depth * 60 + 1.0) - depth + 0.1 * loose, 0, 1)
        design.put(depth > 0, ramp(band, palette), depth)
    # The fan of the tail, spread from the bird, in rings of eyes.
    root_x, root_y = 0.47, 0.80
    x0, y0 = x - root_x, y - root_y
    fan, turn = np.hypot(x0, y0), np.arctan2(y0, x0)
    inside = (fan < 0.70 + 0.012 * np.cos(turn * 34)) & (turn > -np.pi * 0.985) & (turn < -0.015 * np.pi)
    barbs = ramp(
        np.clip(0.25 + 0.5 * np.abs(((turn / np.pi * 17) % 1) * 2 - 1) + 0.4 * (fan - 0.4) + 0.06 * loose, 0, 1),
        FEATHER,
    )
    design.put(inside, barbs, fan)
    for ring, count, size in ((0.61, 15, 0.066), (0.45, 12, 0.056), (0.31, 9, 0.045)):
        for k in range(count):
            angle = -np.pi * (k + 0.5) / count
            _eye(design, root_x + ring * np.cos(angle), root_y + ring * np.sin(angle), size, angle)
    # The bird: breast, neck, head, crest.
    breast = np.hypot((x - root_x) / 0.105, (y - 0.80) / 0.175)
    design.put(breast < 1, ramp(np.clip(0.85 - 0.7 * breast + 0.4 * (root_x - x) / 0.1, 0, 1), BODY), breast * 0.105)
    neck_x = root_x - 0.035 * np.sin((0.80 - y) * 10.5)
    neck = np.abs(x - neck_x) / (0.036 + 0.20 * np.clip(y - 0.56, 0, 1))
    design.put(
        (neck < 1) & (y > 0.47) & (y < 0.72),
        ramp(np.clip(1.0 - 0.75 * neck + 2.5 * (neck_x - x), 0.1, 1), BODY),
        neck * 0.04,
    )
    head_x = root_x + 0.012
    for k in range(5):
        angle = -np.pi / 2 + (k - 2) * 0.32
        tip_x, tip_y = head_x + 0.105 * np.cos(angle), 0.47 + 0.105 * np.sin(angle)
        design.put(np.hypot(x - tip_x, y - tip_y) < 0.019, rgb("#ff6a4a"), np.hypot(x - tip_x, y - tip_y))
        t = ((x - head_x) * np.cos(angle) + (y - 0.47) * np.sin(angle)) / 0.09
        off = np.abs((y - 0.47) * np.cos(angle) - (x - head_x) * np.sin(angle))
        design.put((off < 0.006) & (t > 0.3) & (t < 1), rgb("#1f7fd0"), off + t * 0.01)
    head = np.hypot(x - head_x, (y - 0.475) * 1.1)
    design.put(head < 0.048, ramp(np.clip(1.0 - head * 13, 0, 1), BODY), head)
    design.put(
        (np.abs(y - 0.482) < 0.016 * np.clip(1 - (head_x - x - 0.04) / 0.055, 0, 1))
        & (x < head_x - 0.038)
        & (x > head_x - 0.095),
        rgb("#f0bf3a"),
        y,
    )
    design.put(np.hypot(x - head_x + 0.014, y - 0.468) < 0.0155, rgb("#fff4d8"), head)
    design.put(np.hypot(x - head_x + 0.016, y - 0.468) < 0.008, rgb("#140f24"), head)
    # Flowers at the foot.
    for cx, cy, size in (
        (0.10, 0.93, 0.085),
        (0.30, 0.955, 0.06),
        (0.70, 0.945, 0.07),
        (0.93, 0.90, 0.09),
        (1.13, 0.95, 0.065),
        (1.27, 0.86, 0.075),
    ):
        far, turn = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
        lobe = size * (0.78 + 0.22 * np.abs(np.cos(turn * 3 + cx * 9)))
        palette = [SUNSET, ["#7a1f6a", "#c83f8a", "#ffa0b8"]][int(cx * 100) % 2]
        design.put(far < lobe, ramp(np.clip(0.15 + 0.85 * far / size, 0, 1), palette), far)
        design.put(far < size * 0.33, ramp(np.clip(1 - far / size * 2, 0, 1), GOLD), far)
    return design


def _stones(design: Design, gauge: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Centres of the stones and the way each row runs: an even throw, settled row by row."""
    size = design.rows.shape
    down, across = np.gradient(gaussian_filter(design.rows, 1.0) * size[0])
    run = np.arctan2(across, -down).astype(np.float32)
    spacing = gauge * 0.97
    rows, columns = int(size[0] / spacing) + 2, int(size[1] / spacing) + 2
    v, u = np.mgrid[0:rows, 0:columns]
    points = (
        np.stack([u + 0.5 * (v % 2), v], -1).reshape(-1, 2) + rng.uniform(-0.25, 0.25, (rows * columns, 2))
    ) * spacing
    for _ in range(14):
        # Each stone is drawn to the middle of its row and pushed off by its neighbours.
        row = sample(design.rows, points) * size[0] / gauge
        steep = np.hypot(sample(across, points), sample(down, points)) + 1e-3
        back = (np.floor(row) + 0.5 - row) * gauge / np.clip(steep, 0.6, 2)
        same = np.clip(back, -0.5 * gauge, 0.5 * gauge)[:, None]
        uphill = np.stack([sample(across, points), sample(down, points)], -1) / steep[:, None]
        points = points + 0.35 * same * uphill
        near, which = cKDTree(points).query(points, k=7)
        gap = points[:, None] - points[which[:, 1:]]
        heading = sample(run, points)
        along = gap[..., 0] * np.cos(heading)[:, None] + gap[..., 1] * np.sin(heading)[:, None]
        push = np.clip(1 - near[:, 1:] / (1.05 * gauge), 0, 1) * np.sign(along)
        slide = 0.5 * gauge * push.mean(1)
        points = points + slide[:, None] * np.stack([np.cos(heading), np.sin(heading)], -1)
        points = np.clip(points, 0, [size[1] - 1, size[0] - 1])
    return points, sample(run, points)


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    design = _design(2 * width, 2 * height, rng)
    unit = 2 * height / 768
    gauge = 12.0 * unit
    points, run = _stones(design, gauge, rng)
    size = design.rows.shape
    # Each pixel joins the stone it is squarest to, among the nearest few.
    v, u = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    pixels = np.stack([u, v], -1).reshape(-1, 2)
    _, near = cKDTree(points).query(pixels, k=4)
    best = np.full(len(pixels), np.inf, np.float32)
    stone = np.zeros(len(pixels), np.int32)
    for k in range(4):
        gap = pixels - points[near[:, k]]
        cos, sin = np.cos(run[near[:, k]]), np.sin(run[near[:, k]])
        far = np.maximum(np.abs(gap[:, 0] * cos + gap[:, 1] * sin), np.abs(gap[:, 1] * cos - gap[:, 0] * sin))
        closer = far < best
        best, stone = np.where(closer, far, best), np.where(closer, near[:, k], stone)
    stone = stone.reshape(size)

    paint = jitter(sample(gaussian_filter(design.colour, (1.5, 1.5, 0)), points), rng, 0.05, 0.018, 1.12)
    glint = rng.random(len(points)) < 0.05
    paint[glint] = np.clip(paint[glint] * 1.25 + 0.08, 0, 1)
    edge = np.zeros(size, bool)
    edge[:, 1:] |= stone[:, 1:] != stone[:, :-1]
    edge[1:] |= stone[1:] != stone[:-1]
    inward = distance_transform_edt(~edge).astype(np.float32)
    chipped = inward - 0.35 * unit * smooth(size, 3 * unit, rng)
    joint = smoothstep(1.5 * unit, 0.9 * unit, chipped)

    grout = rgb("#2a2430") * (1 + 0.25 * fractal(size, 3 * unit, rng, 2))[..., None]
    veins = 1 + 0.07 * fractal(size, 7 * unit, rng, 3) + 0.03 * smooth(size, 2.6 * unit, rng)
    face = paint[stone] * veins[..., None]
    # No two stones lie quite level: each has its own tilt towards the light.
    tilt = rng.normal(0, 0.05, (len(points), 2)).astype(np.float32)
    gap_x, gap_y = u - points[stone, 0], v - points[stone, 1]
    dome = 2.6 * unit * np.clip(1 - np.exp(-np.clip(chipped - unit, 0, None) / (1.7 * unit)), 0, 1)
    surface = dome + tilt[stone, 0] * gap_x + tilt[stone, 1] * gap_y + 0.10 * unit * smooth(size, 5 * unit, rng)
    surface = surface * (1 - joint) - 0.8 * unit * joint
    picture = face * (1 - joint[..., None]) + grout * joint[..., None]
    return to_image(shade(picture, surface, strength=0.55, gloss=0.5, soften=1.0), (width, height))
