"""diffusers' pipelines: where their networks compute, and how one is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from impasto.engines.diffusion.cost import Rung

    #: Called after each step with its number from 1, the latents, and what the picture is expected to become.
    OnStep = Callable[[int, Tensor, Tensor], None]


def place(pipeline: Any, device: torch.device, rung: Rung) -> None:
    """Have a pipeline's networks come to the device as the rung says; after everything is loaded."""
    if rung in ("offload", "fp8"):
        pipeline.enable_model_cpu_offload(device=device)
    elif rung == "groups":
        pipeline.enable_group_offload(onload_device=device, offload_type="leaf_level", use_stream=device.type == "cuda")
    elif rung == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)


def run_pipeline(
    pipeline: Any, listen: Callable[[Any, list[Tensor]], None], on_step: OnStep, seed: int, **options: Any
) -> Tensor:
    """Call one of diffusers' pipelines up to the latents.

    Args:
        pipeline: with networks where they compute, and a scheduler of its own.
        listen: has the scheduler put into a list, before each step, what the picture is expected to become.
        on_step: called after each step.
        seed: of the noise.
        options: what else the pipeline takes.

    Raises:
        Whatever ``on_step`` raises; the networks are then as before.
    """
    expected: list[Tensor] = []
    listen(pipeline.scheduler, expected)

    def after_step(_: Any, index: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
        on_step(index + 1, values["latents"], expected[-1])
        return {}

    try:
        latents: Tensor = pipeline(
            generator=torch.Generator().manual_seed(seed),  # of the CPU: the same on every device
            callback_on_step_end=after_step,
            callback_on_step_end_tensor_inputs=["latents"],
            output_type="latent",
            **options,
        ).images
    finally:
        pipeline.maybe_free_model_hooks()
    return latents
