"""Whose colours the picture has: what is recoloured before the run, and what after it.

Source: Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style Transfer", 2016 (luminance-only
transfer and linear matching); the functions on pictures are in ``impasto.images``.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from impasto.engines.parts import Part, Source
from impasto.images import (
    ColorStatistics,
    Picture,
    keep_luminance,
    match_histogram,
    match_linear,
    match_palette,
    resize,
)
from impasto.settings import PictureSettings


class Coloring:
    """The colour mode of one run.

    Args:
        picture: the content.
        content: its pixels ``(1, 3, h, w)`` with nothing transparent.
        settings: ``color``, ``color_when`` and ``palette``.
    """

    def __init__(self, picture: Picture, content: Tensor, settings: PictureSettings) -> None:
        # At strength 0 the picture is the photo itself, colours and all.
        self._mode = settings.color if settings.strength > 0 else "style"
        self._before, self._palette = settings.color_when == "before", settings.palette
        self._content = content
        self._visible = None if picture.alpha is None else picture.alpha[None].to(content.device)

    def seen(self, content: Tensor) -> Tensor:
        """The content as the run sees it."""
        return _grey(content) if self._mode == "luminance" else content

    def styles(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """The parts with their styles recoloured, as far as that comes before the run."""
        return tuple(Part(part.mask, tuple(self.source(source) for source in part.sources)) for part in parts)

    def source(self, source: Source) -> Source:
        """One style, recoloured as far as that comes before the run."""
        if self._mode == "style" or not (self._before or self._mode == "luminance"):
            return source
        return replace(source, pixels=self._recolored(source.pixels, source.mask))

    def finished(self, pixels: Tensor) -> Tensor:
        """The picture ``(1, 3, h, w)`` as it is kept."""
        if self._mode == "luminance":
            return keep_luminance(pixels, self._content)
        if self._mode == "style" or self._before:
            return pixels
        visible = None if self._visible is None else resize(self._visible, pixels.shape[-2], pixels.shape[-1])
        return self._recolored(pixels, visible)

    def _recolored(self, pixels: Tensor, mask: Tensor | None) -> Tensor:
        """A style, or the finished picture, in the content's or the palette's colours."""
        if self._mode == "luminance":
            # Gatys et al. carry mean and spread of the lightness over too: a dark style must not darken the photo.
            grey, target = _grey(pixels), ColorStatistics.of(_grey(self._content), self._visible)
            return match_linear(grey, target, source=ColorStatistics.of(grey, mask))
        if self._mode == "linear":
            target = ColorStatistics.of(self._content, self._visible)
            return match_linear(pixels, target, source=ColorStatistics.of(pixels, mask))
        if self._mode == "histogram":
            return match_histogram(pixels, self._content, weights=mask, reference_weights=self._visible)
        assert self._palette is not None  # noqa: S101 — the settings hold both or neither
        return match_palette(pixels, self._palette, weights=mask)


def _grey(pixels: Tensor) -> Tensor:
    """Lightness alone."""
    return keep_luminance(pixels, torch.full_like(pixels, 0.5))
