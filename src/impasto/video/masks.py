"""Where a region is at a time of the video: in one picture for all of it, or in a video of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from impasto.images import mask_of
from impasto.recipe import Source
from impasto.video.reading import FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from torch import Tensor

    from impasto.images import Picture
    from impasto.video.footage import Footage
    from impasto.video.reading import Frame


class StillMask:
    """One picture, white where the region is in every frame.

    Args:
        picture: of any size.
        like: the first frame.

    Raises:
        InputError: it is black all over.
    """

    def __init__(self, picture: Picture, like: Picture) -> None:
        self._mask = mask_of(picture, like)
        self.source = Source(name=picture.name, sha256=picture.sha256 or "", width=picture.width, height=picture.height)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def at(self, seconds: float) -> Tensor:  # noqa: ARG002
        """``(1, 1, h, w)`` in [0, 1]."""
        return self._mask


class MovingMask:
    """A video, white where the region is; behind its end its last frame. Asked in the order of time.

    Args:
        footage: of any size and rate.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self.source = Source(name=footage.name, sha256=footage.sha256, width=footage.width, height=footage.height)

    def __enter__(self) -> Self:
        self._reader = FrameReader(self._footage)
        self._frames: Iterator[Frame] = iter(self._reader.__enter__())
        self._shown = self._next = next(self._frames)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.__exit__(kind, error, traceback)

    def at(self, seconds: float) -> Tensor:
        """``(1, 1, h, w)`` in [0, 1]: the frame that is shown at that time."""
        while self._next.pts * self._footage.time_base <= seconds:
            self._shown = self._next
            following = next(self._frames, None)
            if following is None:
                break
            self._next = following
        values = torch.from_numpy(self._shown.pixels).float().mean(2)
        if self._shown.alpha is not None:
            values = values * torch.from_numpy(self._shown.alpha) / 255
        return values[None, None] / 255


#: Either of the two.
Mask = StillMask | MovingMask
