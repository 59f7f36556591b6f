"""Engine ``optimize``: checks what it is given, decides how to run, and gathers the evidence. The run is run.py."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from impasto.engines.base import Region, RunPlan, Stylization
from impasto.engines.checkpoint import open_workdir
from impasto.engines.evidence import draft_recipe, shares_of
from impasto.engines.optimize.frames import OptimizeFrames
from impasto.engines.optimize.plan import (
    ScalePlan,
    fit_memory,
    follow,
    output_size,
    plan_scales,
    smallest_side,
)
from impasto.engines.optimize.run import DECIDED, Job, Run
from impasto.engines.parts import divide
from impasto.errors import ImageTooSmallError, SettingsError
from impasto.images import Picture
from impasto.progress import CancelToken, OnProgress
from impasto.recipe import Recipe, Scale, Weights
from impasto.settings import FAST, STARTS, OptimizeSettings
from impasto.vgg import Precision, choose_precision, load_network
from impasto.vgg.layers import up_to
from impasto.vgg.precision import free_memory_mb


class OptimizeEngine:
    """Gatys-type style transfer, coarse to fine; implements :class:`impasto.engines.base.Engine`."""

    name = "optimize"

    def stylize(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
        init: Picture | None = None,
        scales: Sequence[Scale] | None = None,
        workdir: Path | None = None,
        on_plan: Callable[[RunPlan], None] | None = None,
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> Stylization:
        """See :meth:`impasto.engines.base.Engine.stylize`."""
        settings, plan, precision = _decided(content, styles, options, regions, scales)
        if workdir is not None and settings.time_budget is not None:
            raise SettingsError(
                "workdir and time_budget cannot be combined: a run that goes on later has no one time; leave one out"
            )
        # The caller may be inside no_grad() or inference_mode(); the picture's gradient is wanted all the same.
        with torch.inference_mode(False), torch.enable_grad():
            job = _job(content, styles, settings, regions, init, plan, precision, fixed_plan=scales is not None)
            recipe = _recipe(job, styles, regions)
            identity = {**recipe.model_dump(mode="json"), "plan": [[s.height, s.width, s.steps] for s in plan]}
            asked = OptimizeSettings.of(**options)
            for decided in DECIDED:  # by what was free when the run began; the checkpoint knows how
                identity["settings"][decided] = getattr(asked, decided)
            with open_workdir(workdir, identity) as folder:
                run = Run(job, recipe, folder, on_plan, on_progress, cancel or CancelToken())
                return run.stylization()

    def plan(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
    ) -> RunPlan:
        """See :meth:`impasto.engines.base.Engine.plan`."""
        settings, plan, precision = _decided(content, styles, options, regions, None)
        with torch.inference_mode(False), torch.enable_grad():
            job = _job(content, styles, settings, regions, None, plan, precision, fixed_plan=False)
            return Run(job, _recipe(job, styles, regions), None, None, None, CancelToken()).plan()

    def frames(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
    ) -> OptimizeFrames:
        """See :meth:`impasto.engines.base.Engine.frames`."""
        settings, plan, precision = _decided(content, styles, options, regions, None)
        if settings.init not in STARTS or settings.init == FAST:
            raise SettingsError(
                f"init {settings.init} is the start of a single picture; give content, noise or style for a video"
            )
        with torch.inference_mode(False):  # without the regions: where they are is said with every frame
            job = _job(content, styles, settings, (), None, plan, precision, fixed_plan=False)
        return OptimizeFrames(job, styles, regions, _recipe(job, styles, regions))


def _decided(
    content: Picture,
    styles: Sequence[Picture],
    options: Mapping[str, Any],
    regions: Sequence[Region],
    scales: Sequence[Scale] | None,
) -> tuple[OptimizeSettings, tuple[ScalePlan, ...], Precision]:
    """The settings with memory and history decided, the scales, and where to compute.

    Raises:
        SettingsError, ImageTooSmallError, OutOfMemoryError: before anything is computed.
    """
    settings = OptimizeSettings.of(**options)
    if not styles and not regions:
        raise SettingsError("no style was given; give at least one picture")
    if settings.content_weight == settings.style_weight == settings.tv_weight == 0:
        raise SettingsError("content_weight, style_weight and tv_weight are all 0; at least one must be above 0")
    shares_of(settings, len(styles))
    plan = plan_scales(content.height, content.width, settings)
    if settings.strength == 0:  # the photo itself: a step could only move it by rounding, a coarse scale blur it
        plan = (replace(plan[-1], steps=0),)
    if scales is not None:
        plan = follow(scales, plan, settings)
    for style in [*styles, *(region.style for region in regions)]:
        _check_style(style, settings)
    precision = choose_precision(settings.device, settings.dtype)
    height, width = output_size(content.height, content.width, settings)
    return fit_memory(height, width, settings, precision, free_memory_mb(precision.device)), plan, precision


def _job(
    content: Picture,
    styles: Sequence[Picture],
    settings: OptimizeSettings,
    regions: Sequence[Region],
    init: Picture | None,
    plan: tuple[ScalePlan, ...],
    precision: Precision,
    *,
    fixed_plan: bool,
) -> Job:
    """Everything a run needs, the network loaded."""
    parts, free = divide(content, styles, shares_of(settings, len(styles)), regions)
    layers = up_to([*settings.layers, *settings.content_layers])
    network = load_network(
        settings.vgg_weights,
        deepest=layers[-1],
        pooling=settings.pooling,
        device=precision.device,
        dtype=precision.dtype,
    )
    return Job(content, parts, free, settings, init, plan, precision, network, fixed_plan)


def _recipe(job: Job, styles: Sequence[Picture], regions: Sequence[Region]) -> Recipe:
    """The recipe, as far as it is known before the run: without the scales that were done and the loss."""
    weights = Weights(source=job.network.source, sha256=job.network.sha256)
    return draft_recipe(
        OptimizeEngine.name, job.content, styles, regions, job.init, job.settings, weights, job.precision
    )


def _check_style(style: Picture, settings: OptimizeSettings) -> None:
    needed = smallest_side(settings)
    if settings.style_weight > 0 and min(style.width, style.height) < needed:
        raise ImageTooSmallError(
            f"style {style.name} is {style.width}x{style.height} px, but {needed} px are needed on each side; "
            "use a larger picture or shallower layers"
        )
