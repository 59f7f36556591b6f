"""Whatever is killed: a job that was accepted ends once, with the bytes of one that nobody disturbed."""

from __future__ import annotations

import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.unit.jobs.conftest import OWNER, SLOW, until

from impasto import api

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.jobs.durable import DurableJobs


#: Every test starts one or two processes that load PyTorch.
pytestmark = pytest.mark.slow


def undisturbed(jobs: DurableJobs, request, path: Path) -> bytes:
    """What the library makes of the same request in one go."""
    asset = partial(jobs.store.asset, owner=OWNER)
    result = api.stylize(asset(request.content), [asset(one) for one in request.styles], **request.settings)
    result.save(path)
    return path.read_bytes()


def result_of(jobs: DurableJobs, job) -> bytes:
    return jobs.store.job(job.id).result(job.request.format).read_bytes()


@pytest.mark.parametrize("again", ["one", "two"])
def test_killed_worker_restarted_or_replaced_goes_on_to_the_same_bytes(
    jobs, work, request_of, tmp_path: Path, again: str
) -> None:
    """In its slot at once; in another slot once the dead one has been silent for long enough."""
    request = request_of()
    job = jobs.submit(request, owner=OWNER)
    first = work("one", before=SLOW)
    before = until(jobs, job, lambda job: job.chunks >= 4)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done_before = jobs.get(job.id, owner=OWNER).chunks
    work(again)
    after = until(jobs, job, lambda job: job.chunks > done_before)
    assert after.progress["chunk"] >= done_before  # none that was finished is computed again
    assert after.progress["fraction"] > before.progress["fraction"]
    done = until(jobs, job, lambda job: job.is_over)
    assert done.state == "done", done.error
    assert result_of(jobs, job) == undisturbed(jobs, request, tmp_path / "whole.png")
    assert len(steps_of(jobs, job)) == done.chunks


def steps_of(jobs: DurableJobs, job) -> list[object]:
    """All chunks that any ticket finished; there is one job."""
    steps = [
        step for each in jobs.client.list_workflows() for step in jobs.client.list_workflow_steps(each.workflow_id)
    ]
    return [step for step in steps if step["function_name"] == "chunk"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_worker_that_hangs_ends_itself_and_its_job_is_the_next_ones(jobs, work, request_of) -> None:
    """It hangs inside a library, with the interpreter's lock held, so that nothing written in Python could end it."""
    hangs = """
import ctypes
from impasto import api
from impasto.jobs import watchdog
watchdog._LEAST_S = 2.0
api.stylize = lambda *_, **__: ctypes.PyDLL(None).sleep(600)
"""
    job = jobs.submit(request_of(engine="fast", settings={"image_size": 64}), owner=OWNER)
    began = time.monotonic()
    assert work("one", before=hangs).wait(timeout=90) == 1
    assert time.monotonic() - began > 2
    left = jobs.get(job.id, owner=OWNER)
    assert (left.state, left.attempts) == ("running", 1)  # as if it had been killed, and so it counts for poison


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_paused_job_ends_its_chunk_and_goes_on_to_the_same_bytes(jobs, work, request_of, tmp_path: Path) -> None:
    """Others are begun meanwhile."""
    request = request_of()
    job = jobs.submit(request, owner=OWNER)
    work("one", before=SLOW)
    until(jobs, job, lambda job: job.chunks >= 2)
    jobs.pause(job.id, owner=OWNER)
    paused = until(jobs, job, lambda job: job.state == "paused")
    other = jobs.submit(request_of(engine="fast", settings={"image_size": 64}), owner=OWNER)
    assert until(jobs, other, lambda job: job.is_over).state == "done"
    assert jobs.get(job.id, owner=OWNER) == paused
    jobs.resume(job.id, owner=OWNER)
    after = until(jobs, job, lambda job: job.chunks > paused.chunks)
    assert after.progress["chunk"] >= paused.chunks
    done = until(jobs, job, lambda job: job.is_over)
    assert result_of(jobs, job) == undisturbed(jobs, request, tmp_path / "whole.png")
    assert len(steps_of(jobs, job)) == done.chunks + 1  # and the other's


def test_job_that_kills_its_worker_every_time_fails_and_the_queue_goes_on(jobs, work, request_of) -> None:
    """A supervisor would start the worker again and again; so does this test."""
    poison = """
import os
from impasto import api
whole = api.stylize
def stylize(*args, **named):
    if named.get("seed") == 13: os._exit(9)
    return whole(*args, **named)
api.stylize = stylize
"""
    settings = request_of().settings
    bad = jobs.submit(request_of(settings={**settings, "seed": 13}), owner=OWNER)
    good = jobs.submit(request_of(engine="fast", settings={"image_size": 64}), owner=OWNER)
    deaths = 0
    while not jobs.get(bad.id, owner=OWNER).is_over:
        worker = work("one", before=poison)
        while worker.poll() is None and not jobs.get(good.id, owner=OWNER).is_over:
            time.sleep(0.02)
        deaths += worker.poll() == 9
        assert deaths <= 3
    assert deaths == 3
    failed = jobs.get(bad.id, owner=OWNER)
    assert (failed.state, failed.error["code"]) == ("failed", "poison")
    assert until(jobs, good, lambda job: job.is_over).state == "done"


def test_cancelled_job_stays_so_after_its_worker_was_killed(jobs, work, request_of) -> None:
    job = jobs.submit(request_of(), owner=OWNER)
    first = work("one", before=SLOW)
    until(jobs, job, lambda job: job.chunks >= 2)
    first.kill()  # it cannot see the request any more
    first.wait()
    assert jobs.cancel(job.id, owner=OWNER, keep=False).state == "running"
    work("one")
    assert until(jobs, job, lambda job: job.is_over).state == "cancelled"
    assert not jobs.store.job(job.id).path.exists()


def test_worker_that_is_told_to_end_hands_its_job_on(jobs, work, request_of, tmp_path: Path) -> None:
    request = request_of()
    job = jobs.submit(request, owner=OWNER)
    first = work("one", before=SLOW)
    until(jobs, job, lambda job: job.chunks >= 2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 0
    left = jobs.get(job.id, owner=OWNER)
    assert (left.state, left.attempts) == ("running", 0)
    work("two")
    assert until(jobs, job, lambda job: job.is_over).state == "done"
    assert result_of(jobs, job) == undisturbed(jobs, request, tmp_path / "whole.png")


def test_database_that_fails_ends_the_worker_and_not_the_job(jobs, work, request_of) -> None:
    fails = """
from sqlalchemy.exc import OperationalError
from impasto.jobs import table
def report(*_): raise OperationalError("UPDATE", {}, Exception("the server closed the connection"))
table.report = report
"""
    job = jobs.submit(request_of(), owner=OWNER)
    assert work("one", before=fails).wait(timeout=90) == 1
    assert jobs.get(job.id, owner=OWNER).state == "running"
    work("one")
    assert until(jobs, job, lambda job: job.is_over).state == "done"


def test_worker_that_was_only_silent_ends_the_job_with_the_other_once(jobs, work, request_of, tmp_path: Path) -> None:
    request = request_of(settings={**request_of().settings, "steps": 60, "optimizer": "adam"})
    job = jobs.submit(request, owner=OWNER)
    silent = """
from impasto.jobs import table
beat, beats = table.beat, []
table.beat = lambda *args: beats or (beats.append(beat(*args)), None)[1]
"""
    first = work("one", before=SLOW + silent)
    until(jobs, job, lambda job: job.chunks >= 1)
    second = work("two", before=SLOW)
    taken_over = False

    def is_over(job) -> bool:
        nonlocal taken_over
        taken_over |= any(one.executor_id == "two" for one in jobs.client.list_workflows(status="PENDING"))
        return job.is_over

    done = until(jobs, job, is_over)
    assert taken_over
    assert done.state == "done", done.error
    assert result_of(jobs, job) == undisturbed(jobs, request, tmp_path / "whole.png")
    assert first.poll() is second.poll() is None
