"""Small pictures of results, for those who cannot take the large ones: a chat, a model."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

from impasto.jobs.decode import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: A preview has at most so many bytes and pixels on its longer side.
MOST_BYTES: Final = 80_000
LONGEST_PX: Final = 512
_QUALITIES: Final = (88, 80, 70, 55, 40)
_GAP_PX: Final = 8


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture that was looked at before, as it stands upright."""
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else (image.width, image.height)


def preview(path: Path) -> bytes:
    """A picture of ours as a small WebP."""
    return _encoded(_small(path, LONGEST_PX))


def contact_sheet(pictures: Sequence[tuple[str, Path]]) -> bytes:
    """Pictures side by side as one WebP, each with its label at the upper left."""
    columns = min(len(pictures), 3)
    side = (2 * LONGEST_PX - _GAP_PX * (columns - 1)) // columns if columns > 1 else LONGEST_PX
    tiles = [(label, _small(path, side)) for label, path in pictures]
    width, height = max(tile.width for _, tile in tiles), max(tile.height for _, tile in tiles)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP_PX) - _GAP_PX, rows * (height + _GAP_PX) - _GAP_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(24)
    for number, (label, tile) in enumerate(tiles):
        left, top = number % columns * (width + _GAP_PX), number // columns * (height + _GAP_PX)
        sheet.paste(tile, (left, top))
        box = draw.textbbox((left + 10, top + 8), label, font=font)
        draw.rectangle((left, top, box[2] + 10, box[3] + 8), fill="white")
        draw.text((left + 10, top + 8), label, fill="black", font=font)
    return _encoded(sheet)


def _small(path: Path, longest_px: int) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with Image.open(path) as image:
        image.draft("RGB", (longest_px, longest_px))
        image.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            whole = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
        return image.convert("RGB")


def _encoded(image: Image.Image) -> bytes:
    """WebP at the best quality that fits; smaller ones where none does."""
    while True:
        for quality in _QUALITIES:
            kept = BytesIO()
            image.save(kept, "WEBP", quality=quality)
            if kept.tell() <= MOST_BYTES:
                return kept.getvalue()
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)), Image.Resampling.LANCZOS)
