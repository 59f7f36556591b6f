"""Frames of a video: each is optimised from the one before, moved along with what it shows, and held to it.

Source: Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", GCPR 2016: the start (section 5.1) and the
temporal loss (eq. 6), also on frames longer ago (eq. 8; whoever calls makes their weights exclude each other).

Departures: what could not be seen before starts from the photo in the style's colours, not from what lies there; and
what could be seen starts from some of both. Errors of the motion add up from frame to frame, and the content's loss is
too weak to bring back a face that has turned; the photo in the start is what does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from impasto.engines.coloring import Coloring
from impasto.engines.evidence import shares_of
from impasto.engines.frames import Held
from impasto.engines.optimize.initial import recolor
from impasto.engines.optimize.run import Job, Run
from impasto.engines.parts import Part, Source, source_of
from impasto.images import Picture, resize
from impasto.progress import CancelToken
from impasto.recipe import Recipe, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.engines.base import Region

#: Of the steps at the last scale, those of a frame that starts from the one before: it is nearly there.
FOLLOWING: Final = 0.5
#: Of the start, the share of the frame before; the rest is the photo in the style's colours. With less of it what
#: stands still flickers, with more of it what moves lags behind.
CARRIED: Final = 0.7


class OptimizeFrames:
    """Implements :class:`impasto.engines.frames.FramePainter`.

    Args:
        job: of the first frame.
        styles: of what no region covers.
        regions: each with its style; where they are is said anew for every frame.
        recipe: as far as it is known before a run.
    """

    long_term = True

    def __init__(self, job: Job, styles: Sequence[Picture], regions: Sequence[Region], recipe: Recipe) -> None:
        self._job = job
        self._sources = [source_of(style, None, 1.0) for style in styles]
        self._areas = [source_of(region.style, region.style_mask, 1.0) for region in regions]
        self._shares = shares_of(job.settings, len(styles))
        final = job.plan[-1]
        self.width, self.height = final.width, final.height
        scales = tuple(Scale(width=scale.width, height=scale.height, steps=scale.steps) for scale in job.plan)
        self.recipe = recipe.model_copy(update={"scales": scales})

    def paint(
        self,
        frame: Tensor,
        *,
        shares: Sequence[float] | None = None,
        masks: Sequence[Tensor] = (),
        held: Sequence[Held] = (),
        start: Tensor | None = None,
    ) -> Tensor:
        """See :meth:`impasto.engines.frames.FramePainter.paint`; a frame with nothing to hold on to stands alone."""
        with torch.inference_mode(False), torch.enable_grad():
            content = replace(self._job.content, pixels=frame[0].clone(), alpha=None)
            parts, free = self._parts(frame, shares or self._shares, masks)
            job = replace(self._job, content=content, parts=parts, free=free)
            if (held or start is not None) and self._job.plan[-1].steps:
                final = self._job.plan[-1]
                following = replace(final, steps=max(1, round(FOLLOWING * final.steps)))
                first, targets = self._start(frame, parts, held, start)
                job = replace(job, plan=(following,), init=Picture(first[0], name="the frame before"), held=targets)
            return Run(job, self.recipe, None, None, None, CancelToken()).stylization().picture.pixels[None]

    def reset(self) -> None:
        """Nothing is remembered but what :meth:`paint` is given."""

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to go on from."""

    def _start(
        self, frame: Tensor, parts: Sequence[Part], held: Sequence[Held], painted: Tensor | None
    ) -> tuple[Tensor, tuple[Held, ...]]:
        """Where the run begins, and what it is held to, both in the colours that it paints in."""
        settings = self._job.settings
        coloring = Coloring(self._job.content, frame, settings)
        longer = max(self.height, self.width)
        sized = [part.resized(self.height, self.width, longer, 1) for part in coloring.styles(parts)]
        # Earlier frames are finished, but a run whose picture is recoloured at its end paints in the style's colours.
        recolored = settings.color in ("linear", "histogram", "palette") and settings.color_when == "after"

        def as_painted(pixels: Tensor) -> Tensor:
            return recolor(pixels, sized, settings.strength) if recolored else coloring.seen(pixels)

        targets = tuple(Held(as_painted(each.pixels), each.weight) for each in held)
        if painted is None:
            fresh = recolor(coloring.seen(resize(frame, self.height, self.width)), sized, settings.strength)
        else:
            fresh = as_painted(painted)
        if not targets:
            return fresh, ()
        return torch.lerp(fresh, targets[0].pixels, CARRIED * targets[0].weight), targets

    def _parts(
        self, frame: Tensor, shares: Sequence[float], masks: Sequence[Tensor]
    ) -> tuple[tuple[Part, ...], Tensor | None]:
        """The frame's parts at its own size, and where it may be painted (None: everywhere)."""
        base = tuple(
            Source(source.pixels, source.mask, share)
            for source, share in zip(self._sources, shares, strict=True)
            if share > 0
        )
        if not masks:
            return (Part(None, base),), None
        sized = [resize(mask, frame.shape[-2], frame.shape[-1]) for mask in masks]
        covered = torch.stack(sized).sum(0)
        parts = [
            Part(mask / covered.clamp_min(1.0), (source,))
            for mask, source in zip(sized, self._areas, strict=True)
            if float(mask.mean()) > 0
        ]
        rest = (1 - covered).clamp_min(0)
        if base and float(rest.mean()) > 0:
            parts.append(Part(rest, base))
        return tuple(parts), None if base else 1 - rest
