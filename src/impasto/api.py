"""The calls behind every door: the command line, and later the service and the agents' tools, use nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from impasto.diagnostics import diagnose
from impasto.engines.registry import load_engine
from impasto.errors import InputError
from impasto.images import Picture, check_destination, read, read_metadata
from impasto.recipe import Recipe
from impasto.settings import STARTS

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from impasto.engines.base import Stylization
    from impasto.progress import CancelToken, OnProgress

    #: Whatever :func:`impasto.images.read` takes.
    ImageLike = str | os.PathLike[str] | Image | NDArray[np.generic] | Tensor | Picture

__all__ = ["check_destination", "diagnose", "read_recipe", "rerun", "stylize"]


def stylize(
    content: ImageLike,
    style: ImageLike | Sequence[ImageLike],
    *,
    engine: str = "optimize",
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> Stylization:
    """The style of one picture, or of several, on the content of another.

    Args:
        content: path, PIL image, NumPy array, tensor or :class:`Picture`; see :func:`impasto.images.read` for ranges.
        style: one such picture or a list of them.
        engine: name of the engine.
        on_progress: called with a :class:`Progress` after every step.
        cancel: a :class:`CancelToken` to cancel the run, or to stop it and keep what it has.
        **settings: the engine's settings, such as ``image_size=512`` or ``content_weight=0.05``; see
            :class:`impasto.settings.OptimizeSettings` for all of them with bounds and defaults.

    Returns:
        The picture with its recipe, loss trace and timings; ``.save(path)`` writes it.

    Raises:
        SettingsError: a setting is unknown, out of bounds or contradicts another.
        UnreadableImageError: a picture cannot be read.
        ImageTooSmallError: a picture is smaller than the network needs.
        EngineError: the run failed, or would not fit into memory.
        Cancelled: ``cancel`` was cancelled.

    Example:
        >>> import impasto
        >>> result = impasto.stylize("photo.jpg", "painting.jpg", image_size=512)  # doctest: +SKIP
        >>> result.save("out.png")  # doctest: +SKIP
    """
    styles = [read(one) for one in _several(style)]
    init = settings.get("init")
    first = None
    if init is not None and not (isinstance(init, str) and init in STARTS):
        first = read(init)
        settings["init"] = "file"
    return load_engine(engine).stylize(
        read(content), styles, settings, init=first, on_progress=on_progress, cancel=cancel
    )


def rerun(
    recipe: Recipe,
    content: ImageLike,
    style: ImageLike | Sequence[ImageLike],
    *,
    init: ImageLike | None = None,
    vgg_weights: str | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Stylization:
    """Make a picture again from its recipe: on the same machine with the same versions, byte for byte.

    Args:
        recipe: of the picture.
        content: the content that the recipe names.
        style: the styles that it names, in their order.
        init: the picture it started from, if it names one.
        vgg_weights: path of the network's weights, if the recipe names others than the packaged ones.
        on_progress: as in :func:`stylize`.
        cancel: as in :func:`stylize`.

    Raises:
        InputError: a picture is not the one that the recipe names (its SHA-256 differs), or one is missing.
    """
    if (vgg_weights is None) != (recipe.settings.get("vgg_weights") is None):
        raise InputError(
            f"the recipe names the weights {recipe.settings.get('vgg_weights')}; give exactly these as vgg_weights"
        )
    pictures = [read(content), *(read(one) for one in _several(style))]
    named = [recipe.content, *recipe.styles]
    if (init is None) != (recipe.init is None):
        raise InputError(
            "the recipe and the call disagree on whether there is a picture to start from; give init if so"
        )
    first = None
    if init is not None and recipe.init is not None:
        first = read(init)
        pictures.append(first)
        named.append(recipe.init)
    if len(pictures) != len(named):
        raise InputError(f"the recipe names {len(recipe.styles)} styles; give them all, in their order")
    for picture, source in zip(pictures, named, strict=True):
        if picture.sha256 != source.sha256:
            raise InputError(
                f"{picture.name} is not the {source.name} that the recipe names: its SHA-256 is {picture.sha256}, "
                f"expected {source.sha256}"
            )
    result = load_engine(recipe.engine).stylize(
        pictures[0],
        pictures[1 : 1 + len(recipe.styles)],
        {**recipe.settings, "vgg_weights": vgg_weights},
        init=first,
        scales=recipe.scales,
        on_progress=on_progress,
        cancel=cancel,
    )
    if result.recipe.weights.sha256 != recipe.weights.sha256:
        raise InputError(
            f"the network's weights have SHA-256 {result.recipe.weights.sha256}, "
            f"the recipe names {recipe.weights.sha256} ({recipe.weights.source})"
        )
    return result


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe kept inside a picture that impasto made.

    Raises:
        UnreadableImageError: it is no picture.
        InputError: there is no recipe in it.
    """
    text = read_metadata(path)
    if text is None:
        raise InputError(f"{path} holds no recipe; impasto writes one unless it is told --metadata none")
    return Recipe.from_json(text)


def _several(style: ImageLike | Sequence[ImageLike]) -> Sequence[ImageLike]:
    """One picture as a list of one; an array is one picture, however many rows it has."""
    return style if isinstance(style, list | tuple) else [cast("ImageLike", style)]
