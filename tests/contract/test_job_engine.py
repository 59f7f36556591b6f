"""What every JobEngine promises to the doors: the fake, DBOS on a file and DBOS on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.jobs_case import QUEUED, A, B, Case, case
from tests.databases import postgres

from impasto.errors import SettingsError
from impasto.jobs.job import JobRequest
from impasto.jobs.refusals import (
    IdempotencyError,
    JobStateError,
    OverloadedError,
    UnknownAssetError,
    UnknownJobError,
)

__all__ = ["case", "postgres"]


def test_submitted_job_waits_with_what_was_asked_for(case: Case) -> None:
    first, second = case.submit(), case.submit()
    assert (first.state, first.owner, first.request, first.chunks) == ("queued", A, case.request(), 0)
    assert case.engine.get(first.id, owner=A) == first
    assert [case.engine.position(job) for job in (first, second)] == [0, 1]
    case.begin(first)
    assert case.engine.position(case.engine.get(first.id, owner=A)) is None
    assert case.engine.position(second) == 0


def test_job_of_another_owner_is_as_unknown_as_none(case: Case) -> None:
    job, other, engine = case.submit(), case.submit(B), case.engine
    said = set()
    for name in (job.id, "f" * 32):
        for call in (
            lambda name: engine.get(name, owner=B),
            lambda name: engine.cancel(name, owner=B, keep=False),
            lambda name: engine.retry(name, owner=B),
            lambda name: engine.jobs(owner=B, before=name),
            lambda name: engine.pause(name, owner=B),
            lambda name: engine.resume(name, owner=B),
            lambda name: engine.move(name, owner=B, to="front"),
            lambda name: engine.move(other.id, owner=B, to=name),
            lambda name: engine.star(name, owner=B, starred=True),
            lambda name: engine.delete(name, owner=B),
        ):
            with pytest.raises(UnknownJobError) as unknown:
                call(name)
            said.add(str(unknown.value).replace(name, ""))
    assert len(said) == 1
    assert engine.jobs(owner=B) == engine.changed_since(0, owner=B) == [other]
    assert engine.cancel_all(owner=B, states=("queued", "running", "paused")) == [engine.get(other.id, owner=B)]
    assert engine.get(job.id, owner=A).state == "queued"


def test_asset_that_is_not_there_is_refused(case: Case) -> None:
    with pytest.raises(UnknownAssetError):
        case.engine.submit(case.request(content="1" * 64), owner=A)
    with pytest.raises(UnknownAssetError):
        case.engine.submit(case.request(), owner="carla")
    assert case.engine.jobs(owner=A) == []


def test_jobs_come_newest_first_in_pages(case: Case) -> None:
    made = [case.submit().id for _ in range(4)]
    case.submit(B)
    engine = case.engine
    assert [job.id for job in engine.jobs(owner=A)] == made[::-1]
    assert [job.id for job in engine.jobs(owner=A, limit=2)] == made[:1:-1]
    assert [job.id for job in engine.jobs(owner=A, limit=2, before=made[2])] == made[1::-1]
    engine.cancel(made[1], owner=A, keep=False)
    assert [job.id for job in engine.jobs(owner=A, state="cancelled")] == [made[1]]


def test_changes_come_in_their_order_and_once(case: Case) -> None:
    first, second = case.submit(), case.submit()
    engine = case.engine
    assert [job.id for job in engine.changed_since(0, owner=A)] == [first.id, second.id]
    case.begin(first)
    (news,) = engine.changed_since(second.changed, owner=A)
    assert (news.id, news.state) == (first.id, "running")
    assert news.changed > second.changed > first.changed
    assert engine.changed_since(news.changed, owner=A) == []


def test_idempotency_key_gives_one_job(case: Case) -> None:
    first = case.submit(idempotency_key="k")
    assert case.submit(idempotency_key="k").id == first.id
    with pytest.raises(IdempotencyError):
        case.engine.submit(case.request(format="jpeg"), owner=A, idempotency_key="k")
    assert case.submit(B, idempotency_key="k").id != first.id
    case.begin(first)
    case.end(first, "done")
    again = case.submit(idempotency_key="k")  # also once it is over
    assert (again.id, again.state) == (first.id, "done")


def test_idempotency_key_gives_one_job_also_at_once(case: Case) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: case.submit(idempotency_key="k").id, range(12)))
    assert len(found) == 1 == len(case.engine.jobs(owner=A))


def test_waiting_job_is_cancelled_at_once_and_running_one_is_asked(case: Case) -> None:
    waits, runs = case.submit(), case.submit()
    ended = case.engine.cancel(waits.id, owner=A, keep=True)
    assert (ended.state, ended.is_over) == ("cancelled", True)
    case.begin(runs)
    assert case.engine.cancel(runs.id, owner=A, keep=True).wanted == "keep"
    assert case.engine.cancel(runs.id, owner=A, keep=False).wanted == "discard"
    assert case.engine.cancel(runs.id, owner=A, keep=True).wanted == "discard"  # dropped is dropped
    case.end(runs, "cancelled")
    assert case.engine.cancel(runs.id, owner=A, keep=True) == case.engine.get(runs.id, owner=A)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_retry_puts_a_job_that_ended_badly_behind_the_others(case: Case, state: str) -> None:
    job, other = case.submit(), case.submit()
    case.begin(job)
    case.end(job, state)
    again = case.engine.retry(job.id, owner=A)
    assert (again.state, again.runs, again.error, again.wanted, again.progress) == ("queued", 1, None, None, None)
    assert case.engine.position(again) == 1
    assert case.engine.position(other) == 0


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_retry_of_any_other_job_is_refused(case: Case, state: str) -> None:
    job = case.submit()
    if state != "queued":
        case.begin(job)
    if state == "done":
        case.end(job, "done")
    with pytest.raises(JobStateError):
        case.engine.retry(job.id, owner=A)


def test_full_queue_is_refused_and_takes_nothing(case: Case) -> None:
    jobs = [case.submit(idempotency_key=str(number)) for number in range(QUEUED)]
    with pytest.raises(OverloadedError) as refused:
        case.submit()
    assert refused.value.reason == "queue"
    assert refused.value.retry_after_s > 0
    assert len(case.engine.jobs(owner=A)) == QUEUED
    assert case.submit(idempotency_key="0").id == jobs[0].id  # what was taken is not refused now
    case.begin(jobs[0])
    assert case.submit().state == "queued"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"content": "x"}, "content: "),
        ({"styles": ()}, "styles: "),
        ({"styles": ("../x",)}, "neither an asset's id"),
        ({"engine": "fast", "quality": "fine"}, "give one of the two"),
        ({"settings": {"strenght": 1}}, "no setting named 'strenght'"),
        ({"settings": {"steps": -1}}, "steps=-1"),
        ({"settings": {"image_size": 9999}}, "at most 4096"),
        ({"settings": {"init": "/etc/passwd"}}, "init must be one of"),
        ({"settings": {"vgg_weights": "/etc/passwd"}}, "names a file of the server"),
        ({"settings": {"time_budget": 5}}, "time_budget"),
        ({"settings": {"bit_depth": 16}, "format": "jpeg"}, "png or tiff"),
        ({"settings": {"style_weights": [1, 2]}}, "1 styles and 2 style_weights"),
        ({"format": "gif"}, "format: "),
        ({"colour": "red"}, "colour: "),
    ],
)
def test_request_that_could_not_be_run_is_one_sentence(change: dict, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        JobRequest.of(**{"content": "0" * 64, "styles": ("0" * 64,), **change})
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
