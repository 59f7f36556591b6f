"""Settings of the engine ``diffusion``. Its recipes come from the papers named in ``impasto.engines.diffusion``."""

from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from impasto.settings.base import PictureSettings

Preserve = Literal["free", "balanced", "strict"]

#: Settings about the picture that is painted over; a picture from words has none.
OF_A_CONTENT: Final = frozenset(
    {
        "color",
        "color_when",
        "control",
        "control_model",
        "control_scale",
        "image_size",
        "init",
        "palette",
        "preserve",
        "strength",
    }
)


class DiffusionSettings(PictureSettings):
    """Settings of the engine ``diffusion`` (IP-Adapter); immutable, complete, checked on creation."""

    owner: ClassVar[str] = "engine diffusion"
    default_px: ClassVar[int] = 1024

    image_size: int | None = Field(
        None, ge=16, le=4096, description="longer side of the output in pixels; by default the model's own (SDXL: 1024)"
    )
    model: str | None = Field(
        None,
        description="name of a model (impasto models list) or path of a folder in the layout of diffusers; by default "
        "sdxl",
    )
    preserve: Preserve = Field(
        "balanced",
        description="how the content is kept: free (its size alone, with the prompt), balanced (the picture it starts "
        "from and a ControlNet) or strict (besides, the content is a second reference)",
    )
    prompt: str = Field(
        "",
        max_length=2000,
        description="what is to be seen, in words; for flux2-klein what is to be done, in place of its own words",
    )
    negative_prompt: str = Field("", max_length=2000, description="what is not to be seen, in words")
    guidance_scale: float | None = Field(
        None, ge=0, le=30, allow_inf_nan=False, description="how strongly prompt and style pull; by default the model's"
    )
    adapter: Literal["base", "plus", "none"] | None = Field(
        None,
        description="which IP-Adapter: base (the style as a whole), plus (closer to the reference) or none (a LoRA "
        "alone gives the style); by default base, with a LoRA none",
    )
    ip_adapter: str | None = Field(
        None, description="path of an IP-Adapter's .safetensors file, in place of the model's own"
    )
    ip_adapter_scale: float | None = Field(
        None,
        ge=0,
        le=3,
        allow_inf_nan=False,
        description="how strongly the style is imposed; by default 1, with preserve=strict 1.2",
    )
    lora: str | None = Field(
        None, description="path of a LoRA's .safetensors file; a style that was trained for diffusion brings its own"
    )
    lora_scale: float = Field(1.0, ge=0, le=3, allow_inf_nan=False, description="how strongly the LoRA acts")
    blocks: str = Field(
        "style",
        min_length=1,
        description="where in the network the style acts: style, style+layout or all; or blocks by name, each with an "
        "optional weight: up_blocks.0.attentions.1=0.8",
    )
    crop: Literal["center", "squash", "tiles"] = Field(
        "center",
        description="what is seen of a style that is not square: its middle, all of it squeezed, or several squares",
    )
    control: Literal["auto", "none", "tile", "canny", "lineart"] = Field(
        "auto",
        description="what a ControlNet holds on to: tile (colours and shapes), canny (edges), lineart (soft edges); "
        "auto: what the model comes with, and none with preserve=free",
    )
    control_model: str | None = Field(None, description="path of a ControlNet's folder, in place of the model's own")
    control_scale: float | None = Field(
        None, ge=0, le=2, allow_inf_nan=False, description="how strongly it does; by default 0.4, with strict 0.5"
    )
    scheduler: Literal["auto", "euler", "euler-ancestral", "ddim", "lcm", "lightning"] = Field(
        "auto", description="solver of the diffusion; auto: the model's own"
    )
    steps: int | None = Field(None, ge=0, le=1000, description="denoising steps; by default the model's own")
    init: str = Field(
        "content",
        min_length=1,
        description="the picture to start from: content, fast (what engine fast paints), noise, style or the path of a "
        "picture",
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of the noise")
    memory: Literal["auto", "whole", "offload", "fp8", "groups", "sequential"] = Field(
        "auto",
        description="how a GPU's memory is spared, each slower than the one before: whole, offload (networks come in "
        "turn), fp8 (and the largest is kept in 8 bits), groups (a few layers come in turn), sequential (one layer); "
        "auto: the first that fits",
    )
    accept_license: bool = Field(
        False, description="use a model whose licence forbids commercial use, as `impasto models list` says"
    )

    @model_validator(mode="after")
    def _something_gives_the_style(self) -> Self:
        if self.adapter != "none":
            return self
        if self.lora is None:
            raise ValueError("adapter=none needs a LoRA, which gives the style; give lora, or leave adapter out")
        if self.ip_adapter is not None:
            raise ValueError("ip_adapter is given, and adapter=none uses none; leave one of them out")
        return self

    @model_validator(mode="after")
    def _strict_has_an_adapter(self) -> Self:
        if self.preserve == "strict" and (self.adapter == "none" or (self.adapter is None and self.lora is not None)):
            raise ValueError(
                "preserve=strict shows the content to an IP-Adapter, and beside a LoRA there is none by default; give "
                "adapter=base, or preserve=balanced"
            )
        return self
