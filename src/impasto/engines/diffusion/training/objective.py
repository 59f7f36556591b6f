"""The loss of a training: how well the noise of noisy latents is found, step by step of the diffusion weighted.

Prior pictures have a term of their own, with the weights of their own steps: a weight never meets another picture's
loss, whatever the batch's size.

Source: Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", ICCV 2023, eq. 8; Ruiz et al.,
"DreamBooth", CVPR 2023, eq. 2 (prior preservation).
"""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import torch

from impasto.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.engines.diffusion.training.encoded import Batch
    from impasto.vgg import Precision

Prediction = Literal["epsilon", "v_prediction"]


def snr_weights(alphas: Tensor, times: Tensor, *, gamma: float, prediction: Prediction) -> Tensor:
    """How much the loss at some steps of the diffusion counts.

    Args:
        alphas: cumulative product of the schedule's alphas, by step.
        times: steps, ``(b,)``.
        gamma: the signal-to-noise ratio above which a step counts less; 0: all count alike.
        prediction: what the model finds: the noise or the velocity.

    Returns:
        ``(b,)``.
    """
    if gamma == 0:
        return torch.ones(times.shape, device=times.device)
    kept = alphas.to(times.device)[times].double()
    snr = (kept / (1 - kept)).clamp_min(1e-8)  # 0 at the last step of some schedules
    return (snr.clamp_max(gamma) / (snr if prediction == "epsilon" else snr + 1)).float()


def weighted_loss(found: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean squared error of each picture, weighted, averaged over the pictures.

    Args:
        found: ``(b, c, h, w)``.
        wanted: the same.
        weights: ``(b,)``.
    """
    return ((found.float() - wanted.float()).square().mean((1, 2, 3)) * weights).mean()


class Objective:
    """The loss of one UNet.

    Args:
        unet: with its LoRA.
        scheduler: of the model it belongs to.
        gamma: see :func:`snr_weights`.
        seed: of noise and steps.
        precision: where to compute.

    Raises:
        WeightsError: the model finds neither noise nor velocity.
    """

    def __init__(self, unet: Any, scheduler: Any, *, gamma: float, seed: int, precision: Precision) -> None:
        from diffusers import DDPMScheduler

        self._unet, self._gamma, self._seed, self._precision = unet, gamma, seed, precision
        self._schedule = DDPMScheduler.from_config(scheduler.config)
        self._prediction = self._schedule.config.prediction_type
        if self._prediction not in ("epsilon", "v_prediction"):
            raise WeightsError(
                f"the model's scheduler has prediction_type {self._prediction!r}, of which no training is known; use a "
                "model with epsilon or v_prediction"
            )

    def __call__(self, batch: Batch, number: int, name: str) -> Tensor:
        """The loss on a batch.

        Args:
            batch: on the CPU.
            number: of the batch; with the seed and the name it decides noise and steps.
            name: of the term.
        """
        device = self._precision.device
        dice = torch.Generator().manual_seed(_seed(self._seed, number, name))
        latents = batch.means
        if batch.spreads is not None:
            latents = latents + batch.spreads * torch.randn(latents.shape, generator=dice)
        noise = torch.randn(latents.shape, generator=dice)
        times = torch.randint(len(self._schedule.alphas_cumprod), (len(latents),), generator=dice)
        noisy = self._schedule.add_noise(latents, noise, times)
        wanted = noise
        if self._prediction == "v_prediction":
            wanted = self._schedule.get_velocity(latents, noise, times)
        more: dict[str, Any] = {}
        if batch.pooled is not None:
            more["added_cond_kwargs"] = {"text_embeds": self._there(batch.pooled), "time_ids": batch.times.to(device)}
        low = self._precision.dtype != torch.float32
        with torch.autocast(device.type, dtype=self._precision.dtype) if low else nullcontext():
            found = self._unet(
                self._there(noisy), times.to(device), encoder_hidden_states=self._there(batch.embeds), **more
            ).sample
        weights = snr_weights(self._schedule.alphas_cumprod, times, gamma=self._gamma, prediction=self._prediction)
        return weighted_loss(found, wanted.to(device), weights.to(device))

    def _there(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._precision.device, self._precision.dtype)


def _seed(*facts: object) -> int:
    """A seed of some facts, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(facts).encode()).digest()[:7], "big")
