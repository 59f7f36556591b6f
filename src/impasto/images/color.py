"""Colour profiles: pixels with an ICC profile become sRGB, and the sRGB profile that every output carries.

Only ICC profiles are followed. The gamma and chromaticity chunks of PNG and the colour codes (CICP) of AVIF
and PNG are not; pictures that have only those are taken as sRGB.
"""

import struct
from functools import cache
from io import BytesIO

from PIL import Image, ImageCms

# The profile's creation date, bytes 24 to 36 of its header, would make every run's file different.
_FIXED_DATE = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)

_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, TypeError, ValueError)


@cache
def srgb_profile() -> bytes:
    """The sRGB profile for outputs: the same bytes on every run."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + _FIXED_DATE + profile[36:]


def embedded_profile(image: Image.Image) -> bytes | None:
    """The bytes of a picture's ICC profile, if it has one."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None  # a PNG text chunk may put a string under any key


def to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, str | None]:
    """The picture in sRGB, by its profile; relative colorimetric with black point compensation.

    Args:
        image: mode L, RGB or CMYK, without alpha.
        profile: the bytes of the picture's ICC profile.

    Returns:
        The picture as RGB and None; or, where the profile is broken or belongs to another kind of picture,
        the picture as RGB without it and a sentence that says so.
    """
    if profile == srgb_profile():  # our own outputs come back exactly, not through a conversion to 8 bits
        return image.convert("RGB"), None
    if image.mode == "L" and wants_rgb(profile):
        image = image.convert("RGB")
    transform = transform_to_srgb(profile, image.mode)
    if isinstance(transform, str):
        return image.convert("RGB"), transform
    return transform.apply(image), None


def wants_rgb(profile: bytes) -> bool:
    """Whether a profile is for RGB. Grey pictures often carry such a one, of the camera or the editor."""
    return profile[16:20] == b"RGB "


def transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | str:
    """The way from a profile to sRGB at 8 bits, or the sentence for the user on why it cannot be used.

    Args:
        profile: the bytes of an ICC profile.
        mode: of the picture: L, RGB or CMYK.
    """
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.ImageCmsProfile(BytesIO(srgb_profile())),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except _PROFILE_ERRORS as error:
        reason = str(error).strip() or type(error).__name__
        return f"its colour profile cannot be used and was ignored ({reason})"
