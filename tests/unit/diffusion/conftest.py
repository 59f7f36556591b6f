"""The tiny hub, and short ways to paint with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import impasto

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: A run of a moment.
QUICK: dict[str, Any] = {"image_size": 64, "steps": 2, "dtype": "float32", "control": "none"}


@pytest.fixture(autouse=True)
def _tiny_models(hub: Path) -> None:
    """Every test here has the tiny hub in the place of the user's models."""


@pytest.fixture
def quick() -> dict[str, Any]:
    """Settings of :func:`paint` that a test does not give; a module may have its own."""
    return QUICK


@pytest.fixture
def paint(content, style, quick) -> Callable[..., impasto.Stylization]:
    """``impasto.stylize`` with engine diffusion and quick settings, which a test may change."""

    def call(picture: Any = None, look: Any = None, **settings: Any) -> impasto.Stylization:
        return impasto.stylize(
            content if picture is None else picture,
            style if look is None else look,
            engine="diffusion",
            **{**quick, **settings},
        )

    return call


@pytest.fixture
def pixels(paint) -> Callable[..., Any]:
    """The same, its pixels alone."""
    return lambda *pictures, **settings: paint(*pictures, **settings).picture.pixels
