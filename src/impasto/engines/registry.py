"""Names of engines and how to load them; an engine's code is imported when it is asked for."""

from importlib.metadata import entry_points
from typing import Final

from impasto.engines.base import Engine
from impasto.errors import SettingsError

#: The entry-point group under which impasto's own engines and other packages' are found.
GROUP: Final = "impasto.engines"


def engine_names() -> tuple[str, ...]:
    """Every installed engine's name, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load_engine(name: str) -> Engine:
    """An instance of the engine of that name.

    Raises:
        SettingsError: there is none, or two packages claim the name.
    """
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        raise SettingsError(f"no engine named {name!r}; installed: {', '.join(engine_names())}")
    if len(found) > 1:
        claimants = ", ".join(sorted(entry.value for entry in found))
        raise SettingsError(f"engine {name!r} is claimed by {claimants}; uninstall all but one")
    engine: Engine = found[0].load()()
    return engine
