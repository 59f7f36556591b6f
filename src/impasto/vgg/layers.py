"""The names, order and sizes of VGG-19's layers.

Holds no weights and computes nothing.
Source: Simonyan, Zisserman, "Very Deep Convolutional Networks", ICLR 2015, table 1, column E.
"""

from collections.abc import Iterable
from typing import Final

from impasto.settings import LAYERS

_WIDTHS: Final = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}


def block(layer: str) -> int:
    """Return which of the five blocks the layer lies in, from 1."""
    return int(layer[4])


def channels(layer: str) -> int:
    """Return how many channels the layer has."""
    return _WIDTHS[block(layer)]


def stride(layer: str) -> int:
    """Return how many pixels of the picture, per side, one position of the layer stands for."""
    return 1 << (block(layer) - 1)


def up_to(layers: Iterable[str]) -> tuple[str, ...]:
    """Return every layer from the first to the deepest of ``layers``."""
    return LAYERS[: max(LAYERS.index(layer) for layer in layers) + 1]


#: The convolution before each activation: its name, input and output channels.
CONVOLUTIONS: Final[dict[str, tuple[str, int, int]]] = {
    layer: (layer.replace("relu", "conv"), 3 if before is None else channels(before), channels(layer))
    for before, layer in zip((None, *LAYERS), LAYERS, strict=False)
}
