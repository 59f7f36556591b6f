"""What every engine takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from impasto.images import Picture, write

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from impasto.engines.frames import FramePainter
    from impasto.progress import CancelToken, OnProgress
    from impasto.recipe import Recipe, Scale


@dataclass(frozen=True)
class TracePoint:
    """The loss at one step: before it (Adam), or reached by it (L-BFGS)."""

    scale_px: int
    """Longer side of the picture at that scale."""
    step: int
    """From 1 at each scale."""
    loss: float
    terms: Mapping[str, float]


@dataclass(frozen=True)
class Region:
    """A part of the content that takes its own style."""

    mask: Picture
    """White where the content belongs to the region; soft edges are kept. Another size is resampled."""
    style: Picture
    style_mask: Picture | None = None
    """White where the style gives; None: everywhere."""


@dataclass(frozen=True)
class RunPlan:
    """What a run will do and about what it will cost, known before its first step."""

    width: int
    """Of the output, pixels."""
    height: int
    scales: tuple[Scale, ...]
    memory: Literal["whole", "strips", "tiles", "offload", "fp8", "groups", "sequential"]
    """The picture at once; activations computed again a few rows at a time; the picture piece by piece; or, of engine
    diffusion, which networks are on the GPU at a time."""
    memory_mb: int
    """Estimated peak of the process (on a GPU: of the device), MiB."""
    free_mb: int
    seconds: float
    """Estimated from a step that was timed on this machine."""


@dataclass(frozen=True)
class Stylization:
    """A finished picture with the evidence of how it came about."""

    picture: Picture
    """Its pixels are multiples of 1/255, or of 1/65535 with 16 bits: exactly what a lossless file holds."""
    recipe: Recipe
    trace: tuple[TracePoint, ...] = field(repr=False)
    timings: Mapping[str, float]
    """Seconds by phase: ``prepare``, one per scale (``256x192``), ``total``."""
    peak_memory_mb: float
    """Highest memory of the process so far (on a GPU: of the device), MiB."""
    stopped_early: bool
    """Whether a time budget or a stop ended it before its planned steps."""

    def save(self, path: str | os.PathLike[str], *, metadata: bool = True, quality: int = 95) -> Path:
        """Write the picture, with its recipe inside unless ``metadata`` is False.

        Args:
            path: the extension decides the format.
            metadata: whether the recipe goes into the file.
            quality: of JPEG, WebP and AVIF, 1..100.

        Raises:
            OutputError: it cannot be written there; what was there before is untouched.
        """
        return write(
            self.picture,
            path,
            metadata=self.recipe.to_json() if metadata else None,
            quality=quality,
            bit_depth=self.picture.bit_depth,
        )


class Engine(Protocol):
    """One family of methods that put a style onto a content."""

    name: str

    def stylize(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
        init: Picture | None = None,
        scales: Sequence[Scale] | None = None,
        workdir: Path | None = None,
        on_plan: Callable[[RunPlan], None] | None = None,
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> Stylization:
        """Put the styles onto the content.

        Args:
            content: the picture that keeps its shapes.
            styles: one or more pictures that give their look.
            options: settings by name; what is left out has its default.
            regions: parts of the content that take styles of their own; ``styles`` get the rest, and may be empty then.
            init: the picture to start from, where an option says that there is one.
            scales: exactly these scales and steps, as a recipe has them, in place of planned ones.
            workdir: where checkpoints are kept; a run that was ended goes on from there.
            on_plan: called once, before the first step.
            on_progress: called after every step, in the calling thread.
            cancel: looked at between two steps.

        Raises:
            SettingsError: an option is unknown or out of bounds.
            ImageTooSmallError: a picture is smaller than the network needs.
            OutOfMemoryError: the run would not fit; nothing was computed.
            DivergedError: the numbers left the finite.
            InputError: a mask is empty, or a checkpoint is of another run, damaged, or in use.
            Cancelled: the token was cancelled.
        """

    def plan(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
    ) -> RunPlan:
        """What :meth:`stylize` would do with the same arguments, and about what it would cost.

        Raises:
            Everything that it raises before it computes.
        """

    def frames(
        self,
        content: Picture,
        styles: Sequence[Picture],
        options: Mapping[str, Any],
        *,
        regions: Sequence[Region] = (),
    ) -> FramePainter:
        """What paints the frames of a video.

        Args:
            content: the first frame, under the video's name; without transparency.
            styles: as in :meth:`stylize`; how much each counts may change from frame to frame.
            options: settings by name.
            regions: as in :meth:`stylize`; their masks are given with every frame, those here are not looked at.

        Raises:
            What :meth:`stylize` raises before it computes.
        """
