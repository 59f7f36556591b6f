"""The token that ends a run from outside."""

from __future__ import annotations

import threading
from dataclasses import FrozenInstanceError

import pytest
import torch

from impasto.progress import Cancelled, CancelToken, Progress


def test_token_that_is_new_lets_a_run_go_on() -> None:
    token = CancelToken()
    token.check()
    assert not token.stopped


def test_token_cancelled_from_another_thread_raises() -> None:
    token = CancelToken()
    thread = threading.Thread(target=token.cancel)
    thread.start()
    thread.join()
    for _ in range(2):
        with pytest.raises(Cancelled):
            token.check()
    assert not token.stopped


def test_token_stopped_does_not_raise() -> None:
    token = CancelToken()
    token.stop()
    token.check()
    assert token.stopped


def test_token_stopped_and_cancelled_is_cancelled() -> None:
    token = CancelToken()
    token.stop()
    token.cancel()
    with pytest.raises(Cancelled):
        token.check()


def test_progress_cannot_be_changed_and_compares_without_its_preview() -> None:
    def progress(fill: float) -> Progress:
        return Progress(1, 2, 4, 3, 1, 5, 0.5, {"tv": 0.5}, 0.1, 1.0, 9.0, lambda: torch.full((3, 3, 4), fill))

    one = progress(0.0)
    assert one == progress(1.0)
    with pytest.raises(FrozenInstanceError):
        one.step = 2
