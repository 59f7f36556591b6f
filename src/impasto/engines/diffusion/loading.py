"""Loads a checked model from its folder into diffusers' classes: safetensors only, from the disk, no code of its own.

One set of components serves all ways to run it. What is asked of files before is in preflight.py.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors.torch import load_file

from impasto.engines.diffusion.preflight import check_base, refuse_pickle
from impasto.errors import MissingExtraError, WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

#: What a LoRA is called on the networks that wear it.
STYLE: Final = "style"
#: Packages of the extra that must be there.
_PACKAGES: Final = ("diffusers", "transformers", "accelerate", "peft")


def require_diffusers() -> None:
    """Check that the extra is installed, and keep the log lines of its libraries to errors.

    Raises:
        MissingExtraError: it is not.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"engine diffusion needs {', '.join(missing)}: pip install torch=={torch.__version__.split('+')[0]} "
            "'impasto[diffusion]'"
        )
    # Both tell of the absence of torchvision, which is not needed, when they are first imported.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    from diffusers.utils import logging as diffusers_logging
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()


def load_base(folder: Path, dtype: torch.dtype | dict[str, torch.dtype]) -> Any:
    """The text-to-image pipeline of a model's folder, on the CPU.

    Args:
        folder: in diffusers' layout.
        dtype: of the networks, or of each by its name, with ``default`` for the others.

    Returns:
        A ``StableDiffusionXLPipeline`` or ``StableDiffusionPipeline``, without safety checker and watermark.

    Raises:
        MissingExtraError: the extra is not installed.
        WeightsError: see :func:`impasto.engines.diffusion.preflight.check_base`.
    """
    require_diffusers()
    family = check_base(folder)
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    halves = (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
    whole = (folder / "unet" / "diffusion_pytorch_model.safetensors").is_file()
    common: dict[str, Any] = {
        "use_safetensors": True,
        "local_files_only": True,
        "dtype": dtype,
        "variant": "fp16" if halves and not whole else None,
        "image_encoder": None,  # references are looked at apart from the pipeline (reference.py)
        "feature_extractor": None,
    }
    try:
        if family == "sdxl":
            return StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False, **common)
        return StableDiffusionPipeline.from_pretrained(
            folder, safety_checker=None, requires_safety_checker=False, **common
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise WeightsError(f"{folder} cannot be loaded: {_first_line(error)}; download the model again") from error


def load_editor(folder: Path, dtype: torch.dtype) -> Any:
    """The ``Flux2KleinPipeline`` of a model's folder, on the CPU.

    Raises:
        MissingExtraError: the extra is not installed.
        WeightsError: see :func:`impasto.engines.diffusion.preflight.check_base`.
    """
    require_diffusers()
    check_base(folder)
    from diffusers import Flux2KleinPipeline

    return _loaded(Flux2KleinPipeline, folder, dtype=dtype)


def computes_on(network: Any) -> torch.device:
    """Where a network computes: with offloading that is not where its weights lie between two runs."""
    from diffusers.utils.torch_utils import get_module_execution_device

    return torch.device(get_module_execution_device(network))


def load_control(folder: Path, dtype: torch.dtype) -> Any:
    """A ControlNet that was checked before."""
    from diffusers import ControlNetModel

    return _loaded(ControlNetModel, folder, dtype=dtype)


def load_small_vae(folder: Path, dtype: torch.dtype) -> Any:
    """TAESD, for previews."""
    from diffusers import AutoencoderTiny

    return _loaded(AutoencoderTiny, folder, dtype=dtype)


def load_encoder(folder: Path, dtype: torch.dtype) -> Any:
    """The network that looks at references."""
    from transformers import CLIPVisionModelWithProjection

    return _loaded(CLIPVisionModelWithProjection, folder, dtype=dtype)


def load_adapter(path: Path) -> dict[str, dict[str, Tensor]]:
    """An IP-Adapter's tensors, in the two groups that diffusers takes."""
    refuse_pickle(path)
    groups: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(path).items():
        group, _, rest = name.partition(".")
        if group in groups:
            groups[group][rest] = tensor
    return groups


def merge_lora(pipeline: Any, path: Path) -> None:
    """Merge a LoRA into a pipeline's weights, for good.

    Raises:
        WeightsError: it is a pickle, or does not fit.
    """
    refuse_pickle(path)
    try:
        pipeline.load_lora_weights(load_file(path), adapter_name="merged")
        pipeline.fuse_lora()
        pipeline.unload_lora_weights()
    except (ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path.name} does not fit the model: {_first_line(error)}") from error


def load_style(pipeline: Any, path: Path) -> None:
    """Put a LoRA onto a pipeline's networks, as the adapter ``STYLE``.

    Raises:
        WeightsError: it is a pickle, or does not fit.
    """
    refuse_pickle(path)
    try:
        pipeline.load_lora_weights(load_file(path), adapter_name=STYLE)
    except (ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path.name} does not fit the model: {_first_line(error)}") from error


def _loaded(kind: Any, folder: Path, **options: Any) -> Any:
    try:
        return kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise WeightsError(f"{folder} cannot be loaded: {_first_line(error)}; download it again") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
