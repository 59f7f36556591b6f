"""A child process that decodes one upload to see whether it can be: limited in memory and time, trusted with nothing.

Reads the file from stdin and prints what it found as JSON. Imports Pillow and nothing of ours, to start quickly; only
where a safety check is named as its argument, that is loaded too.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
import warnings
import zlib
from io import BytesIO
from typing import Any, Final

from PIL import Image, UnidentifiedImageError

FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF")
MAX_PIXELS: Final = 40_000_000
MAX_SIDE_PX: Final = 16_384
#: Above so many pixels, a file with fewer bytes per pixel than this was made to fill the memory.
_RATIO_PIXELS: Final = 8_000_000
_MIN_BYTES_PER_PIXEL: Final = 1 / 400

_MEMORY_BYTES: Final = 2 << 30
CPU_S: Final = 10
_SHORTEST: Final = 32  # bytes: what is shorter holds no picture, whatever it begins with
_BEGINNINGS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"GIF8")

DAMAGE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def look(data: bytes, safety: str | None = None) -> dict[str, Any]:
    """The picture's format and size, or ``code`` and ``detail`` of why it is not kept."""
    # The limits on pixels are checked below, from the header; Pillow's own stands at a fixed number.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if refusal := _too_large(image.width, image.height, len(data)):
                return refusal
            kind = image.format
            width, height = image.size
            image.load()
            if safety and (refusal := _unsafe(image, safety)):
                return refusal
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _refused("image_too_large", f"it claims more than {MAX_PIXELS / 1e6:g} megapixels; make it smaller")
    except MemoryError:
        return _refused("image_too_large", "decoding it takes too much memory; make it smaller")
    except UnidentifiedImageError:
        if data[4:12] in (b"ftypavif", b"ftypavis"):  # its decoder says the same of all that it does not like
            return _avif_refused(data)
        if len(data) >= _SHORTEST and data.startswith(_BEGINNINGS):
            return _refused("corrupt_image", "its header is damaged; save it again from the original")
        return _refused("unsupported_image", "it is no JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF file")
    except DAMAGE:
        return _refused("corrupt_image", "it is damaged or cut off; save it again from the original")
    return {"format": kind, "width": width, "height": height}


def _too_large(width: int, height: int, file_bytes: int) -> dict[str, Any] | None:
    if width < 1 or height < 1:
        return _refused("corrupt_image", f"it has no pixels ({width}x{height})")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        return _refused(
            "image_too_large",
            f"it has {width}x{height} px, and at most {MAX_PIXELS / 1e6:g} megapixels and {MAX_SIDE_PX} px on a side "
            "are taken; make it smaller",
        )
    if width * height > _RATIO_PIXELS and file_bytes < width * height * _MIN_BYTES_PER_PIXEL:
        return _refused(
            "image_too_large",
            f"it has {width}x{height} px in {file_bytes} bytes, too few for a picture of that size; make it smaller",
        )
    return None


def _unsafe(image: Image.Image, safety: str) -> dict[str, Any] | None:
    from impasto.provenance.safety import why_unsafe

    reason = why_unsafe(image, safety)
    return _refused("unsafe_image", f"{reason}; give another picture") if reason else None


def _avif_refused(data: bytes) -> dict[str, Any]:
    """Why an AVIF that cannot be opened is not kept: for its size, if it says one."""
    at = data.find(b"ispe", 0, 65_536)
    if at >= 0 and len(data) >= at + 16:
        width, height = struct.unpack(">II", data[at + 8 : at + 16])
        if refusal := _too_large(width, height, len(data)):
            return refusal
    return _refused("corrupt_image", "it is damaged or cut off; save it again from the original")


def _refused(code: str, detail: str) -> dict[str, Any]:
    return {"code": code, "detail": detail}


def limit_this_process() -> None:
    """No file, whatever is in it, takes more memory and time than this."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Decode what comes by stdin."""
    limit_this_process()
    safety = sys.argv[1] if len(sys.argv) > 1 else None
    sys.stdout.write(json.dumps(look(sys.stdin.buffer.read(), safety)))


if __name__ == "__main__":
    main()
