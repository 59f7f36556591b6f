"""A finished picture in the sizes and formats of a brand's channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from impasto.images import Picture, resize
from impasto.palette import parse_palette

if TYPE_CHECKING:
    from impasto.styles import Channel


def for_channel(picture: Picture, channel: Channel) -> Picture:
    """A picture cropped, fitted or padded to a channel's size, about its middle.

    ``fit`` gives at most the channel's size, the others exactly it. Smaller pictures are enlarged by ``crop`` and
    ``pad``, never by ``fit``.
    """
    across, down = channel.width / picture.width, channel.height / picture.height
    factor = max(across, down) if channel.fit == "crop" else min(across, down)
    if channel.fit == "fit":
        factor = min(factor, 1.0)
    width, height = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    sized = picture.with_pixels(resize(picture.pixels[None], height, width)[0].clamp(0, 1))
    if channel.fit == "fit":
        return sized
    if channel.fit == "crop":
        top, left = (height - channel.height) // 2, (width - channel.width) // 2
        box = (..., slice(top, top + channel.height), slice(left, left + channel.width))
        return Picture(sized.pixels[box], alpha=None if sized.alpha is None else sized.alpha[box])
    ground = torch.tensor(parse_palette(channel.background)[0])[:, None, None]
    pixels = ground.expand(3, channel.height, channel.width).clone()
    top, left = (channel.height - height) // 2, (channel.width - width) // 2
    seen = sized.pixels if sized.alpha is None else torch.lerp(ground, sized.pixels, sized.alpha)
    pixels[:, top : top + height, left : left + width] = seen
    return Picture(pixels)
