"""Trains the any-style network: the shipped one is made by this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.engines.checkpoint import open_workdir
from impasto.engines.fast.model import load_model, save_model
from impasto.engines.fast.network import StyleEncoder, TransferNet
from impasto.engines.fast.training.collection import Collection, Crops
from impasto.engines.fast.training.objective import DEEPEST, Objective, Weights
from impasto.engines.fast.training.samples import Samples
from impasto.engines.fast.training.trainer import Painter, Schedule, Trainer
from impasto.vgg import choose_precision, load_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from impasto.progress import CancelToken, TrainingProgress

#: Pictures of a preview: so many contents down, so many styles across.
_PREVIEW: Final = (3, 4)


def train_any_style(
    photos: Sequence[str],
    paintings: Sequence[str],
    output: Path,
    *,
    workdir: Path,
    schedule: Schedule,
    size: int = 192,
    cache_mb: float = 4096.0,
    weights: Weights | None = None,
    leave_out: Sequence[str] = (),
    start: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    on_progress: Callable[[TrainingProgress], None] | None = None,
    cancel: CancelToken,
) -> dict[str, Any]:
    """Train on folders of photos and paintings and write the network; the same call goes on where it was ended.

    Args:
        photos: folders, files or patterns; see :meth:`Collection.find`.
        paintings: the same, of styles.
        output: the file to write.
        workdir: where checkpoints are kept.
        schedule: how long and how fast.
        size: side of the crops in pixels, a multiple of 32.
        cache_mb: MiB for crops and what the loss network found in them.
        weights: of the loss's terms.
        leave_out: names of files that are not to be used.
        start: a model to start from; None: from chance.
        seed: of everything that is drawn.
        device: ``auto``, ``cpu``, ``cuda`` …
        dtype: ``auto``, ``float32`` or ``bfloat16``.
        on_progress: called after every step.
        cancel: looked at between two steps.

    Returns:
        What the model's header says about its training.

    Raises:
        InputError: there are no pictures, or hardly any can be used; the workdir is another run's.
        DivergedError: the training left the finite numbers and could not be led back.
        OutputError: the model or a checkpoint cannot be written.
    """
    terms = weights or Weights()
    precision = choose_precision(device, dtype)
    contents = Collection.find(photos, Crops(size, (1.0, 1.6), 2), seed=seed, leave_out=leave_out)
    styles = Collection.find(paintings, Crops(size, (1.0, 1.9), 4, recolor=0.25), seed=seed + 1, leave_out=leave_out)
    network = load_network(deepest=DEEPEST, device=precision.device, dtype=precision.dtype)
    objective = Objective(network.net, terms)
    samples = Samples(contents, styles, objective, seed=seed, cache_mb=cache_mb)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = TransferNet()
        encoder = StyleEncoder(net.code_size)
    if start is not None:
        before = load_model(start)
        net.load_state_dict(before.net.state_dict())
        assert before.encoder is not None  # noqa: S101
        encoder.load_state_dict(before.encoder.state_dict())
    trainer = Trainer(Painter(net, encoder), samples, objective, terms, schedule, precision, seed)
    about = {
        "kind": "any-style",
        "photos": len(contents.files),
        "paintings": len(styles.files),
        "size": size,
        "schedule": schedule.__dict__,
        "weights": terms._asdict(),
        "seed": seed,
        "vgg": network.sha256,
    }
    fixed = samples.batch(-1, _PREVIEW[0] * _PREVIEW[1], 0)

    def preview(painter: Painter) -> torch.Tensor:
        return _grid(painter, fixed.contents[: _PREVIEW[0]], fixed.styles[: _PREVIEW[1]])

    with open_workdir(workdir, {**about, "dtype": str(precision.dtype)}) as folder:
        trainer.run(folder, on_progress, cancel, preview)
    averaged = trainer.averaged
    assert isinstance(averaged.coder, StyleEncoder)  # noqa: S101
    about |= {"steps_done": len(trainer.history), "losses": trainer.recent(), "rollbacks": trainer.rollbacks}
    save_model(output, averaged.net, averaged.coder, about)
    return about


@torch.no_grad()
def _grid(painter: Painter, contents: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """Styles across, contents down, and every content in every style."""
    across, down = len(styles), len(contents)
    painted = painter(contents.repeat_interleave(across, 0), styles.repeat(down, 1, 1, 1)).clamp(0, 1).cpu()
    rows = [torch.cat([torch.ones_like(styles[0]), *styles], 2)]
    for index, content in enumerate(contents):
        rows.append(torch.cat([content, *painted[index * across : (index + 1) * across]], 2))
    return torch.cat(rows, 1)
