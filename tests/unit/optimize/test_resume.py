"""A run that was ended goes on where it was, and ends as if nothing had been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from filelock import FileLock

import impasto
from impasto.engines import checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.settings import OptimizeSettings

FILE = "checkpoint.safetensors"


@pytest.fixture(autouse=True)
def _after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "_PAUSE", 0.0)


def _end_after(stylize, ended_at: int, *pictures: object, **settings: object) -> int:
    """Run until so many steps are done, then cancel; gives how many were seen."""
    token, seen = impasto.CancelToken(), []

    def count(progress: impasto.Progress) -> None:
        seen.append(progress)
        if len(seen) == ended_at:
            token.cancel()

    with pytest.raises(impasto.Cancelled):
        stylize(*pictures, on_progress=count, cancel=token, **settings)
    return len(seen)


def _assert_same(found: impasto.Stylization, expected: impasto.Stylization) -> None:
    assert torch.equal(found.picture.pixels, expected.picture.pixels)
    assert found.recipe == expected.recipe
    assert [(p.scale_px, p.step, p.loss) for p in found.trace] == [(p.scale_px, p.step, p.loss) for p in expected.trace]
    assert [dict(p.terms) for p in found.trace] == [dict(p.terms) for p in expected.trace]


@pytest.mark.parametrize(
    "options",
    [
        {"style_loss": "gram"},
        {"style_loss": "gram", "history": 3},
        {"optimizer": "adam", "style_loss": "moments"},
        {"style_loss": "nn", "samples": 64},
        {"style_loss": "swd", "samples": 64, "optimizer": "adam", "content_loss": "self_similarity"},
        {"style_loss": "gram", "init": "noise", "color": "linear", "bit_depth": 16},
    ],
    ids=str,
)
def test_run_that_goes_on_ends_with_the_same_bytes(stylize, content, style, tmp_path: Path, options) -> None:
    """Ended in the middle, at the last step of a scale, at the first of the next, and at the very last."""
    layers = {"content_layers": "relu2_2", "layers": "relu1_1,relu2_1"}
    options = options | layers | {"steps": 10, "image_size": 48, "scales": (32, 48)}
    expected = stylize(content, style, **options)
    for steps in (5, 10, 11, 20):
        workdir = tmp_path / str(steps)
        assert _end_after(stylize, steps, content, style, workdir=workdir, **options) == steps
        assert (workdir / FILE).exists()
        seen: list[impasto.Progress] = []
        found = stylize(content, style, workdir=workdir, on_progress=seen.append, **options)
        _assert_same(found, expected)
        assert len(seen) == len(expected.trace) - steps
        assert not (workdir / FILE).exists()


def test_run_ended_again_and_again_ends_with_the_same_bytes(stylize, content, style, tmp_path: Path) -> None:
    options = {"steps": 9, "style_loss": "nn,gram", "samples": 64}
    expected = stylize(content, style, **options)
    for _ in range(4):
        _end_after(stylize, 4, content, style, workdir=tmp_path, **options)
    _assert_same(stylize(content, style, workdir=tmp_path, **options), expected)


def test_run_with_regions_goes_on(stylize, content, style, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, :30] = 255
    call = {"regions": [(mask, style)]}
    expected = stylize(content, **call)
    _end_after(stylize, 5, content, workdir=tmp_path, **call)
    _assert_same(stylize(content, workdir=tmp_path, **call), expected)


def test_progress_goes_on_where_it_was(stylize, content, style, tmp_path: Path) -> None:
    _end_after(stylize, 5, content, style, workdir=tmp_path)
    seen: list[impasto.Progress] = []
    plans: list[impasto.RunPlan] = []
    stylize(content, style, workdir=tmp_path, on_progress=seen.append, on_plan=plans.append)
    assert (seen[0].scale, seen[0].step) == (2, 2)
    assert seen[0].fraction > 0.5
    assert seen[-1].fraction == 1
    assert len(plans) == 1


def test_run_without_an_end_is_not_changed_by_its_workdir(stylize, content, style, tmp_path: Path) -> None:
    expected = stylize(content, style)
    _assert_same(stylize(content, style, workdir=tmp_path / "new" / "folder"), expected)
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] in ([], ["lock"])


def test_stopped_run_can_still_be_finished(stylize, content, style, tmp_path: Path) -> None:
    expected = stylize(content, style, style_loss="nn", samples=64)
    token, seen = impasto.CancelToken(), []

    def stop(progress: impasto.Progress) -> None:
        seen.append(progress)
        if len(seen) == 5:
            token.stop()

    options = {"style_loss": "nn", "samples": 64, "workdir": tmp_path}
    stopped = stylize(content, style, **options, cancel=token, on_progress=stop)
    assert stopped.stopped_early
    assert len(stopped.trace) == 5
    _assert_same(stylize(content, style, **options), expected)


def test_run_that_goes_on_keeps_what_memory_decided(stylize, content, style, tmp_path: Path, monkeypatch) -> None:
    """What is free by then must not change the bytes."""
    engine = "impasto.engines.optimize.engine.fit_memory"
    options = {"steps": 8}

    def short(*given: object) -> OptimizeSettings:
        return given[2].model_copy(update={"memory": "whole", "history": 4})

    with monkeypatch.context() as patch:
        patch.setattr(engine, short)
        expected = stylize(content, style, **options)
        assert expected.recipe.settings["history"] == 4
        _end_after(stylize, 10, content, style, workdir=tmp_path, **options)
    _assert_same(stylize(content, style, workdir=tmp_path, **options), expected)


@pytest.mark.parametrize(
    "change",
    [
        {"content_weight": 0.5},
        {"seed": 1},
        {"steps": 5},
        {"image_size": 80},
        {"style_loss": "gram"},
        {"history": 3},
        {"memory": "strips"},
    ],
    ids=str,
)
def test_checkpoint_of_other_settings_is_refused_and_kept(stylize, content, style, tmp_path: Path, change) -> None:
    _end_after(stylize, 2, content, style, workdir=tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(impasto.InputError, match=r"of another run.*another workdir"):
        stylize(content, style, workdir=tmp_path, **change)
    assert (tmp_path / FILE).read_bytes() == before


def test_checkpoint_of_other_pictures_is_refused_and_kept(stylize, content, style, tmp_path: Path) -> None:
    _end_after(stylize, 2, content, style, workdir=tmp_path)
    before = (tmp_path / FILE).read_bytes()
    mask = np.full((48, 64), 255, np.uint8)
    for pictures, regions in (
        ((255 - content, style), ()),
        ((content, 255 - style), ()),
        ((content,), [(mask, style)]),
    ):
        with pytest.raises(impasto.InputError, match=r"of another run.*another workdir"):
            stylize(*pictures, regions=regions, workdir=tmp_path)
    with pytest.raises(impasto.InputError, match=r"of another run.*another workdir"):
        stylize(content, style, workdir=tmp_path, init=255 - content)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "truncated", "garbage", "tail"])
def test_checkpoint_that_is_damaged_is_refused_and_kept(stylize, content, style, tmp_path: Path, damage: str) -> None:
    _end_after(stylize, 2, content, style, workdir=tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    broken = {"empty": b"", "truncated": whole[:100], "garbage": b"\xff" * len(whole), "tail": whole[:-64]}[damage]
    (tmp_path / FILE).write_bytes(broken)
    with pytest.raises(impasto.InputError, match=r"is damaged.*another workdir, or remove") as caught:
        stylize(content, style, workdir=tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / FILE).read_bytes() == broken


def test_workdir_of_a_run_at_work_is_refused(stylize, content, style, tmp_path: Path) -> None:
    _end_after(stylize, 2, content, style, workdir=tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with FileLock(tmp_path / "lock"), pytest.raises(impasto.InputError, match=r"another run is at work.*wait"):
        stylize(content, style, workdir=tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    stylize(content, style, workdir=tmp_path)  # and is free again


def test_workdir_is_free_after_an_error(stylize, content, style, tmp_path: Path) -> None:
    def fail(_: impasto.Progress) -> None:
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"):
        stylize(content, style, workdir=tmp_path, on_progress=fail)
    stylize(content, style, workdir=tmp_path)


def test_workdir_that_is_a_file_is_refused(stylize, content, style, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(impasto.OutputError, match=r"as workdir.*choose a folder"):
            stylize(content, style, workdir=path)
    assert (tmp_path / "file").read_text() == "mine"


def test_workdir_and_time_budget_are_refused_together(stylize, content, style, tmp_path: Path) -> None:
    with pytest.raises(impasto.SettingsError, match=r"workdir and time_budget"):
        stylize(content, style, workdir=tmp_path / "new", time_budget=1.0)
    assert not (tmp_path / "new").exists()


def test_checkpoint_that_cannot_be_written_leaves_the_one_before(
    stylize, content, style, tmp_path: Path, monkeypatch
) -> None:
    _end_after(stylize, 3, content, style, workdir=tmp_path)
    before = (tmp_path / FILE).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on the disk")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(impasto.OutputError, match=r"no space left.*free some space"):
            stylize(content, style, workdir=tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    _assert_same(stylize(content, style, workdir=tmp_path), stylize(content, style))


def test_checkpoints_are_seldom_where_writing_them_is_slow(tmp_path: Path, monkeypatch) -> None:
    """A thirtieth of the time or so goes into them."""
    monkeypatch.setattr(checkpoint, "_PAUSE", 30.0)
    clock = iter([0.0, 0.0, 2.0, 2.0, 61.9, 62.1])
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(clock))
    with checkpoint.open_workdir(tmp_path, {}) as workdir:
        assert workdir is not None
        workdir.save(checkpoint.Checkpoint({"a": torch.zeros(1)}, {}))  # took two seconds
        assert not workdir.is_due
        assert workdir.is_due


def test_run_that_is_cancelled_keeps_its_last_step(stylize, content, style, tmp_path: Path, monkeypatch) -> None:
    """However long ago its last checkpoint was."""
    monkeypatch.setattr(checkpoint, "_EVERY_S", 1e9)
    _end_after(stylize, 3, content, style, workdir=tmp_path)
    rest: list[int] = []
    stylize(content, style, workdir=tmp_path, on_progress=lambda progress: rest.append(progress.step))
    whole: list[int] = []
    stylize(content, style, on_progress=lambda progress: whole.append(progress.step))
    assert rest == whole[3:]
