"""Threads beside the painting: order, bounds, and errors that arrive."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from impasto.video.pipeline import DEPTH, Behind, ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def counted(made: list[int], last: int = 100) -> Iterator[int]:
    for number in range(last):
        made.append(number)
        yield number


def test_items_arrive_in_their_order() -> None:
    assert list(ahead(counted([]))) == list(range(100))


def test_no_more_than_a_few_items_are_made_ahead() -> None:
    made: list[int] = []
    taken = ahead(counted(made))
    for _ in range(10):
        next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert 10 <= len(made) <= 10 + DEPTH + 1


def test_error_of_the_maker_is_raised_behind_what_came_before() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    taken = ahead(failing())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="broken"):
        next(taken)


def test_items_are_handed_over_in_another_thread_in_their_order() -> None:
    seen: list[tuple[int, bool]] = []
    with Behind(lambda item: seen.append((item, threading.current_thread() is threading.main_thread()))) as behind:
        for number in range(50):
            behind.put(number)
    assert seen == [(number, False) for number in range(50)]


def test_error_of_the_function_is_raised_at_the_end_at_the_latest() -> None:
    def fail(item: int) -> None:
        raise OSError(f"full at {item}")

    with pytest.raises(OSError, match="full at 1"), Behind(fail) as behind:
        behind.put(1)


def test_error_inside_the_block_is_the_one_that_is_raised() -> None:
    def fail(item: int) -> None:
        raise OSError("full")

    def work() -> None:
        with Behind(fail) as behind:
            behind.put(1)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()
