"""Engine ``diffusion``: checks what it is given, looks at the references, has the picture painted."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from impasto.engines.base import Stylization
from impasto.engines.checkpoint import open_workdir
from impasto.engines.coloring import Coloring
from impasto.engines.diffusion.adapted import adapted
from impasto.engines.diffusion.blocks import read_blocks
from impasto.engines.diffusion.cost import RUNGS, Rung
from impasto.engines.diffusion.digests import digest_of_all
from impasto.engines.diffusion.editing import check_pictures, instruction
from impasto.engines.diffusion.klein import edited
from impasto.engines.diffusion.loading import require_diffusers
from impasto.engines.diffusion.painter import forget
from impasto.engines.diffusion.painting import Task
from impasto.engines.diffusion.plan import SMALLEST_PX, Plan, gpu_precision, plan_run
from impasto.engines.diffusion.registry import EDITORS
from impasto.engines.diffusion.sources import Sources, gather
from impasto.engines.evidence import draft_recipe, shares_of
from impasto.engines.parts import divide
from impasto.errors import ImageTooSmallError, OutOfMemoryError, SettingsError
from impasto.images import cover, fill_transparent, resize
from impasto.progress import CancelToken, Progress
from impasto.recipe import Scale, Weights
from impasto.settings import DiffusionSettings
from impasto.vgg import Precision, choose_precision
from impasto.vgg.precision import peak_memory_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.base import Region, RunPlan
    from impasto.engines.diffusion.painting import Painting
    from impasto.images import Picture
    from impasto.progress import OnProgress

_log = logging.getLogger("impasto")


class _Stopped(Exception):  # noqa: N818 — the run's own way out of a pipeline
    """The run shall end with what it has."""


class DiffusionEngine:
    """A diffusion model with an IP-Adapter, or one that edits; implements :class:`impasto.engines.base.Engine`."""

    name = "diffusion"

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
        """See :meth:`impasto.engines.base.Engine.stylize`; a run has no checkpoints."""
        began = time.perf_counter()
        token = cancel or CancelToken()
        with _float32(), open_workdir(workdir, {}):
            settings, sources, plan, precision = _decided(content, styles, options, regions, scales)
            run = _Run(content, styles, regions, init, settings, sources, plan, precision, began)
            if on_plan is not None:
                on_plan(plan.run_plan(precision))
            try:
                return run.stylization(on_progress, token)
            except torch.OutOfMemoryError:
                lower = _step_down(plan.rung, worn=sources.style is not None)
            forget()
            run.use(replace(plan, rung=lower))
            try:
                return run.stylization(on_progress, token)
            except torch.OutOfMemoryError as error:
                forget()
                _out_of_memory(lower, error)

    def plan(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
    ) -> RunPlan:
        """See :meth:`impasto.engines.base.Engine.plan`."""
        with _float32():
            settings, sources, plan, precision = _decided(content, styles, options, regions, None)
            return _Run(
                content, styles, regions, None, settings, sources, plan, precision, time.perf_counter()
            ).plan.run_plan(precision)

    def frames(self, *_: object, **__: object) -> NoReturn:
        """Not offered: frames that are painted one by one would flicker.

        Raises:
            SettingsError: always.
        """
        raise SettingsError("engine diffusion does not paint videos; use engine fast or optimize")


class _Run:
    """One picture."""

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        regions: Sequence[Region],
        init: Picture | None,
        settings: DiffusionSettings,
        sources: Sources,
        plan: Plan,
        precision: Precision,
        began: float,
    ) -> None:
        self._content, self._settings, self._sources = content, settings, sources
        self._precision, self._began, self.plan = precision, began, plan
        parts, free = divide(content, styles, shares_of(settings, len(styles)), regions)
        visible = fill_transparent(content)
        self._pixels = resize(visible, plan.height, plan.width)
        self._free = None if free is None else resize(free, plan.height, plan.width)
        self._coloring = Coloring(content, visible, settings)
        self._parts = self._coloring.styles(parts)
        if not self._parts:  # nothing of the content can be seen
            self.plan = replace(plan, planned=0, until=0)
        self._start = self._first_picture(init)
        version = digest_of_all(sources.files())
        source = f"{sources.name} ({'; '.join(sources.licences) or 'a folder of the user'})"
        self._recipe = draft_recipe(
            DiffusionEngine.name, content, styles, regions, init, settings, Weights(source=source, sha256=version),
            precision,
        )  # fmt: skip

    def use(self, plan: Plan) -> None:
        """Another plan for the same picture."""
        self.plan = plan

    def stylization(self, on_progress: OnProgress | None, cancel: CancelToken) -> Stylization:
        """Paint, and gather the evidence."""
        cancel.check()
        plan = self.plan
        prepared = time.perf_counter()
        steps, painted = 0, self._pixels.clone()
        if plan.until and not cancel.stopped:
            with self._painting() as painting:
                prepared = time.perf_counter()
                latents, steps = self._latents(painting, prepared, on_progress, cancel)
                painted = self._cropped(painting.decode(latents))
        cancel.check()
        saved = self._finished(painted, steps)
        finished = time.perf_counter()
        return Stylization(
            picture=replace(self._content.with_pixels(saved[0]), bit_depth=self._settings.bit_depth),
            recipe=self._recipe.model_copy(
                update={"scales": (Scale(width=plan.width, height=plan.height, steps=steps),)}
            ),
            trace=(),
            timings={
                "prepare": prepared - self._began,
                f"{plan.width}x{plan.height}": finished - prepared,
                "total": finished - self._began,
            },
            peak_memory_mb=peak_memory_mb(self._precision.device),
            stopped_early=steps < plan.planned,
        )

    def _latents(
        self, painting: Painting, prepared: float, on_progress: OnProgress | None, cancel: CancelToken
    ) -> tuple[Tensor, int]:
        """The latents to keep, and after how many steps."""
        plan, latest = self.plan, torch.empty(0)
        steps = 0

        def after_step(step: int, latents: Tensor, expected: Tensor) -> None:
            nonlocal latest, steps
            last = step == plan.planned
            latest, steps = (latents if last else expected), step
            if on_progress is not None:
                kept = latest.clone()
                show = painting.decode if last else painting.glance
                spent = time.perf_counter() - prepared
                on_progress(
                    Progress(
                        scale=1,
                        scales=1,
                        width=plan.width,
                        height=plan.height,
                        step=step,
                        steps=plan.until,
                        loss=None,
                        terms={},
                        fraction=step / plan.until,
                        elapsed_s=time.perf_counter() - self._began,
                        eta_s=spent / step * (plan.until - step),
                        preview=lambda: self._finished(self._cropped(show(kept)), step)[0].clone(),
                    )
                )
            cancel.check()
            if step == plan.until or cancel.stopped:
                raise _Stopped

        with suppress(_Stopped):
            painting.paint(after_step)
        return latest, steps

    def _painting(self) -> AbstractContextManager[Painting]:
        """The picture on its networks, as the model's family paints."""
        task = Task(
            settings=self._settings, sources=self._sources, plan=self.plan, precision=self._precision,
            pixels=self._pixels, start=self._start, parts=self._parts, coloring=self._coloring,
        )  # fmt: skip
        return edited(task) if self._sources.family in EDITORS else adapted(task)

    def _first_picture(self, init: Picture | None) -> Tensor:
        """What the way back from noise begins at, at the output's size."""
        size = (self.plan.height, self.plan.width)
        if init is not None:
            return resize(fill_transparent(init), *size)
        if self._settings.init == "style" and self._parts:
            return cover(self._parts[0].sources[0].pixels, *size)
        return self._pixels

    def _cropped(self, decoded: Tensor) -> Tensor:
        return decoded[..., : self.plan.height, : self.plan.width]

    def _finished(self, painted: Tensor, steps: int) -> Tensor:
        """The picture as it is kept: recoloured, the photo where it stays one, rounded."""
        levels = 2**self._settings.bit_depth - 1
        if steps:
            painted = self._coloring.finished(painted)
        if self._free is not None:
            painted = self._pixels + self._free * (painted - self._pixels)
        return painted.mul(levels).round_().div_(levels)


def _decided(
    content: Picture,
    styles: Sequence[Picture],
    options: Mapping[str, Any],
    regions: Sequence[Region],
    scales: Sequence[Scale] | None,
) -> tuple[DiffusionSettings, Sources, Plan, Precision]:
    """Settings with what is left to the engine decided, files, the plan; refuses before anything is loaded."""
    require_diffusers()
    settings = DiffusionSettings.of(**options)
    if not styles and not regions:
        raise SettingsError("no style was given; give at least one picture")
    shares_of(settings, len(styles))
    chosen = choose_precision(settings.device, settings.dtype)
    sources = gather(settings)
    if sources.family in EDITORS:
        check_pictures(styles, regions, sources.name)
        settings = settings.model_copy(update={"prompt": instruction(settings.prompt, len(styles))})
    else:
        read_blocks(settings.blocks, sources.family)
    precision = gpu_precision(chosen, settings.dtype, sources.family)
    plan = plan_run(content, settings, sources, scales, precision, styles=styles)
    for style in [*styles, *(region.style for region in regions)]:
        if min(style.width, style.height) < SMALLEST_PX:
            raise ImageTooSmallError(
                f"style {style.name} is {style.width}x{style.height} px, but {SMALLEST_PX} px are needed on each side; "
                "use a larger picture"
            )
    return settings.model_copy(update={"memory": plan.rung}), sources, plan, precision


def _step_down(rung: Rung, *, worn: bool) -> Rung:
    """The next rung of the ladder; a LoRA cannot be worn in fp8.

    Raises:
        OutOfMemoryError: there is none.
    """
    index = RUNGS.index(rung)
    if index + 1 == len(RUNGS):
        _out_of_memory(rung, None)
    lower = RUNGS[index + 1]
    if worn and lower == "fp8":
        lower = RUNGS[index + 2]
    _log.warning("the GPU's memory does not do for memory=%s; painting again with memory=%s", rung, lower)
    return lower


def _out_of_memory(rung: Rung, cause: BaseException | None) -> NoReturn:
    raise OutOfMemoryError(
        f"the GPU's memory does not do, even with memory={rung}; use a smaller image_size, close other programs on the "
        "GPU, or use engine fast"
    ) from cause


@contextmanager
def _float32() -> Iterator[None]:
    """Pipelines make tensors in the default format; a caller's own choice of it is none of theirs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
