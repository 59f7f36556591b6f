"""Settings of training engine ``fast``'s networks."""

from typing import ClassVar, Literal

from pydantic import Field

from impasto.settings.base import Settings, Weight


class TrainSettings(Settings):
    """What every training takes; immutable, complete, checked on creation."""

    owner: ClassVar[str] = "training"

    steps: int = Field(4000, ge=1, le=10_000_000, description="steps of the whole training")
    batch: int = Field(8, ge=1, le=1024, description="pictures a step")
    size: int = Field(192, ge=64, le=1024, multiple_of=32, description="side of the crops in pixels")
    learning_rate: float = Field(
        1e-3, gt=0, le=0.1, allow_inf_nan=False, description="Adam's, after a warm-up; it falls along a cosine"
    )
    content_weight: Weight = Field(0.3, description="how strongly the photo's shapes are held on to")
    style_weight: Weight = Field(1.0, description="how strongly the style is imposed")
    tv_weight: Weight = Field(0.5, description="how strongly speckle is smoothed away (total variation)")
    stability_weight: Weight = Field(
        10.0, description="how steady a picture is painted when it moves, is lit otherwise or is noisy (last third)"
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of everything that is drawn")
    cache_mb: int = Field(
        4096,
        ge=0,
        le=2**20,
        description="MiB for crops and what the loss network found in them; 0: found anew each time",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the networks' computation; auto: bfloat16 where the processor is fast at it"
    )


class AnyStyleTraining(TrainSettings):
    """Training a network for any style; what the shipped one was trained with says its model card."""

    identity_weight: Weight = Field(1.0, description="how much a picture in its own style stays as it is")


class OneStyleTraining(TrainSettings):
    """Training a network for one style."""

    steps: int = Field(320, ge=1, le=10_000_000, description="steps of the whole training")
    cache_mb: int = Field(2048, ge=0, le=2**20, description=TrainSettings.model_fields["cache_mb"].description)
    trains: Literal["code", "all", "scratch"] = Field(
        "all",
        description="code (the style's code only, on the shipped network), all (its weights too) or scratch (a new "
        "network, Johnson et al.)",
    )
    style_scale: float = Field(
        1.0, ge=0.25, le=4, allow_inf_nan=False, description="size of strokes: above 1 larger ones, below 1 finer ones"
    )
