"""A picture by a UNet with an IP-Adapter, a LoRA or both: the task in the painter's terms."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from impasto.engines.diffusion.blocks import read_blocks, scales_of
from impasto.engines.diffusion.control import control_picture
from impasto.engines.diffusion.digests import digest_of_all
from impasto.engines.diffusion.painter import Request, painter
from impasto.engines.diffusion.reference import ReferenceReader, processor_of
from impasto.engines.parts import Part, Source
from impasto.images import resize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from impasto.engines.diffusion.painter import Painter
    from impasto.engines.diffusion.painting import Task
    from impasto.engines.diffusion.pipelines import OnStep
    from impasto.engines.diffusion.preflight import AdapterFacts

#: How strongly the content acts as the second reference of preserve=strict, in all blocks.
#: Source: Wang et al., "InstantStyle-Plus", 2024, section 4.1.
_CONTENT_SCALE: Final = 0.2


@contextmanager
def adapted(task: Task) -> Iterator[Adapted]:
    """The task on its networks, which are held for it."""
    sources, precision = task.sources, task.precision
    loaded = painter(
        sources.base, sources.family, sources.lora, sources.adapter, task.plan.adapters, precision.device,
        precision.dtype, task.plan.rung, digest_of_all(sources.files(worn=False)),
    )  # fmt: skip
    with loaded.lock:
        loaded.wear(None if sources.style is None else sources.style.path, task.settings.lora_scale)
        yield Adapted(task, loaded)


class Adapted:
    """One picture; implements :class:`impasto.engines.diffusion.painting.Painting`."""

    def __init__(self, task: Task, loaded: Painter) -> None:
        self._task, self._loaded = task, loaded
        self._request = self._asked()

    def paint(self, on_step: OnStep) -> None:
        """See :meth:`impasto.engines.diffusion.painting.Painting.paint`."""
        self._loaded.paint(self._request, self._task.sources.control, on_step)

    def decode(self, latents: Tensor) -> Tensor:
        """See :meth:`impasto.engines.diffusion.painting.Painting.decode`."""
        return self._loaded.decode(latents)

    def glance(self, latents: Tensor) -> Tensor:
        """By the small VAE, if there is one."""
        return self._loaded.glance(latents, self._task.sources.preview)

    def _asked(self) -> Request:
        """The run in the painter's terms."""
        task, loaded = self._task, self._loaded
        settings, plan, sources = task.settings, task.plan, task.sources
        prompt = self._prompt()
        loaded.check_prompt(prompt, "prompt")
        loaded.check_prompt(settings.negative_prompt, "negative_prompt")
        scales: list[dict[str, float]] = []
        embeds: tuple[Tensor, ...] = ()
        masks = None
        if sources.adapter is not None and sources.encoder is not None:
            table = read_blocks(settings.blocks, sources.family)
            scales = [scales_of(table, plan.ip_adapter_scale, loaded.unet)]
            embeds, masks = self._embeds(sources.adapter, sources.encoder), self._masks()
        if plan.adapters == 2:
            scales.insert(0, scales_of({"": 1.0}, _CONTENT_SCALE, loaded.unet))
        height, width = (-(-side // loaded.multiple) * loaded.multiple for side in (plan.height, plan.width))
        padding = (0, width - plan.width, 0, height - plan.height)

        def padded(pixels: Tensor) -> Tensor:
            return F.pad(pixels, padding, mode="replicate")

        seen = task.coloring.seen(task.pixels)
        control = None
        if sources.control is not None and sources.control_kind is not None:
            control = padded(control_picture(seen, sources.control_kind))
        return Request(
            height=height,
            width=width,
            prompt=prompt,
            negative_prompt=settings.negative_prompt,
            start=None if plan.from_noise else padded(task.coloring.seen(task.start)),
            denoise=plan.denoise,
            timetable=plan.timetable,
            control=control,
            control_scale=plan.control_scale,
            embeds=embeds,
            masks=None if masks is None else tuple(padded(mask) for mask in masks),
            scales=tuple(scales),
            guidance_scale=plan.guidance_scale,
            scheduler=plan.scheduler,
            seed=settings.seed,
        )

    def _prompt(self) -> str:
        """What is asked for, with the words that call a trained style."""
        trigger = None if self._task.sources.style is None else self._task.sources.style.trigger
        prompt = self._task.settings.prompt
        if trigger is None or trigger in prompt:
            return prompt
        return f"{trigger}, {prompt}" if prompt else trigger

    def _embeds(self, adapter: AdapterFacts, encoder: Path) -> tuple[Tensor, ...]:
        """What the adapters are told: the styles of every part, and with two adapters first the content."""
        reader = ReferenceReader(
            lambda: self._loaded.encoder(encoder),
            processor_of(encoder),
            digest_of_all([*sorted(encoder.glob("*.safetensors"))]) + str(self._loaded.dtype),
            plus=adapter.plus,
            crop=self._task.settings.crop,
        )
        with torch.no_grad():
            told = [torch.cat([reader.embed(part) for part in self._task.parts], dim=1)]
            if self._task.plan.adapters == 2:
                content = reader.embed(Part(None, (Source(self._task.coloring.seen(self._task.pixels), None, 1.0),)))
                told.insert(0, content)
        return tuple(told)

    def _masks(self) -> tuple[Tensor, ...] | None:
        """Where each part is, for each adapter; None where there is one part, everywhere."""
        parts, size = self._task.parts, (self._task.plan.height, self._task.plan.width)
        if len(parts) == 1 and parts[0].mask is None:
            return None
        whole = torch.ones_like(self._task.pixels[:, :1])
        masks = torch.cat([whole if part.mask is None else resize(part.mask, *size) for part in parts], dim=1)
        masks = masks / masks.sum(1, keepdim=True).clamp_min(1.0)
        return (masks,) if self._task.plan.adapters == 1 else (whole, masks)
