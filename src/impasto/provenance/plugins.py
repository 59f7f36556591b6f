"""Plug-ins by name: those that come with impasto, and those of other packages by their entry points."""

from __future__ import annotations

from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: A function of what stands behind the name, that gives a :class:`~impasto.provenance.signing.Signer`.
SIGNERS: Final = "impasto.signers"
#: A function without arguments that gives a :class:`~impasto.provenance.safety.SafetyCheck`.
SAFETY: Final = "impasto.safety"
#: A function without arguments that gives a :class:`~impasto.provenance.watermarks.Watermarker`.
WATERMARKERS: Final = "impasto.watermarkers"


def installed(group: str, built_in: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[[], Callable[..., Any]]]:
    """What loads each plug-in of a group, by name; nothing of it is imported yet.

    Raises:
        SettingsError: two claim a name.
    """
    found: dict[str, Callable[[], Callable[..., Any]]] = {
        name: partial(_known, plugin) for name, plugin in built_in.items()
    }
    for entry in entry_points(group=group):
        if entry.name in found:
            raise SettingsError(f"two plug-ins of {group} are named {entry.name!r}, one from {entry.value}; remove one")
        found[entry.name] = entry.load
    return found


def _known(plugin: Callable[..., Any]) -> Callable[..., Any]:
    return plugin


def load(group: str, name: str, built_in: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The plug-in of a name.

    Raises:
        SettingsError: there is none.
    """
    known = installed(group, built_in)
    if name not in known:
        raise SettingsError(
            f"no plug-in of {group} is named {name[:80]!r}; installed: {', '.join(sorted(known)) or 'none'}"
        )
    return known[name]()
