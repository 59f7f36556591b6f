"""The training loop: warm-up and cosine, averaged weights, a guard against divergence, and exact resume."""

from __future__ import annotations

import copy
import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from impasto.engines.checkpoint import Checkpoint
from impasto.engines.fast.network import Conditional, TransferNet, colored
from impasto.errors import DivergedError
from impasto.progress import TrainingProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from impasto.engines.checkpoint import Workdir
    from impasto.engines.fast.training.objective import Objective, Weights
    from impasto.engines.fast.training.samples import Batch, Samples
    from impasto.progress import CancelToken
    from impasto.vgg import Precision

#: Share of the steps after which pictures must be steady too: there is nothing to keep steady before.
_STEADY_FROM: Final = 0.7
_NOISE: Final = 0.02
_MOVE_PX: Final = 3
#: A snapshot is taken after so many good steps; a loss above so many times the usual one is no good step.
_SNAPSHOT_STEPS: Final = 50
_JUMP: Final = 10.0
_BAD_STEPS: Final = 5
_ROLLBACKS: Final = 3
#: Steps over which losses are averaged where they are shown and judged.
_WINDOW: Final = 25
_BETAS: Final = (0.9, 0.99)
_CLIP: Final = 1.0
_FLOOR: Final = 0.02


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    steps: int
    batch: int = 8
    kept: int = 1
    """Of a batch, pictures that are painted in their own style."""
    learning_rate: float = 1e-3
    warmup: int = 100
    average: float = 0.998
    """Decay of the averaged weights; they are what is saved."""

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then a cosine down to a fiftieth."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * (_FLOOR + (1 - _FLOOR) * cosine)


class Painter(nn.Module):
    """What is trained: a transfer network, and what makes codes of styles.

    Args:
        net: the transfer network.
        coder: from styles ``(b, 3, n, n)`` to codes ``(b, code_size)``.
    """

    def __init__(self, net: TransferNet, coder: nn.Module) -> None:
        super().__init__()
        self.net, self.coder = net, coder

    def forward(self, contents: Tensor, styles: Tensor) -> Tensor:
        """Contents ``(b, 3, n, n)`` painted in a style each, float32; a little outside [0, 1] here and there."""
        code = self.coder(styles)
        return colored(self.net(contents, Conditional(code, self.net.widths)), code)


class Trainer:
    """One training run.

    Args:
        painter: trained in place.
        samples: where batches come from.
        objective: the loss.
        weights: of its terms.
        schedule: how long and how fast.
        precision: where to compute.
        seed: of noise and movements.
    """

    def __init__(
        self,
        painter: Painter,
        samples: Samples,
        objective: Objective,
        weights: Weights,
        schedule: Schedule,
        precision: Precision,
        seed: int,
    ) -> None:
        self._painter = painter.to(precision.device, memory_format=torch.channels_last)
        self._samples, self._objective, self._weights = samples, objective, weights
        self._schedule, self._precision, self._seed = schedule, precision, seed
        self._parameters = [p for p in painter.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(self._parameters, schedule.learning_rate, betas=_BETAS)
        self._averaged = copy.deepcopy(painter).requires_grad_(False)
        self._step, self._bad, self._slowed = 0, 0, 1.0
        self.rollbacks: list[int] = []
        """Steps at which the run went back to a snapshot."""
        self.history: list[dict[str, float]] = []
        """The terms of every good step."""
        self._snapshot = self._state()

    @property
    def averaged(self) -> Painter:
        """The painter with averaged weights."""
        return self._averaged

    def run(
        self,
        workdir: Workdir | None,
        on_progress: Callable[[TrainingProgress], None] | None,
        cancel: CancelToken,
        preview: Callable[[Painter], Tensor],
    ) -> None:
        """Train to the end, or until ``cancel`` is stopped.

        Raises:
            DivergedError: going back and slowing down did not help.
            Cancelled: the token was cancelled; the last checkpoint stays.
        """
        checkpoint = workdir.load() if workdir is not None else None
        if checkpoint is not None:
            self._restore(checkpoint.tensors, checkpoint.facts)
        began, first = time.perf_counter(), self._step
        while self._step < self._schedule.steps:
            cancel.check()
            terms = self._train(
                self._samples.batch(self._step, self._schedule.batch - self._schedule.kept, self._schedule.kept)
            )
            if terms is None:
                continue
            self.history.append(terms)
            self._step += 1
            if self._step % _SNAPSHOT_STEPS == 0:
                self._snapshot = self._state()
            spent = time.perf_counter() - began
            if on_progress is not None:
                on_progress(
                    TrainingProgress(
                        step=self._step,
                        steps=self._schedule.steps,
                        terms=self.recent(),
                        samples_per_s=(self._step - first) * self._schedule.batch / spent,
                        elapsed_s=spent,
                        eta_s=spent / (self._step - first) * (self._schedule.steps - self._step),
                        preview=lambda: preview(self._averaged),
                    )
                )
            if cancel.stopped:
                break
            if workdir is not None and workdir.is_due:
                self._save(workdir)
        if workdir is not None:
            self._save(workdir)

    def recent(self) -> dict[str, float]:
        """Terms averaged over the last steps."""
        last = self.history[-_WINDOW:]
        names = last[-1] if last else {}  # a term may have come in just now
        return {name: statistics.fmean(terms[name] for terms in last if name in terms) for name in names}

    def _train(self, batch: Batch) -> dict[str, float] | None:
        """Take one step; None if it was no good and nothing was changed, or all went back to the snapshot."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate(self._step) * self._slowed
        terms = self._terms(batch)
        loss = torch.stack(list(terms.values())).sum()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, _CLIP)
        value = float(loss.detach())
        if not (math.isfinite(value) and bool(torch.isfinite(norm)) and not self._jumped(value)):
            self._refuse(value)
            return None
        self._optimizer.step()
        self._bad = 0
        # The average forgets its beginning: what it holds of the first weights after t steps is t/(t + 10).
        decay = min(self._schedule.average, (1 + self._step) / (10 + self._step))
        with torch.no_grad():
            for kept, now in zip(self._averaged.parameters(), self._painter.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)
        return {name: float(term.detach()) for name, term in terms.items()}

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the loss on a batch."""
        device, painted = self._precision.device, len(batch.style_targets)
        contents, styles = batch.contents.to(device), batch.styles.to(device)
        with torch.autocast(device.type, dtype=self._precision.dtype, enabled=self._precision.dtype != torch.float32):
            output = self._painter(contents, styles)
        terms = self._objective(output[:painted], batch.content_targets, batch.style_targets)
        if painted < len(output):
            terms["identity"] = self._weights.identity * (output[painted:] - contents[painted:]).abs().mean()
        if self._step >= _STEADY_FROM * self._schedule.steps and self._weights.stability:
            terms["stability"] = self._weights.stability * self._unsteadiness(contents, styles, output)
        return terms

    def _unsteadiness(self, contents: Tensor, styles: Tensor, output: Tensor) -> Tensor:
        """How differently the same pictures are painted when they move by some pixels, are lit otherwise, and are noisy.

        Source: the noise of Wang et al., "Consistent Video Style Transfer via Relaxation and Regularization" (ReReVST),
        IEEE TIP 2020; no video is needed.
        """
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._step)
        down, right = (int(v) for v in torch.randint(0, _MOVE_PX + 1, (2,), generator=generator))
        gain = 1 + 0.1 * (2 * float(torch.rand((), generator=generator)) - 1)
        noise = _NOISE * torch.randn(contents.shape, generator=generator).to(contents.device)
        moved = torch.roll(contents, (down, right), (2, 3))
        with torch.autocast(
            contents.device.type, dtype=self._precision.dtype, enabled=self._precision.dtype != torch.float32
        ):
            again = self._painter((moved * gain + noise).clamp(0, 1), styles)
        margin = _MOVE_PX + 8  # what was rolled around the rim is another picture
        back = torch.roll(again, (-down, -right), (2, 3))
        inner = (..., slice(margin, -margin), slice(margin, -margin))
        return (back[inner] - output[inner]).square().mean()

    def _jumped(self, value: float) -> bool:
        """Whether a loss is far above the usual one."""
        if len(self.history) < _WINDOW:
            return False
        usual = statistics.fmean(sum(terms.values()) for terms in self.history[-_WINDOW:])
        return value > _JUMP * usual

    def _refuse(self, value: float) -> None:
        """Skip a bad step; after several go back to the snapshot, slower; after several of these give up."""
        self._bad += 1
        if self._bad < _BAD_STEPS:
            self._step_over()
            return
        self.rollbacks.append(self._step)
        if len(self.rollbacks) > _ROLLBACKS:
            raise DivergedError(
                f"training diverged at step {self._step} (loss {value:g}) and again after {_ROLLBACKS} returns to a good "
                f"state, each at half the speed; use a learning rate below {self._schedule.learning_rate:g}"
            )
        kept = self._slowed / 2, self.rollbacks  # what the snapshot does not know
        self._restore(*self._snapshot)
        self._bad, (self._slowed, self.rollbacks) = 0, kept

    def _step_over(self) -> None:
        """Leave a batch out: the next one is drawn for the next step."""
        self.history.append(dict(self.history[-1]) if self.history else {})
        self._step += 1

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the next step depends on."""
        tensors = {f"now.{name}": t.detach().clone() for name, t in self._painter.state_dict().items()}
        tensors |= {f"mean.{name}": t.detach().clone() for name, t in self._averaged.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            for name, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{index}.{name}"] = value.detach().clone()
        facts = {
            "step": self._step,
            "slowed": self._slowed,
            "rollbacks": list(self.rollbacks),
            "history": [dict(terms) for terms in self.history],
        }
        return tensors, facts

    def _restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

        self._painter.load_state_dict(under("now."))
        self._averaged.load_state_dict(under("mean."))
        for index, parameter in enumerate(self._parameters):
            state = {name: t.clone() for name, t in under(f"adam.{index}.").items()}
            if state:
                self._optimizer.state[parameter] = {
                    name: t if name == "step" else t.to(parameter.device) for name, t in state.items()
                }
        self._step, self._slowed = facts["step"], facts["slowed"]
        self.rollbacks, self.history = list(facts["rollbacks"]), list(facts["history"])
        self._snapshot = self._state()

    def _save(self, workdir: Workdir) -> None:
        tensors, facts = self._state()
        workdir.save(Checkpoint({name: t.cpu() for name, t in tensors.items()}, facts))
