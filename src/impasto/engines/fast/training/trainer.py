"""The training loop: warm-up and cosine, averaged weights, a guard against divergence, and exact resume."""

from __future__ import annotations

import copy
import math
import statistics
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from impasto.engines.checkpoint import Checkpoint
from impasto.engines.fast.training.painter import Code
from impasto.engines.fast.training.parallel import Ranks
from impasto.errors import DivergedError
from impasto.progress import TrainingProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from impasto.engines.checkpoint import Workdir
    from impasto.engines.fast.training.objective import Objective
    from impasto.engines.fast.training.painter import Painter
    from impasto.engines.fast.training.samples import Batch, Samples
    from impasto.progress import CancelToken
    from impasto.settings import TrainSettings
    from impasto.vgg import Precision

    OnTrainingProgress = Callable[[TrainingProgress], None]

#: Share of the steps after which pictures must be steady too: there is nothing to keep steady before.
_STEADY_FROM: Final = 0.7
_NOISE, _MOVE_PX, _GAIN = 0.02, 3, 0.1
#: Of a batch, pictures that are painted in their own style.
_KEPT_SHARE: Final = 8
#: A snapshot is taken after so many good steps; a loss above so many times the usual one is no good step.
_SNAPSHOT_STEPS: Final = 50
_JUMP: Final = 10.0
#: Bad steps in a row that are left out; then the run goes back, so often at most.
_BAD_STEPS: Final = 5
_ROLLBACKS: Final = 3
#: Steps over which losses are averaged where they are shown and judged.
_WINDOW: Final = 25
#: Adam, clipping and averaging, with the warm-up of a long run; a code alone bears larger steps than weights do.
_BETAS: Final = (0.9, 0.99)
_CLIP: Final = 1.0
_AVERAGE: Final = 0.998
_WARMUP: Final = 100
_CODE_RATE: Final = 5.0
_FLOOR: Final = 0.02


class Trainer:
    """One training run.

    Args:
        painter: trained in place; what of it requires a gradient.
        samples: where batches come from.
        objective: the loss.
        settings: how long, how fast, how much of what.
        identity: what a picture in its own style that stays as it is counts; 0: no such pictures.
        precision: where to compute.
        ranks: the processes that train together.
    """

    def __init__(
        self,
        painter: Painter,
        samples: Samples,
        objective: Objective,
        settings: TrainSettings,
        precision: Precision,
        *,
        identity: float = 0.0,
        ranks: Ranks | None = None,
    ) -> None:
        self._painter = painter.to(device=precision.device)
        self._painter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its stub
        self._samples, self._objective, self._settings = samples, objective, settings
        self._precision, self._identity, self._ranks = precision, identity, ranks or Ranks()
        self._kept = max(1, settings.batch // _KEPT_SHARE) if identity and settings.batch > 1 else 0
        self._parameters = [p for p in painter.parameters() if p.requires_grad]
        codes = {id(p) for module in painter.modules() if isinstance(module, Code) for p in module.parameters()}
        self._factors = [_CODE_RATE if id(p) in codes else 1.0 for p in self._parameters]
        self._optimizer = torch.optim.Adam([{"params": [p]} for p in self._parameters], 1.0, betas=_BETAS)
        self._averaged = copy.deepcopy(painter).requires_grad_(False)
        self._step, self._bad, self._slowed = 0, 0, 1.0
        self.rollbacks: list[int] = []
        """Steps at which the run went back to a snapshot."""
        self.history: list[dict[str, float]] = []
        """The terms of every step; those of the step before where one was left out."""
        self._snapshot = self._state()

    @property
    def averaged(self) -> Painter:
        """The painter with averaged weights: what is worth keeping."""
        return self._averaged

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then a cosine down to a fiftieth."""
        settings = self._settings
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))
        warm = min(1.0, (step + 1) / min(_WARMUP, max(1, settings.steps // 4)))
        return settings.learning_rate * self._slowed * warm * (_FLOOR + (1 - _FLOOR) * cosine)

    def run(
        self,
        workdir: Workdir | None,
        on_progress: OnTrainingProgress | None,
        cancel: CancelToken,
        preview: Callable[[Painter], Tensor],
    ) -> None:
        """Train to the end, or until ``cancel`` is stopped.

        Raises:
            DivergedError: going back and slowing down did not help.
            InputError: the checkpoint is of another run, or damaged.
            OutputError: a checkpoint cannot be written.
            Cancelled: the token was cancelled; the last checkpoint stays.
        """
        checkpoint = workdir.load() if workdir is not None else None
        state: Any = self._ranks.agree((checkpoint.tensors, checkpoint.facts) if checkpoint else None)
        if state is not None:
            self._resume(*state)
        began, taken = time.perf_counter(), 0
        while self._step < self._settings.steps:
            cancel.check()
            if not self._train():
                continue
            taken += 1
            if self._step % _SNAPSHOT_STEPS == 0 and not self._bad:  # bad steps may come of weights gone bad
                self._snapshot = self._state()
            if on_progress is not None:
                on_progress(self._progress(time.perf_counter() - began, taken, preview))
            if self._ranks.mean(float(cancel.stopped)) > 0:  # all of them, or the rest would wait for ever
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

    def _progress(self, spent: float, taken: int, preview: Callable[[Painter], Tensor]) -> TrainingProgress:
        return TrainingProgress(
            step=self._step,
            steps=self._settings.steps,
            terms=self.recent(),
            samples_per_s=taken * self._settings.batch * self._ranks.world / spent,
            elapsed_s=spent,
            eta_s=spent / taken * (self._settings.steps - self._step),
            preview=lambda: preview(self._averaged),
        )

    def _train(self) -> bool:
        """Take one step; False if it led back to the snapshot. A bad one changes no weight."""
        draw = self._step * self._ranks.world + self._ranks.rank
        batch = self._samples.batch(draw, self._settings.batch - self._kept, self._kept)
        for group, factor in zip(self._optimizer.param_groups, self._factors, strict=True):
            group["lr"] = self.rate(self._step) * factor
        terms = self._terms(batch)
        self._optimizer.zero_grad(set_to_none=False)
        torch.stack(list(terms.values())).sum().backward()
        self._ranks.average(p.grad for p in self._parameters if p.grad is not None)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, _CLIP))
        found = {name: self._ranks.mean(float(term.detach())) for name, term in terms.items()}
        loss = sum(found.values())
        if not (math.isfinite(loss) and math.isfinite(norm)) or self._jumped(loss):
            return self._refused(loss)
        self._optimizer.step()
        self._bad = 0
        # The average forgets its beginning: after t steps a tenth of it is younger than t/90.
        decay = min(_AVERAGE, (1 + self._step) / (10 + self._step))
        with torch.no_grad():
            for kept, now in zip(self._averaged.parameters(), self._painter.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)
        self.history.append(found)
        self._step += 1
        return True

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the loss on a batch."""
        device, painted = self._precision.device, len(batch.style_targets)
        contents, styles = batch.contents.to(device), batch.styles.to(device)
        output = self._painted(contents, styles)
        terms = self._objective(output[:painted], batch.content_targets, batch.style_targets)
        if painted < len(output):
            terms["identity"] = self._identity * (output[painted:] - contents[painted:]).abs().mean()
        if self._step >= _STEADY_FROM * self._settings.steps and self._settings.stability_weight:
            terms["stability"] = self._settings.stability_weight * self._unsteadiness(contents, styles, output)
        return terms

    def _painted(self, contents: Tensor, styles: Tensor) -> Tensor:
        device, dtype = self._precision.device, self._precision.dtype
        with torch.autocast(device.type, dtype=dtype) if dtype != torch.float32 else nullcontext():
            painted: Tensor = self._painter(contents, styles)
        return painted

    def _unsteadiness(self, contents: Tensor, styles: Tensor, output: Tensor) -> Tensor:
        """How differently the same pictures are painted when they move by pixels, are lit otherwise, and are noisy.

        Source: the noise of Wang et al., "Consistent Video Style Transfer via Relaxation and Regularization" (ReReVST),
        IEEE TIP 2020; no video is needed.
        """
        draw = self._step * self._ranks.world + self._ranks.rank
        generator = torch.Generator().manual_seed((self._settings.seed * 1_000_003 + draw) % 2**63)
        down, right = (int(v) for v in torch.randint(0, _MOVE_PX + 1, (2,), generator=generator))
        gain = 1 + _GAIN * (2 * float(torch.rand((), generator=generator)) - 1)
        noise = _NOISE * torch.randn(contents.shape, generator=generator).to(contents.device)
        moved = torch.roll(contents, (down, right), (2, 3))
        again = self._painted((moved * gain + noise).clamp(0, 1), styles)
        back = torch.roll(again, (-down, -right), (2, 3))
        margin = _MOVE_PX + 8  # what was rolled around the rim is another picture
        inner = (..., slice(margin, -margin), slice(margin, -margin))
        return (back[inner] - output[inner]).square().mean()

    def _jumped(self, loss: float) -> bool:
        """Whether a loss is far above the usual one."""
        last = self.history[-_WINDOW:]
        return len(last) == _WINDOW and loss > _JUMP * statistics.fmean(sum(terms.values()) for terms in last)

    def _refused(self, loss: float) -> bool:
        """Leave a bad step out; after several go back to the snapshot, slower; after several of these give up."""
        self._bad += 1
        if self._bad < _BAD_STEPS:
            self.history.append(dict(self.history[-1]) if self.history else {})
            self._step += 1
            return True
        if len(self.rollbacks) == _ROLLBACKS:
            raise DivergedError(
                f"training diverged at step {self._step} (loss {loss:g}) and after {_ROLLBACKS} returns to a good "
                f"state, each at half the speed; use a learning_rate below {self._settings.learning_rate:g}"
            )
        kept = self._slowed / 2, [*self.rollbacks, self._step]  # what the snapshot does not know
        self._restore(*self._snapshot)
        self._bad, (self._slowed, self.rollbacks) = 0, kept
        return False

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the next step depends on."""
        tensors = {f"now.{name}": t.detach().clone() for name, t in self._painter.state_dict().items()}
        tensors |= {f"mean.{name}": t.detach().clone() for name, t in self._averaged.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            for name, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{index}.{name}"] = value.detach().clone()
        facts = {
            "step": self._step,
            "bad": self._bad,
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
        self._optimizer.state.clear()
        for index, parameter in enumerate(self._parameters):
            for name, value in under(f"adam.{index}.").items():
                there = value.clone() if name == "step" else value.clone().to(parameter.device)
                self._optimizer.state[parameter][name] = there
        self._step, self._bad, self._slowed = facts["step"], facts["bad"], facts["slowed"]
        self.rollbacks, self.history = list(facts["rollbacks"]), [dict(terms) for terms in facts["history"]]

    def _save(self, workdir: Workdir) -> None:
        """Keep where the run is and, so that it would go back as far as without an end, its snapshot."""
        (tensors, facts), (back, back_facts) = self._state(), self._snapshot
        tensors |= {f"back.{name}": t for name, t in back.items()}
        facts["back"] = back_facts | {"history": len(back_facts["history"])}  # the first so many of the history
        workdir.save(Checkpoint({name: t.cpu() for name, t in tensors.items()}, facts))

    def _resume(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what :meth:`_save` kept."""
        self._restore(tensors, facts)
        back = {name.removeprefix("back."): t for name, t in tensors.items() if name.startswith("back.")}
        self._snapshot = back, facts["back"] | {"history": facts["history"][: facts["back"]["history"]]}
