"""What an engine that paints videos takes and gives, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from impasto.recipe import Recipe


class Held(NamedTuple):
    """An earlier painted frame that this one shall agree with, moved to where its things are now."""

    pixels: Tensor
    """``(1, 3, h, w)`` in [0, 1], at the output's size."""
    weight: Tensor
    """``(1, 1, h, w)`` in [0, 1]: 1 where it shows what this frame shows, 0 where that was hidden or moved wrongly."""


class FramePainter(Protocol):
    """Paints the frames of one video, in their order; made by an engine's ``frames``."""

    width: int
    """Of the output, pixels."""
    height: int
    recipe: Recipe
    """What was painted with; its content is the video, its scales are those of one frame."""
    long_term: bool
    """Whether ``held`` may have more than the frame before."""

    def paint(
        self,
        frame: Tensor,
        *,
        shares: Sequence[float] | None = None,
        masks: Sequence[Tensor] = (),
        held: Sequence[Held] = (),
        start: Tensor | None = None,
    ) -> Tensor:
        """One frame.

        Args:
            frame: ``(1, 3, h, w)`` in [0, 1], at any size.
            shares: of the styles at this time; None: those of the settings.
            masks: ``(1, 1, h, w)`` in [0, 1], one for each region, in their order.
            held: other frames to agree with, the one before first; none at the beginning and behind a cut.
            start: what an earlier pass painted of it, ``(1, 3, height, width)``; for painters with ``long_term``.

        Returns:
            ``(1, 3, height, width)`` float32 in [0, 1] on the CPU.
        """

    def reset(self) -> None:
        """Forget the frames before: a cut."""

    def state(self) -> dict[str, Tensor]:
        """What the next frame depends on, besides what :meth:`paint` is given."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
