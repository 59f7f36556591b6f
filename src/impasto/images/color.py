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
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if image.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")  # grey pictures often carry the profile of the camera or the editor
        transform = ImageCms.buildTransform(
            source,
            ImageCms.ImageCmsProfile(BytesIO(srgb_profile())),
            image.mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return transform.apply(image), None
    except _PROFILE_ERRORS as error:
        reason = str(error).strip() or type(error).__name__
        return image.convert("RGB"), f"its colour profile cannot be used and was ignored ({reason})"
