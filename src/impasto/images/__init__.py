"""Images: every picture comes in through `read`, goes out through `write`, and is a `Picture` in between.

What it does not do: decide whether a picture is large enough (the engines know), show or download anything.
"""

from impasto.images.metadata import read_metadata
from impasto.images.picture import Picture
from impasto.images.read import read
from impasto.images.resize import fit_size, resize
from impasto.images.write import check_destination, encode, output_formats, write

__all__ = [
    "Picture",
    "check_destination",
    "encode",
    "fit_size",
    "output_formats",
    "read",
    "read_metadata",
    "resize",
    "write",
]
