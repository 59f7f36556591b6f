"""Templates become pages: self-contained, safe to open, the same bytes for the same arguments.

Names in a page come from files that anybody may have made, so every text is escaped, and the page's own policy forbids
whatever it does not need: nothing is fetched, and no script runs but those beside the templates, each allowed by its
hash.
"""

from __future__ import annotations

import math
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from impasto.errors import OutputError
from impasto.evaluation.pages.plots import SERIES_DARK, SERIES_LIGHT
from impasto.images import Picture, encode, fit_size, resize
from impasto.whole import write_whole

if TYPE_CHECKING:
    import os

    from torch import Tensor

_TEMPLATES: Final = Path(__file__).parent / "templates"
_QUALITY: Final = 88
_EXTENSIONS: Final = (".html", ".htm")


def render(template: str, **context: object) -> str:
    """A page from a template of this room and what stands in it.

    Args:
        template: the name of a file in ``templates/`` that extends ``base.html``.
        **context: what the template names; a name that is missing is an error, never an empty place.

    Returns:
        The whole HTML document. Every text in it is escaped; plots are :class:`markupsafe.Markup` and stay as they are.
    """
    return _environment().get_template(template).render(context)


def picture_uri(pixels: Tensor | Picture, longer_px: int = 512, format: str = ".jpg") -> str:  # noqa: A002
    """A picture as a ``data:`` address, to stand inside a page.

    Args:
        pixels: a picture, or ``(3, h, w)`` or ``(1, 3, h, w)`` sRGB in [0, 1].
        longer_px: larger pictures are made that long on the longer side; smaller ones stay as they are.
        format: ``.jpg``, ``.png`` or ``.webp``; JPEG lays transparency on white.
    """
    picture = pixels if isinstance(pixels, Picture) else Picture(pixels.reshape(pixels.shape[-3:]))
    longer = max(picture.height, picture.width)
    if longer > longer_px:
        height, width = fit_size(picture.height, picture.width, longer_px)
        alpha = None if picture.alpha is None else resize(picture.alpha[None], height, width)[0]
        picture = Picture(resize(picture.pixels[None], height, width)[0], alpha=alpha)
    kind = format.removeprefix(".").lower().replace("jpg", "jpeg")
    data = encode(picture, format, quality=_QUALITY)
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def write_page(html: str, path: str | os.PathLike[str]) -> Path:
    """Write a page whole or not at all: it appears under its name only when it is complete.

    Args:
        html: what :func:`render` gave.
        path: ends in ``.html`` or ``.htm``; an existing page is replaced.

    Returns:
        The path as given.

    Raises:
        OutputError: another extension, or the page cannot be written there.
    """
    target = Path(path)
    if target.suffix.lower() not in _EXTENSIONS:
        raise OutputError(
            f"cannot write the page {str(target)!r}: {target.suffix!r} is no page; give a name that ends in .html"
        )
    # A file's name may hold bytes that are no text; they become question marks.
    data = html.encode("utf-8", "replace")
    write_whole(target, data)
    return target


def number(value: float | None) -> str:
    """A figure as tables show it: three digits that count, ``–`` where there is none.

    Example:
        >>> number(0.123456), number(1234.5), number(float("nan"))
        ('0.123', '1,234', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 1000 and abs(value) < 1e9:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    for name in ("slider", "campaign"):
        script = (_TEMPLATES / f"{name}.js").read_text(encoding="utf-8").strip()
        environment.globals[f"{name}_script"] = Markup(script)  # noqa: S704 — our own file
        environment.globals[f"{name}_hash"] = b64encode(sha256(script.encode()).digest()).decode()
    environment.globals.update(
        series_light=SERIES_LIGHT,
        series_dark=SERIES_DARK,
    )
    return environment
