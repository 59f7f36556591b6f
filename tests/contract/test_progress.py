"""How every engine reports, and how it answers to being cancelled or stopped."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import impasto


def _watched(quick, content, style, **settings) -> tuple[impasto.Stylization, list[impasto.Progress]]:
    seen: list[impasto.Progress] = []
    return quick(content, style, on_progress=seen.append, **settings), seen


def test_progress_adds_up(quick, content, style) -> None:
    result, seen = _watched(quick, content, style, steps=3)
    assert len(seen) == sum(scale.steps for scale in result.recipe.scales)
    fractions = [progress.fraction for progress in seen]
    assert all(0 < earlier < later for earlier, later in zip(fractions, fractions[1:], strict=False))
    assert fractions[-1] == 1.0
    assert {progress.scales for progress in seen} == {len(result.recipe.scales)}
    for number, scale in enumerate(result.recipe.scales, start=1):
        here = [progress for progress in seen if progress.scale == number]
        assert [progress.step for progress in here] == list(range(1, scale.steps + 1))
        assert {(p.width, p.height, p.steps) for p in here} == {(scale.width, scale.height, scale.steps)}
    assert [progress.scale for progress in seen] == sorted(progress.scale for progress in seen)


def test_progress_tells_the_loss_and_its_parts(quick, content, style) -> None:
    result, seen = _watched(quick, content, style)
    if result.recipe.loss is None:  # one pass minimises nothing
        assert {progress.loss for progress in seen} == {None}
        assert result.trace == ()
        return
    assert [progress.loss for progress in seen] == [point.loss for point in result.trace]
    for progress in seen:
        assert progress.loss == pytest.approx(sum(progress.terms.values()), rel=1e-4)
        assert any(name.startswith("content") for name in progress.terms)
        assert any(name.startswith("style") for name in progress.terms)


def test_progress_tells_the_time(quick, content, style) -> None:
    _, seen = _watched(quick, content, style)
    elapsed = [progress.elapsed_s for progress in seen]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] > 0
    assert all(progress.eta_s >= 0 for progress in seen)
    assert seen[-1].eta_s == 0


def test_progress_comes_in_the_calling_thread(quick, content, style) -> None:
    threads = set()
    quick(content, style, on_progress=lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_preview_is_the_picture_as_it_is(quick, content, style) -> None:
    previews = []

    def keep(progress: impasto.Progress) -> None:
        preview = progress.preview()
        assert preview.shape == (3, progress.height, progress.width)
        assert (preview.dtype, preview.device.type) == (torch.float32, "cpu")
        assert not preview.requires_grad
        assert 0 <= float(preview.min()) <= float(preview.max()) <= 1
        previews.append(preview)

    result = quick(content, style, on_progress=keep)
    assert float((previews[-1] - result.picture.pixels).abs().max()) <= 0.5 / 255 + 1e-6


def test_preview_is_a_copy(quick, content, style) -> None:
    """Whoever draws into it does not draw into the run."""
    expected = quick(content, style).picture.pixels
    found = quick(content, style, on_progress=lambda progress: progress.preview().zero_())
    assert torch.equal(found.picture.pixels, expected)


def test_progress_when_watched_changes_nothing(quick, content, style) -> None:
    watched, _ = _watched(quick, content, style)
    assert torch.equal(watched.picture.pixels, quick(content, style).picture.pixels)


def test_error_in_the_callback_reaches_the_caller(quick, content, style) -> None:
    def fail(_: impasto.Progress) -> None:
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"):
        quick(content, style, on_progress=fail)
    quick(content, style)  # and the next run is well


def test_cancel_before_the_run_raises(quick, content, style) -> None:
    token = impasto.CancelToken()
    token.cancel()
    seen: list[impasto.Progress] = []
    with pytest.raises(impasto.Cancelled):
        quick(content, style, cancel=token, on_progress=seen.append)
    assert seen == []


def test_cancel_during_the_run_raises_before_another_step(quick, content, style) -> None:
    token = impasto.CancelToken()
    seen: list[impasto.Progress] = []

    def cancel(progress: impasto.Progress) -> None:
        seen.append(progress)
        token.cancel()

    with pytest.raises(impasto.Cancelled):
        quick(content, style, cancel=token, on_progress=cancel)
    assert len(seen) == 1


def test_cancel_at_the_last_step_raises(quick, content, style) -> None:
    """A job that was cancelled must not turn up as done."""
    token = impasto.CancelToken()
    with pytest.raises(impasto.Cancelled):
        quick(
            content,
            style,
            cancel=token,
            on_progress=lambda progress: token.cancel() if progress.fraction == 1 else None,
        )


def test_cancel_is_no_error_of_impastos(quick, content, style) -> None:
    assert not issubclass(impasto.Cancelled, impasto.ImpastoError)


@pytest.mark.parametrize("at", [1, 3])
def test_stop_keeps_a_picture_of_full_size(quick, content, style, at: int) -> None:
    token = impasto.CancelToken()
    seen: list[impasto.Progress] = []

    def stop(progress: impasto.Progress) -> None:
        seen.append(progress)
        if len(seen) == at:
            token.stop()

    result = quick(content, style, cancel=token, on_progress=stop)
    assert len(seen) == at
    assert result.stopped_early is True
    assert token.stopped
    assert result.picture.pixels.shape == (3, 48, 64)
    assert sum(scale.steps for scale in result.recipe.scales) == at
    assert result.recipe.loss is None or np.isfinite(result.recipe.loss)


def test_stop_before_the_run_gives_a_picture_of_full_size(quick, content, style) -> None:
    token = impasto.CancelToken()
    token.stop()
    result = quick(content, style, cancel=token)
    assert result.stopped_early is True
    assert result.picture.pixels.shape == (3, 48, 64)


def test_stop_at_the_last_step_is_no_early_stop(quick, content, style) -> None:
    token = impasto.CancelToken()
    result = quick(
        content, style, cancel=token, on_progress=lambda progress: token.stop() if progress.fraction == 1 else None
    )
    assert result.stopped_early is False
    assert torch.equal(result.picture.pixels, quick(content, style).picture.pixels)
