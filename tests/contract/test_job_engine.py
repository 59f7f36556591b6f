"""What every JobEngine promises to the doors: the fake, DBOS on a file and DBOS on PostgreSQL."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.fake_jobs import FakeJobs
from tests.databases import database_of, postgres

from impasto.errors import SettingsError
from impasto.jobs import order, table
from impasto.jobs.admission import Limits
from impasto.jobs.campaign import CampaignRequest
from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import Job, JobRequest
from impasto.jobs.refusals import (
    IdempotencyError,
    JobStateError,
    OverloadedError,
    UnknownAssetError,
    UnknownJobError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from impasto.jobs.engine import JobEngine

__all__ = ["postgres"]

A, B = "anna", "ben"
QUEUED = 6


@dataclass
class Case:
    """An engine with the same picture for both owners, and a worker's hands."""

    engine: JobEngine
    asset: str
    begin: Callable[[Job], Any]
    end: Callable[[Job, str], Any]
    claim: Callable[[], str | None]
    finish_chunk: Callable[[Job], Any]

    def request(self, **changes: object) -> JobRequest:
        return JobRequest.of(**{"content": self.asset, "styles": (self.asset,), **changes})

    def submit(self, owner: str = A, **changes: Any) -> Job:
        return self.engine.submit(self.request(), owner=owner, **changes)


@pytest.fixture(params=["fake", "sqlite", "postgres"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "fake":
        asset = "0" * 64
        fake = FakeJobs({A: {asset}, B: {asset}}, queued=QUEUED)
        yield Case(
            fake,
            asset,
            lambda job: fake.change(job, state="running"),
            lambda job, state: fake.change(job, state=state, error={"code": "x"} if state == "failed" else None),
            fake.claim,
            lambda job: fake.change(fake.get(job.id, owner=A), chunks=1, **put_aside(fake.get(job.id, owner=A))),
        )
        return
    url = database_of(request, request.param)
    engine = DurableJobs(tmp_path, database=url, limits=Limits(queued=QUEUED, free_disk_mb=0, free_memory_mb=0))
    asset, _ = (engine.store.keep(b"a picture", owner=owner) for owner in (A, B))

    def end(job: Job, state: Any) -> None:
        with engine.engine.begin() as connection:
            table.end(connection, job.id, state, error={"code": "x"} if state == "failed" else None)

    def begin(job: Job) -> None:
        with engine.engine.begin() as connection:
            table.begin(connection, job.id)

    def claim() -> str | None:
        with engine.engine.begin() as connection:
            found = order.claim(connection, str(time.time_ns()))
        return None if found is None else found[0]

    def finish_chunk(job: Job) -> None:
        with engine.engine.begin() as connection:
            table.finish_chunk(connection, job.id, 0)
            order.put_aside(connection, job.id)

    yield Case(engine, asset, begin, end, claim, finish_chunk)
    engine.close()


def put_aside(job: Job) -> dict[str, object]:
    return {"state": "paused", "wanted": None} if job.wanted == "pause" else {}


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


def test_waiting_jobs_are_begun_in_the_order_that_they_are_put_in(case: Case) -> None:
    engine = case.engine
    one, two, three = (case.submit().id for _ in range(3))
    other = case.submit(B).id
    four = case.submit().id
    engine.move(four, owner=A, to=two)
    engine.move(three, owner=A, to="front")
    engine.move(one, owner=A, to="back")
    engine.move(two, owner=A, to=two)
    wanted = [three, four, two, other, one]  # the other owner's job has kept its place
    assert [engine.position(engine.get(name, owner=B if name == other else A)) for name in wanted] == [0, 1, 2, 3, 4]
    assert [case.claim() for _ in range(6)] == [*wanted, None]
    with pytest.raises(JobStateError, match="only jobs that wait can be moved"):
        engine.move(one, owner=A, to="front")


def test_paused_queue_begins_nothing_and_takes_jobs(case: Case) -> None:
    engine, first = case.engine, case.submit()
    assert engine.queue(owner=A).paused_s is None
    engine.pause_queue(paused=True)
    since = engine.queue(owner=A).paused_s
    engine.pause_queue(paused=True)
    second = case.submit()
    assert case.claim() is None
    queue = engine.queue(owner=A)
    assert (queue.paused_s, queue.waiting) == (since, 2)
    assert queue.mine == {"queued": 2, "running": 0, "paused": 0}
    assert engine.queue(owner=B).mine["queued"] == 0
    engine.pause_queue(paused=False)
    assert [case.claim(), case.claim()] == [first.id, second.id]


def test_paused_job_is_passed_over_and_comes_back_to_its_place(case: Case) -> None:
    engine, first, second = case.engine, case.submit(), case.submit()
    assert engine.pause(first.id, owner=A).state == "paused"
    assert engine.position(engine.get(first.id, owner=A)) is None
    assert engine.pause(first.id, owner=A).state == "paused"
    assert case.claim() == second.id
    third = case.submit()
    assert engine.resume(first.id, owner=A).state == engine.resume(first.id, owner=A).state == "queued"
    assert [case.claim(), case.claim()] == [first.id, third.id]


def test_running_job_is_paused_at_its_next_chunk_unless_that_is_taken_back(case: Case) -> None:
    engine, job = case.engine, case.submit()
    case.claim()
    assert engine.pause(job.id, owner=A).wanted == "pause"
    assert engine.resume(job.id, owner=A).wanted is None
    engine.pause(job.id, owner=A)
    case.finish_chunk(job)
    paused = engine.get(job.id, owner=A)
    assert (paused.state, paused.wanted, paused.chunks) == ("paused", None, 1)
    assert case.claim() is None
    kept = engine.cancel(job.id, owner=A, keep=True)  # it has a picture, which has to be written
    assert (kept.state, kept.wanted) == ("queued", "keep")
    assert case.claim() == job.id
    assert engine.pause(job.id, owner=A).wanted == "keep"  # to end is more than to pause
    case.end(job, "done")
    for call in (engine.pause, engine.resume):
        with pytest.raises(JobStateError):
            call(job.id, owner=A)


def test_paused_job_is_cancelled_at_once(case: Case) -> None:
    job = case.submit()
    case.engine.pause(job.id, owner=A)
    assert case.engine.cancel(job.id, owner=A, keep=True).state == "cancelled"  # it never ran


def test_replacing_cancels_what_waits_and_nothing_else(case: Case) -> None:
    engine, runs, aside = case.engine, case.submit(), case.submit()
    case.claim()
    engine.pause(aside.id, owner=A)
    waits, other = case.submit(), case.submit(B)
    new = case.submit(replace=True, idempotency_key="k")
    assert case.submit(replace=True, idempotency_key="k").id == new.id  # asked again, it replaces nothing
    states = {job.id: job.state for owner in (A, B) for job in engine.jobs(owner=owner)}
    assert states == {
        runs.id: "running", aside.id: "paused", waits.id: "cancelled", other.id: "queued", new.id: "queued"
    }  # fmt: skip


def test_full_queue_of_ones_own_can_be_replaced(case: Case) -> None:
    for _ in range(QUEUED):
        case.submit()
    assert case.submit(replace=True).state == "queued"


def test_cancel_all_ends_those_of_the_states_that_are_named(case: Case) -> None:
    engine, runs, aside, waits = case.engine, case.submit(), case.submit(), case.submit()
    case.claim()
    engine.pause(aside.id, owner=A)
    assert [job.id for job in engine.cancel_all(owner=A, states=("queued",))] == [waits.id]
    assert {engine.get(job.id, owner=A).state for job in (runs, aside)} == {"running", "paused"}
    found = engine.cancel_all(owner=A, states=("queued", "paused", "running"))
    assert {(job.id, job.state, job.wanted) for job in found} == {
        (runs.id, "running", "discard"), (aside.id, "cancelled", "discard")
    }  # fmt: skip


def test_jobs_are_found_by_star_and_style(case: Case) -> None:
    engine, first, second = case.engine, case.submit(), case.submit()
    assert engine.star(first.id, owner=A, starred=True).starred
    assert [job.id for job in engine.jobs(owner=A, starred=True)] == [first.id]
    assert [job.id for job in engine.jobs(owner=A, starred=False)] == [second.id]
    assert len(engine.jobs(owner=A, style=case.asset)) == 2
    assert engine.jobs(owner=A, style=case.asset[:8]) == engine.jobs(owner=A, style="%") == []


def test_only_a_job_that_has_ended_is_deleted(case: Case) -> None:
    engine, job = case.engine, case.submit()
    for go_on in (lambda: None, case.claim, lambda: case.end(job, "cancelled")):
        go_on()
        if not engine.get(job.id, owner=A).is_over:
            with pytest.raises(JobStateError):
                engine.delete(job.id, owner=A)
    engine.delete(job.id, owner=A)
    assert engine.jobs(owner=A) == []
    with pytest.raises(UnknownJobError):
        engine.delete(job.id, owner=A)


def test_asset_is_deleted_once_no_job_needs_it(case: Case) -> None:
    engine, job = case.engine, case.submit()
    case.submit(B)  # whose upload of the same bytes is another
    engine.pause(job.id, owner=A)
    with pytest.raises(JobStateError):
        engine.delete_asset(case.asset, owner=A)
    engine.cancel(job.id, owner=A, keep=False)
    engine.delete_asset(case.asset, owner=A)
    for call in (lambda: engine.delete_asset(case.asset, owner=A), case.submit, lambda: engine.retry(job.id, owner=A)):
        with pytest.raises(UnknownAssetError):
            call()
    with pytest.raises(JobStateError):
        engine.delete_asset(case.asset, owner=B)


def test_campaign_is_a_job_that_stands_apart_from_pictures(case: Case) -> None:
    engine, picture = case.engine, case.submit()
    asked = CampaignRequest(styles=("mosaic",), inputs=(case.asset,))
    campaign = engine.submit_campaign(asked, owner=A, idempotency_key="k")
    assert engine.submit_campaign(asked, owner=A, idempotency_key="k").id == campaign.id
    assert engine.campaign(campaign.id, owner=A) == campaign
    assert (campaign.kind, campaign.request, engine.position(campaign)) == ("campaign", asked, 1)
    assert engine.campaigns(owner=A) == [campaign]
    assert (
        [job.id for job in engine.jobs(owner=A)] == [job.id for job in engine.changed_since(0, owner=A)] == [picture.id]
    )
    for call in (
        lambda: engine.get(campaign.id, owner=A),
        lambda: engine.campaign(picture.id, owner=A),
        lambda: engine.campaign(campaign.id, owner=B),
    ):
        with pytest.raises(UnknownJobError):
            call()
    engine.move(campaign.id, owner=A, to="front")
    assert case.claim() == campaign.id
    assert engine.cancel(campaign.id, owner=A, keep=True).wanted == "keep"
    case.end(campaign, "done")
    again = engine.retry(campaign.id, owner=A)
    assert (again.state, again.runs, again.wanted) == ("queued", 1, None)
    assert [job.id for job in engine.cancel_all(owner=A, states=("queued",))] == [picture.id]  # of pictures alone
    with pytest.raises(JobStateError):
        engine.delete_asset(case.asset, owner=A)
    with pytest.raises(SettingsError):
        engine.submit_campaign(asked.model_copy(update={"styles": (), "pack": "engine = 1"}), owner=A)


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
