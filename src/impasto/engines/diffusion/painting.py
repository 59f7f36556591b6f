"""One picture to be painted, and what the engine calls to have it painted, whatever the model's family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.engines.coloring import Coloring
    from impasto.engines.diffusion.pipelines import OnStep
    from impasto.engines.diffusion.plan import Plan
    from impasto.engines.diffusion.sources import Sources
    from impasto.engines.parts import Part
    from impasto.settings import DiffusionSettings
    from impasto.vgg import Precision


@dataclass(frozen=True)
class Task:
    """One picture, with everything about it decided."""

    settings: DiffusionSettings
    sources: Sources
    plan: Plan
    precision: Precision
    pixels: Tensor
    """The content ``(1, 3, h, w)`` at the output's size, nothing transparent."""
    start: Tensor
    """What the way back from noise begins at, likewise."""
    parts: tuple[Part, ...]
    """The styles, recoloured as far as that comes before the run."""
    coloring: Coloring


class Painting(Protocol):
    """A task on networks that are loaded and held."""

    def paint(self, on_step: OnStep) -> None:
        """Run it; what ``on_step`` raises comes out, and the networks are then as before."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents that a step told of as a picture, ``(1, 3, h, w)`` float32 in [0, 1] on the CPU; padding is kept."""

    def glance(self, latents: Tensor) -> Tensor:
        """About the same, quickly where the model can."""
