"""What a sweep runs: every combination of the varied settings, checked before the first run, with a name for each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import SettingsError
from impasto.images import Picture
from impasto.settings import OptimizeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_NAME: Final = 120


@dataclass(frozen=True)
class Combination:
    """The settings of one cell."""

    values: Mapping[str, Any]
    label: str
    options: dict[str, Any]
    """Everything that the engine is given."""
    checked: OptimizeSettings | SettingsError

    def settled(self) -> OptimizeSettings:
        """The complete settings.

        Raises:
            SettingsError: they contradict each other.
        """
        if isinstance(self.checked, SettingsError):
            raise self.checked
        return self.checked


def combinations_of(vary: Mapping[str, Sequence[Any]], fixed: Mapping[str, Any]) -> list[Combination]:
    """Every combination, the last setting changing fastest.

    Raises:
        SettingsError: there is nothing to vary or too much, a setting is fixed as well, a value stands there twice, or
            no combination could be run with it.
    """
    if not 1 <= len(vary) <= 2 or not all(vary.values()):
        raise SettingsError(
            f"{len(vary)} settings are varied, {'one without values' if len(vary) in (1, 2) else 'one or two can be'}; "
            "give one or two with their values, such as strength=0,0.5,1"
        )
    both = [name for name in vary if name in fixed]
    if both:
        raise SettingsError(f"{both[0]} is varied and fixed to {plain(fixed[both[0]])!r}; leave one of them out")
    checked: dict[tuple[int, ...], OptimizeSettings | SettingsError] = {}
    for places in product(*(range(len(values)) for values in vary.values())):
        try:
            checked[places] = OptimizeSettings.of(**_named(_options(vary, places, fixed)))
        except SettingsError as error:
            checked[places] = error
    words: dict[tuple[str, int], Any] = {}
    for axis, (name, values) in enumerate(vary.items()):
        for place in range(len(values)):
            with_it = [found for places, found in checked.items() if places[axis] == place]
            good = [found for found in with_it if isinstance(found, OptimizeSettings)]
            if not good:
                raise next(found for found in with_it if isinstance(found, SettingsError))
            value = _named({name: values[place]})[name] if name == "init" else good[0].model_dump(mode="json")[name]
            if value in [words[name, before] for before in range(place)]:
                raise SettingsError(f"{name} is to be {word(value)} twice; give every value once")
            words[name, place] = value
    found: list[Combination] = []
    for places, result in checked.items():
        chosen = {name: words[name, place] for name, place in zip(vary, places, strict=True)}
        label = ",".join(f"{name}={word(value)}" for name, value in chosen.items())
        if len(label) > _MAX_NAME:
            label = f"{label[:_MAX_NAME]}-{len(found) + 1}"
        found.append(Combination(chosen, label, _options(vary, places, fixed), result))
    return found


def _options(vary: Mapping[str, Sequence[Any]], places: Sequence[int], fixed: Mapping[str, Any]) -> dict[str, Any]:
    return {**fixed, **{name: values[place] for (name, values), place in zip(vary.items(), places, strict=True)}}


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a picture to start from as what it is called: a settings model holds no pictures."""
    init = options.get("init")
    if init is None or isinstance(init, str):
        return dict(options)
    return {**options, "init": init.name if isinstance(init, Picture) and init.name else "file"}


def plain(value: Any) -> Any:
    """A setting as JSON has it; a picture by its name."""
    if isinstance(value, Picture):
        return value.name
    return list(value) if isinstance(value, tuple) else value


def word(value: Any) -> str:
    """A setting's value in a file's name: ``0.5``, ``128+256``, ``w2+nn@0.5``."""
    if value is None:
        return "default"
    if isinstance(value, dict):
        text = "+".join(name if weight == 1 else f"{name}@{weight:g}" for name, weight in value.items())
    elif isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):  # swatches
        text = "+".join("".join(f"{round(255 * part):02x}" for part in swatch) for swatch in value)
    elif isinstance(value, list | tuple):
        text = "+".join(word(part) for part in value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+@-]+", "-", text)


def is_number(value: Any) -> bool:
    """Whether it can be an axis of a plot."""
    return isinstance(value, int | float) and not isinstance(value, bool)
