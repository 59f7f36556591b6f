"""What every JobEngine promises of its queue: order, pauses, replacing, stars, deleting, and campaigns in it."""

from __future__ import annotations

import pytest
from tests.contract.jobs_case import QUEUED, A, B, Case, case
from tests.databases import postgres

from impasto.errors import SettingsError
from impasto.jobs.campaign import CampaignRequest
from impasto.jobs.refusals import JobStateError, UnknownAssetError, UnknownJobError

__all__ = ["case", "postgres"]


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
    with pytest.raises(UnknownJobError):
        engine.move("front", owner=A, to="back")


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
