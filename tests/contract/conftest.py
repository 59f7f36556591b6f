"""Every engine that is installed, each with settings that make a run take a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import impasto
from impasto.engines.registry import engine_names
from impasto.settings import ENGINES

#: For each engine a real run on 64 px, over more than one step or scale.
QUICK: dict[str, dict[str, Any]] = {
    "diffusion": {"image_size": 64, "steps": 4, "control": "none", "dtype": "float32"},
    "fast": {"image_size": 64, "memory": "tiles", "tile_size": 32},
    "optimize": {"image_size": 64, "scales": (32,), "steps": 2, "layers": "relu1_1,relu2_1,relu3_1"},
}


def _meant_for(engine: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without those that only other engines have: what a test says holds for engines without them too."""
    others = {name for model in ENGINES.values() for name in model.model_fields} - {*ENGINES[engine].model_fields}
    return {name: value for name, value in {**QUICK[engine], **settings}.items() if name not in others}


Stylize = Callable[..., impasto.Stylization]


@pytest.fixture(params=engine_names())
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine; a new one needs a line in ``QUICK``."""
    if request.param == "diffusion":
        request.getfixturevalue("hub")
    return str(request.param)


@pytest.fixture
def needs(engine: str) -> Callable[[str], None]:
    """Skips what asks for a setting that the engine does not have."""

    def skip(setting: str) -> None:
        if setting not in ENGINES[engine].model_fields:
            pytest.skip(f"engine {engine} has no setting {setting}")

    return skip


@pytest.fixture
def quick(engine: str) -> Stylize:
    """``impasto.stylize`` with that engine and its quick settings, which a test may change."""

    def call(content: object, style: object, **settings: Any) -> impasto.Stylization:
        return impasto.stylize(content, style, engine=engine, **_meant_for(engine, settings))

    return call


@pytest.fixture
def planned(engine: str) -> Callable[..., impasto.RunPlan]:
    """``impasto.plan`` with that engine and its quick settings, which a test may change."""

    def call(content: object, style: object, **settings: Any) -> impasto.RunPlan:
        return impasto.plan(content, style, engine=engine, **_meant_for(engine, settings))

    return call
