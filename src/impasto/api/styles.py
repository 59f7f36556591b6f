"""Styles as calls take them: a picture, a folder, an archive or a name of the library; and the library itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from impasto.errors import SettingsError
from impasto.evaluation.gates import Gates
from impasto.styles import add_style as _add
from impasto.styles import (
    export_style,
    find_style,
    get_style,
    import_style,
    list_styles,
    make_look,
    reference_folders,
    remove_style,
)
from impasto.styles.library import lies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from impasto.images import Picture
    from impasto.styles import Style

    #: Whatever :func:`impasto.images.read` takes.
    ImageLike = str | os.PathLike[str] | Image | NDArray[np.generic] | Tensor | Picture

__all__ = [
    "add_style",
    "export_style",
    "get_style",
    "import_style",
    "list_styles",
    "pictures_of",
    "reference_folders",
    "remove_style",
    "resolved",
    "several",
    "sole_picture",
    "thresholds_of",
]

#: The setting that takes what was trained, by engine.
_TRAINED_AS: Final = {"diffusion": "lora", "fast": "model"}


def several(style: ImageLike | Sequence[ImageLike]) -> Sequence[ImageLike]:
    """One picture as a list of one; an array is one picture, however many rows it has."""
    return style if isinstance(style, list | tuple) else [cast("ImageLike", style)]


def resolved(
    engine: str, styles: Sequence[ImageLike], settings: dict[str, Any]
) -> tuple[list[ImageLike], dict[str, Any]]:
    """Styles as their pictures, with what one that stands alone brings: settings, and a file that was trained.

    Raises:
        InputError: a folder or an archive is no style, or was changed; there is no style of that name.
        SettingsError: a trained style among several, or beside another model.
    """
    pictures: list[ImageLike] = []
    for style in styles:
        found = _style(style)
        if found is None:
            pictures.append(style)
            continue
        pictures += found.references
        if len(styles) == 1:
            settings = {**found.look.settings.get(engine, {}), **settings}
        if engine not in found.trained:
            continue
        named = _TRAINED_AS.get(engine, "model")
        if len(styles) > 1 or settings.get(named) is not None:
            raise SettingsError(
                f"{found.name} was trained as one style for engine {engine}; give it alone, or the pictures in its "
                "references folder"
            )
        settings = {**settings, named: str(found.trained[engine].path)}
    return pictures, settings


def pictures_of(style: ImageLike | Sequence[ImageLike]) -> list[ImageLike]:
    """Styles as their pictures, for what only looks at them.

    Raises:
        InputError: as :func:`resolved`.
    """
    pictures: list[ImageLike] = []
    for one in several(style):
        found = _style(one)
        pictures += [one] if found is None else found.references
    return pictures


def sole_picture(style: ImageLike) -> ImageLike:
    """The picture of a style that has one, for a region or a moment.

    Raises:
        SettingsError: it has several.
    """
    pictures = pictures_of([style])
    if len(pictures) > 1:
        raise SettingsError(f"a region takes one picture, and the style {style} has {len(pictures)}; give one of them")
    return pictures[0]


def thresholds_of(style: ImageLike | Sequence[ImageLike]) -> Mapping[str, Mapping[str, Any]]:
    """Thresholds of the gates that a style brings which stands alone.

    Raises:
        InputError: as :func:`resolved`.
    """
    found = _style(several(style)[0]) if len(several(style)) == 1 else None
    return {} if found is None else found.look.thresholds


def add_style(
    name: str,
    pictures: Sequence[str | os.PathLike[str]],
    *,
    licence: str = "",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    replace: bool = False,
) -> Style:
    """Add a style to the library.

    Args:
        name: small letters, digits, ``-`` and ``_``.
        pictures: that show the style; they are copied.
        licence: under which they may be used.
        settings: by engine, what a call with this style alone has where it says nothing else.
        thresholds: of the gates by metric, such as ``{"style_gain": {"review_below": 0.2}}``.
        replace: whether a style of that name is replaced; what was trained on the same pictures is kept.

    Raises:
        InputError: the name is none for a style, or taken; no picture was given.
        SettingsError: a setting or a threshold is none.
        UnreadableImageError: a picture cannot be read.
        OutputError: the library cannot be written.

    Example:
        >>> api.add_style("spring", ["poppies.jpg"], settings={"fast": {"strength": 0.8}})  # doctest: +SKIP
    """
    look = make_look(licence=licence, settings=settings or {}, thresholds=thresholds or {})
    Gates.load(thresholds=look.thresholds)
    return _add(name, [Path(picture) for picture in pictures], look, replace=replace)


def _style(style: ImageLike) -> Style | None:
    """What a path or a name means, if it is no picture; a bare word that means nothing is refused here."""
    if not isinstance(style, str | os.PathLike):
        return None
    found = find_style(style)
    word = Path(style)
    if found is None and not word.suffix and word.name == os.fspath(style) and not lies(word):
        return get_style(style)
    return found
