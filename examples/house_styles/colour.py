"""Colours as float32 RGB in 0..1, mixed in OKLab so that gradients stay clean instead of going grey."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_CONE = np.linalg.inv(_TO_CONE)
_FROM_LAB = np.linalg.inv(_TO_LAB)


def rgb(code: str) -> NDArray[np.float32]:
    """'#2a4d8f' as three floats."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def to_lab(colour: NDArray) -> NDArray:
    """SRGB to OKLab."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((np.maximum(colour, 0) + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONE.T) @ _TO_LAB.T


def from_lab(lab: NDArray) -> NDArray[np.float32]:
    """OKLab to sRGB, clipped to what a screen can show."""
    linear = np.clip((lab @ _FROM_LAB.T) ** 3 @ _FROM_CONE.T, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def ramp(position: NDArray, codes: list[str]) -> NDArray[np.float32]:
    """The colour at each position (0..1) of a gradient through the evenly spaced `codes`."""
    stops = to_lab(np.stack([rgb(code) for code in codes]))
    table_at = np.linspace(0, 1, 512)
    table = np.stack(
        [np.interp(table_at, np.linspace(0, 1, len(codes)), stops[:, channel]) for channel in range(3)],
        axis=-1,
    )
    return from_lab(table)[np.clip(np.asarray(position) * 511.99, 0, 511).astype(np.int32)]


def blend(under: NDArray, over: NDArray, cover: NDArray | float) -> NDArray[np.float32]:
    """`over` laid on `under` with the given cover (a number, or one per pixel)."""
    cover = np.asarray(cover, np.float32)
    return (under + (over - under) * (cover[..., None] if cover.ndim else cover)).astype(np.float32)


def jitter(
    colours: NDArray, rng: np.random.Generator, light: float, chroma: float, boost: float = 1.0
) -> NDArray[np.float32]:
    """Each colour (n, 3) nudged by chance in lightness and in hue; `boost` multiplies its chroma."""
    lab = to_lab(np.asarray(colours, np.float64))
    lab[..., 0] += rng.normal(0, light, lab.shape[:-1])
    lab[..., 1:] = lab[..., 1:] * boost + rng.normal(0, chroma, (*lab.shape[:-1], 2))
    return from_lab(lab)


def to_image(pixels: NDArray, size: tuple[int, int]) -> Image.Image:
    """Float pixels as an 8-bit picture, brought down to `size` with antialiasing."""
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
    return image if image.size == size else image.resize(size, Image.Resampling.BOX)
