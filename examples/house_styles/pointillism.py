"""A bay in evening sun under an umbrella pine, in juxtaposed dabs of complementary colour."""

from dataclasses import dataclass

import numpy as np
from colour import blend, from_lab, ramp, rgb, to_image, to_lab
from noise import fractal, grid, sample, smoothstep
from numpy.typing import NDArray
from paper import canvas_weave
from PIL import Image
from relief import shade
from scipy.ndimage import gaussian_filter
from strokes import scatter

SUN = (0.86, 0.30)
HORIZON = 0.475

SKY = ["#fff3a6", "#ffd95e", "#ffb257", "#f58f86", "#b88fd8", "#6f97e6", "#3f74d2", "#2a55b4", "#22489f"]
WATER = ["#fff0a0", "#ffc060", "#f08f86", "#b79adf", "#5f93dc", "#2f77bd", "#1f5f9f", "#2a8f9f"]
FAR_HILL = ["#b79ae0", "#8d7fd6", "#6f6cc8"]
NEAR_HILL = ["#e59a7a", "#9d78c0", "#5a62b4", "#3c6f9c"]
MEADOW = ["#24458a", "#2d6f6a", "#4f9a3f", "#9cc23c", "#e6d24a", "#ffe98a"]
FOLIAGE = ["#1b2f6e", "#1f5a5c", "#2f8442", "#76ad38", "#cfc443", "#ffdf6a"]
TRUNK = ["#2f2263", "#6b3b86", "#c0604f", "#ffab5e"]


@dataclass(frozen=True)
class Scene:
    """Local colour, direction of the dabs and amount of detail at every pixel."""

    colour: NDArray[np.float32]
    angle: NDArray[np.float32]
    detail: NDArray[np.float32]


def _pine(x: NDArray, y: NDArray, loose: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Cover and light (-1..1) of the crown, then of the trunk and its two limbs."""
    crown, light = np.zeros_like(x), np.full_like(x, -1.0)
    pads = [
        (0.20, 0.17, 0.27, 0.10),
        (0.05, 0.27, 0.19, 0.075),
        (0.40, 0.255, 0.17, 0.065),
        (0.26, 0.32, 0.13, 0.045),
    ]
    for cx, cy, wide, tall in pads:
        # Flat below and domed above, with a leafy rim.
        dy = (y - cy) / np.where(y > cy, tall * 0.55, tall)
        far = np.hypot((x - cx) / wide, dy) + 0.075 * loose
        inside = smoothstep(1.03, 0.97, far)
        facing = 0.75 * (x - cx) / wide - 0.55 * dy + 0.3 * loose
        light = np.where(inside > 0.5, facing, light)
        crown = np.maximum(crown, inside)
    trunk, trunk_light = np.zeros_like(x), np.zeros_like(x)
    limbs = [
        ((0.27, 0.95), (0.17, 0.60), (0.20, 0.20), 0.026),
        ((0.19, 0.50), (0.28, 0.40), (0.38, 0.27), 0.012),
        ((0.185, 0.46), (0.12, 0.38), (0.06, 0.29), 0.011),
    ]
    for first, middle, last, girth in limbs:
        for t in np.linspace(0, 1, 60):
            px = (1 - t) ** 2 * first[0] + 2 * t * (1 - t) * middle[0] + t * t * last[0]
            py = (1 - t) ** 2 * first[1] + 2 * t * (1 - t) * middle[1] + t * t * last[1]
            thick = girth * (1.25 - 0.6 * t)
            near = np.hypot(x - px, y - py) < thick
            trunk = np.where(near, 1.0, trunk)
            trunk_light = np.where(near, (x - px) / thick, trunk_light)
    return crown, light, trunk, trunk_light


def _scene(width: int, height: int, rng: np.random.Generator) -> Scene:
    x, y = grid(width, height)
    shape = (height, width)
    loose = fractal(shape, height * 0.07, rng, 3)
    broad = fractal(shape, (height * 0.08, height * 0.3), rng, 3)
    sun_x, sun_y = SUN
    far = np.hypot(x - sun_x, (y - sun_y) * 1.1)

    colour = ramp(np.clip(far * 1.12 + 0.05 * broad, 0, 1), SKY)
    angle = np.arctan2(x - sun_x, -(y - sun_y))
    # Clouds lit from below, strung across the upper sky.
    cloud = smoothstep(0.35, 1.25, broad + 0.35 * loose) * smoothstep(0.46, 0.34, y) * smoothstep(0.06, 0.2, far)
    colour = blend(
        colour,
        ramp(np.clip(0.5 + 0.35 * loose + 0.4 * (0.25 - y), 0, 1), ["#ffd9a0", "#ffb7a8", "#f3d7ea"]),
        0.85 * cloud,
    )
    colour = blend(colour, rgb("#fffbe6"), smoothstep(0.078, 0.066, far))

    far_ridge = HORIZON - 0.055 - 0.030 * np.sin(x * 4.6 + 0.6) - 0.012 * np.sin(x * 13.0)
    colour = blend(
        colour, ramp(np.clip((y - far_ridge) * 14, 0, 1), FAR_HILL), smoothstep(-0.002, 0.002, y - far_ridge)
    )
    near_ridge = (
        HORIZON - 0.165 * np.exp(-(((x - 1.36) / 0.20) ** 2)) - 0.05 * np.exp(-(((x - 1.05) / 0.1) ** 2)) + 0.004
    )
    lit = np.clip((y - near_ridge) * 7 + 0.1 * loose + 0.25 * (x - 1.1), 0, 1)
    inside = smoothstep(-0.002, 0.002, y - near_ridge)
    colour = blend(colour, ramp(lit, NEAR_HILL), inside)
    angle = np.where(inside > 0.5, 0.7 + 0.3 * loose, angle)

    # The bay: sky upside down, with a broken column of sun and long ripples.
    depth = y - HORIZON
    ripple = np.sin(np.clip(depth, 0, 1) ** 0.6 * 190 + 3.0 * np.sin(x * 6) + 1.6 * loose)
    column = np.exp(-(((x - sun_x) / (0.035 + 0.45 * np.clip(depth, 0, 1))) ** 2))
    tone = 0.55 + 0.9 * depth - 0.8 * column * (0.75 + 0.4 * ripple) + 0.09 * ripple + 0.05 * broad
    colour = blend(colour, ramp(np.clip(tone, 0, 1), WATER), smoothstep(-0.001, 0.001, depth))
    angle = np.where(depth > 0, 0.12 * loose, angle)

    # Sails, each with its light and its shadow side and a shaking reflection.
    for cx, base, tall in ((0.62, 0.56, 0.22), (1.12, 0.525, 0.13), (0.75, 0.497, 0.065)):
        rise = (base - y) / tall
        for side, wide, light, dark in (
            (1.0, 0.36, "#fff3c4", "#ffb36a"),
            (-1.0, 0.22, "#d78fc0", "#6f63c8"),
        ):
            aside = (x - cx) * side / (tall * wide * np.clip(1 - rise, 0, 1) + 1e-4)
            sail = (aside > 0.05) & (aside < 1) & (rise > 0.08) & (rise < 1)
            colour = np.where(sail[..., None], ramp(np.clip(aside, 0, 1), [light, dark]), colour)
            angle = np.where(sail, 1.4, angle)
            below = (y - base) / (tall * 0.8)
            aside = ((x - cx) * side + 0.006 * ripple) / (tall * wide * np.clip(1 - below, 0, 1) + 1e-4)
            mirrored = (aside > 0) & (aside < 1) & (below > 0.1) & (below < 1) & (ripple > -0.3)
            colour = np.where(mirrored[..., None], blend(colour, rgb(light), 0.6), colour)
        hull = np.abs(x - cx - 0.01 * tall) < tall * 0.34 * (1 - 0.5 * np.clip((y - base) / (0.1 * tall), 0, 1))
        hull &= (rise < 0.07) & (rise > -0.1)
        colour = np.where(hull[..., None], rgb("#a8324a"), colour)

    # The near bank, its flowers, and the pine's blue shadow across it.
    bank = (
        0.735
        + 0.045 * np.sin(x * 3.3 + 2.3)
        - 0.10 * smoothstep(0.75, 0.0, x)
        + 0.06 * smoothstep(0.8, 1.3, x)
        + 0.004 * loose
    )
    depth = y - bank
    inside = smoothstep(-0.002, 0.002, depth)
    tone = 0.62 + 0.13 * loose + 0.14 * np.sin(x * 5 + y * 23 + broad) + 0.35 * smoothstep(0.03, 0.0, depth)
    shadow = smoothstep(1.0, 0.75, np.hypot((x - 0.33 + 0.9 * (y - 0.85)) / 0.44, (y - 0.86) / 0.085) + 0.1 * loose)
    tone = tone - 0.5 * shadow - 0.18 * smoothstep(0.85, 1.0, y)
    colour = blend(colour, ramp(np.clip(tone, 0, 1), MEADOW), inside)
    angle = np.where(depth > 0, -1.1 + 0.6 * np.sin(x * 9 + y * 7) + 0.3 * loose, angle)
    flowers = smoothstep(1.1, 1.5, fractal(shape, height * 0.03, rng, 2) + 0.6 * np.sin(x * 8 + 1)) * inside
    petals = ramp(0.5 + 0.5 * np.sin(x * 14 + y * 9), ["#e23d4e", "#ff7d3c", "#f2a0c8"])
    colour = blend(colour, petals, flowers * smoothstep(0.02, 0.06, depth))

    crown, light, trunk, trunk_light = _pine(x, y, fractal(shape, height * 0.035, rng, 3))
    colour = blend(colour, ramp(np.clip(0.5 + 0.5 * trunk_light, 0, 1), TRUNK), trunk)
    angle = np.where(trunk > 0.5, -1.5, angle)
    colour = blend(colour, ramp(np.clip(0.46 + 0.42 * light, 0, 1), FOLIAGE), crown)
    angle = np.where(crown > 0.5, 2.2 * loose, angle)

    soft = gaussian_filter(colour, (height / 110, height / 110, 0))
    detail = np.abs(colour - soft).sum(-1)
    return Scene(
        colour.astype(np.float32),
        angle.astype(np.float32),
        (detail / np.percentile(detail, 95)).astype(np.float32),
    )


def _divide(colours: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Split each local colour as a divisionist would: itself, its neighbours in hue, and its complement."""
    lab = to_lab(colours.astype(np.float64))
    chance = rng.random(len(lab))
    turn = rng.normal(0, 0.16, len(lab))
    turn = np.where(chance > 0.52, rng.choice([-0.75, 0.75], len(lab)) + turn, turn)
    turn = np.where(chance > 0.87, np.pi + 2 * turn, turn)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    # Pale places still get lively dots: a floor under the chroma.
    fuller = np.maximum(chroma * rng.uniform(1.0, 1.5, len(lab)), rng.uniform(0.03, 0.09, len(lab)))
    hue = np.arctan2(lab[:, 2], lab[:, 1]) + turn
    light = lab[:, 0] + rng.normal(0, 0.045, len(lab)) + np.where(chance > 0.87, 0.03, 0)
    return from_lab(np.stack([light, fuller * np.cos(hue), fuller * np.sin(hue)], -1))


def _dab(length: float, wide: float, turn: float, lump: float) -> NDArray[np.float32]:
    """One touch of the brush seen from above: a rounded lozenge, 0 outside and 1 where thickest."""
    reach = int(np.ceil(length / 2)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    far = (np.abs(along / (length / 2)) ** 2.6 + np.abs(across / (wide / 2)) ** 2.6) ** (1 / 2.6)
    return np.clip((1 - far) * (1 + lump * along / length) * wide / 3.0, 0, 1)


def render(seed: int = 0, width: int = 1024, height: int = 768) -> Image.Image:
    rng = np.random.default_rng(seed)
    scene = _scene(width, height, rng)
    shape = (2 * height, 2 * width)
    unit = 2 * height / 768
    weave = canvas_weave(shape, 3.2 * unit, rng)
    # A thin warm ground rubbed over with the local colour; it shows between the dabs.
    twice = np.repeat(np.repeat(scene.colour, 2, 0), 2, 1)
    rubbed = 0.5 + 0.1 * np.clip(weave, -1, 1)
    colour = blend(
        np.broadcast_to(rgb("#ffe3b0"), twice.shape), gaussian_filter(twice, (9 * unit, 9 * unit, 0)), rubbed
    )
    thick = 0.35 * unit * weave

    passes = [(17.0, 14.5, 0.0), (11.0, 9.2, 0.0), (7.5, 7.4, 0.12), (5.0, 5.2, 0.6)]
    for size, spacing, needed in passes:
        starts = scatter(shape, spacing * unit, rng)
        wanted = sample(scene.detail, starts / 2) * rng.uniform(0.3, 1.8, len(starts)) >= needed
        starts = starts[wanted]
        colours = _divide(sample(scene.colour, starts / 2), rng)
        turns = sample(scene.angle, starts / 2) + rng.normal(0, 0.22, len(starts))
        lengths = size * unit * rng.uniform(0.8, 1.2, len(starts))
        stock: dict[tuple[int, int], NDArray] = {}
        for (cx, cy), paint, turn, length in zip(starts, colours, turns, lengths, strict=True):
            key = (int(turn / np.pi * 24) % 24, int(length / unit * 2))
            if key not in stock:
                stock[key] = _dab(
                    key[1] * unit / 2, key[1] * unit / 2 * 0.66, key[0] * np.pi / 24, rng.uniform(-0.5, 0.5)
                )
            touch = stock[key]
            top, left = int(cy) - touch.shape[0] // 2, int(cx) - touch.shape[1] // 2
            y0, x0 = max(top, 0), max(left, 0)
            y1, x1 = min(top + touch.shape[0], shape[0]), min(left + touch.shape[1], shape[1])
            if y1 <= y0 or x1 <= x0:
                continue
            part = touch[y0 - top : y1 - top, x0 - left : x1 - left]
            # Thin paint skips the valleys of the weave.
            cover = np.clip(part * 2.6 + 0.25 * weave[y0:y1, x0:x1] * (part < 0.6), 0, 1) * (part > 0)
            colour[y0:y1, x0:x1] += (paint - colour[y0:y1, x0:x1]) * cover[..., None]
            thick[y0:y1, x0:x1] += (0.25 * thick[y0:y1, x0:x1] + 1.5 * unit * part - thick[y0:y1, x0:x1]) * cover
    lit = shade(colour, thick, strength=0.28, gloss=0.12, soften=1.2)
    return to_image(lit, (width, height))
