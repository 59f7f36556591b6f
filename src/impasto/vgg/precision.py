"""Chooses the device and the number format, says why, and can be overruled."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from impasto.errors import SettingsError

#: Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


class Precision(NamedTuple):
    """Where and in which format the network computes."""

    device: torch.device
    dtype: torch.dtype
    reason: str
    """One sentence for ``impasto doctor``."""


def choose_precision(device: str = "auto", dtype: str = "auto") -> Precision:
    """Turn the two settings into a device and a dtype.

    Args:
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda``, ``cuda:N``, ``mps``.
        dtype: ``auto`` (bfloat16 where the hardware multiplies it fast), ``float32``, ``bfloat16``.

    Raises:
        SettingsError: the device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda":
        count = torch.cuda.device_count()
        if (chosen.index or 0) >= count:
            raise SettingsError(f"device {device} is not there; this machine has {count} CUDA devices; use device=cpu")
    elif chosen.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("device mps is not there; use device=cpu")
    if dtype != "auto":
        return Precision(chosen, getattr(torch, dtype), f"{dtype} because it was asked for")
    fast, reason = _bfloat16_is_fast(chosen)
    return Precision(chosen, torch.bfloat16 if fast else torch.float32, reason)


def cpu_instructions() -> str:
    """The vector instructions that matter for speed, as in ``AVX512-BF16``."""
    if torch.cpu._is_amx_tile_supported():
        return "AMX"
    if torch.cpu._is_avx512_bf16_supported():
        return "AVX512-BF16"
    return str(torch.backends.cpu.get_cpu_capability())


def _bfloat16_is_fast(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return True, "bfloat16 because the GPU has tensor cores for it"
        return False, "float32 because the GPU multiplies bfloat16 slowly"
    if device.type == "cpu":
        instructions = cpu_instructions()
        if instructions in ("AMX", "AVX512-BF16"):
            return True, f"bfloat16 because the processor has {instructions}"
        return False, f"float32 because the processor has neither AMX nor AVX512-BF16 (it has {instructions})"
    return False, "float32, the safe choice on this device"


def reuse_memory() -> None:
    """Let this process keep the memory that it frees, for the next step of a run; a no-op where libc is not glibc.

    By default blocks above some MiB go back to the system at once, and every step has the kernel clear hundreds of MiB
    anew: a sixth of a step at 1 megapixel (docs/performance.md). For programs of which a run is the main business.
    """
    if (mallopt := _of_glibc("mallopt")) is not None:
        for option, value in (_M_MMAP_THRESHOLD, 2**31 - 1), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26):
            mallopt(option, value)


def release_memory() -> None:
    """Give the memory that was freed back to the system, between two pictures; a no-op where libc is not glibc.

    A process that paints pictures of many shapes grows otherwise: what one picture freed fits the next one badly, and
    the gaps add up (docs/performance.md).
    """
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of the C library, None where it has no such."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None


def peak_memory_mb(device: torch.device) -> float:
    """Highest memory so far in MiB: of the device's allocator on a GPU, of the whole process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def free_memory_mb(device: torch.device) -> int:
    """What the device, or the machine and the limits that this process runs under, has left, in MiB."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] // 2**20)
    free: int = psutil.virtual_memory().available // 2**20
    try:  # a container's limit, which the machine's figures do not show
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return min(free, (int(limit) - used) // 2**20) if limit.isdigit() else free
