"""Marks in the pixels themselves, which survive what drops a file's metadata: a place for plug-ins.

None comes with impasto: docs/provenance.md says why. The registry knows copies again in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from impasto.provenance.plugins import WATERMARKERS, load

if TYPE_CHECKING:
    from impasto.images import Picture


class Watermarker(Protocol):
    """One kind of mark."""

    def embed(self, picture: Picture, payload: bytes) -> Picture:
        """The picture with a payload of at most 16 bytes in its pixels, which look the same."""

    def detect(self, picture: Picture) -> bytes | None:
        """The payload in a picture's pixels; None if there is none."""


def load_watermarker(name: str) -> Watermarker:
    """A watermarker by name.

    Raises:
        SettingsError: no plug-in has the name.
    """
    found: Watermarker = load(WATERMARKERS, name, {})()
    return found
