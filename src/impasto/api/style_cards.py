"""A page that shows a style: what it is made of, and photos painted in it with the figures of each."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.api.evaluate import evaluate
from impasto.api.sets import MAIN_METRICS
from impasto.api.styles import get_style
from impasto.api.stylize import stylize
from impasto.evaluation.pages import picture_uri, render, write_page
from impasto.images import read

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

_SHOWN_PX = 512


def style_card(
    style: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    photos: Sequence[str | os.PathLike[str]] = (),
    engine: str = "fast",
) -> Path:
    """Write the page of a style.

    Args:
        style: its name, folder or archive.
        output: the page, ``.html``.
        photos: to paint, at 512 px; each is judged as written.
        engine: what paints them.

    Returns:
        The path as given.

    Raises:
        InputError: there is no such style.
        UnreadableImageError: a photo cannot be read.
        OutputError: the page cannot be written.
    """
    found = get_style(style)
    samples = []
    with tempfile.TemporaryDirectory(prefix="impasto-") as place:
        for number, photo in enumerate(photos):
            target = Path(place) / f"{number:03}.png"
            stylize(photo, style, engine=engine, image_size=_SHOWN_PX).save(target)
            judged = evaluate(target, content=photo, style=style)
            samples.append((Path(photo).name, picture_uri(read(photo), _SHOWN_PX), picture_uri(read(target)), judged))
    html = render(
        "style.html",
        style=found,
        engine=engine,
        references=[(path.name, picture_uri(read(path), _SHOWN_PX)) for path in found.references],
        samples=samples,
        main=MAIN_METRICS,
    )
    return write_page(html, output)
