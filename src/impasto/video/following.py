"""Frames together with how what they show has moved since earlier ones: what a frame can hold on to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import torch

from impasto.engines.frames import Held
from impasto.video.cuts import is_cut
from impasto.video.flow import Follower, Motion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from impasto.video.reading import Frame


class Followed(NamedTuple):
    """A frame, and its motion since earlier ones."""

    frame: Frame
    motions: dict[int, Motion]
    """By how many frames ago, 1 first; empty at the beginning and behind a cut."""


class Past:
    """The last frames of one shot, as they came in and as they were painted.

    Args:
        gaps: how many frames ago what a frame holds on to was, rising from 1; none: nothing is kept.
    """

    def __init__(self, gaps: Sequence[int]) -> None:
        self.gaps = tuple(gaps)
        self.inputs: deque[NDArray[np.uint8]] = deque(maxlen=max(gaps, default=0))
        self.outputs: deque[NDArray[np.float32]] = deque(maxlen=max(gaps, default=0))

    def keep(self, followed: Followed, output: Tensor) -> None:
        """Remember a frame and what was painted of it, ``(1, 3, h, w)``."""
        if not followed.motions:
            self.inputs.clear()
            self.outputs.clear()
        self.inputs.append(followed.frame.pixels)
        self.outputs.append(output[0].permute(1, 2, 0).contiguous().numpy())

    def held(self, motions: dict[int, Motion]) -> list[Held]:
        """Earlier frames where their things are now, each for what no later one shows (Ruder et al. 2016, eq. 8)."""
        found: list[Held] = []
        shown: Tensor | None = None
        for gap, motion in motions.items():
            output = self.outputs[-gap]
            pixels, weight = motion.warp(output)
            ours = torch.from_numpy(weight)[None, None]
            if shown is not None:
                ours = (ours - shown).clamp_min_(0)
            shown = ours if shown is None else shown + ours
            found.append(Held(torch.from_numpy(pixels).permute(2, 0, 1)[None], ours))
        return found

    def state(self) -> dict[str, Tensor]:
        """All of it."""
        inputs = {f"input.{at:03}": torch.from_numpy(one) for at, one in enumerate(self.inputs)}
        return inputs | {f"output.{at:03}": torch.from_numpy(one) for at, one in enumerate(self.outputs)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a state."""
        for name, tensor in sorted(state.items()):
            if name.startswith("input."):
                self.inputs.append(tensor.numpy())
            elif name.startswith("output."):
                self.outputs.append(tensor.numpy())


def follow(frames: Iterable[Frame], past: Sequence[NDArray[np.uint8]], gaps: Sequence[int]) -> Iterator[Followed]:
    """Every frame with its motion since those ``gaps`` frames before it, as far as there are any in its shot.

    Args:
        frames: of one video, in their order.
        past: the frames before the first, oldest first.
        gaps: rising from 1; none: motion is not looked at.
    """
    follower = Follower()
    before = deque(past, maxlen=max(gaps, default=0))
    for frame in frames:
        motions: dict[int, Motion] = {}
        if before:
            last = follower.motion(before[-1], frame.pixels)
            if is_cut(before[-1], frame.pixels, last):
                before.clear()
            else:
                there = [gap for gap in gaps if gap <= len(before)]
                motions = {g: last if g == 1 else follower.motion(before[-g], frame.pixels) for g in there}
        before.append(frame.pixels)
        yield Followed(frame, motions)


def steadied(painted: Tensor, held: Sequence[Held], smooth: float) -> Tensor:
    """A painted frame, as far as ``smooth`` goes like the one before where that shows the same.

    For engines that paint a frame without looking at the ones before.
    """
    if not held:
        return painted
    return torch.addcmul(painted, held[0].weight * smooth, held[0].pixels - painted)
