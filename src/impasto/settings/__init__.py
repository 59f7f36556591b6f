"""Every setting of every engine, once: name, type, bounds, unit, default and help.

The command line (and later the service and the agents' tools) is generated from these models.
"""

from typing import Final

from impasto.settings.base import PictureSettings, Settings
from impasto.settings.fast import FastSettings
from impasto.settings.optimize import (
    CONTENT_LOSSES,
    LAYERS,
    PRESETS,
    STARTS,
    STYLE_LOSSES,
    OptimizeSettings,
    Pooling,
)

#: The settings of each of impasto's own engines.
ENGINES: Final[dict[str, type[PictureSettings]]] = {"fast": FastSettings, "optimize": OptimizeSettings}

__all__ = [
    "CONTENT_LOSSES",
    "ENGINES",
    "LAYERS",
    "PRESETS",
    "STARTS",
    "STYLE_LOSSES",
    "FastSettings",
    "OptimizeSettings",
    "PictureSettings",
    "Pooling",
    "Settings",
]
