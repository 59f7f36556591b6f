"""What of a picture stays when it is saved again: the signs of its coarse waves, and its colours on a small grid.

The waves alone know the photo again, but not which painting of it: two strengths of one style differ by 4 of 255 signs,
as much as a picture from itself after JPEG. The colours tell those apart. A crop, a turn or a filter makes another
picture of it: this finds copies, not thefts.

Source: the discrete cosine transform as a perceptual hash is Zauner's, "Implementation and Benchmarking of Perceptual
Image Hash Functions", 2010, section 3.2.1; here 16x16 waves, not 8x8, and colours beside them. Thresholds:
benchmarks/fingerprint.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.fft import dctn

from impasto.images import resize

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images import Picture

_SIDE_PX: Final = 64
_WAVES: Final = 16
_GRID: Final = 8
_LUMINANCE: Final = np.array([0.299, 0.587, 0.114])
#: Pictures flatter than this, in levels of 255, have no waves to know them by.
_LEAST_CONTRAST: Final = 2.0

#: Signs that may differ, of 255, and levels of 255 by which colours may (root mean square), in a copy.
MOST_SIGNS: Final = 16
MOST_LEVELS: Final = 3.0


@dataclass(frozen=True)
class Fingerprint:
    """How a picture is known again."""

    pixels: str
    """SHA-256 of size and 8-bit pixels: the same for every lossless copy."""
    signs: bytes
    """255 bits; empty where the picture is too flat."""
    colors: bytes
    """8x8 mean colours, RGB."""

    def is_copy(self, other: Fingerprint) -> bool:
        """Whether one picture is the other, saved again."""
        if not self.signs or not other.signs:
            return False
        differing = (int.from_bytes(self.signs) ^ int.from_bytes(other.signs)).bit_count()
        return differing <= MOST_SIGNS and self.color_distance(other) <= MOST_LEVELS

    def color_distance(self, other: Fingerprint) -> float:
        """Root mean square difference of the colours, levels of 255."""
        ours, theirs = (np.frombuffer(one.colors, np.uint8).astype(float) for one in (self, other))
        return float(np.sqrt(np.mean((ours - theirs) ** 2)))


def fingerprint(picture: Picture) -> Fingerprint:
    """Of a picture, laid on white where it is transparent."""
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = pixels * picture.alpha + (1 - picture.alpha)
    exact = hashlib.sha256(f"{picture.width}x{picture.height}".encode())
    exact.update((pixels * 255).round().byte().numpy().tobytes())
    small = _levels(resize(pixels, _SIDE_PX, _SIDE_PX))
    gray = small @ _LUMINANCE
    waves = dctn(gray, norm="ortho")[:_WAVES, :_WAVES].ravel()[1:]  # the first is the mean
    flat = float(gray.std()) < _LEAST_CONTRAST
    signs = b"" if flat else np.packbits(waves > np.median(waves)).tobytes()
    cell = _SIDE_PX // _GRID
    colors = small.reshape(_GRID, cell, _GRID, cell, 3).mean((1, 3)).round().astype(np.uint8)
    return Fingerprint(exact.hexdigest(), signs, colors.tobytes())


def _levels(pixels: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """``(h, w, 3)``, 0..255."""
    return (pixels.permute(1, 2, 0).double().numpy() * 255).clip(0, 255)
