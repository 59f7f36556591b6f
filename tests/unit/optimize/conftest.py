"""A quick run of the engine, and objectives on tiny pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import impasto

#: float32 everywhere, so that nothing hangs on rounding; three layers suffice for most of what is tested.
QUICK: dict[str, Any] = {
    "image_size": 64,
    "scales": (32, 64),
    "steps": 4,
    "layers": "relu1_1=16,relu2_1=4,relu3_1=1",
    "content_layers": "relu3_1",
    "style_loss": "w2",
    "dtype": "float32",
    "device": "cpu",
}

Stylize = Callable[..., impasto.Stylization]


@pytest.fixture
def stylize() -> Stylize:
    """``impasto.stylize`` with quick settings, which a test may change."""

    def call(content: object, style: object = (), **settings: Any) -> impasto.Stylization:
        return impasto.stylize(content, style, **{**QUICK, **settings})

    return call
