"""What a run will do, decided before anything is loaded: sizes, steps, how far to go from the content, memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from impasto.engines.base import RunPlan
from impasto.engines.diffusion.cost import Sizes, choose_rung, seconds
from impasto.engines.diffusion.editing import shown_pixels
from impasto.engines.diffusion.preflight import read_json
from impasto.engines.diffusion.registry import EDITORS
from impasto.errors import ImageTooSmallError, SettingsError
from impasto.images import fit_size
from impasto.recipe import Scale
from impasto.settings import DiffusionSettings
from impasto.vgg.precision import free_memory_mb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.engines.diffusion.cost import Rung
    from impasto.engines.diffusion.registry import Family
    from impasto.engines.diffusion.sources import Sources
    from impasto.images import Picture
    from impasto.settings.diffusion import Preserve
    from impasto.vgg import Precision

_log = logging.getLogger("impasto")

#: Sides below this give nothing to see.
SMALLEST_PX: Final = 16
#: How much of the way from the content to noise is gone back at strength 1.
_DENOISE: Final[dict[Preserve, float]] = {"free": 1.0, "balanced": 0.6, "strict": 0.6}
#: The longest timetables of solvers that were trained with one.
_LONGEST: Final = {"lcm": 50}
_LONGEST_OF_ALL: Final = 1000
#: Seconds from which a CPU's user is told of the other engines.
_LONG_S: Final = 60.0


@dataclass(frozen=True)
class Plan:
    """One run."""

    height: int
    width: int
    """Of the output."""
    denoise: float
    timetable: int
    planned: int
    """Steps of the timetable that are done; 0: the photo itself."""
    until: int
    """After so many it ends: fewer than planned where a recipe's run was stopped."""
    from_noise: bool
    scheduler: str
    guidance_scale: float
    ip_adapter_scale: float
    control_scale: float
    adapters: int
    """2 with preserve=strict: the content is the first one's reference; 0 where a LoRA alone gives the style."""
    rung: Rung
    memory_mb: int
    seconds: float

    def run_plan(self, precision: Precision) -> RunPlan:
        """For whoever waits."""
        return RunPlan(
            width=self.width,
            height=self.height,
            scales=(Scale(width=self.width, height=self.height, steps=self.until),),
            memory=self.rung,
            memory_mb=self.memory_mb,
            free_mb=free_memory_mb(precision.device),
            seconds=self.seconds,
        )


def plan_run(
    content: Picture,
    settings: DiffusionSettings,
    sources: Sources,
    scales: Sequence[Scale] | None,
    precision: Precision,
    *,
    styles: Sequence[Picture] = (),
) -> Plan:
    """How a content is painted; its styles count for what a model takes that is shown them itself.

    Raises:
        ImageTooSmallError: the output would have a side below 16 px.
        OutOfMemoryError: it would not fit.
        SettingsError: the recipe's scales are not this picture's.
    """
    height, width = fit_size(content.height, content.width, settings.image_size or _own_size(sources))
    if min(height, width) < SMALLEST_PX or max(content.height, content.width) < SMALLEST_PX:
        raise ImageTooSmallError(
            f"content is {content.width}x{content.height} px, which is {width}x{height} px in the output, but "
            f"{SMALLEST_PX} px are needed on each side; use a larger image_size or a less narrow crop"
        )
    scheduler = sources.scheduler if settings.scheduler == "auto" else settings.scheduler
    editing = sources.family in EDITORS
    from_noise = (
        editing
        or settings.init == "noise"
        or (settings.init == "content" and settings.preserve == "free" and settings.strength == 1)
    )
    denoise = 1.0 if from_noise else _DENOISE[settings.preserve] * settings.strength
    steps = sources.steps if settings.steps is None else settings.steps
    planned = 0 if settings.strength == 0 else steps
    timetable = planned
    if planned:
        timetable = _timetable(planned, denoise, _LONGEST.get(scheduler, _LONGEST_OF_ALL))
        planned = max(1, int(timetable * denoise))
    until = planned
    if scales is not None:
        if len(scales) != 1 or (scales[0].width, scales[0].height) != (width, height) or scales[0].steps > planned:
            raise SettingsError(f"the recipe's scales do not fit a run over {width}x{height} px; it was changed")
        until = scales[0].steps
    strict = settings.preserve == "strict"
    adapters = 0 if sources.adapter is None else 2 if strict else 1
    guidance = sources.guidance_scale if settings.guidance_scale is None else settings.guidance_scale
    shown = shown_pixels(height, width, styles) if editing else 0
    sizes = Sizes(sources, adapters, shown)
    itemsize = precision.dtype.itemsize
    rung = choose_rung(
        settings.memory, sizes, height * width, precision.device, itemsize, free_memory_mb(precision.device)
    )
    if sources.style is not None and rung == "fp8":
        if settings.memory == "fp8":
            raise SettingsError(
                "memory=fp8 cannot be used with a LoRA, which would be rounded to 8 bits too; use memory=groups"
            )
        rung = "groups"
    side = 2 ** (len(read_json(sources.base / "vae" / "config.json").get("block_out_channels", (1,) * 4)) - 1)
    expected = seconds(
        sources,
        sizes,
        steps=until,
        places=(height * width + shown) // side**2,
        guided=guidance > 1,
        device=precision.device,
        dtype=precision.dtype,
    )
    if precision.device.type == "cpu" and expected > _LONG_S:
        _log.warning(
            "on this processor the run takes about %.0f minutes; engines fast and optimize take seconds",
            expected / 60,
        )
    return Plan(
        height=height,
        width=width,
        denoise=denoise,
        timetable=timetable,
        planned=planned,
        until=until,
        from_noise=from_noise,
        scheduler=scheduler,
        guidance_scale=guidance,
        ip_adapter_scale=settings.ip_adapter_scale
        if settings.ip_adapter_scale is not None
        else (1.2 if strict else 1.0),
        control_scale=settings.control_scale if settings.control_scale is not None else (0.5 if strict else 0.4),
        adapters=adapters,
        rung=rung,
        memory_mb=sizes.memory_mb(rung, height * width, itemsize),
        seconds=expected,
    )


def gpu_precision(precision: Precision, asked: str, family: Family) -> Precision:
    """On a GPU that multiplies bfloat16 slowly what the model is kept in, unless it was asked otherwise."""
    if precision.device.type == "cuda" and precision.dtype == torch.float32 and asked == "auto":
        if family in EDITORS:  # numbers inside their text encoders leave float16's range
            return precision._replace(dtype=torch.bfloat16, reason="bfloat16, in which the model is kept")
        return precision._replace(dtype=torch.float16, reason="float16, in which the model is kept")
    return precision


def _own_size(sources: Sources) -> int:
    """The longer side that the model was trained at."""
    if sources.family in EDITORS:  # their configurations say none
        return DiffusionSettings.default_px
    unet, vae = (read_json(sources.base / name / "config.json") for name in ("unet", "vae"))
    return int(unet["sample_size"]) * int(2 ** (len(vae.get("block_out_channels", (1,) * 4)) - 1))


def _timetable(steps: int, denoise: float, longest: int) -> int:
    """The length of a timetable of which a share is done in that many steps."""
    length = min(longest, max(1, round(steps / denoise)))
    while length < longest and int(length * denoise) < steps:
        length += 1
    return length
