"""A child process that makes a small picture for a page of one file: limited as the one that looks at uploads.

Reads the file from stdin, the longer side in pixels as its argument, and writes WebP to stdout.
"""

from __future__ import annotations

import sys
from io import BytesIO

from PIL import Image, ImageCms, ImageOps

from impasto.jobs.decode import DAMAGE, FORMATS, MAX_PIXELS, limit_this_process


def shrunk(data: bytes, longer_px: int) -> bytes:
    """The picture upright in sRGB, its longer side at most ``longer_px``, transparency kept."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        image.draft("RGB", (longer_px, longer_px))  # JPEG is decoded small where it can be
        upright = ImageOps.exif_transpose(image)
        profile = image.info.get("icc_profile")
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        upright.thumbnail((longer_px, longer_px), Image.Resampling.LANCZOS)
        kept = BytesIO()
        _in_srgb(upright, profile).save(kept, "WEBP", quality=88)
    return kept.getvalue()


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        moved = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=image.mode)
    except (ImageCms.PyCMSError, *DAMAGE):  # of another colour space or broken: the small picture does without
        return image
    return moved or image


def main() -> None:
    """Shrink what comes by stdin."""
    limit_this_process()
    sys.stdout.buffer.write(shrunk(sys.stdin.buffer.read(), int(sys.argv[1])))


if __name__ == "__main__":
    main()
