"""Pictures and settings go to an engine and come back as a stylization; a recipe makes the same picture again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.api.blending import mix
from impasto.api.styles import resolved, several, sole_picture
from impasto.engines.base import Region
from impasto.engines.registry import load_engine
from impasto.errors import InputError
from impasto.images import Picture, read, read_metadata
from impasto.recipe import Recipe, Source, Weights
from impasto.settings import ENGINES, FAST, STARTS, choose_engine

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from impasto.api.styles import ImageLike
    from impasto.engines.base import RunPlan, Stylization
    from impasto.progress import CancelToken, OnProgress

    #: Mask, style and, if only a part of the style shall give its look, the mask of that.
    RegionLike = Region | tuple[ImageLike, ImageLike] | tuple[ImageLike, ImageLike, ImageLike | None]

#: Files whose recipe is a container's comment, by extension.
_VIDEOS: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm"})


def stylize(
    content: ImageLike,
    style: ImageLike | Sequence[ImageLike] = (),
    *,
    regions: Sequence[RegionLike] = (),
    engine: str | None = None,
    quality: str | None = None,
    workdir: str | os.PathLike[str] | None = None,
    on_plan: Callable[[RunPlan], None] | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> Stylization:
    """The style of one picture, or of several, on the content of another.

    Args:
        content: path, PIL image, NumPy array, tensor or :class:`Picture`; see :func:`impasto.images.read` for ranges.
        style: one such picture or a list of them; or a style: its name in the library, its folder or its archive.
            May be left out where there are regions.
        regions: parts of the content with a style of their own, each ``(mask, style)`` or ``(mask, style,
            style_mask)``; white marks the part. What no region covers takes ``style``, or stays as it is without one.
        engine: name of the engine: ``optimize`` (the default), ``fast`` or ``diffusion``.
        quality: instead of an engine: ``draft`` (one pass), ``standard`` (one pass and a short optimisation) or
            ``fine`` (the full optimisation).
        workdir: a folder for checkpoints: the same call goes on where it was ended, and ends with the same bytes.
        on_plan: called with a :class:`RunPlan` before the first step: sizes, memory, time.
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
        InputError: a mask is empty, or the workdir is another run's.
        EngineError: the run failed, or would not fit into memory.
        Cancelled: ``cancel`` was cancelled.

    Example:
        >>> import impasto
        >>> result = impasto.stylize("photo.jpg", "painting.jpg", image_size=512)  # doctest: +SKIP
        >>> result.save("out.png")  # doctest: +SKIP
    """
    name, settings = _meant(engine, quality, settings)
    pictures, settings = resolved(name, several(style), settings)
    settings, first = _with_init(settings)
    given, styles, areas = read(content), [read(one) for one in pictures], [_region(region) for region in regions]
    start = None
    if settings.get("init") == FAST:
        first, start = _fast_start(name, given, styles, areas, settings)
    result = load_engine(name).stylize(
        given,
        styles,
        settings,
        regions=areas,
        init=first,
        workdir=None if workdir is None else Path(workdir),
        on_plan=on_plan,
        on_progress=on_progress,
        cancel=cancel,
    )
    return result if start is None else replace(result, recipe=_begun(result.recipe, start))


def plan(
    content: ImageLike,
    style: ImageLike | Sequence[ImageLike] = (),
    *,
    regions: Sequence[RegionLike] = (),
    engine: str | None = None,
    quality: str | None = None,
    **settings: Any,
) -> RunPlan:
    """What :func:`stylize` would do with the same arguments: scales, memory and, from a step timed here, seconds.

    Raises:
        Everything that it raises before it computes.
    """
    name, settings = _meant(engine, quality, settings)
    pictures, settings = resolved(name, several(style), settings)
    settings, _ = _with_init(settings)
    return load_engine(name).plan(
        read(content),
        [read(one) for one in pictures],
        settings,
        regions=[_region(region) for region in regions],
    )


def rerun(
    recipe: Recipe,
    content: ImageLike,
    style: ImageLike | Sequence[ImageLike] = (),
    *,
    regions: Sequence[RegionLike] = (),
    init: ImageLike | None = None,
    vgg_weights: str | None = None,
    model: str | None = None,
    lora: str | None = None,
    on_plan: Callable[[RunPlan], None] | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Stylization:
    """Make a picture again from its recipe: on the same machine with the same versions, byte for byte.

    Args:
        recipe: of the picture.
        content: the content that the recipe names.
        style: the styles that it names, in their order.
        regions: the regions that it names, in their order.
        init: the picture it started from, if it names one.
        vgg_weights: path of the network's weights, if the recipe names others than the packaged ones.
        model: path of engine fast's network, if the recipe names another than the shipped one; or of engine diffusion's
            model, if it is a folder.
        lora: path of the LoRA's file, if the recipe names one.
        on_plan: as in :func:`stylize`.
        on_progress: as in :func:`stylize`.
        cancel: as in :func:`stylize`.

    Raises:
        InputError: a picture is not the one that the recipe names (its SHA-256 differs), or one is missing.
    """
    named = recipe.engine == "diffusion"  # a model's name needs no path, and its files are compared after the run
    for name, path in (("vgg_weights", vgg_weights), ("model", model)):
        if (path is None) != (recipe.settings.get(name) is None) and not (named and name == "model"):
            raise InputError(f"the recipe names the weights {recipe.settings.get(name)}; give exactly these as {name}")
    if (lora is None) != (recipe.settings.get("lora") is None):
        raise InputError(f"the recipe names the LoRA {recipe.settings.get('lora')}; give exactly this as lora")
    if (init is None) != (recipe.init is None):
        raise InputError(
            "the recipe and the call disagree on whether there is a picture to start from; give init if so"
        )
    first = None if init is None else read(init)
    given = read(content)
    styles, areas = [read(one) for one in several(style)], [_region(region) for region in regions]
    if (len(styles), len(areas)) != (len(recipe.styles), len(recipe.regions)):
        raise InputError(
            f"the recipe names {len(recipe.styles)} styles and {len(recipe.regions)} regions; "
            "give them all, in their order"
        )
    # Under the recipe's names: the same picture in a renamed file gives the same bytes.
    given = same_picture(given, recipe.content)
    styles = [same_picture(picture, source) for picture, source in zip(styles, recipe.styles, strict=True)]
    areas = [
        Region(
            same_picture(area.mask, named.mask),
            same_picture(area.style, named.style),
            _same_if_any(area.style_mask, named.style_mask),
        )
        for area, named in zip(areas, recipe.regions, strict=True)
    ]
    first = _same_if_any(first, recipe.init)
    placed = {"vgg_weights": vgg_weights, "model": model, "lora": lora}
    options = {**recipe.settings, **{name: path for name, path in placed.items() if path is not None}}
    start = None
    if options.get("init") == FAST:
        first, start = _fast_start(recipe.engine, given, styles, areas, options)
    result = load_engine(recipe.engine).stylize(
        given,
        styles,
        options,
        regions=areas,
        init=first,
        scales=recipe.scales,
        on_plan=on_plan,
        on_progress=on_progress,
        cancel=cancel,
    )
    if result.recipe.weights.sha256 != recipe.weights.sha256:
        raise InputError(
            f"the network's weights have SHA-256 {result.recipe.weights.sha256}, "
            f"the recipe names {recipe.weights.sha256} ({recipe.weights.source})"
        )
    if start != recipe.start:
        raise InputError("the network that paints the first picture is not the one that the recipe names")
    if start is not None:
        result = replace(result, recipe=_begun(result.recipe, start))
    if recipe.blend is None:
        return result
    made = result.recipe.model_copy(update={"blend": recipe.blend})
    return replace(result, picture=mix(given, result.picture, recipe.blend), recipe=made)


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe kept inside a picture or a video that impasto made.

    Raises:
        MissingExtraError: it is a video, and PyAV is not installed.
        UnreadableImageError: it is no picture and no video.
        InputError: there is no recipe in it.
    """
    source = Path(path)
    if source.suffix.lower() in _VIDEOS:
        from impasto.video.footage import read_comment

        text = read_comment(source)
    elif source.suffix.lower() == ".gif" or source.is_dir():
        from impasto.video.sequences import read_kept

        text = read_kept(source)
    else:
        text = read_metadata(path)
    if text is None:
        raise InputError(f"{path} holds no recipe; impasto writes one unless it is told --metadata none")
    return Recipe.from_json(text)


def same_pixels(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two picture files show the same, whatever else is in them.

    Raises:
        UnreadableImageError: one is no picture.
    """
    ours, theirs = read(path), read(other)
    if (ours.alpha is None) != (theirs.alpha is None) or ours.pixels.shape != theirs.pixels.shape:
        return False
    alphas_equal = ours.alpha is None or theirs.alpha is None or torch.equal(ours.alpha, theirs.alpha)
    return alphas_equal and torch.equal(ours.pixels, theirs.pixels)


def same_picture(picture: Picture, source: Source) -> Picture:
    """The picture under the name that a recipe has for it.

    Raises:
        InputError: it is not the one that the recipe names.
    """
    if picture.sha256 != source.sha256:
        raise InputError(
            f"{picture.name} is not the {source.name} that the recipe names: its SHA-256 is {picture.sha256}, "
            f"expected {source.sha256}"
        )
    return replace(picture, name=source.name)


def _same_if_any(picture: Picture | None, source: Source | None) -> Picture | None:
    """The same where there may be none."""
    if (picture is None) != (source is None):
        raise InputError("the recipe and the call disagree on whether a region has a style mask; give it if so")
    return None if picture is None or source is None else same_picture(picture, source)


def _with_init(settings: dict[str, Any]) -> tuple[dict[str, Any], Picture | None]:
    """The settings, and the picture to start from if ``init`` is one."""
    init = settings.get("init")
    if init is None or (isinstance(init, str) and init in STARTS):
        return settings, None
    return {**settings, "init": "file"}, read(init)


def _meant(engine: str | None, quality: str | None, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The engine's name and all settings; an engine of another package has no quality."""
    if quality is None:
        return engine or "optimize", settings
    name, preset = choose_engine(engine, quality)
    return name, {**preset, **settings}


def _fast_start(
    engine: str, content: Picture, styles: Sequence[Picture], regions: Sequence[Region], settings: Mapping[str, Any]
) -> tuple[Picture, Weights]:
    """What engine fast paints of the same inputs, and the network it was painted with.

    An engine never calls another, so it is done here.
    """
    model = ENGINES[engine]
    size = model.of(**{**settings, "init": FAST}).image_size or model.default_px
    shared = {
        name: settings[name]
        # What diffusion starts from is painted in full: its strength is how far it goes on from there.
        for name in ("style_weights", "device", "dtype", *(("strength",) if engine == "optimize" else ()))
        if settings.get(name) is not None
    }
    longer = max(16, min(size, max(content.width, content.height)))
    result = load_engine("fast").stylize(content, styles, {**shared, "image_size": longer}, regions=regions)
    return result.picture, result.recipe.weights


def _begun(recipe: Recipe, start: Weights) -> Recipe:
    """The recipe of a run whose first picture a network painted: that picture is no input."""
    return recipe.model_copy(update={"init": None, "start": start})


def _region(region: RegionLike) -> Region:
    """A region with its pictures read."""
    if isinstance(region, Region):
        return region
    mask, style, style_mask = region if len(region) == 3 else (*region, None)
    return Region(read(mask), read(sole_picture(style)), None if style_mask is None else read(style_mask))
