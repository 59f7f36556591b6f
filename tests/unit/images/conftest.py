"""Small pictures, and colour profiles built byte by byte, so that what they must do is known exactly.

The layout is that of ICC.1:2001-04 (version 2.4): a header of 128 bytes, a table of tags, the tags.
"""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

# sRGB's primaries under D50, as sRGB profiles give them.
RED, GREEN, BLUE = (0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)
D50 = (0.9642, 1.0, 0.8249)

# Display P3's: its pure colours lie outside of sRGB.
P3 = (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(value * 65536) for value in values))


def _gamma(value: float) -> bytes:
    return struct.pack(">4sIIHxx", b"curv", 0, 1, round(value * 256))


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += struct.pack(">4sII", signature, start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x02400000, kind, space, pcs)
    header += struct.pack(">6H4s28x", 2024, 1, 1, 0, 0, 0, b"acsp")
    header += struct.pack(">3i48x", *(round(value * 65536) for value in D50))
    assert len(header) == 128
    return header + table + body


@pytest.fixture(scope="session")
def swapped_profile() -> bytes:
    """RGB with red and blue exchanged: pure red must come out as pure blue."""
    curve = _gamma(2.2)
    tags = {b"wtpt": _xyz(D50), b"rXYZ": _xyz(BLUE), b"gXYZ": _xyz(GREEN), b"bXYZ": _xyz(RED)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


@pytest.fixture(scope="session")
def p3_profile() -> Callable[[bytes], bytes]:
    """Display P3 with any curve, given as a tag."""

    def build(curve: bytes) -> bytes:
        colorants = {b"rXYZ": _xyz(P3[0]), b"gXYZ": _xyz(P3[1]), b"bXYZ": _xyz(P3[2])}
        curves = {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
        return _profile(b"mntr", b"RGB ", b"XYZ ", {b"wtpt": _xyz(D50)} | colorants | curves)

    return build


@pytest.fixture(scope="session")
def rgb_table_profile() -> bytes:
    """RGB whose meaning stands in a table of the eight corners, as a scanner's might."""
    grid = bytearray()
    for red, green, blue in np.ndindex(2, 2, 2):  # the last colour varies fastest
        grid += bytes((76 * red + 153 * green + 26 * blue, 128 + 20 * red - 20 * green, 128 + 15 * green - 30 * blue))
    table = struct.pack(">4sI4B9i", b"mft1", 0, 3, 3, 2, 0, *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    table += bytes(range(256)) * 3 + bytes(grid) + bytes(range(256)) * 3
    return _profile(b"scnr", b"RGB ", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table})


@pytest.fixture(scope="session")
def linear_gray_profile() -> bytes:
    """Grey whose values are light itself: half the light is 188 of 255 in sRGB."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _gamma(1.0)})


@pytest.fixture(scope="session")
def gray_ink_profile() -> bytes:
    """CMYK whose four inks are all black: any colour of ink comes out as grey."""
    ramp = bytes(range(256))
    grid = bytearray()
    for node in range(16):  # two points per ink; the last ink varies fastest
        ink = bin(node).count("1") / 4
        grid += bytes((round(255 * (1 - ink)), 128, 128))
    table = struct.pack(">4sI4B9i", b"mft1", 0, 4, 3, 2, 0, *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    table += ramp * 4 + bytes(grid) + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table})


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A smooth colour picture ``(24, 32, 3)`` without any symmetry: lossy formats hold it well."""
    noise = np.random.default_rng(7).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(noise).resize((32, 24), Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def opacity() -> NDArray[np.uint8]:
    """Alpha for `photo`: every level from 0 to 255 somewhere."""
    return np.linspace(0, 255, 24 * 32).round().astype(np.uint8).reshape(24, 32)
