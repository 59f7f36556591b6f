"""Frames of a video, painted one after the other with codes that are made once and statistics that change slowly.

A frame that is normalised with its own statistics changes its colours whenever something enters or leaves the picture.
Here statistics are taken anew every few frames only, and approached step by step, so that what stands still keeps its
look; and between two frames they are the same numbers, so they are folded into the network (``folded.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from impasto.engines.coloring import Coloring
from impasto.engines.evidence import draft_recipe, shares_of
from impasto.engines.fast.model import load_model
from impasto.engines.fast.painting import Coded, Statistics, TorchPainter, blended
from impasto.engines.parts import source_of
from impasto.images import resize
from impasto.recipe import Scale, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from impasto.engines.base import Region
    from impasto.engines.fast.plan import Pass
    from impasto.engines.frames import Held
    from impasto.images import Picture
    from impasto.settings import FastSettings
    from impasto.vgg import Precision

#: Frames after which statistics are taken anew, and how far those in use go towards them with each frame.
REFRESH: Final = 12
APPROACH: Final = 0.1


class FastFrames:
    """Implements :class:`impasto.engines.frames.FramePainter`.

    Args:
        painter: of the model.
        content: the first frame.
        styles: of what no region covers.
        regions: each with its style; where they are is said anew for every frame.
        settings: of the engine.
        planned: size and memory of a frame.
        precision: where to compute.
    """

    long_term = False

    def __init__(
        self,
        painter: TorchPainter,
        content: Picture,
        styles: Sequence[Picture],
        regions: Sequence[Region],
        settings: FastSettings,
        planned: Pass,
        precision: Precision,
    ) -> None:
        model = load_model(None if settings.model is None else Path(settings.model))
        self._painter, self._settings, self._plan, self._content = painter, settings, planned, content
        self.width, self.height = planned.width, planned.height
        self._shares = shares_of(settings, len(styles))
        coloring = Coloring(content, content.pixels[None], settings)

        def coded(picture: Picture, mask: Picture | None) -> Tensor:
            if model.code is not None:
                return model.code
            source = coloring.source(source_of(picture, mask, 1.0))
            return painter.code(source.pixels, scale=settings.style_scale, mask=source.mask)

        self._codes = [coded(style, None) for style in styles]
        self._areas = [coded(region.style, region.style_mask) for region in regions]
        self._follows_strength = model.encoder is not None and 0 < settings.strength < 1
        self._own: Tensor | None = None
        self._first: Tensor | None = None
        self._now: list[Statistics] | None = None
        self._wanted: list[Statistics] = []
        self._since = 0
        weights = Weights(source=model.source, sha256=model.sha256)
        recipe = draft_recipe("fast", content, styles, regions, None, settings, weights, precision)
        scale = Scale(width=self.width, height=self.height, steps=planned.steps)
        self.recipe = recipe.model_copy(update={"scales": (scale,)})

    @torch.inference_mode()
    def paint(
        self,
        frame: Tensor,
        *,
        shares: Sequence[float] | None = None,
        masks: Sequence[Tensor] = (),
        held: Sequence[Held] = (),
        start: Tensor | None = None,  # noqa: ARG002 — one pass is all
    ) -> Tensor:
        """See :meth:`impasto.engines.frames.FramePainter.paint`; a frame with nothing to hold on to stands alone."""
        photo = resize(frame, self.height, self.width)
        if self._plan.steps == 0:
            return photo
        coloring = Coloring(self._content, frame, self._settings)
        seen = coloring.seen(photo)
        if not held:
            self.reset()
            self._first = seen
        parts, free = self._parts(seen, shares or self._shares, masks)
        painted = coloring.finished(self._painted(seen, parts, self._steadied(seen, parts) if held else None).cpu())
        if self._settings.strength < 1 and not self._follows_strength:  # one style's model has no code of the photo
            painted = torch.lerp(photo, painted, self._settings.strength)
        return painted if free is None else photo + free * (painted - photo)

    def reset(self) -> None:
        """See :meth:`impasto.engines.frames.FramePainter.reset`."""
        self._own, self._first, self._now, self._since = None, None, None, 0

    def state(self) -> dict[str, Tensor]:
        """See :meth:`impasto.engines.frames.FramePainter.state`."""
        kept: dict[str, Tensor] = {}
        for name, layers in (("now", self._now or []), ("wanted", self._wanted)):
            for index, (mean, variance) in enumerate(layers):
                kept[f"{name}.{index:02}.mean"], kept[f"{name}.{index:02}.variance"] = mean, variance
        kept |= {name: one for name, one in (("own", self._own), ("first", self._first)) if one is not None}
        return kept | {"since": torch.tensor(self._since)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See :meth:`impasto.engines.frames.FramePainter.restore`."""

        def layers(name: str) -> list[Statistics]:
            keys = sorted(key for key in state if key.startswith(f"{name}.") and key.endswith(".mean"))
            return [Statistics(state[key], state[key.replace("mean", "variance")]) for key in keys]

        self._now, self._wanted = layers("now") or None, layers("wanted")
        self._own, self._first, self._since = state.get("own"), state.get("first"), int(state["since"])

    def _parts(
        self, seen: Tensor, shares: Sequence[float], masks: Sequence[Tensor]
    ) -> tuple[list[Coded], Tensor | None]:
        """The frame's parts with their codes, masks adding up to 1, and where it may be painted (None: everywhere)."""
        codes = [blended(self._codes, shares)] if self._codes else []
        if self._follows_strength:
            if self._own is None:
                self._own = self._painter.code(seen)
            codes = [torch.lerp(self._own, code, self._settings.strength) for code in codes]
        areas = self._areas
        if self._follows_strength and self._own is not None:
            areas = [torch.lerp(self._own, code, self._settings.strength) for code in areas]
        if not masks:
            return [Coded(code, None) for code in codes], None
        sized = [resize(mask, self.height, self.width) for mask in masks]
        covered = torch.stack(sized).sum(0)
        total = covered.clamp_min(1.0) if codes else covered.clamp_min(1e-3)
        parts = [Coded(code, mask / total) for code, mask in zip(areas, sized, strict=True)]
        rest = 1 - torch.stack([part.mask for part in parts if part.mask is not None]).sum(0)
        if codes:
            return [*parts, Coded(codes[0], rest)], None
        # What belongs to no region is painted with the last one, and is the photo again afterwards.
        last = parts[-1]
        assert last.mask is not None  # noqa: S101 — set above
        return [*parts[:-1], Coded(last.code, last.mask + rest)], covered.clamp_max(1.0)

    def _steadied(self, seen: Tensor, parts: Sequence[Coded]) -> list[Statistics]:
        """The statistics to normalise with: those in use, a step nearer to the frames' own."""
        if self._now is None:  # the first frame to be painted like the one before, which stood alone
            assert self._first is not None  # noqa: S101 — as it did
            self._now = self._wanted = self._painter.statistics(self._first, parts)
            self._first = None
        self._since += 1
        if self._since % REFRESH == 0:
            self._wanted = self._painter.statistics(seen, parts)
        self._now = [
            Statistics(torch.lerp(now.mean, to.mean, APPROACH), torch.lerp(now.variance, to.variance, APPROACH))
            for now, to in zip(self._now, self._wanted, strict=True)
        ]
        return self._now

    def _painted(self, seen: Tensor, parts: Sequence[Coded], statistics: list[Statistics] | None) -> Tensor:
        """The frame as the network paints it, whole or in tiles."""
        if self._plan.memory == "whole":
            if statistics is None or len(parts) > 1:
                return self._painter.paint(seen, parts, statistics)
            return self._painter.folded(parts[0].code, statistics)(seen)
        painted = seen.clone()
        found = statistics or self._painter.statistics(seen, parts)
        for tile, (top, left) in self._painter.tiles(seen, parts, self._settings.tile_size, found):
            painted[..., top : top + tile.shape[-2], left : left + tile.shape[-1]] = tile.cpu()
        return painted
