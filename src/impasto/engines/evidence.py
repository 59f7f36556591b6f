"""What every engine says about a run: the recipe, and whose share each style has."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

import torch

from impasto.errors import SettingsError
from impasto.recipe import Environment, Recipe, RegionSource, Source
from impasto.settings import FILE_SETTINGS
from impasto.vgg.precision import cpu_instructions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.engines.base import Region
    from impasto.images import Picture
    from impasto.recipe import Weights
    from impasto.settings import PictureSettings
    from impasto.vgg import Precision


def draft_recipe(
    engine: str,
    content: Picture,
    styles: Sequence[Picture],
    regions: Sequence[Region],
    init: Picture | None,
    settings: PictureSettings,
    weights: Weights,
    precision: Precision,
) -> Recipe:
    """The recipe as far as it is known before a run: without the scales that were done, and the loss."""
    device = precision.device
    return Recipe(
        engine=engine,
        content=_source(content),
        styles=tuple(_source(style) for style in styles),
        regions=tuple(
            RegionSource(
                mask=_source(region.mask),
                style=_source(region.style),
                style_mask=None if region.style_mask is None else _source(region.style_mask),
            )
            for region in regions
        ),
        init=None if init is None else _source(init),
        settings=_portable(settings),
        scales=(),
        weights=weights,
        environment=Environment(
            impasto=version("impasto"),
            torch=torch.__version__,
            python=platform.python_version(),
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            dtype=str(precision.dtype).removeprefix("torch."),
            cpu=f"{platform.machine()} {cpu_instructions()}",
            threads=torch.get_num_threads(),
        ),
        loss=None,
        terms={},
    )


def shares_of(settings: PictureSettings, styles: int) -> Sequence[float]:
    """One share per style.

    Raises:
        SettingsError: ``style_weights`` has another number of them.
    """
    if settings.style_weights is None:
        return [1.0] * styles
    if len(settings.style_weights) != styles:
        raise SettingsError(
            f"style_weights has {len(settings.style_weights)} values for {styles} styles; give one for each style"
        )
    return settings.style_weights


def _source(picture: Picture) -> Source:
    return Source(name=picture.name, sha256=picture.sha256 or "", width=picture.width, height=picture.height)


def _portable(settings: PictureSettings) -> dict[str, Any]:
    """The settings without folders: a recipe travels with the picture and has the names of files only."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    for name in FILE_SETTINGS:
        if values.get(name) is not None:
            values[name] = PureWindowsPath(values[name]).name  # understands both kinds of slashes
    return values
