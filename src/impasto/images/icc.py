"""Matrix and grey colour profiles in floating point: 16-bit pixels become sRGB without a coarse table between.

Profiles built on tables (scanners, printers) are not evaluated here. libvips could do all of it, but it has Little
CMS put the whole way into one grid of colours: on saturated colours of Display P3 that was wrong by 14 of 255.

Source: ICC.1:2022, annex F.2 (monochrome) and F.3 (three-component matrix), 10.6 curveType, 10.18
parametricCurveType; IEC 61966-2-1 for the curve of sRGB.
"""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from impasto.images.color import srgb_profile

Converter = Callable[[NDArray[np.uint16]], NDArray[np.float32]]

_LEVELS = np.arange(65536) / 65535.0

_DAMAGED = (ArithmeticError, LookupError, ValueError, np.linalg.LinAlgError, struct.error)


def matrix_converter(profile: bytes) -> Converter | None:
    """The way from a matrix or grey profile to sRGB: relative colorimetric, exact to float32.

    Black point compensation would change nothing, because only profiles whose black is zero are taken.

    Args:
        profile: the bytes of an ICC profile, version 2 or 4.

    Returns:
        A function from 16-bit ``(…, 3)``, or ``(…, 1)`` for a grey profile, to sRGB ``(…, 3)`` float32 in [0, 1],
        colours outside sRGB clipped. None for a profile of another kind and for a damaged one.
    """
    try:
        tags = _tags(profile)
        if profile[20:24] != b"XYZ " or any(signature[:3] in (b"A2B", b"D2B") for signature in tags):
            return None
        if profile[16:20] == b"RGB ":
            curves = [_curve(tags[channel + b"TRC"]) for channel in (b"r", b"g", b"b")]
            matrix = _colorants(tags) @ np.linalg.inv(_colorants(_tags(srgb_profile())))
        elif profile[16:20] == b"GRAY":
            curves, matrix = [_curve(tags[b"kTRC"])], np.ones((1, 3), dtype=np.float32)
        else:
            return None
    except _DAMAGED:
        return None
    if not all(np.isfinite(curve).all() and curve[0] == 0.0 for curve in curves):
        return None

    def convert(values: NDArray[np.uint16]) -> NDArray[np.float32]:
        light = np.stack([curve[values[..., channel]] for channel, curve in enumerate(curves)], axis=-1)
        return _srgb_encoded(np.clip(light @ matrix, 0.0, 1.0))

    return convert


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The profile's tags by signature."""
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = struct.iter_unpack(">4sII", profile[132 : 132 + 12 * count])
    return {signature: profile[start : start + size] for signature, start, size in entries}


def _colorants(tags: dict[bytes, bytes]) -> NDArray[np.float32]:
    """XYZ under D50 of full red, green and blue, one in each row."""
    rows = [struct.unpack_from(">3i", tags[channel + b"XYZ"], 8) for channel in (b"r", b"g", b"b")]
    return (np.array(rows) / 65536.0).astype(np.float32)


def _curve(tag: bytes) -> NDArray[np.float32]:
    """Linear light of each of the 65,536 levels, in [0, 1]."""
    match tag[:4]:
        case b"curv":
            (count,) = struct.unpack_from(">I", tag, 8)
            points = np.frombuffer(tag, ">u2", count, offset=12)
            if count == 0:
                light = _LEVELS
            elif count == 1:
                light = _LEVELS ** (float(points[0]) / 256.0)
            else:
                light = np.interp(_LEVELS, np.linspace(0.0, 1.0, count), points / 65535.0)
        case b"para":
            (kind,) = struct.unpack_from(">H", tag, 8)
            size = (1, 3, 4, 5, 7)[kind]
            given = [value / 65536.0 for value in struct.unpack_from(f">{size}i", tag, 12)]
            light = _parametric(kind, given)
        case _:
            raise ValueError(f"no curve: {tag[:4]!r}")
    return np.clip(light, 0.0, 1.0).astype(np.float32)


def _parametric(kind: int, given: list[float]) -> NDArray[np.float64]:
    """Types 0 to 4, all as type 4: (a x + b)^g + e from d on, c x + f below."""
    g, a, b, c, d, e, f = (*given, *(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)[len(given) - 1 :])
    if kind in (1, 2):  # here the fourth parameter is an offset, and the straight part is flat and ends at -b / a
        c, d, e, f = 0.0, -b / a, given[3] if kind == 2 else 0.0, given[3] if kind == 2 else 0.0
    with np.errstate(all="ignore"):  # what a damaged exponent makes infinite is refused later
        power = np.maximum(a * _LEVELS + b, 0.0) ** g
    return np.where(d <= _LEVELS, power + e, c * _LEVELS + f)


def _srgb_encoded(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear light in [0, 1] by the curve of sRGB."""
    bright = np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light <= np.float32(0.0031308), np.float32(12.92) * light, bright)
