"""How steady a video is painted, always beside how much of the style it has: what is grey or blurred is steady too.

Source: Lai, Huang, Wang, Shechtman, Yumer, Yang, "Learning Blind Video Temporal Consistency", ECCV 2018, eq. 9 (warping
error; here divided by the source's own, which is not 0 where flow is not exact), with the occlusion masks of
:mod:`impasto.video.flow`.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch

from impasto.errors import InputError
from impasto.evaluation.metrics.content import edge_content, recognition
from impasto.evaluation.metrics.style import style_gain
from impasto.evaluation.view import ASPECT_TOLERANCE, View
from impasto.images import fill_transparent
from impasto.video.flow import Follower
from impasto.video.reading import FrameReader, as_floats, as_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from impasto.images import Picture
    from impasto.video.footage import Footage

#: Frames between the two that are compared; the long gap is looked at every so many frames, which is enough.
SHORT, LONG, LONG_EVERY = 1, 10, 5
#: Longer side at which frames are compared, pixels, and how flow is found there: slowly and well.
_PX: Final = 640
#: A place counts where it certainly shows the same thing.
_CERTAIN: Final = 0.9
#: Below it (squared levels of 1, a third of a level of 255) a source is a still, and nothing is to be divided by.
_STILL: Final = 1e-6
#: Tiles in which nothing happens: their side in pixels, frames in a row, and levels that the source may vary by.
_TILE_PX, _TILE_FRAMES, _TILE_LEVELS = 16, 10, 0.7
#: Frames at which style and content are judged.
_JUDGED: Final = 8


@dataclass(frozen=True)
class VideoEvaluation:
    """Figures of one video. Those with None could not be taken: no two frames, a still source, no tile at rest."""

    frames: int
    warping_error: float | None
    """Mean squared difference (of colours in [0, 1], summed over channels) from a frame to the next, moved along."""
    warping_ratio: float | None
    """That over the source's own."""
    long_warping_error: float | None
    """The same over ten frames."""
    long_warping_ratio: float | None
    flicker: float | None
    """Deviation over ten frames of the luma of tiles in which the source rests, levels of 255."""
    style_gain: float
    """Median over some frames; see ``impasto evaluate`` for these three."""
    edge_content: float
    recognition: float

    def to_dict(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def evaluate_frames(output: Footage, content: Footage, styles: Sequence[Picture]) -> VideoEvaluation:
    """Judge a video frame by frame; memory does not depend on its length.

    Args:
        output: as it was written.
        content: what it was painted from, the same frames.
        styles: that it shall have; the gain is that of the best one of them at each frame.

    Raises:
        InputError: the two have other shapes or numbers of frames.
    """
    ratio = (output.width / output.height) / (content.width / content.height)
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{output.name} is {output.width}x{output.height} px and {content.name} {content.width}x{content.height}, "
            "which is another shape; give the video that it was painted from"
        )
    every = max(1, (content.frames or 240) // _JUDGED)
    steadiness, judged = _Steadiness(), _Judged(styles)
    count = 0
    with FrameReader(output) as ours, FrameReader(content) as theirs, torch.inference_mode():
        for painted, source in itertools.zip_longest(ours, theirs):
            if painted is None or source is None:
                raise InputError(
                    f"{output.name} and {content.name} differ in their number of frames; give the video that it was "
                    "painted from, of the same part"
                )
            steadiness.add(painted.pixels, source.pixels)
            if count % every == 0:
                judged.add(painted.pixels, source.pixels)
            count += 1
    figures: dict[str, Any] = {**steadiness.found(), **judged.found()}
    return VideoEvaluation(frames=count, **figures)


class _Steadiness:
    """Warping errors and flicker of two videos that are read together."""

    def __init__(self) -> None:
        self._follower = Follower(_PX, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._past: deque[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = deque(maxlen=LONG)
        # Squared differences of the painting and of the source, and at how many places. Over a cut hardly any is
        # certain, and by chance: frames count by their places, or one cut would outweigh a hundred frames.
        self._errors = {SHORT: np.zeros(3), LONG: np.zeros(3)}
        self._tiles: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self._flicker: list[float] = []
        self._count = 0

    def add(self, painted: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
        """The next frame of both."""
        height, width = source.shape[:2]
        factor = min(1.0, _PX / max(height, width))
        size = max(32, round(width * factor)), max(32, round(height * factor))
        ours, theirs = (np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA)) for one in (painted, source))
        gaps = [SHORT, LONG] if self._count % LONG_EVERY == 0 else [SHORT]
        for gap in gaps:
            if len(self._past) >= gap:
                before, source_before = self._past[-gap]
                motion = self._follower.motion(source_before, theirs)
                pixels, weight = motion.warp(as_floats(before))
                source_pixels, _ = motion.warp(as_floats(source_before))
                counts = weight > _CERTAIN
                own, base = (
                    float(np.square(moved - as_floats(now))[counts].sum())
                    for moved, now in ((pixels, ours), (source_pixels, theirs))
                )
                self._errors[gap] += np.array([own, base, counts.sum()])
        self._past.append((ours, theirs))
        self._rest(ours, theirs)
        self._count += 1

    def found(self) -> dict[str, float | None]:
        """The figures by name."""
        figures: dict[str, float | None] = {}
        for name, gap in (("", SHORT), ("long_", LONG)):
            own, source, places = self._errors[gap].tolist()
            error, base = (own / places, source / places) if places else (None, 0.0)
            figures[f"{name}warping_error"] = error
            figures[f"{name}warping_ratio"] = None if error is None or base < _STILL else error / base
        return figures | {"flicker": statistics.fmean(self._flicker) if self._flicker else None}

    def _rest(self, ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> None:
        """Flicker of the tiles at rest, once enough frames are there."""
        self._tiles.append((_tiles(ours), _tiles(theirs)))
        if len(self._tiles) < _TILE_FRAMES:
            return
        painted, source = (np.stack([pair[which] for pair in self._tiles]).std(0) for which in (0, 1))
        self._tiles.clear()
        at_rest = source < _TILE_LEVELS
        if at_rest.any():
            self._flicker.append(float(painted[at_rest].mean()))


class _Judged:
    """Style and content of some frames."""

    def __init__(self, styles: Sequence[Picture]) -> None:
        self._styles = [View(fill_transparent(style), name=style.name) for style in styles]
        self._found: dict[str, list[float]] = {"style_gain": [], "edge_content": [], "recognition": []}

    def add(self, painted: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
        """One frame of both."""
        output, content = (View(as_tensor(one)) for one in (painted, source))
        self._found["style_gain"].append(max(style_gain(output, content, style) for style in self._styles))
        self._found["edge_content"].append(edge_content(output, content, self._styles[0]))
        self._found["recognition"].append(recognition(output, content, self._styles[0]))

    def found(self) -> dict[str, float]:
        """Medians by name."""
        return {name: statistics.median(values) for name, values in self._found.items()}


def _tiles(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean luma of each whole tile, levels of 255."""
    luma = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.float32)
    rows, columns = luma.shape[0] // _TILE_PX, luma.shape[1] // _TILE_PX
    whole = luma[: rows * _TILE_PX, : columns * _TILE_PX]
    means: NDArray[np.float64] = whole.reshape(rows, _TILE_PX, columns, _TILE_PX).mean((1, 3))
    return means.astype(np.float32)
