"""Where another shot begins: nothing of the frame before may be held on to there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from impasto.video.flow import Motion

#: A shot goes on while the motion explains at least this share of the picture.
_EXPLAINED: Final = 0.1
#: Or while colours are this much the same: a quick pan shows new things, but in the same light.
_ALIKE: Final = 0.9
_BINS: Final = 8


def is_cut(earlier: NDArray[np.uint8], now: NDArray[np.uint8], motion: Motion) -> bool:
    """Whether a frame is of another shot than the one before.

    Args:
        earlier: the frame before, ``(h, w, 3)`` RGB.
        now: the frame.
        motion: from ``now`` back to ``earlier``.
    """
    if float(motion.weight.mean()) >= _EXPLAINED:
        return False
    return likeness(earlier, now) < _ALIKE


def likeness(earlier: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
    """How much of the colours two frames have in common, 0..1: Swain, Ballard, "Color Indexing", IJCV 1991, eq. 2."""
    first, second = (_histogram(frame) for frame in (earlier, now))
    return float(np.minimum(first, second).sum())


def _histogram(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    found = cv2.calcHist([frame], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3)
    return np.asarray(found / found.sum(), np.float32)
