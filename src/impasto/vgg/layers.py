"""The names, order and sizes of VGG-19's layers.

Holds no weights and computes nothing.
Source: Simonyan, Zisserman, "Very Deep Convolutional Networks", ICLR 2015, table 1, column E.
"""

from typing import Final, Literal, get_args

from impasto.errors import SettingsError

Pooling = Literal["max", "average", "l2"]

#: Output channels of each convolution, block by block.
BLOCKS: Final = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)

#: ``conv1_1 … conv5_4`` in order, each with its input and output channels.
CONVOLUTIONS: Final[dict[str, tuple[int, int]]] = {}
_channels = 3
for _block, _widths in enumerate(BLOCKS, start=1):
    for _index, _width in enumerate(_widths, start=1):
        CONVOLUTIONS[f"conv{_block}_{_index}"] = (_channels, _width)
        _channels = _width

#: The activations that can be asked for: ``relu1_1 … relu5_4``.
LAYERS: Final = tuple(name.replace("conv", "relu") for name in CONVOLUTIONS)

POOLINGS: Final = get_args(Pooling)


def check_layer(name: str) -> str:
    """Return ``name`` if VGG-19 has that activation.

    Raises:
        SettingsError: it has not; the message lists those it has.
    """
    if name not in LAYERS:
        raise SettingsError(f"no layer named {name!r}; VGG-19 has {', '.join(LAYERS)}")
    return name


def deepest(layers: tuple[str, ...]) -> str:
    """Return the layer of ``layers`` that lies deepest in the network."""
    return max((check_layer(name) for name in layers), key=LAYERS.index)


def channels(layer: str) -> int:
    """Return how many channels the activation has."""
    return CONVOLUTIONS[check_layer(layer).replace("relu", "conv")][1]


def stride(layer: str) -> int:
    """Return how many pixels of the picture one position of the activation stands for, per side."""
    return int(2 ** (int(check_layer(layer)[4]) - 1))
