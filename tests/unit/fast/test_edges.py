"""The shipped network paints up to the picture's edges, without a frame of another colour."""

from __future__ import annotations

import pytest
import torch

import impasto


@pytest.mark.parametrize("style", ["mosaic", "woodcut_waves"])
def test_no_frame_around_an_even_sky(style: str) -> None:
    generator = torch.Generator().manual_seed(0)
    sky = torch.tensor([0.45, 0.62, 0.82])[:, None, None] + 0.1 * torch.linspace(-1, 1, 192)[None, :, None]
    photo = (sky.expand(3, 192, 256) + 0.01 * torch.randn(3, 192, 256, generator=generator)).clamp(0, 1)
    painted = impasto.stylize(photo, style, engine="fast").picture.pixels
    rows = painted[:, 64:128]
    inside = rows[..., 64:192].mean((1, 2))
    # 0.16 and 0.12 where the network's own padding reaches into the picture; strokes alone make it 0.03.
    assert float((rows[..., :12].mean((1, 2)) - inside).abs().max()) < 0.06
