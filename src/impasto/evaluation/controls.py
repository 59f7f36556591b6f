"""Controls: outputs that are known to be bad, made from the same pictures, so that a figure has a scale.

If one of them passes the gates, a gate is broken, or the pair leaves nothing to judge.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Final

import torch
from PIL import Image
from torch import Tensor

from impasto.evaluation.metrics.style import style_gain
from impasto.evaluation.view import SMALL_PX, View, blur, shuffled
from impasto.images import ColorStatistics, match_linear, read, resize

if TYPE_CHECKING:
    from collections.abc import Callable

Trio = tuple[View, View, View]
#: Noise, blur and tint are made as strong as this on a picture of 256 px.
_NOISE, _BLUR_PX, _TILE_PX, _GRID, _TINT = 0.08, 3.0, 32, 0.01, (0.2, 0.0, -0.1)
#: CC0, painted by examples/house_styles: what "another style" is when there is none at hand.
_STYLES: Final = ("stained_glass", "watercolour", "woodcut_waves")


def identity(trio: Trio) -> Trio:
    """The content, untouched."""
    _, content, style = trio
    return content, content, style


def style_copy(trio: Trio) -> Trio:
    """The style's picture in place of the output."""
    output, content, style = trio
    return output.with_pixels(_covering(style.pixels, output)), content, style


def shuffled_style(trio: Trio) -> Trio:
    """The style's tiles in random order: all of its texture, nothing of the content."""
    output, content, style = trio
    covering = _covering(style.pixels, output)
    mixed = shuffled(covering, _scaled(_TILE_PX, output), 0)
    return output.with_pixels(resize(mixed, *output.pixels.shape[-2:])), content, style


def color_only(trio: Trio) -> Trio:
    """The content in the style's colours, without a stroke."""
    output, content, style = trio
    statistics = ColorStatistics.of(style.pixels)
    return output.with_pixels(match_linear(content.pixels, statistics)), content, style


def half_blend(trio: Trio) -> Trio:
    """Half output, half content."""
    output, content, style = trio
    return output.with_pixels((output.pixels + content.pixels) / 2), content, style


def wrong_style(trio: Trio) -> Trio:
    """The output as it is, judged by another style: the one of three house styles that is farthest from its own."""
    output, content, style = trio
    # How near a house style comes to the true one, as seen from the content.
    return output, content, min(_house_styles(), key=lambda other: style_gain(other, content, style))


def flat(trio: Trio) -> Trio:
    """The output's mean colour all over."""
    output, content, style = trio
    return output.with_pixels(output.pixels.mean((2, 3), keepdim=True).expand_as(output.pixels)), content, style


def cast(trio: Trio) -> Trio:
    """The output with more red and less blue."""
    output, content, style = trio
    return output.with_pixels(output.pixels + torch.tensor(_TINT).view(1, 3, 1, 1)), content, style


def noise(trio: Trio) -> Trio:
    """The output under Gaussian noise of σ = 0.08."""
    output, content, style = trio
    grain = torch.randn(output.pixels.shape, generator=torch.Generator().manual_seed(0))
    return output.with_pixels(output.pixels + _NOISE * grain), content, style


def checkerboard(trio: Trio) -> Trio:
    """The output under a grid of ±1 %, every second pixel."""
    output, content, style = trio
    height, width = output.pixels.shape[-2:]
    grid = (torch.arange(height)[:, None] + torch.arange(width)) % 2 * 2.0 - 1
    return output.with_pixels(output.pixels + _GRID * grid), content, style


def blurred(trio: Trio) -> Trio:
    """The output out of focus: σ = 3 px on a picture of 256 px."""
    output, content, style = trio
    return output.with_pixels(blur(output.pixels, _BLUR_PX * max(output.pixels.shape[-2:]) / SMALL_PX)), content, style


#: Every control by name. Those that must never pass are :data:`MUST_FAIL`.
CONTROLS: Final[dict[str, Callable[[Trio], Trio]]] = {
    "identity": identity,
    "style_copy": style_copy,
    "shuffled_style": shuffled_style,
    "wrong_style": wrong_style,
    "color_only": color_only,
    "half_blend": half_blend,
    "flat": flat,
    "cast": cast,
    "noise": noise,
    "checkerboard": checkerboard,
    "blurred": blurred,
}
#: A weak style (half blend, colours alone) may be what somebody wants; the others may not.
MUST_FAIL: Final = tuple(name for name in CONTROLS if name not in ("color_only", "half_blend"))


def _covering(pixels: Tensor, output: View) -> Tensor:
    """A picture at the output's size, cut at its longer overhang."""
    height, width = output.pixels.shape[-2:]
    factor = max(height / pixels.shape[-2], width / pixels.shape[-1])
    size = [max(least, round(side * factor)) for side, least in zip(pixels.shape[-2:], (height, width), strict=True)]
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return resize(pixels, *size)[..., top : top + height, left : left + width]


def _scaled(px: int, output: View) -> int:
    return max(1, round(px * max(output.pixels.shape[-2:]) / SMALL_PX))


@cache
def _house_styles() -> tuple[View, ...]:
    data = files("impasto.evaluation").joinpath("data")
    pictures = (Image.open(BytesIO(data.joinpath(f"{name}.webp").read_bytes())) for name in _STYLES)
    return tuple(View(read(picture).pixels[None], name=name) for name, picture in zip(_STYLES, pictures, strict=True))
