"""Images: every picture comes in through `read`, goes out through `write`, and is a `Picture` in between.

What it does not do: decide whether a picture is large enough (the engines know), show or download anything.
"""

from impasto.images.masks import fill_transparent, mask_of
from impasto.images.metadata import read_metadata, read_source_type
from impasto.images.picture import Picture
from impasto.images.read import read
from impasto.images.recolor import ColorStatistics, keep_luminance, match_histogram, match_linear
from impasto.images.resize import cover, fit_size, resize
from impasto.images.rotate import rotate
from impasto.images.source import EXTENSIONS
from impasto.images.swatches import hex_palette, match_palette
from impasto.images.write import check_destination, encode, output_formats, write

__all__ = [
    "EXTENSIONS",
    "ColorStatistics",
    "Picture",
    "check_destination",
    "cover",
    "encode",
    "fill_transparent",
    "fit_size",
    "hex_palette",
    "keep_luminance",
    "mask_of",
    "match_histogram",
    "match_linear",
    "match_palette",
    "output_formats",
    "read",
    "read_metadata",
    "read_source_type",
    "resize",
    "rotate",
    "write",
]
