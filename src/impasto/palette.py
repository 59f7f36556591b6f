"""Palettes as a user writes them: hex colours in, numbers out. `images.match_palette` recolours pictures with them."""

import re
from collections.abc import Sequence

from impasto.errors import SettingsError

#: Swatches that a palette may have.
MAX_SWATCHES = 16

_HEX = re.compile("#?([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)


def parse_palette(text: str | Sequence[str]) -> tuple[tuple[float, float, float], ...]:
    """Hex colours as sRGB.

    Args:
        text: 1 to 16 colours ``#RRGGBB`` or ``#RGB``, as a list or with commas or spaces between them; the ``#`` may be
            left out.

    Returns:
        One ``(red, green, blue)`` per swatch, in [0, 1], in the order given.

    Raises:
        SettingsError: something that is no such colour, no colour at all, or more than 16.

    Example:
        >>> parse_palette("#f00, #336699")
        ((1.0, 0.0, 0.0), (0.2, 0.4, 0.6))
    """
    words = re.split(r"[\s,]+", text.strip(" \t\r\n,")) if isinstance(text, str) else list(text)
    if not 1 <= len(words) <= MAX_SWATCHES or words == [""]:
        found = 0 if words == [""] else len(words)
        raise SettingsError(
            f"palette has {found} colours, but 1 to {MAX_SWATCHES} are allowed; write them like '#1d3557,#e63946'"
        )
    return tuple(_parse_swatch(word) for word in words)


def _parse_swatch(word: str) -> tuple[float, float, float]:
    """One hex colour as red, green and blue."""
    match = _HEX.fullmatch(word.strip()) if isinstance(word, str) else None
    if match is None:
        raise SettingsError(
            f"palette has {word!r}, which is no colour; allowed are #RRGGBB and #RGB with the digits 0-9 and a-f; "
            "write it like '#e63946'"
        )
    digits = match[1] if len(match[1]) == 6 else "".join(digit * 2 for digit in match[1])
    red, green, blue = (int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4))
    return red, green, blue
