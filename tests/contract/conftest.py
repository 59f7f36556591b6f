"""Every engine that is installed, each with settings that make a run take a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import impasto
from impasto.engines.registry import engine_names

#: For each engine a real run on 64 px, over more than one scale where it has scales.
QUICK: dict[str, dict[str, Any]] = {
    "optimize": {"image_size": 64, "scales": (32,), "steps": 2, "layers": "relu1_1,relu2_1,relu3_1"},
}

Stylize = Callable[..., impasto.Stylization]


@pytest.fixture(params=engine_names())
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine; a new one needs a line in ``QUICK``."""
    return str(request.param)


@pytest.fixture
def quick(engine: str) -> Stylize:
    """``impasto.stylize`` with that engine and its quick settings, which a test may change."""

    def call(content: object, style: object, **settings: Any) -> impasto.Stylization:
        return impasto.stylize(content, style, engine=engine, **{**QUICK[engine], **settings})

    return call


@pytest.fixture
def planned(engine: str) -> Callable[..., impasto.RunPlan]:
    """``impasto.plan`` with that engine and its quick settings, which a test may change."""

    def call(content: object, style: object, **settings: Any) -> impasto.RunPlan:
        return impasto.plan(content, style, engine=engine, **{**QUICK[engine], **settings})

    return call
