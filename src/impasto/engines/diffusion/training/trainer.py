"""The training loop: AdamW on the LoRA alone, a guard against bad numbers, exact resume."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.engines.checkpoint import Checkpoint
from impasto.engines.diffusion.training.adapter import lora_parameters
from impasto.errors import DivergedError
from impasto.progress import TrainingProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from impasto.engines.checkpoint import Workdir
    from impasto.engines.diffusion.training.encoded import Batches
    from impasto.engines.diffusion.training.objective import Objective
    from impasto.progress import CancelToken
    from impasto.settings import DreamBoothTraining

    OnTrainingProgress = Callable[[TrainingProgress], None]

#: Bad steps in a row that are left out before the training is given up.
_BAD_STEPS: Final = 5
#: Steps over which losses are averaged where they are shown.
_WINDOW: Final = 25
#: AdamW and clipping as the published recipes have them; the warm-up's length and the cosine's end.
_DECAY: Final = 0.01
_CLIP: Final = 1.0
_WARMUP: Final = 50
_FLOOR: Final = 0.05


class Trainer:
    """One training run.

    Args:
        unet: with a LoRA, which is trained in place.
        batches: of the pictures.
        prior: of the prior's pictures; None: there is none.
        objective: the loss.
        settings: how long, how fast, how much of what.
    """

    def __init__(
        self, unet: Any, batches: Batches, prior: Batches | None, objective: Objective, settings: DreamBoothTraining
    ) -> None:
        self._batches, self._prior, self._objective, self._settings = batches, prior, objective, settings
        self._parameters = lora_parameters(unet)
        self._optimizer = torch.optim.AdamW(self._parameters.values(), lr=1.0, weight_decay=_DECAY)
        self._bad = 0
        self.step = 0
        """Steps done."""
        self.history: list[dict[str, float]] = []
        """The weighted terms of every step; those of the step before where one was left out."""

    def rate(self, step: int) -> float:
        """Learning rate of a step: a linear warm-up, then a cosine."""
        settings = self._settings
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))
        warm = min(1.0, (step + 1) / min(_WARMUP, max(1, settings.steps // 10)))
        return settings.learning_rate * warm * (_FLOOR + (1 - _FLOOR) * cosine)

    def run(
        self,
        workdir: Workdir | None,
        on_progress: OnTrainingProgress | None,
        cancel: CancelToken,
        preview: Callable[[], Tensor],
        after_step: Callable[[int], None],
    ) -> None:
        """Train to the end, or until ``cancel`` is stopped.

        Args:
            workdir: where checkpoints are kept.
            on_progress: called after every step.
            cancel: looked at between two steps.
            preview: paints samples.
            after_step: called after every step with its number from 1.

        Raises:
            DivergedError: several steps in a row gave numbers that are not finite.
            InputError: the checkpoint is of another run, or damaged.
            OutputError: a checkpoint cannot be written; the one before is untouched.
            Cancelled: the token was cancelled; a checkpoint was written.
        """
        checkpoint = workdir.load() if workdir is not None else None
        if checkpoint is not None:
            self._restore(checkpoint.tensors, checkpoint.facts)
        began, taken = time.perf_counter(), 0
        while self.step < self._settings.steps and not cancel.stopped:
            if cancel.cancelled:
                if workdir is not None:
                    workdir.save(self._checkpoint())
                cancel.check()
            self._train()
            taken += 1
            after_step(self.step)
            if on_progress is not None:
                on_progress(self._progress(time.perf_counter() - began, taken, preview))
            if workdir is not None and workdir.is_due:
                workdir.save(self._checkpoint())
        if workdir is not None:
            workdir.save(self._checkpoint())

    def recent(self) -> dict[str, float]:
        """Terms averaged over the last steps."""
        last = self.history[-_WINDOW:]
        return {name: statistics.fmean(terms[name] for terms in last) for name in (last[-1] if last else {})}

    def _train(self) -> None:
        """Take one step; a bad one changes nothing but the count."""
        settings = self._settings
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self._optimizer.zero_grad(set_to_none=True)
        found: dict[str, float] = {}
        for part in range(settings.accumulation):
            number = self.step * settings.accumulation + part
            for name, batches, weight in (
                ("style", self._batches, 1.0),
                ("prior", self._prior, settings.prior_weight),
            ):
                if batches is None:
                    continue
                loss = self._objective(batches.batch(number), number, name) * (weight / settings.accumulation)
                loss.backward()
                found[name] = found.get(name, 0.0) + float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), _CLIP))
        if math.isfinite(norm) and all(map(math.isfinite, found.values())):
            self._optimizer.step()
            self.history.append(found)
            self._bad = 0
        else:
            self._bad += 1
            if self._bad == _BAD_STEPS:
                raise DivergedError(
                    f"the training diverged: steps {self.step - _BAD_STEPS + 2} to {self.step + 1} gave numbers that "
                    f"are not finite; use a learning_rate below {settings.learning_rate:g}, or dtype=float32"
                )
            self.history.append(dict(self.history[-1]) if self.history else dict.fromkeys(found, 0.0))
        self.step += 1

    def _progress(self, spent: float, taken: int, preview: Callable[[], Tensor]) -> TrainingProgress:
        settings = self._settings
        return TrainingProgress(
            step=self.step,
            steps=settings.steps,
            terms=self.recent(),
            samples_per_s=taken * settings.batch * settings.accumulation / spent,
            elapsed_s=spent,
            eta_s=spent / taken * (settings.steps - self.step),
            preview=preview,
        )

    def _checkpoint(self) -> Checkpoint:
        """Everything that the next step depends on; what is drawn follows from the seed and the step."""
        tensors = {f"lora.{name}": each.detach().cpu() for name, each in self._parameters.items()}
        for name, parameter in self._parameters.items():
            for kind, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"adamw.{kind}.{name}"] = value.detach().cpu()
        return Checkpoint(tensors, {"step": self.step, "bad": self._bad, "history": self.history})

    def _restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[f"lora.{name}"])
                state = {
                    kind: tensors[f"adamw.{kind}.{name}"]
                    for kind in ("step", "exp_avg", "exp_avg_sq")
                    if f"adamw.{kind}.{name}" in tensors
                }
                if state:  # the step's number stays on the CPU, as AdamW keeps it
                    self._optimizer.state[parameter] = {
                        kind: value.clone() if kind == "step" else value.clone().to(parameter.device)
                        for kind, value in state.items()
                    }
        self.step, self._bad = facts["step"], facts["bad"]
        self.history = [dict(terms) for terms in facts["history"]]
