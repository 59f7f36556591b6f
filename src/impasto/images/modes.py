"""What each Pillow mode means: any decoded Pillow image becomes upright sRGB pixels and alpha.

- 1, L, P, RGB, RGBX, YCbCr, HSV: as Pillow converts them; X is not alpha.
- LA, PA, RGBA, and a transparent colour of P, L, RGB, 1, I;16: alpha is split off, and
  the colour under it stays as it is.
- La, RGBa: the colour is divided by alpha first.
- CMYK: by its profile; without one, (1 - ink) * (1 - black). LAB: D50 CIELAB. Both leave out any alpha.
- I;16 in every byte order: / 65535, or the file's own bits (12-bit TIFF: / 4095); white-is-zero is turned.
- I: / 255 if no value is above 255, otherwise / 65535; F: as it is if no value is above 1, otherwise / 255.
- 16 bits per channel in colour: Pillow keeps only the upper 8 bits. 16-bit grey keeps all of its bits unless
  it has a colour profile, which is applied at 8 bits. For files with either, deep.py does better.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

from impasto.errors import UnreadableImageError
from impasto.images.color import embedded_profile, to_srgb
from impasto.images.source import DECODER_ERRORS

# The largest values that mode I and mode F may have, smallest first; the picture's own maximum chooses.
_WHITE_LEVELS = {"I": (255.0, 65535.0), "F": (1.0, 255.0)}

# EXIF orientation -> (swap rows and columns?, axes to flip after it)
_UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (-1,)),
    3: (False, (-1, -2)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-1, -2)),
    8: (True, (-2,)),
}


@dataclass(frozen=True)
class Decoded:
    """Pixels ``(3, h, w)`` and alpha ``(1, h, w)``, float32 in [0, 1], and what had to be ignored."""

    pixels: Tensor
    alpha: Tensor | None
    notes: tuple[str, ...] = ()
    bit_depth: int = 8


def decode(image: Image.Image, name: str) -> Decoded:
    """Decode a Pillow image of any mode, as the table above says. Call inside `source.decoding`.

    Args:
        image: any Pillow image; it is loaded, otherwise left as it is.
        name: what error messages call it.

    Returns:
        Upright sRGB pixels.

    Raises:
        UnreadableImageError: a mode without a meaning here, or values of mode I or F outside their range.
    """
    image.load()
    if 0 in image.size:
        raise UnreadableImageError(f"{name!r} is {image.width}x{image.height} px; give a picture with pixels")
    profile = embedded_profile(image)
    notes: list[str] = []
    bit_depth = 8

    if image.mode in _WHITE_LEVELS or image.mode.startswith("I;16"):
        gray, alpha = _deep_gray(image, name)
        if profile is None:
            pixels = torch.from_numpy(gray).expand(3, -1, -1)
            bit_depth = 16 if image.mode.startswith("I;16") else 8
        else:
            color = Image.fromarray(np.rint(gray * 255).astype(np.uint8))
            pixels = _unit(_convert(color, profile, notes))
    else:
        color, opacity = _split(image, name)
        alpha = None if opacity is None else _unit(opacity)
        pixels = _unit(_convert(color, profile, notes))

    return upright(Decoded(pixels, alpha, tuple(notes), bit_depth), image)


def upright(decoded: Decoded, image: Image.Image) -> Decoded:
    """Pixels as stored, turned by the EXIF orientation of their image, 1 to 8.

    Damaged EXIF data leave a note and the picture as it is. The image need not be loaded.
    """
    notes = decoded.notes
    try:
        # Not PNG's own getexif, which would decode the pixels to look behind them.
        swap, flips = _UPRIGHT.get(int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)), (False, ()))
    except DECODER_ERRORS as error:
        swap, flips = False, ()
        notes = (*notes, f"its EXIF data cannot be read and were ignored ({error})")

    def turned(part: Tensor) -> Tensor:
        part = part.mT if swap else part
        return (part.flip(flips) if flips else part).contiguous()

    alpha = None if decoded.alpha is None else turned(decoded.alpha)
    return replace(decoded, pixels=turned(decoded.pixels), alpha=alpha, notes=notes)


def _split(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """The colour as L, RGB, CMYK or LAB, and the alpha as L."""
    has_alpha = image.has_transparency_data
    if image.mode == "La":
        image = image.convert("LA")
    elif image.mode in ("RGBa", "PA") or (image.mode == "P" and has_alpha):
        image = image.convert("RGBA")

    alpha = None
    if has_alpha:
        alpha = (image if image.mode in ("LA", "RGBA") else image.convert("RGBA")).getchannel("A")
    if image.mode in ("1", "LA"):
        return image.convert("L"), alpha
    if image.mode in ("P", "RGBA", "RGBX", "YCbCr", "HSV"):
        return image.convert("RGB"), alpha
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, alpha
    raise UnreadableImageError(
        f"cannot read {name!r}: Pillow mode {image.mode!r} has no meaning here; convert it to RGB or RGBA first"
    )


def _convert(color: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """The colour as sRGB; a profile that cannot be used leaves a note."""
    if profile is None or color.mode == "LAB":  # LAB is absolute: its profile says nothing more
        return color.convert("RGB")
    converted, note = to_srgb(color, profile)
    if note is not None:
        notes.append(note)
    return converted


def _unit(image: Image.Image) -> Tensor:
    """8-bit L or RGB as float32 ``(1 or 3, h, w)`` in [0, 1]."""
    values = torch.from_numpy(np.array(image))  # a copy: what Pillow hands out is read-only
    values = values.permute(2, 0, 1).contiguous() if values.dim() == 3 else values[None]
    return values.float().div_(255.0)


def _deep_gray(image: Image.Image, name: str) -> tuple[NDArray[np.float32], Tensor | None]:
    """Grey of modes I;16, I and F as float32 ``(h, w)`` in [0, 1], and alpha from a transparent grey."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        tags = getattr(image, "tag_v2", {})  # TIFF only
        bits = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
        gray = values.astype(np.float32) / np.float32(2**bits - 1)
        if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # white is zero; Pillow turns only 8 bits
            gray = 1.0 - gray
        key = image.info.get("transparency")
        return gray, torch.from_numpy(values != key).float()[None] if isinstance(key, int) else None

    low, high = float(values.min()), float(values.max())
    levels = _WHITE_LEVELS[image.mode]
    if not (low >= 0.0 and high <= levels[-1]):  # written so that NaN is refused as well
        raise UnreadableImageError(
            f"cannot read {name!r}: its values (mode {image.mode}) go from {low:g} to {high:g}, but 0 to "
            f"{' or 0 to '.join(f'{level:g}' for level in levels)} is allowed; "
            "rescale it or save it as 8-bit RGB"
        )
    white = next(level for level in levels if high <= level)
    return (values / white).astype(np.float32), None
