"""What the losses on columns share: a column is the feature vector of one position, ``c`` channels of one layer.

Cosine distance here is ½‖u − v‖² between columns of unit length: the same number as 1 − u·v, but exactly 0 for equal
columns, and still defined where a column is all zero.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from impasto.errors import SettingsError

#: A block of a distance matrix at once. Measured: blocks that stay in a core's cache are the fastest, those of 16 MiB
#: take 1.8 times as long when minima are taken both ways.
_BLOCK_BYTES = 2 * 2**20
#: Root mean square of a column that counts as noise: activations have a mean of about 1, and bfloat16 rounds that by
#: 0.004. It also bounds the slope, which would be infinite at a column of zeros.
_NOISE = 0.01


def check_channels(columns: Tensor, target_channels: int) -> None:
    """Refuse columns of another layer than the target's.

    Raises:
        SettingsError: ``columns`` is not ``(n, target_channels)``.
    """
    if columns.shape[1] != target_channels:
        raise SettingsError(
            f"the output's columns have {columns.shape[1]} channels, expected {target_channels} as the target's; "
            "take both from the same layer"
        )


def unit_columns(columns: Tensor, *, noise: float = _NOISE) -> Tensor:
    """Columns divided by their length, those shorter than noise by the length of noise.

    Args:
        columns: ``(n, c)``, any range.
        noise: root mean square over channels below which a column fades to 0 and has no direction.

    Returns:
        ``(n, c)``, each row of length 1 or less.
    """
    lengths: Tensor = torch.linalg.vector_norm(columns, dim=1, keepdim=True)
    return columns / lengths.clamp_min(noise * columns.shape[1] ** 0.5)


def half_squares(columns: Tensor) -> Tensor:
    """½‖u‖² of each column: ``(n, c)`` to ``(n,)``."""
    return columns.square().sum(1) / 2


def half_squared_distances(first: Tensor, first_halves: Tensor, second: Tensor, second_halves: Tensor) -> Tensor:
    """½‖u − v‖² for all pairs by one matrix product: ``(n, c)`` and ``(m, c)`` to ``(n, m)``, right up to rounding.

    Takes each side's `half_squares` too, which a caller that goes block by block has already.
    """
    return torch.addmm(second_halves, first, second.mT, alpha=-1).add_(first_halves[:, None])


def row_blocks(rows: int, row_bytes: int) -> Iterator[slice]:
    """Consecutive slices of ``rows`` rows, each block of which fits into a core's cache."""
    height = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, rows, height):
        yield slice(start, min(start + height, rows))
