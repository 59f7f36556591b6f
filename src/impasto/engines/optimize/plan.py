"""What a run will do and what it will cost, worked out before it starts: scales, steps, memory, time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import torch

from impasto.errors import ImageTooSmallError, OutOfMemoryError, SettingsError
from impasto.images import fit_size
from impasto.recipe import Scale
from impasto.settings import DEFAULT_PX, FAST, OptimizeSettings
from impasto.vgg import Precision
from impasto.vgg.layers import channels as channels_of
from impasto.vgg.layers import stride, up_to

#: Longer side of the coarsest automatic scale, as in crowsonkb/style-transfer-pytorch.
_COARSEST_PX = 128
_FEWEST_STEPS = 8
#: Scales that are left to do where engine fast painted the first picture.
_SCALES_AFTER_FAST = 2
#: What a step costs besides the network, in pixels' worth of network: eigendecompositions and the matching of columns
#: do not shrink with the picture (25 ms against 1.9 µs a pixel for w2).
_FIXED_PIXELS = {"w2": 13_000, "gram": 2_000, "moments": 2_000, "swd": 20_000, "nn": 40_000, "remd": 60_000}
#: Computing activations again on the way back costs about a third of a step more, its margins included (measured).
STRIPS_WORK: Final = 1.3
#: The next were measured as the process's peak, at 1224×819 px whole (3,915 MiB) and in strips (3,949), and at
#: 4896×3277 in strips (15,021):
#: values per pixel that live besides the kept activations (gradients and outputs of the first block),
_TRANSIENT_VALUES = 630
#: bytes per pixel of the picture, the solver without its history, the pooling's indices, and what the allocator keeps,
_PICTURE_BYTES = 1500
#: of one remembered pair,
_PAIR_BYTES = 24
#: in strips: what the stages take, in values, and everything else in bytes,
_TAKEN_VALUES = 70
_STRIPS_BYTES = 120
#: and interpreter, PyTorch, weights and their packed copies, and of the strips themselves, in MiB.
_FIXED_MB = 410
STRIP_MB: Final = 256.0
_STRIPS_AT_ONCE = 11  # activations, gradients, routing, and what the allocator keeps of the coarse scales
#: In strips, scales that take no more than this whole are whole: coarse scales then cost nothing extra.
_WHOLE_SCALE_MB = 1024
#: Share of the free memory that a run may plan with, and the shortest history worth having.
_MEMORY_SHARE = 0.8
_SHORTEST_HISTORY = 4


@dataclass(frozen=True)
class ScalePlan:
    """One scale of a run."""

    height: int
    width: int
    steps: int

    @property
    def longer(self) -> int:
        """Longer side in pixels."""
        return max(self.height, self.width)


def output_size(height: int, width: int, settings: OptimizeSettings) -> tuple[int, int]:
    """Height and width of the output for a content of that size."""
    longer = settings.image_size or min(DEFAULT_PX, max(height, width))
    return fit_size(height, width, longer)


def plan_scales(height: int, width: int, settings: OptimizeSettings) -> tuple[ScalePlan, ...]:
    """Scales for a content of ``height`` × ``width`` pixels, coarse to fine; the last is the output's size.

    By default each longer side is √2 times the one before, from about 128 px; with ``init=fast`` only the last two.
    Coarse scales whose shorter side would be smaller than the network needs are left out.

    Raises:
        ImageTooSmallError: even the output itself would be too small.
    """
    needed = smallest_side(settings)
    out_height, out_width = output_size(height, width, settings)
    if min(out_height, out_width) < needed:
        deepest = up_to([*settings.layers, *settings.content_layers])[-1]
        raise ImageTooSmallError(
            f"content is {width}x{height} px, which at image_size {max(out_height, out_width)} is "
            f"{out_width}x{out_height} px, but {deepest} needs {needed} px on each side; "
            "use a larger image_size, a less narrow crop, or shallower layers"
        )
    longer = max(out_height, out_width)
    if settings.scales is None:
        sides = [round(longer / 2 ** (step / 2)) for step in range(20)]
        sides = sorted(side for side in sides if side >= _COARSEST_PX or side == longer)
        if settings.init == FAST:  # large forms are there already
            sides = sides[-_SCALES_AFTER_FAST:]
    else:
        if settings.scales[-1] > longer:
            raise SettingsError(f"scales ends at {settings.scales[-1]} px, above the image_size of {longer} px")
        sides = sorted({*settings.scales, longer})
    sizes = [fit_size(out_height, out_width, side) for side in sides[:-1]] + [(out_height, out_width)]
    return tuple(ScalePlan(h, w, _steps(max(h, w), settings.steps)) for h, w in sizes if min(h, w) >= needed)


def _steps(longer: int, steps: int) -> int:
    """Steps at a scale: a large one starts from a picture that is nearly right, and each of its steps costs more."""
    return max(min(steps, _FEWEST_STEPS), round(steps * min(1.0, DEFAULT_PX / longer)))


def follow(
    scales: Sequence[Scale], planned: tuple[ScalePlan, ...], settings: OptimizeSettings
) -> tuple[ScalePlan, ...]:
    """The scales of a recipe, in place of ``planned`` ones.

    Raises:
        SettingsError: they do not end at the output's size, or one is larger than it or smaller than the network needs.
    """
    final, needed = planned[-1], smallest_side(settings)
    sizes = [(scale.height, scale.width) for scale in scales]
    if not sizes or sizes[-1] != (final.height, final.width):
        ends = f"end at {sizes[-1][1]}x{sizes[-1][0]} px" if sizes else "are empty"
        raise SettingsError(f"the recipe's scales {ends}, expected {final.width}x{final.height} px; it was changed")
    for height, width in sizes:
        if not needed <= min(height, width) <= max(height, width) <= final.longer:
            raise SettingsError(
                f"the recipe has a scale of {width}x{height} px, expected sides of {needed} to {final.longer} px; "
                "it was changed"
            )
    return tuple(ScalePlan(scale.height, scale.width, scale.steps) for scale in scales)


def smallest_side(settings: OptimizeSettings) -> int:
    """Pixels that each side of a picture must have for every layer to have one position."""
    return max(stride(layer) for layer in [*settings.layers, *settings.content_layers])


def work(scale: ScalePlan, settings: OptimizeSettings) -> float:
    """Cost of one step at a scale, in pixels' worth of network."""
    fixed = sum(_FIXED_PIXELS[name] for name, weight in settings.style_loss.items() if weight > 0)
    return scale.height * scale.width + fixed


def fit_to_time(
    rest: tuple[ScalePlan, ...], seconds: float, seconds_per_work: float, settings: OptimizeSettings
) -> tuple[ScalePlan, ...]:
    """Change the steps of the scales that are left so that they take ``seconds``, each the same number of steps."""
    per_step = sum(work(scale, settings) for scale in rest) * seconds_per_work
    steps = max(1, int(seconds / per_step)) if per_step > 0 else 1
    return tuple(replace(scale, steps=steps) for scale in rest)


def estimate_memory_mb(height: int, width: int, settings: OptimizeSettings, dtype: torch.dtype) -> int:
    """Peak memory of a run whose output has that size, in MiB; linear in the number of pixels.

    ``settings.memory`` says whether activations are kept; ``auto`` counts as ``whole``.
    """
    pairs = settings.history if settings.optimizer == "lbfgs" else 0
    content = sum(channels_of(layer) / stride(layer) ** 2 for layer in settings.content_layers)
    if settings.memory == "strips":
        per_pixel = (_TAKEN_VALUES + content) * dtype.itemsize + _STRIPS_BYTES + pairs * _PAIR_BYTES
        return round(_FIXED_MB + _STRIPS_AT_ONCE * STRIP_MB + per_pixel * height * width / 2**20)
    layers = up_to([*settings.layers, *settings.content_layers])
    values = sum(channels_of(layer) / stride(layer) ** 2 for layer in layers) + _TRANSIENT_VALUES
    per_pixel = values * dtype.itemsize + _PICTURE_BYTES + pairs * _PAIR_BYTES
    return round(_FIXED_MB + per_pixel * height * width / 2**20)


def fit_memory(
    height: int, width: int, settings: OptimizeSettings, precision: Precision, free_mb: int
) -> OptimizeSettings:
    """The settings with ``memory`` decided and, where it must be, a shorter ``history``.

    Raises:
        OutOfMemoryError: even strips with the shortest history would not fit; nothing was computed.
    """
    budget_mb = free_mb * _MEMORY_SHARE
    if precision.device.type == "cpu":
        budget_mb += _FIXED_MB * 3 // 4  # already resident when this is asked
    modes: tuple[Literal["whole", "strips"], ...] = (
        ("whole", "strips") if settings.memory == "auto" else (settings.memory,)
    )
    for mode in modes:
        shortest = settings.history if mode == "whole" and len(modes) > 1 else min(settings.history, _SHORTEST_HISTORY)
        for history in range(settings.history, shortest - 1, -1):
            fitted = settings.model_copy(update={"memory": mode, "history": history})
            if estimate_memory_mb(height, width, fitted, precision.dtype) <= budget_mb:
                return fitted
    needed_mb = estimate_memory_mb(height, width, fitted, precision.dtype)
    raise OutOfMemoryError(
        f"a picture of {width}x{height} px needs about {needed_mb:,} MiB of memory, {free_mb:,} MiB are free; "
        f"use a smaller image_size, optimizer=adam{'' if fitted.memory == 'strips' else ', memory=strips'} "
        "or dtype=bfloat16"
    )


def strip_mb(height: int, width: int, settings: OptimizeSettings, dtype: torch.dtype) -> float | None:
    """How large strips are at a scale of that size; None: the scale is computed whole."""
    if settings.memory != "strips":
        return None
    whole = estimate_memory_mb(height, width, settings.model_copy(update={"memory": "whole"}), dtype)
    return None if whole <= _WHOLE_SCALE_MB else STRIP_MB


def estimate_seconds(plan: Sequence[ScalePlan], settings: OptimizeSettings, dtype: torch.dtype, rate: float) -> float:
    """Seconds of all the steps of a plan, at ``rate`` seconds per work."""
    total = 0.0
    for scale in plan:
        factor = 1.0 if strip_mb(scale.height, scale.width, settings, dtype) is None else STRIPS_WORK
        total += work(scale, settings) * scale.steps * factor
    return total * rate
