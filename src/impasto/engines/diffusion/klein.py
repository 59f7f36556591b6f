"""FLUX.2 klein: it is shown the content and the styles as pictures, is told what to do, and paints in a few steps.

Its pipeline does the work. What is ours: sides that the model cannot paint, a look at what the picture is expected to
become, decoding what a step told of, and leaving by an exception.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from PIL import Image

from impasto.engines.diffusion.digests import digest_of_all
from impasto.engines.diffusion.editing import LEAST_PX, MOST_PIXELS, MOST_TIMES
from impasto.engines.diffusion.loading import computes_on, load_editor
from impasto.engines.diffusion.painter import TILED_ABOVE, in_range, keep, keep_in_8_bits, leaving_no_trace
from impasto.engines.diffusion.pipelines import place, run_pipeline
from impasto.engines.diffusion.reference import shown
from impasto.errors import SettingsError
from impasto.images import resize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.diffusion.cost import Rung
    from impasto.engines.diffusion.painting import Task
    from impasto.engines.diffusion.pipelines import OnStep


@dataclass(frozen=True)
class EditRequest:
    """One run, with both sides a multiple of what the model takes."""

    height: int
    width: int
    prompt: str
    pictures: tuple[Tensor, ...]
    """``(1, 3, h, w)`` in [0, 1], in the order in which they are shown: the content, then the styles."""
    steps: int
    guidance_scale: float
    seed: int


class KleinPainter:
    """Networks in memory."""

    def __init__(self, base: Path, device: torch.device, dtype: torch.dtype, rung: Rung) -> None:
        self.lock = threading.Lock()
        self._device, self._rung = device, rung
        with leaving_no_trace():
            self._base = load_editor(base, dtype)
            if rung == "fp8":
                keep_in_8_bits(self._base.transformer, dtype)
            if rung == "whole":
                self._base.to(device)

    @property
    def multiple(self) -> int:
        """Pixels that sides must be a multiple of: what one place of the transformer stands for."""
        return 2 * int(self._base.vae_scale_factor)

    def check_prompt(self, text: str) -> None:
        """Refuse a text that would be cut.

        Raises:
            SettingsError: it has more tokens than the model reads.
        """
        tokenizer, most = self._base.tokenizer, int(self._base.tokenizer_max_length)
        said = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        count = len(tokenizer(said).input_ids)
        if count > most:
            raise SettingsError(
                f"prompt has {count} tokens, but the model reads {most}; make it shorter (a token is a short word or a "
                "part of a long one)"
            )

    def paint(self, request: EditRequest, on_step: OnStep) -> None:
        """Run it.

        Raises:
            Whatever ``on_step`` raises; the networks are then as before.
        """
        run_pipeline(
            self._pipeline(),
            _listen,
            on_step,
            request.seed,
            image=[_picture(pixels) for pixels in request.pictures],
            prompt=request.prompt,
            height=request.height,
            width=request.width,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
        )

    @torch.no_grad()
    def decode(self, latents: Tensor, height: int, width: int) -> Tensor:
        """Latents as the transformer has them, one place behind the other, as a picture of that size.

        Returns:
            ``(1, 3, h, w)`` float32 in [0, 1] on the CPU.
        """
        vae = self._base.vae
        rows, columns = height // self.multiple, width // self.multiple
        latents = latents.to(computes_on(vae), vae.dtype)
        grid = latents.mT.reshape(latents.shape[0], -1, rows, columns)
        mean, variance = (each.to(grid).view(1, -1, 1, 1) for each in (vae.bn.running_mean, vae.bn.running_var))
        grid = grid * torch.sqrt(variance + vae.config.batch_norm_eps) + mean
        (vae.enable_tiling if height * width > TILED_ABOVE or self._rung != "whole" else vae.disable_tiling)()
        return in_range(vae.decode(F.pixel_shuffle(grid, 2)).sample)  # a place is 2 by 2 of the VAE's

    def _pipeline(self) -> Any:
        """A new one around the same networks: what a run sets on it is gone with it."""
        scheduler = self._base.scheduler
        parts = {**self._base.components, "scheduler": type(scheduler).from_config(scheduler.config)}
        pipeline = type(self._base)(**parts, is_distilled=self._base.config.is_distilled)
        pipeline.set_progress_bar_config(disable=True)
        place(pipeline, self._device, self._rung)
        return pipeline


@contextmanager
def edited(task: Task) -> Iterator[Edited]:
    """The task on its networks, which are held for it."""
    base, rung = task.sources.base, task.plan.rung
    device, dtype = task.precision.device, task.precision.dtype
    key = (KleinPainter, base, device, dtype, rung, digest_of_all(task.sources.files()))
    loaded = keep(key, lambda: KleinPainter(base, device, dtype, rung))
    with loaded.lock:
        yield Edited(task, loaded)


class Edited:
    """One picture; implements :class:`impasto.engines.diffusion.painting.Painting`."""

    def __init__(self, task: Task, loaded: KleinPainter) -> None:
        loaded.check_prompt(task.settings.prompt)
        plan, self._loaded = task.plan, loaded
        self._height, self._width = padded_size(plan.height, plan.width, loaded.multiple)
        content = F.pad(
            task.coloring.seen(task.pixels),
            (0, self._width - plan.width, 0, self._height - plan.height),
            mode="replicate",
        )
        self._request = EditRequest(
            height=self._height,
            width=self._width,
            prompt=task.settings.prompt,
            pictures=(
                _small_enough(content, loaded.multiple),
                *(shown(source) for part in task.parts for source in part.sources),
            ),
            steps=plan.timetable,
            guidance_scale=plan.guidance_scale,
            seed=task.settings.seed,
        )

    def paint(self, on_step: OnStep) -> None:
        """See :meth:`impasto.engines.diffusion.painting.Painting.paint`."""
        self._loaded.paint(self._request, on_step)

    def decode(self, latents: Tensor) -> Tensor:
        """See :meth:`impasto.engines.diffusion.painting.Painting.decode`."""
        return self._loaded.decode(latents, self._height, self._width)

    def glance(self, latents: Tensor) -> Tensor:
        """The same: there is no small VAE for it here."""
        return self.decode(latents)


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """The least size that holds a picture and that the model can both paint and be shown.

    Example:
        >>> padded_size(1000, 100, 16)
        (1008, 128)
    """
    height, width = (max(side, LEAST_PX, -(-other // MOST_TIMES)) for side, other in ((height, width), (width, height)))
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def _small_enough(pixels: Tensor, multiple: int) -> Tensor:
    """A picture as large as the model is shown one: its pipeline would cut the edges off what it makes smaller."""
    height, width = pixels.shape[-2:]
    factor = sqrt(MOST_PIXELS / (height * width))
    if factor >= 1:
        return pixels
    height, width = (int(side * factor) // multiple * multiple for side in (height, width))
    return resize(pixels, min(height, MOST_TIMES * width), min(width, MOST_TIMES * height))


def _picture(pixels: Tensor) -> Image.Image:
    return Image.fromarray((pixels[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def _listen(scheduler: Any, expected: list[Tensor]) -> None:
    """Have a scheduler tell before each step what the picture is expected to become.

    The transformer tells the way from picture to noise, on which the step is at its share of noise.
    """
    step = scheduler.step

    def told(output: Tensor, timestep: Tensor, sample: Tensor, **named: Any) -> Any:
        expected[:] = [sample - timestep / scheduler.config.num_train_timesteps * output]
        return step(output, timestep, sample, **named)

    scheduler.step = told
