"""One run, scale by scale, from the pictures that go in to the picture that comes out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.engines.base import RunPlan, Stylization, TracePoint
from impasto.engines.checkpoint import Checkpoint, Workdir
from impasto.engines.coloring import Coloring
from impasto.engines.frames import Held
from impasto.engines.optimize.initial import noise, recolor
from impasto.engines.optimize.objective import Objective
from impasto.engines.optimize.plan import (
    STRIPS_WORK,
    ScalePlan,
    estimate_memory_mb,
    estimate_seconds,
    fit_to_time,
    smallest_side,
    strip_mb,
    work,
)
from impasto.engines.optimize.solvers import BoxAdam, BoxLBFGS, Evaluate, Solver
from impasto.engines.parts import Part, turn
from impasto.images import Picture, cover, fill_transparent, resize
from impasto.losses import temporal_loss
from impasto.progress import CancelToken, OnProgress, Progress
from impasto.recipe import Recipe, Scale, condense
from impasto.settings import OptimizeSettings
from impasto.vgg import LoadedNetwork, Precision
from impasto.vgg.precision import free_memory_mb, peak_memory_mb

#: A step takes so many times an evaluation: the solver's own work, and a second look now and then.
_OVERHEAD = 1.25
#: Settings that are decided by the memory that is free when a run begins.
DECIDED = ("memory", "history")
#: Losses on sampled places see new ones after so many steps.
_REDRAW_STEPS = 8


@dataclass(frozen=True)
class Job:
    """What a run works on; everything is checked and decided."""

    content: Picture
    parts: tuple[Part, ...]
    free: Tensor | None
    """``(1, 1, h, w)``, 1 where the picture may change; None: everywhere."""
    settings: OptimizeSettings
    init: Picture | None
    plan: tuple[ScalePlan, ...]
    precision: Precision
    network: LoadedNetwork
    fixed_plan: bool
    """Whether scales and steps come from a recipe and are not to be changed."""
    held: tuple[Held, ...] = ()
    """Earlier frames that this one shall agree with, at the output's size."""


class Run:
    """The state of one run.

    Args:
        job: what to do.
        recipe: all of it but what the run finds out.
        workdir: where checkpoints go; None: nowhere.
        on_plan: called once before the first step.
        on_progress: called after every step.
        cancel: looked at between two steps.
    """

    def __init__(
        self,
        job: Job,
        recipe: Recipe,
        workdir: Workdir | None,
        on_plan: Callable[[RunPlan], None] | None,
        on_progress: OnProgress | None,
        cancel: CancelToken,
    ) -> None:
        self._started = time.perf_counter()
        self._job, self._recipe, self._workdir = job, recipe, workdir
        self._on_plan, self._on_progress, self._cancel = on_plan, on_progress, cancel
        self._plan = job.plan
        device = job.precision.device
        # Clones: pictures that were made in inference mode could not take part in a gradient.
        self._content = fill_transparent(job.content).clone().to(device)
        self._coloring = Coloring(job.content, self._content, job.settings)
        self._parts = tuple(
            _on(device, part) for part in turn(self._coloring.styles(job.parts), job.settings.style_rotation)
        )
        self._solver = _solver(job.settings)
        self._trace: list[TracePoint] = []
        self._timings: dict[str, float] = {}
        self._executed: list[Scale] = []
        self._work_done = 0.0
        self._work_before = 0.0
        self._fraction = 0.0
        self._stopped_early = False

    def plan(self) -> RunPlan:
        """What the run would do and cost: one scale is set up, and one evaluation is timed."""
        scale = self._plan[0]
        content, parts = self._at(scale)
        return self._describe(self._objective(scale, content, parts), content, 0)

    def stylization(self) -> Stylization:
        """Work through the scales and gather the evidence."""
        checkpoint = self._workdir.load() if self._workdir is not None else None
        index, done = self._resume(checkpoint) if checkpoint is not None else (0, 0)
        self._timings["prepare"] = time.perf_counter() - self._started
        pixels: Tensor | None = None
        while index < len(self._plan):
            began = time.perf_counter()
            self._keep_to_budget(index, done)
            scale = self._plan[index]
            content, parts = self._at(scale)
            objective = self._objective(scale, content, parts)
            if self._on_plan is not None:
                self._on_plan(self._describe(objective, content, index, done))
                self._on_plan = None
            if not done:
                first = self._start(content, parts) if pixels is None else resize(pixels, scale.height, scale.width)
                self._solver.start(first)
            free = None if self._job.free is None else resize(self._job.free, scale.height, scale.width)
            self._solve(objective, content, free, index, done)
            pixels, done = _composed(self._solver.result, content, free), 0
            self._cancel.check()
            self._timings[f"{scale.width}x{scale.height}"] = time.perf_counter() - began
            last = len(self._plan) - 1
            index = last if self._stopped_early and index < last else index + 1

        assert pixels is not None  # noqa: S101 — a plan has at least one scale
        levels = 2**self._job.settings.bit_depth - 1
        saved = (self._finished(pixels, free) * levels).round_().div_(levels)
        objective.redraw(0)
        loss = objective.measure(saved)
        if self._workdir is not None and not self._stopped_early:  # what was stopped may still be finished
            self._workdir.clear()
        self._timings["total"] = time.perf_counter() - self._started
        recipe = self._recipe.model_copy(
            update={
                "scales": tuple(self._executed),
                "loss": loss,
                "terms": dict(objective.terms),
                "trace": condense((point.scale_px, point.step, point.terms) for point in self._trace),
            }
        )
        return Stylization(
            picture=replace(self._job.content.with_pixels(saved[0].cpu()), bit_depth=self._job.settings.bit_depth),
            recipe=recipe,
            trace=tuple(self._trace),
            timings=self._timings,
            peak_memory_mb=peak_memory_mb(self._job.precision.device),
            stopped_early=self._stopped_early,
        )

    def _at(self, scale: ScalePlan) -> tuple[Tensor, list[Part]]:
        """Content and parts at a scale's size; styles are never enlarged, nor smaller than the network needs."""
        content = resize(self._coloring.seen(self._content), scale.height, scale.width)
        longer, least = scale.longer * self._job.settings.style_scale, smallest_side(self._job.settings)
        return content, [part.resized(scale.height, scale.width, longer, least) for part in self._parts]

    def _objective(self, scale: ScalePlan, content: Tensor, parts: list[Part]) -> Objective:
        strips = strip_mb(scale.height, scale.width, self._job.settings, self._job.precision.dtype)
        return Objective(self._job.network.net, content, parts, self._job.settings, strip_mb=strips)

    def _start(self, content: Tensor, parts: list[Part]) -> Tensor:
        """The first picture, at the first scale's size."""
        settings, (height, width) = self._job.settings, content.shape[-2:]
        if settings.strength == 0:
            return content
        if self._job.init is not None:
            return resize(fill_transparent(self._job.init).clone().to(content.device), height, width)
        if settings.init == "noise":
            return noise(height, width, settings.seed).to(content.device)
        if settings.init == "style" and parts:
            return cover(parts[0].sources[0].pixels, height, width)
        # With no style to impose, its colours are not wanted either.
        return recolor(content, parts, settings.strength) if settings.style_weight > 0 else content

    def _solve(self, objective: Objective, content: Tensor, free: Tensor | None, index: int, done: int) -> None:
        """Take the steps of one scale, from ``done`` on."""
        cost = work(self._plan[index], self._job.settings)
        evaluate = _composing(_holding(objective, self._job, content), content, free)
        solver = self._solver

        def converged() -> bool:
            return solver.converged and not objective.is_sampled  # places drawn anew may show a way on

        if done and objective.is_sampled:  # gone on from a checkpoint: the places of its last step
            objective.redraw((done - 1) // _REDRAW_STEPS)
        while done < self._plan[index].steps and not self._stopped_early and not converged():
            self._cancel.check()
            if index == 0 and done in (2, 10):
                self._keep_to_budget(0, done)  # now this machine's speed is known, roughly and then better
            if objective.is_sampled and done % _REDRAW_STEPS == 0:
                objective.redraw(done // _REDRAW_STEPS)
                solver.objective_changed()
            loss = solver.step(evaluate)
            done += 1
            self._work_done += cost
            self._trace.append(TracePoint(self._plan[index].longer, done, loss, objective.terms))
            left = 0 if converged() else self._plan[index].steps - done
            self._report(loss, objective.terms, index, done, left, lambda: self._preview(content, free))
            if self._cancel.stopped or self._over_budget(cost):
                self._stopped_early = (index, done) != (len(self._plan) - 1, self._plan[index].steps)
            # A run that is cancelled now may go on later: no step of it shall be taken twice.
            workdir = None if self._stopped_early else self._workdir
            if workdir is not None and (workdir.is_due or self._cancel.cancelled):
                self._save(workdir, index, done)
        self._executed.append(Scale(width=self._plan[index].width, height=self._plan[index].height, steps=done))

    def _save(self, workdir: Workdir, index: int, done: int) -> None:
        """Keep where the run stands."""
        facts = {
            "index": index,
            "done": done,
            "executed": [scale.model_dump() for scale in self._executed],
            "trace": [[p.scale_px, p.step, p.loss, dict(p.terms)] for p in self._trace],
            "work": self._work_done,
            "decided": {name: getattr(self._job.settings, name) for name in DECIDED},
        }
        workdir.save(Checkpoint({name: tensor.cpu() for name, tensor in self._solver.state().items()}, facts))

    def _resume(self, checkpoint: Checkpoint) -> tuple[int, int]:
        """Stand where the checkpoint was made; gives scale and steps done there."""
        facts = checkpoint.facts
        self._job = replace(self._job, settings=self._job.settings.model_copy(update=facts["decided"]))
        self._recipe = self._recipe.model_copy(update={"settings": {**self._recipe.settings, **facts["decided"]}})
        self._solver = _solver(self._job.settings)
        self._executed = [Scale(**scale) for scale in facts["executed"]]
        self._trace = [TracePoint(scale, step, loss, terms) for scale, step, loss, terms in facts["trace"]]
        self._work_done = self._work_before = facts["work"]
        device = self._job.precision.device
        whole = {"products", "order", "flags", "loss", "counts"}  # of numbers: they stay on the CPU
        self._solver.restore({name: t if name in whole else t.to(device) for name, t in checkpoint.tensors.items()})
        return facts["index"], facts["done"]

    def _preview(self, content: Tensor, free: Tensor | None) -> Tensor:
        pixels = _composed(self._solver.result, content, free)
        return self._finished(pixels, free)[0].detach().cpu().clone()

    def _finished(self, pixels: Tensor, free: Tensor | None) -> Tensor:
        """The picture as it is kept: recoloured, but for what stays the photo."""
        content = resize(self._content, pixels.shape[-2], pixels.shape[-1])
        return _composed(self._coloring.finished(pixels), content, free)

    def _report(
        self,
        loss: float,
        terms: Mapping[str, float],
        index: int,
        done: int,
        left: int,
        preview: Callable[[], Tensor],
    ) -> None:
        if self._on_progress is None:
            return
        scale, settings = self._plan[index], self._job.settings
        rest = sum(work(later, settings) * later.steps for later in self._plan[index + 1 :])
        rest += work(scale, settings) * left
        # A time budget may lengthen the plan on the way; what was said to be done stays done.
        self._fraction = max(self._fraction, self._work_done / (self._work_done + rest))
        self._on_progress(
            Progress(
                scale=index + 1,
                scales=len(self._plan),
                width=scale.width,
                height=scale.height,
                step=done,
                steps=scale.steps,
                loss=loss,
                terms=terms,
                fraction=self._fraction,
                elapsed_s=time.perf_counter() - self._started,
                eta_s=rest * self._seconds_per_work(),
                preview=preview,
            )
        )

    def _describe(self, objective: Objective, content: Tensor, index: int, done: int = 0) -> RunPlan:
        """The plan with what it will cost, from an evaluation timed now (the second: the first packs kernels).

        The seconds are those of the steps that are left: ``done`` of scale ``index`` are taken already.
        """
        job, final = self._job, self._plan[-1]
        for _ in range(2):
            began = time.perf_counter()
            objective(content)
            seconds = time.perf_counter() - began
        here = self._plan[index]
        strips = strip_mb(here.height, here.width, job.settings, job.precision.dtype) is not None
        rate = seconds / (work(here, job.settings) * (STRIPS_WORK if strips else 1))
        rest = (replace(here, steps=here.steps - done), *self._plan[index + 1 :])
        seconds = estimate_seconds(rest, job.settings, job.precision.dtype, rate * _OVERHEAD)
        return RunPlan(
            width=final.width,
            height=final.height,
            scales=tuple(Scale(width=scale.width, height=scale.height, steps=scale.steps) for scale in self._plan),
            memory="strips" if job.settings.memory == "strips" else "whole",
            memory_mb=estimate_memory_mb(final.height, final.width, job.settings, job.precision.dtype),
            free_mb=free_memory_mb(job.precision.device),
            seconds=min(seconds, job.settings.time_budget or seconds),
        )

    def _seconds_per_work(self) -> float:
        computing = time.perf_counter() - self._started - self._timings["prepare"]
        done = self._work_done - self._work_before
        return computing / done if done else 0.0

    def _keep_to_budget(self, index: int, done: int = 0) -> None:
        """Fit the steps that are left to the time that is left; ``done`` of this scale's are taken already."""
        budget = self._job.settings.time_budget
        if budget is None or self._job.fixed_plan or not self._work_done or self._stopped_early:
            return
        left = budget - (time.perf_counter() - self._started)
        rest = fit_to_time(self._plan[index:], left, self._seconds_per_work(), self._job.settings)
        now = replace(rest[0], steps=done + rest[0].steps)
        self._plan = (*self._plan[:index], now, *rest[1:])

    def _over_budget(self, cost: float) -> bool:
        """Whether another step of that cost would end after the time budget."""
        budget = self._job.settings.time_budget
        if budget is None or self._job.fixed_plan:
            return False
        return time.perf_counter() - self._started + cost * self._seconds_per_work() > budget


def _solver(settings: OptimizeSettings) -> Solver:
    return BoxLBFGS(settings.history) if settings.optimizer == "lbfgs" else BoxAdam(settings.learning_rate)


def _holding(objective: Objective, job: Job, content: Tensor) -> Evaluate:
    """The objective with what the picture is held to, at the content's size."""
    if not job.held or job.settings.temporal_weight == 0:
        return objective
    size = (content.shape[-2], content.shape[-1])
    held = [(resize(each.pixels, *size).to(content), resize(each.weight, *size).to(content)) for each in job.held]

    def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
        loss, grad = objective(pixels)
        for earlier, weight in held:
            term, towards = temporal_loss(pixels, earlier, weight)
            loss += job.settings.temporal_weight * float(term)
            grad = grad.add_(towards, alpha=job.settings.temporal_weight)
        return loss, grad

    return evaluate


def _composing(objective: Evaluate, content: Tensor, free: Tensor | None) -> Evaluate:
    """The objective as a function of what may change: where ``free`` is 0 the picture is the content."""
    if free is None:
        return objective

    def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
        loss, grad = objective(_composed(pixels, content, free))
        return loss, grad * free

    return evaluate


def _composed(pixels: Tensor, content: Tensor, free: Tensor | None) -> Tensor:
    return pixels if free is None else content + free * (pixels - content)


def _on(device: torch.device, part: Part) -> Part:
    """A part on a device."""

    def moved(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device)

    sources = tuple(
        replace(source, pixels=source.pixels.clone().to(device), mask=moved(source.mask)) for source in part.sources
    )
    return Part(moved(part.mask), sources)
