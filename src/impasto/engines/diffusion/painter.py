"""A loaded model that paints: one set of networks, run by whichever of diffusers' pipelines the job needs.

Runs on one set come one after the other, because pipelines keep state. Scheduler, adapter scales and seed are set at
the beginning of each, so that nothing of a run before is left; an end by an exception leaves the set as it was.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import torch
from torch import Tensor

from impasto.engines.diffusion.loading import (
    STYLE,
    computes_on,
    load_adapter,
    load_base,
    load_control,
    load_encoder,
    load_small_vae,
    load_style,
    merge_lora,
    require_diffusers,
)
from impasto.engines.diffusion.pipelines import place, run_pipeline
from impasto.engines.diffusion.preflight import check_fit
from impasto.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from impasto.engines.diffusion.cost import Rung
    from impasto.engines.diffusion.pipelines import OnStep
    from impasto.engines.diffusion.preflight import AdapterFacts
    from impasto.engines.diffusion.registry import Family


_Loaded = TypeVar("_Loaded")

#: diffusers' pipelines by family, whether a picture is started from, and whether there is a ControlNet.
_PIPELINES: Final[dict[tuple[Family, bool, bool], str]] = {
    ("sdxl", False, False): "StableDiffusionXLPipeline",
    ("sdxl", True, False): "StableDiffusionXLImg2ImgPipeline",
    ("sdxl", False, True): "StableDiffusionXLControlNetPipeline",
    ("sdxl", True, True): "StableDiffusionXLControlNetImg2ImgPipeline",
    ("sd15", False, False): "StableDiffusionPipeline",
    ("sd15", True, False): "StableDiffusionImg2ImgPipeline",
    ("sd15", False, True): "StableDiffusionControlNetPipeline",
    ("sd15", True, True): "StableDiffusionControlNetImg2ImgPipeline",
}
_SCHEDULERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "lightning": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
}
#: So many sets of networks are kept; one is gigabytes.
KEPT = 1
#: Pictures above so many pixels are decoded in tiles.
TILED_ABOVE: Final = 1536**2


@dataclass(frozen=True)
class Request:
    """One run, with all sizes a multiple of what the VAE takes."""

    height: int
    width: int
    prompt: str
    negative_prompt: str
    start: Tensor | None
    """``(1, 3, h, w)`` in [0, 1]; None: pure noise."""
    denoise: float
    """How much of the way from noise to picture is walked, above 0 to 1."""
    timetable: int
    """Steps of the whole way, of which ``denoise`` are done."""
    control: Tensor | None
    control_scale: float
    embeds: tuple[Tensor, ...]
    """For each adapter ``(2, parts, …)``: what stands for no reference, and the reference."""
    masks: tuple[Tensor, ...] | None
    """For each adapter ``(1, parts, h, w)``."""
    scales: tuple[dict[str, float], ...]
    """For each adapter how strongly it acts, by attention processor."""
    guidance_scale: float
    scheduler: str
    seed: int


class Painter:
    """Networks in memory; see :func:`painter` for one that is kept."""

    def __init__(
        self, base: Path, family: Family, lora: Path | None, adapter: AdapterFacts | None, adapters: int,
        device: torch.device, dtype: torch.dtype, rung: Rung,
    ) -> None:  # fmt: skip
        self.lock = threading.Lock()
        self.device, self.dtype = device, dtype
        self._family, self._rung = family, rung
        self._control: tuple[Path, Any] | None = None
        self._preview: tuple[Path, Any] | None = None
        self._style: Path | None = None
        with leaving_no_trace():
            self._base = load_base(base, dtype)
            if lora is not None:
                merge_lora(self._base, lora)
            if adapter is not None:
                check_fit(adapter, self._base.unet)
                tensors = load_adapter(adapter.path)
                self._base.load_ip_adapter(
                    [tensors] * adapters,
                    subfolder="",
                    weight_name=[adapter.path.name] * adapters,
                    image_encoder_folder=None,
                )
            if rung == "fp8":  # after the adapter, which would turn it back
                keep_in_8_bits(self._base.unet, dtype)
            if rung == "whole":
                self._base.to(device)

    @property
    def unet(self) -> Any:
        """The UNet."""
        return self._base.unet

    @property
    def multiple(self) -> int:
        """Pixels that sides must be a multiple of."""
        return int(self._base.vae_scale_factor)

    def encoder(self, folder: Path) -> Any:
        """The network that looks at references; it belongs to the caller."""
        with leaving_no_trace():
            return load_encoder(folder, self.dtype).to(self.device)

    def check_prompt(self, text: str, name: str) -> None:
        """Refuse a text that would be cut.

        Raises:
            SettingsError: it has more tokens than the model reads.
        """
        most = int(self._base.tokenizer.model_max_length)
        count = len(self._base.tokenizer(text).input_ids)
        if count > most:
            raise SettingsError(
                f"{name} has {count - 2} tokens, but the model reads {most - 2}; make it shorter (a token is a short "
                "word or a part of a long one)"
            )

    def wear(self, style: Path | None, scale: float) -> None:
        """Put on a LoRA, or take off the one that is on; the networks are then what they were before, bit for bit.

        Args:
            style: its file, which was checked (lora.py); None: none.
            scale: how strongly it acts.

        Raises:
            WeightsError: it cannot be loaded; none is on then.
        """
        if self._style == style and style is None:
            return
        # A run before has left the hooks that move networks, and diffusers would put them back for its own device.
        self._base.remove_all_hooks()
        if self._style is not None and self._style != style:
            self._undress()
        if style is None:
            return
        if self._style is None:
            with leaving_no_trace():
                try:
                    load_style(self._base, style)
                except BaseException:
                    self._undress()  # what a load that failed leaves behind would be in the way of the next
                    raise
            self._style = style
        self._base.set_adapters([STYLE], [scale])

    def _undress(self) -> None:
        self._base.unload_lora_weights()
        self._style = None

    def paint(self, request: Request, control: Path | None, on_step: OnStep) -> Tensor:
        """Run it.

        Returns:
            The latents.

        Raises:
            Whatever ``on_step`` raises; the networks are then as before.
        """
        pipeline = self._pipeline(request, control)
        guided = request.guidance_scale > 1
        options: dict[str, Any] = {}
        if request.masks is not None:
            options["cross_attention_kwargs"] = {
                "ip_adapter_masks": [mask.to(self.device, self.dtype) for mask in request.masks]
            }
        if request.start is not None:
            options |= {"image": request.start, "strength": request.denoise}
        if request.start is None or request.control is not None:
            options |= {"height": request.height, "width": request.width}
        if request.control is not None:
            picture = "image" if request.start is None else "control_image"
            options |= {picture: request.control, "controlnet_conditioning_scale": request.control_scale}
        if request.embeds:
            options["ip_adapter_image_embeds"] = [
                (each if guided else each[1:]).to(self.device, self.dtype) for each in request.embeds
            ]
            self._set_scales(request.scales)
        return run_pipeline(
            pipeline,
            _listen,
            on_step,
            request.seed,
            prompt=request.prompt,
            # Left out it is zeros in SDXL; an empty text would be read.
            negative_prompt=request.negative_prompt or None,
            num_inference_steps=request.timetable,
            guidance_scale=request.guidance_scale,
            **options,
        )

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents as a picture, ``(1, 3, h, w)`` float32 in [0, 1] on the CPU."""
        vae = self._base.vae
        upcast = vae.dtype == torch.float16 and bool(getattr(vae.config, "force_upcast", False))
        if upcast:  # SDXL's VAE leaves float16's range
            vae.to(torch.float32)
        tiled = latents.shape[-1] * latents.shape[-2] * self.multiple**2 > TILED_ABOVE or self._rung != "whole"
        (vae.enable_tiling if tiled else vae.disable_tiling)()
        try:
            decoded = vae.decode(latents.to(computes_on(vae), vae.dtype) / vae.config.scaling_factor).sample
        finally:
            if upcast:
                vae.to(torch.float16)
        return in_range(decoded)

    @torch.no_grad()
    def glance(self, latents: Tensor, small: Path | None) -> Tensor:
        """About what :meth:`decode` gives, quickly where there is a small VAE for previews."""
        if small is None:
            return self.decode(latents)
        if self._preview is None or self._preview[0] != small:
            with leaving_no_trace():
                self._preview = small, load_small_vae(small, self.dtype).to(self.device)
        vae = self._preview[1]
        return in_range(vae.decode(latents.to(self.device, self.dtype)).sample)

    def _pipeline(self, request: Request, control: Path | None) -> Any:
        import diffusers

        kind = getattr(diffusers, _PIPELINES[self._family, request.start is not None, request.control is not None])
        # Not from_pipe(), which drops a VAE that is an AutoencoderTiny.
        parts = dict(self._base.components)
        if self._family == "sdxl":
            parts |= {
                "force_zeros_for_empty_prompt": self._base.config.force_zeros_for_empty_prompt,
                "add_watermarker": False,
            }
        else:
            parts["requires_safety_checker"] = False
        if control is not None and request.control is not None:
            parts["controlnet"] = self._controlnet(control)
        parts["scheduler"] = self._scheduler(request.scheduler)
        pipeline = kind(**parts)
        pipeline.set_progress_bar_config(disable=True)
        place(pipeline, self.device, self._rung)
        return pipeline

    def _controlnet(self, folder: Path) -> Any:
        if self._control is None or self._control[0] != folder:
            with leaving_no_trace():
                net = load_control(folder, self.dtype)
                if self._rung == "fp8":
                    keep_in_8_bits(net, self.dtype)
                self._control = folder, net.to(self.device) if self._rung == "whole" else net
        return self._control[1]

    def _scheduler(self, name: str) -> Any:
        import diffusers

        own = self._base.scheduler
        if name == "own":
            kinds = {kind: name for name, (kind, _) in _SCHEDULERS.items() if name != "lightning"}
            name = kinds.get(type(own).__name__, "euler")
        kind, changes = _SCHEDULERS[name]
        return getattr(diffusers, kind).from_config(own.config, **changes)

    def _set_scales(self, scales: Sequence[dict[str, float]]) -> None:
        for name, processor in self._base.unet.attn_processors.items():
            if name.endswith("attn2.processor"):
                processor.scale = [each[name] for each in scales]


_kept: dict[tuple[object, ...], Any] = {}
_loading = threading.Lock()


def painter(
    base: Path, family: Family, lora: Path | None, adapter: AdapterFacts | None, adapters: int, device: torch.device,
    dtype: torch.dtype, rung: Rung, version: str,  # other files under the same names are another model
) -> Painter:  # fmt: skip
    """The networks of a model, kept until others are asked for.

    Raises:
        MissingExtraError, WeightsError: they cannot be loaded.
    """
    key = (base, family, lora, adapter, adapters, device, dtype, rung, version)
    return keep(key, lambda: Painter(base, family, lora, adapter, adapters, device, dtype, rung))


def keep(key: tuple[object, ...], load: Callable[[], _Loaded]) -> _Loaded:
    """What is loaded under a key; it is kept until others are asked for.

    Raises:
        MissingExtraError, WeightsError: it cannot be loaded.
    """
    with _loading:  # two sets at once may be more than there is room for
        if key not in _kept:
            while len(_kept) >= KEPT:
                del _kept[next(iter(_kept))]
            require_diffusers()
            _kept[key] = load()
        found: _Loaded = _kept[key]
        return found


def forget() -> None:
    """Let go of all networks, and of the GPU's memory that they had."""
    with _loading:
        _kept.clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _listen(scheduler: Any, expected: list[Tensor]) -> None:
    """Have a scheduler tell after each step what it expects the picture to become."""
    step = scheduler.step

    @wraps(step)  # pipelines look at its parameters to decide whether it takes the generator
    def told(*args: Any, **named: Any) -> Any:
        result = step(*args, **named)
        expected[:] = [result[1] if isinstance(result, tuple) and len(result) > 1 else result[0]]
        return result

    scheduler.step = told


def keep_in_8_bits(net: Any, dtype: torch.dtype) -> None:
    """Have a network's layers keep their weights in fp8 and compute in another format.

    Not those that bring what they are given into their weights' own format, which fp8 would round to nothing.
    """
    net.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype, skip_modules_pattern=("norm", "^encoder_hid_proj")
    )


def in_range(decoded: Tensor) -> Tensor:
    """What a VAE gives as a picture: float32 in [0, 1] on the CPU."""
    return (decoded.float() / 2 + 0.5).clamp(0, 1).cpu()


@contextmanager
def leaving_no_trace() -> Iterator[None]:
    """Loading draws numbers, and weights that are made in inference mode could not be trained later."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.no_grad():
        yield
