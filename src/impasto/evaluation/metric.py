"""What a metric is, and the registry of all that are installed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Literal

from impasto.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from impasto.evaluation.view import View

#: The entry-point group under which impasto's own metrics and other packages' are found: each entry names an iterable
#: of :class:`Metric`.
GROUP: Final = "impasto.metrics"


@dataclass(frozen=True)
class Metric:
    """One figure of an output, with what must be known to read it."""

    name: str
    function: Callable[[View, View, View], float]
    """Takes output, content and style."""
    meaning: str
    """What it says, in one line for users."""
    better: Literal["higher", "lower", "near 1", "between"]
    """``between``: too little and too much are both bad."""
    span: str
    """Its range, and what the ends mean."""
    backbone: Literal["none", "VGG-19", "EfficientNet-Lite0", "AlexNet", "VGG-16", "CLIP", "Inception v3"]
    cost: str
    """What it needs beyond pixels, such as ``1 pass``; passes are shared between metrics."""
    blind_to: str
    source: str
    default: bool = True
    """Whether it is computed without being asked for; those that need weights of the user's are not."""


@cache
def installed_metrics() -> dict[str, Metric]:
    """Every installed metric by name, in the order of their packages.

    Raises:
        SettingsError: two packages claim a name.
    """
    found: dict[str, Metric] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name != "builtin", entry.name)):
        for metric in entry.load():
            if metric.name in found:
                raise SettingsError(
                    f"two metrics are named {metric.name!r}, one of them from {entry.value}; uninstall it"
                )
            found[metric.name] = metric
    return found


def choose_metrics(names: Iterable[str] = ()) -> tuple[Metric, ...]:
    """The metrics that are computed by default, and those asked for by name.

    Raises:
        SettingsError: there is none of that name.
    """
    known = installed_metrics()
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise SettingsError(f"no metric named {name!r}; installed: {', '.join(known)}")
    return tuple(metric for metric in known.values() if metric.default or metric.name in wanted)
