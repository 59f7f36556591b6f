"""Which part of the picture is painted in which styles: masks, transparency, several styles, turned styles."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.engines.base import Region
from impasto.errors import InputError
from impasto.images import ColorStatistics, Picture, fill_transparent, fit_size, mask_of, resize, rotate

#: Areas smaller than this share of the picture have too few positions to take a style's statistics.
_SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class Source:
    """One style picture."""

    pixels: Tensor
    """``(1, 3, h, w)``."""
    mask: Tensor | None
    """``(1, 1, h, w)``: which of it gives its style; None: all of it."""
    share: float

    def resized(self, longer: float, least: int) -> "Source":
        """At a longer side in pixels: never enlarged, and its shorter side not below ``least``."""
        height, width = self.pixels.shape[-2:]
        factor = min(1.0, max(longer / max(height, width), least / min(height, width)))
        size = fit_size(height, width, round(max(height, width) * factor))
        return Source(resize(self.pixels, *size), None if self.mask is None else resize(self.mask, *size), self.share)

    def turned(self, degrees: float, share: float) -> "Source":
        """Rotated, with another share."""
        pixels, inside = rotate(self.pixels, degrees)
        mask = inside
        if self.mask is not None:
            mask, _ = rotate(self.mask, degrees)
            mask = mask if inside is None else mask * inside
        return Source(pixels, mask, share)


@dataclass(frozen=True)
class Part:
    """One part of the picture and the styles it is painted in."""

    mask: Tensor | None
    """``(1, 1, h, w)`` at the content's size; None: the whole picture."""
    sources: tuple[Source, ...]

    def resized(self, height: int, width: int, style_longer: float, least: int) -> "Part":
        """At the size of a scale."""
        mask = None if self.mask is None else resize(self.mask, height, width)
        return Part(mask, tuple(source.resized(style_longer, least) for source in self.sources))


def divide(
    content: Picture, styles: Sequence[Picture], shares: Sequence[float], regions: Sequence[Region]
) -> tuple[tuple[Part, ...], Tensor | None]:
    """The parts of a picture, and where it may be painted at all.

    Regions that overlap share what they overlap in; what none of them covers is painted in ``styles``, or, without
    any, stays the photo. What is transparent in the content belongs to no part, what is transparent in a style gives
    nothing.

    Returns:
        The parts, and ``(1, 1, h, w)``, 1 where the picture may change; None: everywhere.

    Raises:
        InputError: a mask is empty, or nothing of a region can be seen.
    """
    visible = None if content.alpha is None or bool((content.alpha == 1).all()) else content.alpha[None]
    masks = [mask_of(region.mask, content) for region in regions]
    rest: Tensor | None = None
    if masks:
        covered = torch.stack(masks).sum(0)
        masks = [mask / covered.clamp_min(1.0) for mask in masks]
        rest = (1 - covered).clamp_min_(0)
    parts = []
    for region, mask in zip(regions, masks, strict=True):
        shown = mask if visible is None else mask * visible
        if float(shown.mean()) < _SMALLEST_SHARE:
            raise InputError(
                f"mask {region.mask.name} covers {float(shown.mean()):.3%} of what is visible of {content.name}; "
                "give a region of at least 0.01 %"
            )
        parts.append(Part(shown, (source_of(region.style, region.style_mask, 1.0),)))
    if styles and (rest is None or float(rest.mean()) >= _SMALLEST_SHARE):
        base = visible if rest is None else rest if visible is None else rest * visible
        if base is None or float(base.mean()) >= _SMALLEST_SHARE:
            sources = (source_of(style, None, share) for style, share in zip(styles, shares, strict=True))
            parts.append(Part(base, tuple(source for source in sources if source.share > 0)))
    free = None if styles or rest is None or not bool((rest > 0).any()) else 1 - rest
    return tuple(parts), free


def turn(parts: Sequence[Part], degrees: Sequence[float]) -> tuple[Part, ...]:
    """Every style turned by every angle, all of them alike."""
    if tuple(degrees) == (0.0,):
        return tuple(parts)
    return tuple(
        Part(
            part.mask,
            tuple(s.turned(angle, s.share / len(degrees)) for s in part.sources for angle in degrees),
        )
        for part in parts
    )


def colors_of(part: Part) -> ColorStatistics:
    """The colours of a part's styles together."""
    return ColorStatistics.blend(
        [ColorStatistics.of(source.pixels, source.mask) for source in part.sources],
        [source.share for source in part.sources],
    )


def source_of(style: Picture, mask: Picture | None, share: float) -> Source:
    """A style picture, its mask and its transparency taken together."""
    weights = None if mask is None else mask_of(mask, style)
    if style.alpha is not None and not bool((style.alpha == 1).all()):
        weights = style.alpha[None] if weights is None else weights * style.alpha[None]
    if weights is not None and not float(weights.mean()) >= _SMALLEST_SHARE:
        raise InputError(
            f"nothing of style {style.name} can be seen{' inside its mask' if mask is not None else ''}; "
            "give a style with visible pixels there"
        )
    return Source(fill_transparent(style), weights, share)
