"""NumPy arrays and tensors as pictures: the shapes, types and ranges that are taken.

Beyond them nothing is guessed: no transposing, no rescaling, no clamping.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import UnreadableImageError
from impasto.images.modes import Decoded

_WHITE = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0}


def from_array(array: NDArray[np.generic]) -> Decoded:
    """Pixels of an array in rows, columns, channels.

    Args:
        array: ``(h, w)``, ``(h, w, 1)``, ``(h, w, 3)`` or ``(h, w, 4)``; bool, uint8, uint16, or floating
            point in [0, 1]. Four channels are RGBA, not premultiplied.

    Returns:
        A copy; the array may change afterwards.

    Raises:
        UnreadableImageError: another shape or type, empty, NaN or infinite, or out of range.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise UnreadableImageError(
            f"an array of shape {array.shape} is no picture; allowed are (h, w), (h, w, 1), (h, w, 3) and "
            "(h, w, 4), not empty; move the channels last"
        )
    return _from_channels_last(array, "array")


def from_tensor(tensor: Tensor) -> Decoded:
    """Pixels of a tensor in channels, rows, columns.

    Args:
        tensor: ``(1, h, w)``, ``(3, h, w)`` or ``(4, h, w)``, also with a batch dimension of 1 before it;
            bool, uint8, uint16, or floating point in [0, 1]; on any device. Four channels are RGBA, not
            premultiplied.

    Returns:
        A copy on the CPU, detached.

    Raises:
        UnreadableImageError: another shape or type, empty, NaN or infinite, or out of range.
    """
    shape = tuple(tensor.shape)
    if len(shape) == 4 and shape[0] == 1:
        tensor = tensor[0]
    if tensor.dim() != 3 or tensor.shape[0] not in (1, 3, 4) or tensor.numel() == 0:
        raise UnreadableImageError(
            f"a tensor of shape {shape} is no picture; allowed are (1, h, w), (3, h, w) and (4, h, w), also "
            "with one batch dimension of 1, not empty; move the channels first"
        )
    tensor = tensor.detach().permute(1, 2, 0).cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # NumPy has no bfloat16
    return _from_channels_last(tensor.numpy(), "tensor")


def _from_channels_last(values: NDArray[np.generic], name: str) -> Decoded:
    """``(h, w, 1 | 3 | 4)`` of any allowed type as pixels and alpha."""
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0.0 and high <= 1.0):  # written so that NaN is refused as well
            raise UnreadableImageError(
                f"the {name}'s values go from {low:g} to {high:g}, but floating point must be finite and in "
                "[0, 1]; divide by the white level or clamp"
            )
        white = 1.0
    elif values.dtype.name in _WHITE:
        white = _WHITE[values.dtype.name]
    else:
        raise UnreadableImageError(
            f"the {name} is {values.dtype.name}, but bool, uint8, uint16 and floating point in [0, 1] are "
            "allowed; convert it to one of them"
        )
    channels = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1) / white
    colors = channels[:3] if channels.shape[0] >= 3 else channels.expand(3, -1, -1)
    alpha = channels[3:].contiguous() if channels.shape[0] == 4 else None
    return Decoded(colors.contiguous(), alpha)
