"""What a run will take: memory by how the networks are kept, and seconds; both estimated before anything is loaded.

The figures are arithmetic from the numbers of parameters and from a product of matrices that is timed here. They were
not measured on a GPU; a run that does not fit all the same steps down once (see painter.py).
"""

from __future__ import annotations

import time
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Final, Literal, get_args

import torch

from impasto.engines.diffusion.preflight import read_shapes
from impasto.errors import OutOfMemoryError

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.engines.diffusion.registry import Family
    from impasto.engines.diffusion.sources import Sources

#: How networks are kept, each sparing more memory and taking more time than the one before.
Rung = Literal["whole", "offload", "fp8", "groups", "sequential"]
RUNGS: Final[tuple[Rung, ...]] = get_args(Rung)

#: A forward pass of the UNet at its own size: operations, parameters, places of the latents. Of a transformer that is
#: shown pictures besides: with a content and one style of its own size, whose places are among those counted.
_FORWARD: Final[dict[Family, tuple[float, float, int]]] = {
    "sdxl": (6.0e12, 2567.5e6, 128 * 128),
    "sd15": (0.75e12, 859.5e6, 64 * 64),
    "flux2-klein": (1.29e14, 3875.5e6, 3 * 128 * 128),
}
#: Of what a product of large matrices reaches, a UNet reaches this share.
_EFFICIENCY: Final = 0.4
#: MiB of activations for a megapixel in two bytes a number: with the VAE at once, and in tiles.
_ACTIVATIONS_MB: Final = {"whole": 4000.0, "offload": 2000.0, "fp8": 2000.0, "groups": 2000.0, "sequential": 1500.0}
#: MiB of activations for a megapixel of pictures that the network is shown, likewise.
_SHOWN_MB: Final = 1000.0
#: Of the process itself with its libraries.
_FIXED_MB: Final = 600
_SHARE: Final = 0.9


class Sizes:
    """Numbers of parameters.

    Args:
        sources: whose.
        adapters: how many copies of the adapter are in use.
        shown: pixels of the pictures that the network itself is shown; 0: it sees none.
    """

    def __init__(self, sources: Sources, adapters: int, shown: int = 0) -> None:
        text = [sources.base / name for name in ("text_encoder", "text_encoder_2")]
        transformer = sources.base / "transformer"
        self.shown = shown
        self.unet = parameters(transformer if transformer.is_dir() else sources.base / "unet")
        self.text = sum(parameters(folder) for folder in text if folder.is_dir())
        self.vae = parameters(sources.base / "vae")
        self.control = 0 if sources.control is None else parameters(sources.control)
        self.adapter = 0 if sources.adapter is None else adapters * _in_file(sources.adapter.path)
        if sources.style is not None:
            self.adapter += _in_file(sources.style.path)

    def memory_mb(self, rung: Rung, pixels: int, itemsize: int) -> int:
        """Peak on the device, MiB."""
        painting = self.unet + self.adapter + self.control
        bytes_held = {
            "whole": (painting + self.text + self.vae) * itemsize,
            "offload": max(painting, self.text) * itemsize,
            "fp8": max(self.unet + self.control + self.adapter * itemsize, self.text * itemsize),
            "groups": painting * itemsize // 6,
            "sequential": painting * itemsize // 40,
        }[rung]
        activations = _ACTIVATIONS_MB[rung] * pixels + _SHOWN_MB * self.shown
        return round(bytes_held / 2**20 + activations / 2**20 * itemsize / 2)


@lru_cache(maxsize=32)
def parameters(folder: Path) -> int:
    """Numbers in the safetensors files of a network's folder; where it holds two precisions, of one of them."""
    files = sorted(folder.glob("*.safetensors"))
    halves = [path for path in files if ".fp16." in path.name]
    return sum(_in_file(path) for path in (halves if 0 < len(halves) < len(files) else files))


def _in_file(path: Path) -> int:
    return sum(prod(shape) for shape in read_shapes(path).values())


def choose_rung(asked: str, sizes: Sizes, pixels: int, device: torch.device, itemsize: int, free_mb: int) -> Rung:
    """How the networks are kept: as asked, else the first way that fits.

    Raises:
        OutOfMemoryError: none fits, or on a CPU the one there is.
    """
    if device.type != "cuda":  # everything is in the same memory anyway
        needed = sizes.memory_mb("whole", pixels, itemsize) + _FIXED_MB
        if needed > free_mb * _SHARE + _FIXED_MB:
            raise OutOfMemoryError(
                f"this model needs about {needed:,} MiB of memory for such a picture, {free_mb:,} MiB are free; use a "
                "smaller image_size, model=sd15-lcm, or engine fast or optimize"
            )
        return "whole"
    if asked in RUNGS:
        return RUNGS[RUNGS.index(asked)]
    for rung in RUNGS:
        if sizes.memory_mb(rung, pixels, itemsize) <= free_mb * _SHARE:
            return rung
    raise OutOfMemoryError(
        f"even with memory=sequential this model needs about {sizes.memory_mb('sequential', pixels, itemsize):,} MiB "
        f"of the GPU for such a picture, {free_mb:,} MiB are free; use a smaller image_size or engine fast"
    )


def seconds(
    sources: Sources,
    sizes: Sizes,
    *,
    steps: int,
    places: int,
    guided: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> float:
    """About how long a run takes once the model is loaded.

    Args:
        sources: the model.
        sizes: of its networks.
        steps: denoising steps.
        places: of the latents.
        guided: whether each step computes twice, with and without what guides it.
        device: where.
        dtype: in which format.
    """
    a_pass = seconds_of_a_pass(sources.family, sizes.unet + sizes.control / 2, places, device=device, dtype=dtype)
    return 0.1 + steps * (0.05 + a_pass * (2 if guided else 1))


def seconds_of_a_pass(
    family: Family, parameters: float, places: int, *, device: torch.device, dtype: torch.dtype
) -> float:
    """About how long one picture takes through a UNet.

    Args:
        family: of the model.
        parameters: of the UNet.
        places: of the latents.
        device: where.
        dtype: in which format.
    """
    operations, usual, at = _FORWARD[family]
    return operations * parameters / usual * places / at / (_speed(device, dtype) * _EFFICIENCY)


@lru_cache(maxsize=4)
def _speed(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second in a product of matrices."""
    side = 4096 if device.type == "cuda" else 1024
    one = torch.ones(side, side, device=device, dtype=dtype)
    one @ one
    began = time.perf_counter()
    float((one @ one)[0, 0])
    return 2.0 * side**3 / (time.perf_counter() - began)
