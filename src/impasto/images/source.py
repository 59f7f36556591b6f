"""A picture's bytes from the disk, and a guard around Pillow while it takes them apart.

A picture file is untrusted input: any damage in it ends as UnreadableImageError, never as one of the many
exceptions of Pillow's decoders. What the pixels mean is the business of modes.py.
"""

import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from impasto.errors import UnreadableImageError

# Only these decoders see the bytes; Pillow has thirty more, several of them old and seldom tested.
INPUT_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF")
#: What files in a folder are taken for pictures, by their extension.
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"})
ALLOWED = "give a JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF file"

MAX_FILE_BYTES = 512 * 1024 * 1024

# Room for 16384 px on both sides. The pixels of such a picture take 3.6 GB as float32.
MAX_PIXELS = 300_000_000

# Deflate packs at most 1032:1, so no PNG or TIFF is over this ratio, however flat. What is over it
# claims millions of pixels from almost nothing. Below the floor there is too little memory at stake.
MAX_RATIO = 1032
RATIO_FLOOR_PIXELS = 16_000_000

# What Pillow and its plugins raise for files that are damaged or were made to do harm.
DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,  # includes UnidentifiedImageError
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# warnings.catch_warnings and Pillow's limit are states of the whole process: two threads that change them at
# once would leave them wrong.
_STATE_LOCK = threading.Lock()


def read_bytes(path: Path) -> bytes:
    """All bytes of a regular file of reasonable size.

    Args:
        path: the file; symbolic links are followed.

    Returns:
        At least one byte, at most `MAX_FILE_BYTES`.

    Raises:
        UnreadableImageError: missing, empty, no permission, a folder, a pipe or a device, or too large.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableImageError(f"cannot read {str(path)!r}: it is a folder; {ALLOWED}")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise UnreadableImageError(f"cannot read {str(path)!r}: it is not a regular file; {ALLOWED}")
        if status.st_size > MAX_FILE_BYTES:
            raise UnreadableImageError(
                f"cannot read {str(path)!r}: it has {status.st_size / 2**20:.0f} MiB, but at most "
                f"{MAX_FILE_BYTES / 2**20:.0f} MiB are read; save it smaller or compressed"
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableImageError(f"cannot read {str(path)!r}: there is no such file; check the path") from error
    except PermissionError as error:
        raise UnreadableImageError(
            f"cannot read {str(path)!r}: there is no permission to read it; change its permissions or copy it"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise UnreadableImageError(f"cannot read {str(path)!r}: {reason}; check the path and the disk") from error
    if not data:
        raise UnreadableImageError(f"cannot read {str(path)!r}: it is empty (0 bytes); {ALLOWED}")
    return data


@contextmanager
def decoding(name: str) -> Iterator[list[str]]:
    """Everything that goes wrong inside becomes UnreadableImageError; what Pillow only warns of is listed.

    Pillow's limit on pixels, 89 million by default, is `MAX_PIXELS` inside and what it was afterwards.

    Args:
        name: what the error message calls the picture.

    Yields:
        A list that holds Pillow's warnings, as sentences, once the block has ended.

    Raises:
        UnreadableImageError: the block raised one of `DECODER_ERRORS`, or a header claims more than `MAX_PIXELS`.
    """
    notes: list[str] = []
    with _STATE_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # damaged metadata: the pixels may still be good
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        pillow_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            yield notes
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UnreadableImageError(
                f"cannot read {name!r}: it claims more pixels than can be decoded safely ({error}); make it smaller"
            ) from error
        except UnidentifiedImageError as error:
            raise UnreadableImageError(
                f"cannot read {name!r}: it is no picture of a supported format, or its beginning is damaged; {ALLOWED}"
            ) from error
        except DECODER_ERRORS as error:
            reason = str(error).strip().rstrip(".") or type(error).__name__
            raise UnreadableImageError(
                f"cannot read {name!r}: the picture is damaged or incomplete ({reason}); "
                "save it again from the original"
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit
    notes.extend(str(warning.message) for warning in caught if issubclass(warning.category, UserWarning))


def open_image(data: bytes) -> ImageFile.ImageFile:
    """The picture's header, from one of `INPUT_FORMATS`; no pixels are decoded. Call inside `decoding`."""
    return Image.open(BytesIO(data), formats=INPUT_FORMATS)


def header_bit_depth(image: ImageFile.ImageFile, data: bytes) -> int:
    """16 if the header of a PNG or TIFF file says so, for whole numbers in every channel; 8 for all else."""
    if image.format == "PNG":
        return 16 if data[12:16] == b"IHDR" and data[24] == 16 else 8
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        whole_numbers = set(tags.get(ExifTags.Base.SampleFormat, (1,))) == {1}
        return 16 if whole_numbers and set(tags.get(ExifTags.Base.BitsPerSample, ())) == {16} else 8
    return 8


def check_pixels(name: str, width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture with more pixels than allowed.

    Raises:
        UnreadableImageError: ``width * height`` is above ``max_pixels``.
    """
    if width * height > max_pixels:
        raise UnreadableImageError(
            f"{name!r} is {width}x{height} px ({width * height / 1e6:.1f} megapixels), but at most "
            f"{max_pixels / 1e6:g} megapixels are read; make it smaller or raise max_pixels"
        )


def check_ratio(name: str, image: ImageFile.ImageFile, file_bytes: int, *, bit_depth: int = 8) -> None:
    """Refuse a large picture that a file this small cannot honestly hold: a decompression bomb.

    Raises:
        UnreadableImageError: above `RATIO_FLOOR_PIXELS` and over `MAX_RATIO` decoded bytes per file byte.
    """
    pixels = image.width * image.height
    ratio = pixels * len(image.getbands()) * (bit_depth // 8) / file_bytes
    if pixels > RATIO_FLOOR_PIXELS and ratio > MAX_RATIO:
        raise UnreadableImageError(
            f"{name!r} claims {image.width}x{image.height} px in a file of {file_bytes} bytes "
            f"({ratio:.0f}:1), but at most {MAX_RATIO}:1 is decoded above {RATIO_FLOOR_PIXELS / 1e6:g} "
            "megapixels; make it smaller or save it as an 8-bit PNG"
        )


def file_path(source: str | os.PathLike[str]) -> Path:
    """The path of a source; a path-like object that is made of bytes is decoded as the system does."""
    return Path(os.fsdecode(source))
