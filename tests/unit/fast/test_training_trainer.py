"""The training loop at tiny size: it learns, it goes on exactly where it was, and it survives bad numbers."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tests.unit.fast.conftest import networks, picture

import impasto
from impasto.engines import checkpoint
from impasto.engines.checkpoint import open_workdir
from impasto.engines.fast.training import trainer as module
from impasto.engines.fast.training.collection import Collection, Crops
from impasto.engines.fast.training.objective import Objective
from impasto.engines.fast.training.painter import Painter
from impasto.engines.fast.training.samples import Samples
from impasto.engines.fast.training.trainer import Trainer
from impasto.errors import DivergedError, OutputError
from impasto.images import Picture, write
from impasto.progress import Cancelled, CancelToken, TrainingProgress
from impasto.settings.train import AnyStyleTraining
from impasto.vgg import choose_precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from impasto.engines.fast.training.samples import Batch
    from impasto.vgg import VGG19


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos and three paintings."""
    place = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        folder = place / ("photos" if number < 3 else "paintings")
        folder.mkdir(exist_ok=True)
        write(Picture(picture(80, 96, number)[0]), folder / f"{number}.png")
    return place


@pytest.fixture
def make(pictures: Path, net: VGG19) -> Callable[..., Trainer]:
    """A trainer that begins anew."""

    def trainer(spoil: Callable[[int, Batch], None] | None = None, **options: object) -> Trainer:
        given = {"steps": 8, "batch": 2, "size": 64, "device": "cpu", "dtype": "float32", **options}
        settings = AnyStyleTraining.of(**given)
        objective = Objective(net, settings)
        crops = Crops(settings.size)
        samples = _Spoiled(
            Collection.find([str(pictures / "photos")], crops, seed=1),
            Collection.find([str(pictures / "paintings")], crops, seed=2),
            objective,
            seed=settings.seed,
            cache_mb=64,
        )
        samples.spoil = spoil
        painter = Painter(*networks()).requires_grad_()
        precision = choose_precision("cpu", "float32")
        return Trainer(painter, samples, objective, settings, precision, identity=settings.identity_weight)

    return trainer


class _Spoiled(Samples):
    """Batches that a test may change before they are seen."""

    spoil: Callable[[int, Batch], None] | None = None

    def batch(self, step: int, *counts: int) -> Batch:
        batch = super().batch(step, *counts)
        if self.spoil is not None:
            self.spoil(step, batch)
        return batch


def _no_preview(painter: Painter) -> torch.Tensor:
    return torch.zeros(3, 1, 1)


def _run(trainer: Trainer, workdir: Path | None = None, stop_after: int | None = None) -> list[TrainingProgress]:
    """Train, and stop after so many steps."""
    token, seen = CancelToken(), []

    def look(progress: TrainingProgress) -> None:
        seen.append(progress)
        if len(seen) == stop_after:
            token.stop()

    with open_workdir(workdir, {}) as folder:
        trainer.run(folder, look, token, _no_preview)
    return seen


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Of the painter and of its average."""
    now = {f"now.{name}": tensor.clone() for name, tensor in trainer._painter.state_dict().items()}
    return now | {f"mean.{name}": tensor.clone() for name, tensor in trainer.averaged.state_dict().items()}


def _assert_same(found: Trainer, expected: Trainer) -> None:
    one, other = _weights(found), _weights(expected)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert found.history == expected.history


def _nan(batch: Batch) -> None:
    batch.contents[0, 0, 5, 5] = torch.nan


def test_twenty_steps_lower_the_loss(make) -> None:
    trainer = make(steps=20, learning_rate=5e-3, stability_weight=0)
    seen = _run(trainer)
    assert [progress.step for progress in seen] == list(range(1, 21))
    assert seen[-1].eta_s == 0
    losses = [sum(terms.values()) for terms in trainer.history]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_same_seed_gives_the_same_weights_and_another_seed_others(make) -> None:
    one, again, other = make(steps=3), make(steps=3), make(steps=3, seed=1)
    for trainer in (one, again, other):
        _run(trainer)
    _assert_same(again, one)
    assert not all(torch.equal(a, b) for a, b in zip(_weights(one).values(), _weights(other).values(), strict=True))


@pytest.mark.parametrize("stopped", [1, 5, 7])
def test_training_that_goes_on_ends_with_the_same_weights(make, tmp_path: Path, stopped: int) -> None:
    """Stopped before and after pictures must be steady."""
    expected = make()
    _run(expected)
    assert len(_run(make(), tmp_path, stopped)) == stopped
    found = make()
    seen = _run(found, tmp_path)
    assert [progress.step for progress in seen] == list(range(stopped + 1, 9))
    _assert_same(found, expected)


def test_training_that_goes_on_goes_back_as_far_as_it_would_have(make, tmp_path: Path, monkeypatch) -> None:
    """The state to go back to is older than the checkpoint."""
    monkeypatch.setattr(module, "_SNAPSHOT_STEPS", 4)
    monkeypatch.setattr(module, "_BAD_STEPS", 2)

    def bad_once() -> Callable[[int, Batch], None]:
        left = [module._BAD_STEPS]

        def spoil(step: int, batch: Batch) -> None:
            if step >= 6 and left[0]:
                left[0] -= 1
                _nan(batch)

        return spoil

    expected = make(bad_once(), steps=9)
    _run(expected)
    assert expected.rollbacks == [7]
    _run(make(steps=9), tmp_path, 6)
    found = make(bad_once(), steps=9)
    seen = _run(found, tmp_path)
    assert [progress.step for progress in seen] == [7, 5, 6, 7, 8, 9]
    assert all(progress.samples_per_s > 0 and progress.eta_s >= 0 for progress in seen)
    assert found.rollbacks == expected.rollbacks
    _assert_same(found, expected)


def test_weights_that_went_bad_are_never_gone_back_to(make, monkeypatch) -> None:
    """Not even if it is time for a snapshot while steps are left out."""
    monkeypatch.setattr(module, "_SNAPSHOT_STEPS", 4)
    spoiled: list[int] = []

    def spoil(step: int, batch: Batch) -> None:
        if step == 6 and not spoiled:
            spoiled.append(step)
            with torch.no_grad():
                trainer._painter.net.out.bias.fill_(torch.nan)

    trainer = make(spoil, steps=12)
    _run(trainer)
    assert trainer.rollbacks == [10]
    assert all(bool(tensor.isfinite().all()) for tensor in _weights(trainer).values())


def test_bad_batch_changes_no_weight(make) -> None:
    kept: list[dict[str, torch.Tensor]] = []

    def spoil(step: int, batch: Batch) -> None:
        if step == 3:
            _nan(batch)
        if step in (3, 4):
            kept.append(_weights(trainer))

    trainer = make(spoil, steps=6)
    _run(trainer)
    before, after = kept
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert trainer.rollbacks == []
    assert all(bool(tensor.isfinite().all()) for tensor in _weights(trainer).values())


def test_first_batch_may_be_bad(make) -> None:
    trainer = make(lambda step, batch: _nan(batch) if step == 0 else None, steps=3)
    seen = _run(trainer)
    assert seen[-1].step == 3
    assert seen[-1].terms.keys() >= {"content", "statistics"}


def test_many_bad_batches_lead_back_and_then_to_an_end(make, monkeypatch) -> None:
    monkeypatch.setattr(module, "_SNAPSHOT_STEPS", 2)
    at_three: list[dict[str, torch.Tensor]] = []

    def spoil(step: int, batch: Batch) -> None:
        if step == 2 and not at_three:
            at_three.append(_weights(trainer))
        if step >= 3:
            _nan(batch)

    trainer = make(spoil, steps=1000)
    with pytest.raises(DivergedError, match=r"diverged at step \d+ .*3 returns.*learning_rate below 0\.001") as caught:
        _run(trainer)
    assert "\n" not in str(caught.value)
    assert len(trainer.rollbacks) == 3
    found = _weights(trainer)
    assert all(bool(tensor.isfinite().all()) for tensor in found.values())


def test_loss_that_jumps_is_left_out(make, monkeypatch) -> None:
    monkeypatch.setattr(module, "_WINDOW", 3)

    def spoil(step: int, batch: Batch) -> None:
        if step == 4:
            batch.content_targets[0][0].mul_(1000)

    trainer = make(spoil, steps=6, cache_mb=0)
    _run(trainer)
    losses = [sum(terms.values()) for terms in trainer.history if terms]
    assert max(losses) < 10 * min(losses)


def test_disk_that_is_full_at_a_checkpoint_keeps_the_one_before(make, tmp_path: Path, monkeypatch) -> None:
    expected = make()
    _run(expected)
    _run(make(), tmp_path, 3)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(OutputError, match=r"No space left.*free some space"):
            _run(make(), tmp_path, 2)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    found = make()
    _run(found, tmp_path)
    _assert_same(found, expected)


def test_cancelled_training_can_be_finished(make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "_PAUSE", 0.0)
    expected = make()
    _run(expected)
    token = CancelToken()
    with open_workdir(tmp_path, {}) as folder, pytest.raises(Cancelled):
        make().run(folder, lambda p: token.cancel() if p.step == 4 else None, token, _no_preview)
    found = make()
    _run(found, tmp_path)
    _assert_same(found, expected)


PROGRAM = """
import hashlib, torch
from impasto.engines.fast.training.parallel import ranks
torch.set_num_threads(1)
with ranks() as together:
    weights = torch.nn.Linear(3, 2)
    with torch.no_grad():
        for p in weights.parameters():
            p.fill_(0.5)
    optimizer = torch.optim.Adam(weights.parameters(), 0.1)
    generator = torch.Generator().manual_seed(together.rank)
    for step in range(3):
        optimizer.zero_grad()
        loss = weights(torch.randn(4, 3, generator=generator)).square().mean()
        loss.backward()
        alone = float(loss.detach())
        together.average(p.grad for p in weights.parameters())
        optimizer.step()
    state = together.agree({"seen": together.rank})
    bytes_of = b"".join(p.detach().numpy().tobytes() for p in weights.parameters())
    print(together.rank, together.world, hashlib.sha256(bytes_of).hexdigest(), together.mean(alone), state, alone)
"""


def test_two_processes_end_with_the_same_weights() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "PYTHONPATH": str(Path(impasto.__file__).parents[1]), "WORLD_SIZE": "2"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env={**common, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        first, second = (process.communicate(timeout=120)[0].split(" ", 4) for process in both)
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0]
    assert (first[:2], second[:2]) == (["0", "2"], ["1", "2"])
    assert first[2:4] == second[2:4]  # weights, and the mean of the losses
    state, alone = zip(*(words[4].rsplit(" ", 1) for words in (first, second)), strict=True)
    assert state == ("{'seen': 0}",) * 2
    assert alone[0] != alone[1]  # each drew its own
