"""What a run will do and what it will cost, worked out before it starts: scales, steps, memory, time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import psutil
import torch

from impasto.errors import ImageTooSmallError, OutOfMemoryError, SettingsError
from impasto.images import fit_size
from impasto.recipe import Scale
from impasto.settings import OptimizeSettings
from impasto.vgg.layers import channels as channels_of
from impasto.vgg.layers import stride, up_to

#: Longer side of the coarsest automatic scale, as in crowsonkb/style-transfer-pytorch.
_COARSEST_PX = 128
_DEFAULT_PX = 512
#: What a step costs besides the network, in pixels' worth of network: eigendecompositions do not shrink with the
#: picture (25 ms against 1.9 µs a pixel).
_FIXED_PIXELS = {"w2": 13_000, "gram": 2_000}
#: The next three were measured as the process's peak at 64×48, 512×384 and 1024×768 px in both dtypes:
#: values per pixel that live besides the kept activations (gradients and outputs of the first block),
_TRANSIENT_VALUES = 630
#: bytes per pixel of the picture, the solver and the pooling's indices,
_SOLVER_BYTES = {"lbfgs": 1080, "adam": 600}
#: and interpreter, PyTorch, weights and their packed copies.
_FIXED_MB = 410


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
    longer = settings.image_size or min(_DEFAULT_PX, max(height, width))
    return fit_size(height, width, longer)


def plan_scales(height: int, width: int, settings: OptimizeSettings) -> tuple[ScalePlan, ...]:
    """Scales for a content of ``height`` × ``width`` pixels, coarse to fine; the last is the output's size.

    By default each longer side is √2 times the one before, from about 128 px. Coarse scales whose shorter side would
    be smaller than the network needs are left out.

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
    else:
        if settings.scales[-1] > longer:
            raise SettingsError(f"scales ends at {settings.scales[-1]} px, above the image_size of {longer} px")
        sides = sorted({*settings.scales, longer})
    sizes = [fit_size(out_height, out_width, side) for side in sides[:-1]] + [(out_height, out_width)]
    return tuple(ScalePlan(h, w, settings.steps) for h, w in sizes if min(h, w) >= needed)


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
    return scale.height * scale.width + _FIXED_PIXELS[settings.style_loss]


def fit_to_time(
    rest: tuple[ScalePlan, ...], seconds: float, seconds_per_work: float, settings: OptimizeSettings
) -> tuple[ScalePlan, ...]:
    """Change the steps of the scales that are left so that they take ``seconds``, each the same number of steps."""
    per_step = sum(work(scale, settings) for scale in rest) * seconds_per_work
    steps = max(1, int(seconds / per_step)) if per_step > 0 else 1
    return tuple(replace(scale, steps=steps) for scale in rest)


def estimate_memory_mb(height: int, width: int, settings: OptimizeSettings, dtype: torch.dtype) -> int:
    """Peak memory of a run whose output has that size, in MiB; linear in the number of pixels."""
    layers = up_to([*settings.layers, *settings.content_layers])
    values = sum(channels_of(layer) / stride(layer) ** 2 for layer in layers) + _TRANSIENT_VALUES
    per_pixel = values * dtype.itemsize + _SOLVER_BYTES[settings.optimizer]
    return round(_FIXED_MB + per_pixel * height * width / 2**20)


def check_memory(needed_mb: int, size: Mapping[str, int], device: torch.device) -> None:
    """Refuse a run that would not fit.

    Raises:
        OutOfMemoryError: with the estimate and what is free.
    """
    if device.type == "cuda":
        free_mb = torch.cuda.mem_get_info(device)[0] // 2**20
    else:
        free_mb = psutil.virtual_memory().available // 2**20
        needed_mb -= _FIXED_MB * 3 // 4  # already resident when this is asked
    if needed_mb > free_mb:
        raise OutOfMemoryError(
            f"a picture of {size['width']}x{size['height']} px needs about {needed_mb:,} MiB of memory, "
            f"{free_mb:,} MiB are free; use a smaller image_size, optimizer=adam or dtype=bfloat16"
        )
