"""Frames together with how what they show has moved since earlier ones: what a frame can hold on to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import torch

from impasto.engines.frames import Held
from impasto.video.cuts import is_cut
from impasto.video.flow import Follower, Motion
from impasto.video.reading import as_floats

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
    earlier: EarlierPass | None = None
    """What an earlier pass painted, where there was one."""


class EarlierPass(NamedTuple):
    """What an earlier pass over the video painted of a frame, and of the one after it."""

    own: NDArray[np.uint8]
    """``(h, w, 3)`` RGB."""
    after: tuple[Motion, NDArray[np.uint8]] | None
    """The motion since the frame after this one, and that as it was painted; None at the end of a shot."""


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

    def held(self, followed: Followed) -> list[Held]:
        """Other frames where their things are now, each for what none before it shows (Ruder et al. 2016, eq. 8).

        The frame before comes first; that after it, as an earlier pass painted it, comes last.
        """
        found: list[Held] = []
        shown: Tensor | None = None
        others = [(motion, self.outputs[-gap]) for gap, motion in followed.motions.items()]
        if followed.earlier is not None and followed.earlier.after is not None:
            motion, painted = followed.earlier.after
            others.append((motion, as_floats(painted)))
        for motion, output in others:
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


def revise(frames: Iterable[Followed], painted: Iterable[NDArray[np.uint8]]) -> Iterator[Followed]:
    """Every frame with what an earlier pass painted of it and of the one after it; one frame is waited for.

    Args:
        frames: of one video, in their order.
        painted: the same frames, ``(h, w, 3)`` RGB each.
    """
    follower = Follower()
    waiting: tuple[Followed, NDArray[np.uint8]] | None = None
    for followed, own in zip(frames, painted, strict=True):
        if waiting is not None:
            before, its = waiting
            after = (follower.motion(followed.frame.pixels, before.frame.pixels), own) if followed.motions else None
            yield before._replace(earlier=EarlierPass(its, after))
        waiting = followed, own
    if waiting is not None:
        yield waiting[0]._replace(earlier=EarlierPass(waiting[1], None))


def steadied(painted: Tensor, held: Sequence[Held], smooth: float) -> Tensor:
    """A painted frame, as far as ``smooth`` goes like the one before where that shows the same.

    For engines that paint a frame without looking at the ones before.
    """
    if not held:
        return painted
    # The cubic map overshoots at edges; as 8 bits that would wrap around, to specks.
    return torch.addcmul(painted, held[0].weight * smooth, held[0].pixels - painted).clamp_(0, 1)
