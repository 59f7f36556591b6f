"""Every setting of every engine, once: name, type, bounds, unit, default and help.

The command line (and later the service and the agents' tools) is generated from these models.
"""

from typing import Any, Final

from impasto.errors import SettingsError
from impasto.settings.base import PictureSettings, Settings
from impasto.settings.diffusion import DiffusionSettings
from impasto.settings.dreambooth import DreamBoothTraining
from impasto.settings.fast import FastSettings
from impasto.settings.optimize import (
    CONTENT_LOSSES,
    DEFAULT_PX,
    FAST,
    LAYERS,
    PRESETS,
    STARTS,
    STYLE_LOSSES,
    OptimizeSettings,
    Pooling,
)
from impasto.settings.train import AnyStyleTraining, OneStyleTraining, TrainSettings
from impasto.settings.video import VideoSettings

#: The settings of each of impasto's own engines.
ENGINES: Final[dict[str, type[PictureSettings]]] = {
    "diffusion": DiffusionSettings,
    "fast": FastSettings,
    "optimize": OptimizeSettings,
}

#: Settings of all engines that are paths.
FILE_SETTINGS: Final = ("vgg_weights", "model", "ip_adapter", "control_model", "lora")

#: What each quality is: an engine and its settings; whatever is set beside it wins. How they were chosen is in
#: ``docs/engines/fast.md``.
QUALITIES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "draft": ("fast", {}),
    "standard": ("optimize", {"init": "fast", "steps": 10}),
    "fine": ("optimize", {}),
}


def choose_engine(engine: str | None, quality: str | None) -> tuple[str, dict[str, Any]]:
    """The engine that is meant, and the settings that a quality brings.

    Raises:
        SettingsError: there is no such engine or quality, or they contradict each other.
    """
    if engine is not None and engine not in ENGINES:
        raise SettingsError(f"no engine named {engine!r}; there are {', '.join(ENGINES)}")
    if quality is None:
        return engine or "optimize", {}
    if quality not in QUALITIES:
        raise SettingsError(f"no quality named {quality!r}; there are {', '.join(QUALITIES)}")
    meant, settings = QUALITIES[quality]
    if engine not in (None, meant):
        raise SettingsError(f"quality {quality} is painted by engine {meant}, not {engine}; give one of the two")
    return meant, settings


__all__ = [
    "CONTENT_LOSSES",
    "DEFAULT_PX",
    "ENGINES",
    "FAST",
    "FILE_SETTINGS",
    "LAYERS",
    "PRESETS",
    "QUALITIES",
    "STARTS",
    "STYLE_LOSSES",
    "AnyStyleTraining",
    "DiffusionSettings",
    "DreamBoothTraining",
    "FastSettings",
    "OneStyleTraining",
    "OptimizeSettings",
    "PictureSettings",
    "Pooling",
    "Settings",
    "TrainSettings",
    "VideoSettings",
    "choose_engine",
]
