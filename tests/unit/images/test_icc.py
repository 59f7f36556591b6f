"""Matrix and grey profiles at 16 bits: against the formula, and against Little CMS at 8 bits."""

import struct
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from impasto.images.color import srgb_profile, to_srgb
from impasto.images.icc import matrix_converter

STEP = 1 / 65535


def curve_tag(count: int, *values: int) -> bytes:
    return struct.pack(f">4sII{len(values)}H", b"curv", 0, count, *values) + bytes(2 * (len(values) % 2))


def parametric_tag(kind: int, *values: float) -> bytes:
    return struct.pack(f">4sIHH{len(values)}i", b"para", 0, kind, 0, *(round(value * 65536) for value in values))


def colorants(profile: bytes) -> NDArray[np.float64]:
    """XYZ of red, green and blue, as Little CMS reads them, one in each row."""
    read_by_lcms = ImageCms.ImageCmsProfile(BytesIO(profile)).profile
    return np.array([getattr(read_by_lcms, f"{name}_colorant")[0] for name in ("red", "green", "blue")])


def srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


SQUARE = [round(65535 * (n / 4096) ** 2) for n in range(4097)]

CURVES: dict[str, tuple[bytes, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "linear": (curve_tag(0), lambda x: x),
    "gamma": (curve_tag(1, 460), lambda x: x ** (460 / 256)),
    "table": (curve_tag(4097, *SQUARE), lambda x: x**2),
    "parametric": (
        parametric_tag(3, 2.5, 0.9375, 0.0625, 0.0625, 0.03125),
        lambda x: np.where(x >= 0.03125, (0.9375 * x + 0.0625) ** 2.5, 0.0625 * x),
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_matrix_converter_wide_profile_equals_the_formula(name: str, p3_profile: Callable[[bytes], bytes]) -> None:
    tag, curve = CURVES[name]
    values = np.random.default_rng(5).integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    convert = matrix_converter(p3_profile(tag))
    assert convert is not None
    light = curve(values / 65535) @ colorants(p3_profile(tag)) @ np.linalg.inv(colorants(srgb_profile()))
    # a table gives light in steps of 1/65535, which the curve of sRGB stretches thirteenfold in the dark
    assert np.abs(convert(values) - srgb(light)).max() < (20 * STEP if name == "table" else STEP)


@pytest.mark.parametrize(
    "tag",
    [
        parametric_tag(0, 1.8),
        parametric_tag(1, 2.2, 1.1, -0.1),
        parametric_tag(2, 2.0, 1.2, -0.3, 0.0),
        parametric_tag(3, 2.4, 0.948, 0.052, 0.0774, 0.0404),
        parametric_tag(4, 2.2, 0.9, 0.1, 0.05, 0.05, 0.0, 0.0),
    ],
    ids=["0", "1", "2", "3", "4"],
)
def test_matrix_converter_agrees_with_8_bits_on_every_parametric_curve(
    tag: bytes, p3_profile: Callable[[bytes], bytes], photo: NDArray[np.uint8]
) -> None:
    convert = matrix_converter(p3_profile(tag))
    assert convert is not None
    flat, note = to_srgb(Image.fromarray(photo), p3_profile(tag))
    assert note is None
    assert np.abs(convert(photo.astype(np.uint16) * 257) - np.asarray(flat) / 255).max() <= 1 / 255


def test_matrix_converter_of_srgb_changes_nothing() -> None:
    ramp = np.arange(65536, dtype=np.uint16)
    convert = matrix_converter(srgb_profile())
    assert convert is not None
    converted = convert(np.stack([ramp, ramp[::-1], np.roll(ramp, 999)], axis=-1))
    assert np.abs(converted[:, 0] * 65535 - ramp).max() < 2
    assert len(np.unique(converted[:, 0])) > 60_000


def test_matrix_converter_of_gray_gives_neutral_colours(linear_gray_profile: bytes) -> None:
    ramp = np.arange(65536, dtype=np.uint16)[:, None]
    convert = matrix_converter(linear_gray_profile)
    assert convert is not None
    assert np.abs(convert(ramp) - srgb(ramp / 65535)).max() < STEP


def test_matrix_converter_leaves_other_and_damaged_profiles_alone(
    rgb_table_profile: bytes, gray_ink_profile: bytes, p3_profile: Callable[[bytes], bytes]
) -> None:
    whole = p3_profile(curve_tag(0))
    for profile in (
        rgb_table_profile,
        gray_ink_profile,
        b"",
        b"no profile",
        whole[:140],
        whole[:-20],
        whole.replace(b"gTRC", b"\0\0\0\0"),
        p3_profile(b"none" + bytes(12)),
        p3_profile(curve_tag(9, 0, 65535)),  # fewer points than it says
        p3_profile(curve_tag(2, 9000, 65535)),  # its black is not black
        p3_profile(parametric_tag(9, 1.0)),
        p3_profile(parametric_tag(1, 2.0, 0.0, 1.0)),  # ends its straight part nowhere
    ):
        assert matrix_converter(profile) is None
