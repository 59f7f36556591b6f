"""A video is made again from its recipe."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.api.stylize import same_picture
from impasto.api.videos import StylizedVideo, stylize_video
from impasto.errors import InputError
from impasto.images import read
from impasto.settings import VideoSettings
from impasto.video.footage import probe
from impasto.video.reading import FrameReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.api.videos import OnVideoProgress, PathLike
    from impasto.progress import CancelToken
    from impasto.recipe import Recipe


def of_video(recipe: Recipe) -> bool:
    """Whether a recipe is that of a video, which has settings of its own."""
    return set(VideoSettings.model_fields) <= set(recipe.settings)


def rerun_video(
    recipe: Recipe,
    video: PathLike,
    styles: Sequence[PathLike],
    output: PathLike,
    *,
    regions: Sequence[tuple[PathLike, PathLike]] = (),
    vgg_weights: str | None = None,
    model: str | None = None,
    workdir: PathLike | None = None,
    on_progress: OnVideoProgress | None = None,
    cancel: CancelToken | None = None,
) -> StylizedVideo:
    """Make a video again from its recipe: on the same machine with the same versions, the same painted frames.

    A run closes a segment after some seconds of work, and a codec begins anew there. So a file of more than one
    segment is seldom the same byte for byte; :func:`largest_difference` tells how far its frames are apart.

    Args:
        recipe: of the video.
        video: the one that the recipe names.
        styles: the styles that it names, in their order.
        output: the video to write.
        regions: mask and style of each region that it names, in their order.
        vgg_weights: path of the network's weights, if the recipe names others than the packaged ones.
        model: path of engine fast's network, if the recipe names another than the shipped one.
        workdir: as in :func:`impasto.stylize_video`.
        on_progress: as in :func:`impasto.stylize_video`.
        cancel: as in :func:`impasto.stylize_video`.

    Raises:
        InputError: the recipe is a picture's, or a file is not the one that it names (its SHA-256 differs).
        And whatever :func:`impasto.stylize_video` raises.
    """
    if not of_video(recipe):
        raise InputError("the recipe is that of a picture; make it again with rerun")
    if (len(styles), len(regions)) != (len(recipe.styles), len(recipe.regions)):
        raise InputError(
            f"the recipe names {len(recipe.styles)} styles and {len(recipe.regions)} regions; "
            "give them all, in their order"
        )
    footage = probe(Path(video))
    if footage.sha256 != recipe.content.sha256:
        raise InputError(
            f"{footage.name} is not the {recipe.content.name} that the recipe names: its SHA-256 is {footage.sha256}, "
            f"expected {recipe.content.sha256}"
        )
    looks = [same_picture(read(path), named) for path, named in zip(styles, recipe.styles, strict=True)]
    areas = [
        (mask, same_picture(read(style), named.style))
        for (mask, style), named in zip(regions, recipe.regions, strict=True)
    ]
    options = dict(recipe.settings)
    for name, path in (("vgg_weights", vgg_weights), ("model", model)):
        if (path is None) != (options.get(name) is None):
            raise InputError(f"the recipe names the weights {options.get(name)}; give exactly these as {name}")
        if path is not None:
            options[name] = path
    return stylize_video(
        video,
        () if recipe.times else looks,
        output,
        keyframes=list(zip(recipe.times, looks, strict=True)) if recipe.times else (),
        regions=areas,
        engine=recipe.engine,
        workdir=workdir,
        on_progress=on_progress,
        cancel=cancel,
        **options,
    )


def largest_difference(one: PathLike, other: PathLike) -> int | None:
    """How far the frames of two videos are apart, at most: levels of 255; None if one has more or larger frames.

    Raises:
        UnreadableImageError: one cannot be read.
    """
    largest = 0
    with FrameReader(probe(Path(one))) as left, FrameReader(probe(Path(other))) as right:
        for first, second in zip_longest(left, right):
            if first is None or second is None or first.pixels.shape != second.pixels.shape:
                return None
            apart = np.abs(first.pixels.astype(np.int16) - second.pixels.astype(np.int16))
            largest = max(largest, int(apart.max()))
    return largest
