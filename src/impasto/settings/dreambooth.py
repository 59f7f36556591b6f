"""Settings of training a LoRA for engine ``diffusion`` (DreamBooth)."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from impasto.settings.base import Settings


class DreamBoothTraining(Settings):
    """Training a LoRA on pictures of one style; immutable, complete, checked on creation."""

    owner: ClassVar[str] = "training"

    model: str | None = Field(
        None,
        description="what the LoRA is trained on: name of a model (impasto models list) or path of a folder in the "
        "layout of diffusers; by default sdxl",
    )
    trigger: str | None = Field(
        None, max_length=100, description="words that call the style; by default the output's name with style behind"
    )
    steps: int = Field(1000, ge=1, le=1_000_000, description="steps of the whole training")
    batch: int = Field(1, ge=1, le=256, description="pictures that are computed at once")
    accumulation: int = Field(4, ge=1, le=256, description="batches a step")
    size: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="pictures have as many pixels as a square of this side; by default the model's own (SDXL: 1024)",
    )
    learning_rate: float = Field(
        1e-4, gt=0, le=0.1, allow_inf_nan=False, description="AdamW's, after a warm-up; it falls along a cosine"
    )
    target: Literal["attention", "style_block"] = Field(
        "attention",
        description="what is trained: attention (all attention layers) or style_block (those of the block that carries "
        "style: a smaller LoRA that leaves shapes alone)",
    )
    rank: int = Field(16, ge=1, le=1024, description="of the LoRA: how much it can hold")
    alpha: float | None = Field(
        None, gt=0, le=4096, allow_inf_nan=False, description="the LoRA acts alpha ÷ rank strongly; by default the rank"
    )
    snr_gamma: float = Field(
        5.0,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="how far steps with little noise count less (min-SNR); 0: off",
    )
    prior_prompt: str | None = Field(
        None,
        max_length=500,
        description="what pictures show that shall stay as they are without the trigger, such as a photo; by default "
        "no prior is preserved",
    )
    prior_weight: float = Field(1.0, gt=0, le=100, allow_inf_nan=False, description="how much these count")
    prior_count: int = Field(
        50, ge=1, le=10_000, description="how many of them the model paints, where no pictures are given"
    )
    sample_every: int = Field(200, ge=0, le=1_000_000, description="steps between two grids of samples; 0: none")
    sample_prompts: tuple[str, ...] | None = Field(
        None, min_length=1, max_length=8, description="what the samples show; by default the first four captions"
    )
    sample_steps: int = Field(20, ge=1, le=1000, description="denoising steps of samples and of painted prior pictures")
    checkpointing: Literal["on", "off"] = Field(
        "on", description="on: activations are computed again where they are needed, in less memory"
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of everything that is drawn")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the model's computation; auto: bfloat16 where the processor is fast at it"
    )
    accept_license: bool = Field(
        False, description="use a model whose licence forbids commercial use, as `impasto models list` says"
    )
    force: bool = Field(False, description="train on a CPU even if it takes days")

    @property
    def scaling(self) -> float:
        """How strongly the LoRA acts."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    @model_validator(mode="after")
    def _sizes_are_whole(self) -> Self:
        if self.trigger is not None and not self.trigger.strip():
            raise ValueError("trigger is empty; give words that call the style, or leave it out")
        return self
