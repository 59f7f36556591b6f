"""What a tool answers: a short text, data, and at most one small picture. Everything else is linked."""

from __future__ import annotations

import base64
import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

#: So much is shown of a text that somebody else wrote.
_QUOTED: Final = 80


@dataclass(frozen=True)
class Link:
    """A whole file that stays where it is."""

    uri: str
    name: str
    kind: str
    """Its media type."""
    bytes: int
    description: str


@dataclass(frozen=True)
class Answer:
    """What a tool answers."""

    text: str
    """A few sentences for a model, or for people."""
    data: dict[str, Any] = field(default_factory=dict)
    """The same as JSON, and more."""
    preview: bytes | None = field(default=None, repr=False)
    """A WebP of at most 80 kB."""
    link: Link | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON document; the preview is a data URL."""
        found: dict[str, Any] = {"text": self.text, **self.data}
        if self.preview is not None:
            found["preview"] = f"data:image/webp;base64,{base64.b64encode(self.preview).decode()}"
        if self.link is not None:
            found["file"] = self.link.uri
        return found


def quoted(text: object) -> str:
    """A text that somebody else wrote, such as a file's name: on one line, short, and visibly a quotation.

    A model must be able to see where it begins and ends, so nothing in it can look like a sentence of ours.
    """
    plain = " ".join("".join(char if _is_plain(char) else " " for char in str(text)).split())
    return json.dumps(plain if len(plain) <= _QUOTED else f"{plain[:_QUOTED]}…", ensure_ascii=False)


def _is_plain(char: str) -> bool:
    # Control characters, line breaks, and marks that turn the direction of writing or cannot be seen.
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
