"""Engine ``fast``: checks what it is given, makes codes of styles, has the picture painted, gathers the evidence."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch

from impasto.engines.base import RunPlan, Stylization
from impasto.engines.checkpoint import open_workdir
from impasto.engines.coloring import Coloring
from impasto.engines.evidence import draft_recipe, shares_of
from impasto.engines.fast import onnx_runtime
from impasto.engines.fast.frames import FastFrames
from impasto.engines.fast.model import load_model
from impasto.engines.fast.onnx import SMALLEST_PX as ONNX_SMALLEST_PX
from impasto.engines.fast.painting import SMALLEST_PX, Coded, TorchPainter, blended
from impasto.engines.fast.plan import Pass, plan_pass
from impasto.engines.parts import divide
from impasto.errors import ImageTooSmallError, SettingsError
from impasto.images import fill_transparent, resize
from impasto.progress import CancelToken, Progress
from impasto.recipe import Scale, Weights
from impasto.settings import FastSettings
from impasto.vgg import Precision, choose_precision
from impasto.vgg.precision import free_memory_mb, peak_memory_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from impasto.engines.base import Region
    from impasto.engines.fast.model import Model
    from impasto.engines.parts import Part
    from impasto.images import Picture
    from impasto.progress import OnProgress

#: Below this strength the painted picture fades into the photo.
_FADE: Final = 0.2
#: Places of which all masks together cover less belong to no part.
_LEAST: Final = 1e-3


class FastEngine:
    """One pass through a network; implements :class:`impasto.engines.base.Engine`."""

    name = "fast"

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
        """See :meth:`impasto.engines.base.Engine.stylize`; a pass is too short for checkpoints."""
        began = time.perf_counter()
        settings, planned, precision = _decided(content, styles, options, regions, init, scales)
        with torch.inference_mode(), open_workdir(workdir, {}):
            run = _Run(content, styles, regions, settings, planned, precision, began)
            if on_plan is not None:
                on_plan(run.plan())
            return run.stylization(on_progress, cancel or CancelToken())

    def plan(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
    ) -> RunPlan:
        """See :meth:`impasto.engines.base.Engine.plan`."""
        settings, planned, precision = _decided(content, styles, options, regions, None, None)
        with torch.inference_mode():
            return _Run(content, styles, regions, settings, planned, precision, time.perf_counter()).plan()

    def frames(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
    ) -> FastFrames:
        """See :meth:`impasto.engines.base.Engine.frames`; always PyTorch's, which folds what frames have in common."""
        if options.get("runtime") == "onnx":
            raise SettingsError("runtime=onnx does not paint videos; use runtime=torch or leave it out")
        options = {**options, "runtime": "torch"}
        settings, planned, precision = _decided(content, styles, options, regions, None, None)
        model = load_model(None if settings.model is None else Path(settings.model))
        return FastFrames(_painter(model, precision), content, styles, regions, settings, planned, precision)


class _Run:
    """One pass over one picture."""

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        regions: Sequence[Region],
        settings: FastSettings,
        planned: Pass,
        precision: Precision,
        began: float,
    ) -> None:
        self._content, self._settings, self._plan, self._began = content, settings, planned, began
        self._precision = precision
        model = load_model(None if settings.model is None else Path(settings.model))
        self._model, self._painter = model, _painter(model, precision)
        parts, free = divide(content, styles, shares_of(settings, len(styles)), regions)
        visible = fill_transparent(content)
        self._pixels = resize(visible, planned.height, planned.width)
        self._free = None if free is None else resize(free, planned.height, planned.width)
        self._coloring = Coloring(content, visible, settings)
        # Without an encoder there is no code for the photo to start from.
        self._fades_late = model.encoder is not None
        self._parts = self._coded(model, self._coloring.styles(parts))
        if not self._parts:  # nothing of the content can be seen
            self._plan = replace(planned, steps=0)
        weights = Weights(source=model.source, sha256=model.sha256)
        self._recipe = draft_recipe(FastEngine.name, content, styles, regions, None, settings, weights, precision)

    def plan(self) -> RunPlan:
        """The pass, with its seconds from a small one that is timed here."""
        planned = self._plan
        probe = self._pixels[..., :256, :256]
        plain = [Coded(torch.zeros(1, self._painter.code_size), None)]
        self._whole(probe, plain)  # the first packs kernels
        began = time.perf_counter()
        self._whole(probe, plain)
        rate = (time.perf_counter() - began) / (probe.shape[-2] * probe.shape[-1])
        return RunPlan(
            width=planned.width,
            height=planned.height,
            scales=(Scale(width=planned.width, height=planned.height, steps=planned.steps),),
            memory=planned.memory,
            memory_mb=planned.memory_mb,
            free_mb=free_memory_mb(self._precision.device),
            seconds=max(1e-3, rate * planned.width * planned.height * (1.3 if planned.memory == "tiles" else 1)),
        )

    def stylization(self, on_progress: OnProgress | None, cancel: CancelToken) -> Stylization:
        """Paint, and gather the evidence."""
        prepared = time.perf_counter()
        painted = self._pixels.clone()
        steps = 0
        for tile, (top, left) in self._tiles(cancel):
            painted[..., top : top + tile.shape[-2], left : left + tile.shape[-1]] = tile.cpu()
            steps += 1
            if on_progress is not None:
                on_progress(self._progress(steps, prepared, painted))
            if cancel.stopped:
                break
        cancel.check()
        saved = self._finished(painted)
        finished = time.perf_counter()
        planned = self._plan
        scale = Scale(width=planned.width, height=planned.height, steps=steps)
        return Stylization(
            picture=replace(self._content.with_pixels(saved[0]), bit_depth=self._settings.bit_depth),
            recipe=self._recipe.model_copy(update={"scales": (scale,)}),
            trace=(),
            timings={
                "prepare": prepared - self._began,
                f"{planned.width}x{planned.height}": finished - prepared,
                "total": finished - self._began,
            },
            peak_memory_mb=peak_memory_mb(self._precision.device),
            stopped_early=steps < planned.steps,
        )

    def _tiles(self, cancel: CancelToken) -> Iterator[tuple[Tensor, tuple[int, int]]]:
        """The painted picture, piece by piece, as far as the plan goes."""
        cancel.check()
        seen = self._coloring.seen(self._pixels)
        if self._plan.steps == 0 or cancel.stopped:
            return
        if self._plan.memory == "whole":
            yield self._whole(seen, self._parts), (0, 0)
            return
        statistics = self._painter.statistics(seen, self._parts)
        tiles = self._painter.tiles(seen, self._parts, self._settings.tile_size, statistics)
        for _, tile in zip(range(self._plan.steps), tiles, strict=False):
            yield tile
            cancel.check()

    def _whole(self, pixels: Tensor, parts: Sequence[Coded]) -> Tensor:
        """A picture painted at once, by the runtime that was decided on."""
        if self._settings.runtime == "onnx":
            return _onnx_painter(self._model).paint(pixels, parts[0].code)
        return self._painter.paint(pixels, parts)

    def _finished(self, painted: Tensor) -> Tensor:
        """The picture as it is kept: recoloured, the photo where it stays one, rounded."""
        levels = 2**self._settings.bit_depth - 1
        if self._plan.steps:
            painted = self._coloring.finished(self._gentle(painted))
        if self._free is not None:
            painted = self._pixels + self._free * (painted - self._pixels)
        return painted.mul(levels).round_().div_(levels)

    def _gentle(self, painted: Tensor) -> Tensor:
        """At small strengths the picture fades into the photo, which a network gives back only nearly."""
        share = min(1.0, self._settings.strength / (_FADE if self._fades_late else 1.0))
        return painted if share == 1 else torch.lerp(self._pixels, painted, share)

    def _progress(self, steps: int, prepared: float, painted: Tensor) -> Progress:
        planned = self._plan
        spent = time.perf_counter() - prepared
        return Progress(
            scale=1,
            scales=1,
            width=planned.width,
            height=planned.height,
            step=steps,
            steps=planned.steps,
            loss=None,
            terms={},
            fraction=steps / planned.steps,
            elapsed_s=time.perf_counter() - self._began,
            eta_s=spent / steps * (planned.steps - steps),
            preview=lambda: self._finished(painted)[0].clone(),
        )

    def _coded(self, model: Model, parts: Sequence[Part]) -> list[Coded]:
        """The parts with their codes, at the output's size; their masks add up to 1."""
        strength, size = self._settings.strength, (self._plan.height, self._plan.width)
        own = None
        if strength < 1 and model.code is None:
            own = self._painter.code(self._pixels)
        codes = [model.code if model.code is not None else self._styled(part) for part in parts]
        if own is not None:
            codes = [torch.lerp(own, code, strength) for code in codes]
        if len(codes) < 2:
            return [Coded(code, None) for code in codes]
        masks = [
            torch.ones_like(self._pixels[:, :1]) if part.mask is None else resize(part.mask, *size) for part in parts
        ]
        total = torch.stack(masks).sum(0)
        # What no part covers (nothing can be seen there) is painted with the last one.
        masks[-1] = torch.where(total > _LEAST, masks[-1], 1.0)
        total = torch.where(total > _LEAST, total, 1.0)
        return [Coded(code, mask / total) for code, mask in zip(codes, masks, strict=True)]

    def _styled(self, part: Part) -> Tensor:
        """The code of a part's styles together."""
        codes = [
            self._painter.code(source.pixels, scale=self._settings.style_scale, mask=source.mask)
            for source in part.sources
        ]
        return blended(codes, [source.share for source in part.sources])


def _decided(
    content: Picture,
    styles: Sequence[Picture],
    options: Mapping[str, Any],
    regions: Sequence[Region],
    init: Picture | None,
    scales: Sequence[Scale] | None,
) -> tuple[FastSettings, Pass, Precision]:
    """Settings with the memory decided, the pass, and where to compute; refuses before anything is computed."""
    if init is not None:
        raise SettingsError("engine fast starts from no picture; leave init out, or use engine=optimize")
    settings = FastSettings.of(**options)
    if not styles and not regions:
        raise SettingsError("no style was given; give at least one picture")
    shares_of(settings, len(styles))
    precision = choose_precision(settings.device, settings.dtype)
    planned = plan_pass(content, settings, scales, precision.dtype, free_memory_mb(precision.device))
    for style in [*styles, *(region.style for region in regions)]:
        if min(style.width, style.height) < SMALLEST_PX:
            raise ImageTooSmallError(
                f"style {style.name} is {style.width}x{style.height} px, but {SMALLEST_PX} px are needed on each side; "
                "use a larger picture"
            )
    runtime = _runtime(settings, planned, precision, several=len(regions) + bool(styles) > 1)
    if runtime == "onnx":
        precision = Precision(torch.device("cpu"), torch.float32, "float32 because that is what the graph computes in")
    return settings.model_copy(update={"memory": planned.memory, "runtime": runtime}), planned, precision


def _runtime(settings: FastSettings, planned: Pass, precision: Precision, *, several: bool) -> Literal["torch", "onnx"]:
    """What paints: ONNX Runtime where it can, is installed, and is the faster one (docs/engines/fast.md).

    Raises:
        SettingsError: ONNX Runtime was asked for and cannot do it.
    """
    obstacles = {
        "regions": several,
        "memory=tiles": planned.memory == "tiles",
        f"a picture below {ONNX_SMALLEST_PX} px": min(planned.height, planned.width) < ONNX_SMALLEST_PX,
        f"device={precision.device.type}": precision.device.type != "cpu",
        "dtype=bfloat16": settings.dtype == "bfloat16",
        "a model of one's own": settings.model is not None,
    }
    if settings.runtime == "onnx":
        for obstacle, there in obstacles.items():
            if there:
                raise SettingsError(f"runtime=onnx cannot be combined with {obstacle}; use runtime=torch")
        onnx_runtime.require_onnxruntime()
        return "onnx"
    slow = precision.dtype == torch.float32 and settings.dtype == "auto"
    able = settings.runtime == "auto" and slow and not any(obstacles.values())
    return "onnx" if able and find_spec("onnxruntime") else "torch"


@lru_cache(maxsize=1)
def _onnx_painter(model: Model) -> onnx_runtime.OnnxPainter:  # noqa: ARG001 — the shipped one; another gives another painter
    """The shipped graphs, loaded once."""
    with as_file(files("impasto.engines.fast").joinpath("data")) as folder:
        return onnx_runtime.OnnxPainter(folder / "any-style.transfer.onnx", threads=torch.get_num_threads())


@lru_cache(maxsize=4)
def _painter(model: Model, precision: Precision) -> TorchPainter:
    """A painter, kept: its kernels are in the format of the device."""
    return TorchPainter(model.net, model.encoder, precision.device, precision.dtype)
