"""Paints with a model while its LoRA is trained: grids of samples, and pictures of the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from impasto.images import Picture, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.diffusion.training.encoded import Text
    from impasto.progress import CancelToken
    from impasto.vgg import Precision


class Sampler:
    """Paints prompts with a pipeline whose text encoders are no longer needed.

    Args:
        pipeline: with UNet, VAE and scheduler.
        nothing: what stands for no prompt.
        size: height and width of what is painted.
        steps: of denoising.
        guidance: how strongly the prompt pulls.
        precision: of the UNet.
    """

    def __init__(
        self, pipeline: Any, nothing: Text, *, size: tuple[int, int], steps: int, guidance: float, precision: Precision
    ) -> None:
        self._pipeline, self._nothing, self._size = pipeline, nothing, size
        self._steps, self._guidance, self._precision = steps, guidance, precision

    @torch.no_grad()
    def paint(self, text: Text, seed: int) -> Tensor:
        """One picture ``(3, h, w)`` in [0, 1] on the CPU."""
        pipeline = self._pipeline
        given: dict[str, Any] = {
            "prompt_embeds": self._there(text.embeds),
            "negative_prompt_embeds": self._there(self._nothing.embeds),
        }
        if text.pooled is not None and self._nothing.pooled is not None:
            given["pooled_prompt_embeds"] = self._there(text.pooled)
            given["negative_pooled_prompt_embeds"] = self._there(self._nothing.pooled)
        latents = pipeline(
            **given,
            height=self._size[0],
            width=self._size[1],
            num_inference_steps=self._steps,
            guidance_scale=self._guidance,
            generator=torch.Generator().manual_seed(seed),  # of the CPU: the same on every device
            output_type="latent",
        ).images
        vae = pipeline.vae
        decoded = vae.decode(latents.to(vae.device, vae.dtype) / vae.config.scaling_factor).sample
        painted: Tensor = (decoded.float() / 2 + 0.5).clamp(0, 1)[0].cpu()
        return painted

    def grid(self, texts: Sequence[Text], seed: int) -> Tensor:
        """One sample of each prompt, the same noise without the LoRA above and with it below, ``(3, h, w)``."""
        unet = self._pipeline.unet
        unet.disable_adapters()
        try:
            without = [self.paint(text, seed + index) for index, text in enumerate(texts)]
        finally:
            unet.enable_adapters()
        worn = [self.paint(text, seed + index) for index, text in enumerate(texts)]
        return torch.cat([torch.cat(without, dim=2), torch.cat(worn, dim=2)], dim=1)

    def _there(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._precision.device, self._precision.dtype)


def paint_prior(folder: Path, count: int, seed: int, paint: Callable[[int], Tensor], cancel: CancelToken) -> list[Path]:
    """Pictures of what shall stay as it is, painted by the model itself; those that lie there are taken.

    Raises:
        OutputError: one cannot be written.
        Cancelled: the token was cancelled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:04}.png" for index in range(count)]
    for index, path in enumerate(paths):
        cancel.check()
        if not path.is_file():
            write(Picture(paint(seed + index)), path)
    return paths
