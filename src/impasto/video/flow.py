"""Optical flow between frames: where everything was before, and where that can be relied on.

Sources: Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016 (OpenCV's DIS);
Sundaram, Brox, Keutzer, "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow", ECCV 2010, eq. 5
and 6 (forward-backward check, motion boundaries).

Departures: flow is found on a reduced picture, which is accurate enough for strokes and takes two milliseconds where
the painting takes twelve; and what has been moved there must also look like what is there now. The second is what keeps
trails away: a wrong flow may well agree with itself in both directions, but it does not show the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Longer side at which flow is found, pixels.
FLOW_PX: Final = 320
#: Pixels² by which there and back may differ, beside a share of how far they went; how steep a flow may be.
_AGREES_SHARE, _AGREES_PX2 = 0.01, 0.5
_STEEP_SHARE, _STEEP_PX2 = 0.01, 0.02
#: Levels of 255 by which what was moved may differ from what is there: noise below, another thing above.
_SAME, _OTHER = 6.0, 20.0


@dataclass(frozen=True)
class Motion:
    """From a frame back to an earlier one, at the size at which flow is found."""

    backward: NDArray[np.float32]
    """``(h, w, 2)``: for each pixel, how far to the right and down of it the same thing was, in pixels of this size."""
    weight: NDArray[np.float32]
    """``(h, w)`` in [0, 1]: 1 where the earlier frame shows the same thing, 0 where it does not."""

    def warp(self, earlier: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """An earlier picture ``(h, w, 3)`` of any size, moved to where its things are now; and the weight at its size.

        Cubic: strokes that are moved again and again by a bilinear map lose a third more of the style gain.
        """
        height, width = earlier.shape[:2]
        rows, columns = self.backward.shape[:2]
        to = cv2.resize(self.backward, (width, height), interpolation=cv2.INTER_LINEAR)
        to[..., 0] *= width / columns
        to[..., 1] *= height / rows
        to += _grid(height, width)
        pixels = cv2.remap(earlier, to, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        weight = cv2.resize(self.weight, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(pixels, np.float32), np.asarray(weight, np.float32)


class Follower:
    """Finds the motion between frames of one video.

    Args:
        longer: side at which flow is found, pixels.
        preset: of DIS: 0 ultrafast, 1 fast, 2 medium.
    """

    def __init__(self, longer: int = FLOW_PX, preset: int = cv2.DISOPTICAL_FLOW_PRESET_FAST) -> None:
        self._longer = longer
        self._flow = cv2.DISOpticalFlow.create(preset)
        self._small: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]] = {}

    def motion(self, earlier: NDArray[np.uint8], now: NDArray[np.uint8]) -> Motion:
        """From frame ``now`` back to frame ``earlier``, both ``(h, w, 3)`` RGB."""
        (old, old_grey), (new, new_grey) = self.reduced(earlier), self.reduced(now)
        backward = np.asarray(self._flow.calc(new_grey, old_grey, None), np.float32)
        forward = np.asarray(self._flow.calc(old_grey, new_grey, None), np.float32)
        return Motion(backward, _reliable(backward, forward, old, new))

    def reduced(self, frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A frame as flow sees it, in colour and in grey; the last few are kept, since each is asked for twice."""
        known = self._small.get(id(frame))
        if known is not None and known[0] is frame:
            return known[1:]
        height, width = frame.shape[:2]
        factor = min(1.0, self._longer / max(height, width))
        # DIS needs a few rows of its 8-pixel patches each way.
        size = max(32, round(width * factor)), max(32, round(height * factor))
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if len(self._small) >= 32:
            self._small.clear()
        self._small[id(frame)] = frame, small, grey
        return small, grey


def _reliable(
    backward: NDArray[np.float32], forward: NDArray[np.float32], old: NDArray[np.uint8], new: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Where the earlier frame shows what this one shows, ``(h, w)`` in [0, 1]."""
    height, width = backward.shape[:2]
    to = backward + _grid(height, width)
    there = cv2.remap(forward, to, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    far = _squared(backward)
    agrees = _squared(backward + there) <= _AGREES_SHARE * (far + _squared(there)) + _AGREES_PX2
    steep = _squared(_difference(backward, 1)) + _squared(_difference(backward, 0))
    smooth = steep <= _STEEP_SHARE * far + _STEEP_PX2
    inside = (to[..., 0] >= 0) & (to[..., 0] <= width - 1) & (to[..., 1] >= 0) & (to[..., 1] <= height - 1)
    moved = cv2.remap(old, to, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    red, green, blue = cv2.split(cv2.blur(cv2.absdiff(moved, new), (3, 3)))
    differs = cv2.max(cv2.max(red, green), blue).astype(np.float32)
    same = np.clip((_OTHER - differs) / (_OTHER - _SAME), 0, 1)
    # Blurred, so that there is no edge where held strokes meet new ones.
    weight = cv2.blur((agrees & smooth & inside).astype(np.float32) * same, (3, 3))
    return np.asarray(weight, np.float32)


def _squared(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared lengths of ``(h, w, 2)``; NumPy's sums over an axis of two take ten times as long."""
    squares: NDArray[np.float32] = vectors[..., 0] ** 2 + vectors[..., 1] ** 2
    return squares


def _difference(vectors: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """How a field changes from each place to the next along an axis; 0 at the end."""
    return np.diff(vectors, axis=axis, append=vectors.take([-1], axis))


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    """``(h, w, 2)``: each pixel's own place."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([columns, rows], 2)
