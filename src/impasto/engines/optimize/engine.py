"""One run from the pictures that go in to the 8-bit picture that comes out."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import PureWindowsPath
from typing import Any

import torch
from torch import Tensor

from impasto.engines.base import Stylization, TracePoint
from impasto.engines.optimize.initial import cover, noise, recolor
from impasto.engines.optimize.objective import Objective
from impasto.engines.optimize.plan import (
    ScalePlan,
    check_memory,
    estimate_memory_mb,
    fit_to_time,
    follow,
    output_size,
    plan_scales,
    smallest_side,
    work,
)
from impasto.engines.optimize.solvers import BoxAdam, BoxLBFGS, Solver
from impasto.errors import ImageTooSmallError, SettingsError
from impasto.images import Picture, fit_size, resize
from impasto.progress import CancelToken, OnProgress, Progress
from impasto.recipe import Environment, Recipe, Scale, Source, Weights
from impasto.settings import OptimizeSettings
from impasto.vgg import choose_precision, load_network
from impasto.vgg.layers import up_to
from impasto.vgg.precision import cpu_instructions, peak_memory_mb


class OptimizeEngine:
    """Gatys-type style transfer, coarse to fine; implements :class:`impasto.engines.base.Engine`."""

    name = "optimize"

    def stylize(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        init: Picture | None = None,
        scales: Sequence[Scale] | None = None,
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> Stylization:
        """See :meth:`impasto.engines.base.Engine.stylize`."""
        settings = OptimizeSettings.of(**options)
        # The caller may be inside no_grad() or inference_mode(); the picture's gradient is wanted all the same.
        with torch.inference_mode(False), torch.enable_grad():
            run = _Run(content, styles, settings, init, scales, on_progress, cancel or CancelToken())
            return run.stylization()


class _Run:
    """The state of one run."""

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        settings: OptimizeSettings,
        init: Picture | None,
        scales: Sequence[Scale] | None,
        on_progress: OnProgress | None,
        cancel: CancelToken,
    ) -> None:
        self.started = time.perf_counter()
        self.content, self.styles, self.settings, self.init = content, styles, settings, init
        self.on_progress, self.cancel = on_progress, cancel
        self.shares = _shares(settings, len(styles))
        if settings.content_weight == settings.style_weight == settings.tv_weight == 0:
            raise SettingsError("content_weight, style_weight and tv_weight are all 0; at least one must be above 0")
        self.plan = plan_scales(content.height, content.width, settings)
        self.fixed_plan = scales is not None
        if scales is not None:
            self.plan = follow(scales, self.plan, settings)
        for style in styles:
            _check_style(style, settings)
        self.precision = choose_precision(settings.device, settings.dtype)
        height, width = output_size(content.height, content.width, settings)
        needed_mb = estimate_memory_mb(height, width, settings, self.precision.dtype)
        check_memory(needed_mb, {"width": width, "height": height}, self.precision.device)
        self.trace: list[TracePoint] = []
        self.timings: dict[str, float] = {}
        self.executed: list[Scale] = []
        self.work_done = 0.0
        self.fraction = 0.0
        self.stopped_early = False

    def stylization(self) -> Stylization:
        """Work through the scales and gather the evidence."""
        device, dtype = self.precision.device, self.precision.dtype
        layers = up_to([*self.settings.layers, *self.settings.content_layers])
        net, weights_source, weights_sha256 = load_network(
            self.settings.vgg_weights, deepest=layers[-1], pooling=self.settings.pooling, device=device, dtype=dtype
        )
        # Clones: pictures that were made in inference mode could not take part in a gradient.
        self.content_pixels = self.content.pixels[None].clone().to(device)
        self.style_pixels = [style.pixels[None].clone().to(device) for style in self.styles]
        self.timings["prepare"] = time.perf_counter() - self.started

        solver: Solver = BoxLBFGS() if self.settings.optimizer == "lbfgs" else BoxAdam(self.settings.learning_rate)
        pixels: Tensor | None = None
        index = 0
        while index < len(self.plan):
            began = time.perf_counter()
            self._keep_to_budget(index)
            scale = self.plan[index]
            content = resize(self.content_pixels, scale.height, scale.width)
            styles = self._styles_at(scale)
            pixels = self._start(content, styles) if pixels is None else resize(pixels, scale.height, scale.width)
            objective = Objective(net, content, styles, self.shares, self.settings)
            solver.start(pixels)
            self._solve(solver, objective, index)
            pixels = solver.result
            self.cancel.check()
            self.timings[f"{scale.width}x{scale.height}"] = time.perf_counter() - began
            index = len(self.plan) - 1 if self.stopped_early and index < len(self.plan) - 1 else index + 1

        assert pixels is not None  # noqa: S101 — a plan has at least one scale
        saved = (pixels * 255).round_().div_(255)
        loss = objective.measure(saved)
        self.timings["total"] = time.perf_counter() - self.started
        return Stylization(
            picture=self.content.with_pixels(saved[0].cpu()),
            recipe=self._recipe(weights_source, weights_sha256, loss, objective.terms),
            trace=tuple(self.trace),
            timings=self.timings,
            peak_memory_mb=peak_memory_mb(device),
            stopped_early=self.stopped_early,
        )

    def _start(self, content: Tensor, styles: Sequence[Tensor]) -> Tensor:
        """The first picture, at the first scale's size."""
        height, width = content.shape[-2:]
        if self.init is not None:
            return resize(self.init.pixels[None].clone().to(content.device), height, width)
        if self.settings.init == "noise":
            return noise(height, width, self.settings.seed).to(content.device)
        if self.settings.init == "style":
            return cover(styles[0], height, width)
        # With no style to impose, its colours are not wanted either.
        return recolor(content, styles, self.shares) if self.settings.style_weight > 0 else content

    def _styles_at(self, scale: ScalePlan) -> list[Tensor]:
        """Every style at the size that belongs to a scale: never enlarged, never smaller than the network needs."""
        sized = []
        for pixels in self.style_pixels:
            height, width = pixels.shape[-2:]
            least = smallest_side(self.settings) / min(height, width)
            factor = min(1.0, max(scale.longer * self.settings.style_scale / max(height, width), least))
            sized.append(resize(pixels, *fit_size(height, width, round(max(height, width) * factor))))
        return sized

    def _solve(self, solver: Solver, objective: Objective, index: int) -> None:
        """Take the steps of one scale."""
        cost = work(self.plan[index], self.settings)
        done = 0
        while done < self.plan[index].steps and not self.stopped_early:
            self.cancel.check()
            if index == 0 and done in (2, 10):
                self._keep_to_budget(0, done)  # now this machine's speed is known, roughly and then better
            scale = self.plan[index]
            loss = solver.step(objective)
            done += 1
            self.work_done += cost
            self.trace.append(TracePoint(scale.longer, done, loss, objective.terms))
            left = 0 if solver.converged else self.plan[index].steps - done
            self._report(solver, loss, objective.terms, index, done, left)
            if self.cancel.stopped or self._over_budget(cost):
                self.stopped_early = (index, done) != (len(self.plan) - 1, scale.steps)
            if solver.converged:
                break
        self.executed.append(Scale(width=self.plan[index].width, height=self.plan[index].height, steps=done))

    def _report(
        self, solver: Solver, loss: float, terms: Mapping[str, float], index: int, done: int, left: int
    ) -> None:
        if self.on_progress is None:
            return
        scale = self.plan[index]
        rest = sum(work(later, self.settings) * later.steps for later in self.plan[index + 1 :])
        rest += work(scale, self.settings) * left
        # A time budget may lengthen the plan on the way; what was said to be done stays done.
        self.fraction = max(self.fraction, self.work_done / (self.work_done + rest))
        elapsed = time.perf_counter() - self.started
        self.on_progress(
            Progress(
                scale=index + 1,
                scales=len(self.plan),
                width=scale.width,
                height=scale.height,
                step=done,
                steps=scale.steps,
                loss=loss,
                terms=terms,
                fraction=self.fraction,
                elapsed_s=elapsed,
                eta_s=rest * self._seconds_per_work(),
                preview=lambda: solver.result[0].detach().cpu().clone(),
            )
        )

    def _seconds_per_work(self) -> float:
        computing = time.perf_counter() - self.started - self.timings["prepare"]
        return computing / self.work_done if self.work_done else 0.0

    def _keep_to_budget(self, index: int, done: int = 0) -> None:
        """Fit the steps that are left to the time that is left; ``done`` of this scale's are taken already."""
        if self.settings.time_budget is None or self.fixed_plan or not self.work_done or self.stopped_early:
            return
        left = self.settings.time_budget - (time.perf_counter() - self.started)
        rest = fit_to_time(self.plan[index:], left, self._seconds_per_work(), self.settings)
        now = replace(rest[0], steps=done + rest[0].steps)
        self.plan = (*self.plan[:index], now, *rest[1:])

    def _over_budget(self, cost: float) -> bool:
        """Whether another step of that cost would end after the time budget."""
        if self.settings.time_budget is None or self.fixed_plan:
            return False
        next_end = time.perf_counter() - self.started + cost * self._seconds_per_work()
        return next_end > self.settings.time_budget

    def _recipe(self, weights_source: str, weights_sha256: str, loss: float, terms: Mapping[str, float]) -> Recipe:
        device = self.precision.device
        return Recipe(
            engine=OptimizeEngine.name,
            content=_source(self.content),
            styles=tuple(_source(style) for style in self.styles),
            init=_source(self.init) if self.init is not None else None,
            settings=_portable(self.settings),
            scales=tuple(self.executed),
            weights=Weights(source=weights_source, sha256=weights_sha256),
            environment=Environment(
                impasto=version("impasto"),
                torch=torch.__version__,
                python=platform.python_version(),
                device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
                dtype=str(self.precision.dtype).removeprefix("torch."),
                cpu=f"{platform.machine()} {cpu_instructions()}",
                threads=torch.get_num_threads(),
            ),
            loss=loss,
            terms=dict(terms),
        )


def _shares(settings: OptimizeSettings, styles: int) -> Sequence[float]:
    """One share per style."""
    if styles == 0:
        raise SettingsError("no style was given; give at least one picture")
    if settings.style_weights is None:
        return [1.0] * styles
    if len(settings.style_weights) != styles:
        raise SettingsError(
            f"style_weights has {len(settings.style_weights)} values for {styles} styles; give one for each style"
        )
    return settings.style_weights


def _check_style(style: Picture, settings: OptimizeSettings) -> None:
    needed = smallest_side(settings)
    if settings.style_weight > 0 and min(style.width, style.height) < needed:
        raise ImageTooSmallError(
            f"style {style.name} is {style.width}x{style.height} px, but {needed} px are needed on each side; "
            "use a larger picture or shallower layers"
        )


def _source(picture: Picture) -> Source:
    return Source(name=picture.name, sha256=picture.sha256 or "", width=picture.width, height=picture.height)


def _portable(settings: OptimizeSettings) -> dict[str, Any]:
    """The settings without folders: a recipe travels with the picture."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    if settings.vgg_weights is not None:
        values["vgg_weights"] = PureWindowsPath(settings.vgg_weights).name  # understands both kinds of slashes
    return values
