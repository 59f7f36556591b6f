"""Strength after the fact: a finished picture laid over its content, without painting again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from impasto.engines.base import Stylization
from impasto.errors import InputError, SettingsError
from impasto.images import Picture, read, read_metadata, resize
from impasto.recipe import Recipe

if TYPE_CHECKING:
    import os

    from impasto.api.styles import ImageLike


def blend(content: ImageLike, painted: str | os.PathLike[str], *, share: float) -> Stylization:
    """A finished picture over its content: ``content + share · (painted - content)`` in sRGB, rounded as files are.

    It differs from painting with a smaller ``strength``, which paints less instead of covering less. The recipe says
    so, and :func:`impasto.api.rerun` blends again.

    Args:
        content: the picture it was painted from; taken at the painted picture's size.
        painted: the file, with its recipe inside.
        share: of the painted picture, 0 (the content) to 1 (the painted picture).

    Returns:
        The picture with its recipe; it has no trace and no timings, because nothing was painted.

    Raises:
        SettingsError: ``share`` is out of bounds.
        InputError: the file holds no recipe, is a blend already, or was painted from another content.
    """
    if not 0 <= share <= 1:
        raise SettingsError(f"share is {share:g}, but 0 (the content) to 1 (the painted picture) is allowed")
    text = read_metadata(painted)
    if text is None:
        raise InputError(f"{painted} holds no recipe, so what it was painted from is not known; give a file with one")
    recipe = Recipe.from_json(text)
    if recipe.blend is not None:
        raise InputError(f"{painted} is a blend already; blend the picture that it was made of")
    given = read(content)
    if given.sha256 != recipe.content.sha256:
        raise InputError(f"{painted} was painted from {recipe.content.name}, which {given.name} is not; give that one")
    mixed = mix(given, read(painted), share)
    recipe = recipe.model_copy(update={"blend": share})
    return Stylization(mixed, recipe, trace=(), timings={}, peak_memory_mb=0.0, stopped_early=False)


def mix(content: Picture, painted: Picture, share: float) -> Picture:
    """The painted picture over its content, at its own size and alpha, in steps of its bit depth."""
    levels = 2**painted.bit_depth - 1
    below = resize(content.pixels, painted.height, painted.width)
    pixels = ((below + share * (painted.pixels - below)) * levels).round().clamp(0, levels) / levels
    return replace(painted, pixels=pixels, sha256=None)
