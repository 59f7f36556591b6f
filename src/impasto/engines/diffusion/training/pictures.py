"""The pictures of a training: their captions, and the size at which each is seen.

Pictures keep their shapes: each is seen at one of several sizes (buckets) that have about the same number of pixels,
whichever is nearest to its own proportions, and little is cut off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from impasto.errors import ImageTooSmallError, InputError
from impasto.images import EXTENSIONS, fill_transparent, read, resize

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from torch import Tensor

#: Fewer pictures show a motif rather than a style.
LEAST_PICTURES: Final = 3
_CAPTION: Final = ".txt"
_LARGEST_CAPTION: Final = 2**14
#: Longer to shorter side of a bucket, at most.
_LONGEST: Final = 2.0
#: Sides of buckets differ by a sixteenth of the square's.
_STEPS: Final = 16
#: A picture that would have to be enlarged by more is a blur.
_MOST_ENLARGED: Final = 2.0


@dataclass(frozen=True)
class TrainingPicture:
    """A picture as it is seen in training."""

    path: Path
    sha256: str
    caption: str
    height: int
    width: int
    bucket: tuple[int, int]
    """Height and width at which it is seen."""

    @property
    def times(self) -> tuple[int, ...]:
        """What SDXL is told of it: its own size, where it was cut, the size at which it is seen."""
        tall, wide = self._covering
        return (self.height, self.width, (tall - self.bucket[0]) // 2, (wide - self.bucket[1]) // 2, *self.bucket)

    def pixels(self) -> Tensor:
        """``(1, 3, h, w)`` in [0, 1], resized and cut to its bucket; the middle is kept."""
        top, left = self.times[2:4]
        whole = resize(fill_transparent(read(self.path)), *self._covering)
        return whole[..., top : top + self.bucket[0], left : left + self.bucket[1]]

    @property
    def _covering(self) -> tuple[int, int]:
        factor = max(self.bucket[0] / self.height, self.bucket[1] / self.width)
        return max(self.bucket[0], round(self.height * factor)), max(self.bucket[1], round(self.width * factor))


def find_pictures(sources: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The pictures of some files and folders; of a folder those that lie in it, sorted by name.

    Raises:
        InputError: there is no such file or folder, or no picture in it.
    """
    found: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(path for path in source.iterdir() if path.suffix.lower() in EXTENSIONS)
            if not inside:
                raise InputError(f"there is no picture in {str(source)!r}; give pictures, or a folder that holds some")
            found += inside
        elif source.is_file():
            found.append(source)
        else:
            raise InputError(f"there is no picture or folder {str(source)!r}; check its name")
    return list(dict.fromkeys(found))


def read_captions(pictures: Sequence[Path], folder: Path | None) -> list[str | None]:
    """What each picture shows, from files ``NAME.txt``.

    Args:
        pictures: of which.
        folder: where the files lie; None: beside the pictures.

    Returns:
        One caption for each; None for all where there is not one file beside the pictures.

    Raises:
        InputError: some have a caption and some do not, or a file cannot be read.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(f"captions: {str(folder)!r} is no folder; give one that has a file NAME.txt for each picture")
    files = [(folder or path.parent) / f"{path.stem}{_CAPTION}" for path in pictures]
    missing = [path.name for path, file in zip(pictures, files, strict=True) if not file.is_file()]
    if folder is None and len(missing) == len(files):
        return [None] * len(files)
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise InputError(
            f"{named} of {len(files)} pictures have no caption; write what each shows into a file NAME.txt "
            f"{'in ' + repr(str(folder)) if folder else 'beside it'}"
            + ("" if folder else ", or remove the other captions")
        )
    return [_caption(file) for file in files]


def buckets(size: int, multiple: int) -> list[tuple[int, int]]:
    """Sizes with about as many pixels as a square, none with more.

    Args:
        size: the square's side.
        multiple: what sides must be a multiple of.

    Returns:
        Heights and widths, from wide to tall.

    Example:
        >>> buckets(64, 16)
        [(48, 80), (64, 64), (80, 48)]
    """
    step = multiple * max(1, size // _STEPS // multiple)
    sides = range(step, int(size * math.sqrt(_LONGEST)) + 1, step)
    wide = {(min(size * size // side // step * step, side), side) for side in sides if side >= size // step * step}
    fitting = [(short, long) for short, long in wide if short and long <= short * (_LONGEST + 0.5)]
    return sorted({*fitting, *((long, short) for short, long in fitting)}, key=lambda pair: (pair[0] / pair[1], pair))


def look_at(paths: Sequence[Path], captions: Sequence[str], *, size: int, multiple: int) -> list[TrainingPicture]:
    """Every picture with the bucket that it is seen in.

    Raises:
        UnreadableImageError: one cannot be read.
        ImageTooSmallError: one would have to be enlarged more than twice, or the size is below what the model takes.
    """
    shapes = buckets(size, multiple)
    if not shapes:
        raise ImageTooSmallError(f"size={size} is too small for this model; give {multiple} or more")
    found = []
    for path, caption in zip(paths, captions, strict=True):
        picture = read(path)
        ratio = math.log(picture.height / picture.width)
        bucket = min(shapes, key=lambda shape: abs(math.log(shape[0] / shape[1]) - ratio))
        if max(bucket[0] / picture.height, bucket[1] / picture.width) > _MOST_ENLARGED:
            raise ImageTooSmallError(
                f"{path.name} is {picture.width}x{picture.height} px, but is to be seen at {bucket[1]}x{bucket[0]} px, "
                "more than twice that; use a larger picture, or a smaller size"
            )
        found.append(TrainingPicture(path, picture.sha256 or "", caption, picture.height, picture.width, bucket))
    return found


def _caption(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST_CAPTION:
            raise InputError(f"{str(file)!r} is larger than a caption can be; write what the picture shows in words")
        text = " ".join(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the caption {str(file)!r} cannot be read: {error}; write it as UTF-8 text") from None
    if not text:
        raise InputError(f"the caption {str(file)!r} is empty; write what the picture shows")
    return text
