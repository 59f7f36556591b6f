"""The verbs of the queue over HTTP: what waits can be moved, paused, replaced and cancelled, what has ended deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.service.conftest import LONG, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.service.conftest import Served

pytestmark = pytest.mark.slow


@pytest.fixture
def client(served: Served) -> Iterator[httpx2.Client]:
    """The queue is as it was when a test ends, since others use the same service."""
    with httpx2.Client(base_url=served.address, timeout=60) as one:
        yield one
        one.post("/v1/queue/cancel", json={"states": ["queued", "paused", "running"]})
        one.post("/v1/queue/resume")


def until(client: httpx2.Client, job: dict, *states: str) -> dict:
    deadline = time.monotonic() + 90
    while job["state"] not in states:
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
        job = client.get(job["links"]["self"]).json()
    return job


def positions(client: httpx2.Client, jobs: list[dict]) -> list[int | None]:
    return [client.get(job["links"]["self"]).json()["position"] for job in jobs]


def test_paused_queue_is_arranged_and_then_done_in_that_order(client, asked) -> None:
    paused = client.post("/v1/queue/pause").json()
    assert paused["paused"]
    assert paused["paused_at"]
    jobs = [client.post("/v1/jobs", json=asked(engine="fast", settings={})).json() for _ in range(3)]
    assert client.get("/v1/queue").json()["mine"] == {"queued": 3, "running": 0, "paused": 0}
    first, second, third = jobs
    moved = client.post(third["links"]["move"], json={"to": "front"})
    assert (moved.status_code, moved.json()["position"]) == (200, 0)
    client.post(first["links"]["move"], json={"before": second["id"]})
    assert positions(client, jobs) == [1, 2, 0]
    for body in ({}, {"to": "front", "before": first["id"]}, {"to": "middle"}, {"before": "x"}):
        assert client.post(first["links"]["move"], json=body).status_code == 422
    assert client.post(first["links"]["move"], json={"before": "0" * 32}).status_code == 404
    time.sleep(1.5)  # in which a worker takes a job that it may take
    assert {job["state"] for job in client.get("/v1/jobs", params={"limit": 3}).json()["jobs"]} == {"queued"}
    assert not client.post("/v1/queue/resume").json()["paused"]
    done = [until(client, job, "done") for job in jobs]
    assert sorted(done, key=lambda job: job["started_at"]) == [done[2], done[0], done[1]]
    refused = client.post(f"/v1/jobs/{first['id']}/move", json={"to": "front"})
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")


def test_running_job_is_put_aside_with_its_checkpoint_and_goes_on(client, asked) -> None:
    job = until(client, client.post("/v1/jobs", json=asked(settings=LONG)).json(), "running")
    while not client.get(job["links"]["self"]).json()["chunks"]:
        time.sleep(0.05)
    assert client.post(job["links"]["pause"]).status_code == 202
    paused = until(client, job, "paused")
    assert paused["chunks"] >= 1
    assert set(paused["links"]) == {"self", "stop", "cancel", "resume"}
    assert client.get(f"{paused['links']['self']}/preview").status_code == 200
    quick = client.post("/v1/jobs", json=asked(engine="fast", settings={}), headers={"Prefer": "wait=50"})
    assert quick.status_code == 201  # the worker is free for others
    client.post(paused["links"]["resume"])
    again = until(client, {**paused, "state": "queued"}, "running")
    while (now := client.get(again["links"]["self"]).json())["chunks"] <= paused["chunks"]:
        time.sleep(0.05)
    assert now["progress"]["step"] > paused["progress"]["step"]
    client.post(again["links"]["pause"])
    aside = until(client, again, "paused")
    client.post(aside["links"]["stop"])  # what it has is kept, as a picture
    done = until(client, {**aside, "state": "queued"}, "done")
    assert done["metrics"]["stopped_early"]
    assert client.post(f"{done['links']['self']}/pause").status_code == 409


def test_replace_and_cancel_all_end_what_waits(client, asked) -> None:
    client.post("/v1/queue/pause")
    waits = client.post("/v1/jobs", json=asked()).json()
    new = client.post("/v1/jobs", json=asked(replace=True))
    assert new.status_code == 202
    assert "replace" not in new.json()["request"]
    assert client.get(waits["links"]["self"]).json()["state"] == "cancelled"
    ended = client.post("/v1/queue/cancel")
    assert ended.status_code == 202
    assert [(job["id"], job["state"]) for job in ended.json()["jobs"]] == [(new.json()["id"], "cancelled")]
    assert client.post("/v1/queue/cancel", json={"states": ["done"]}).status_code == 422


def test_starred_jobs_are_found_and_ended_ones_deleted(client, asked, painting, served) -> None:
    wait = {"Prefer": "wait=50"}
    jobs = [
        client.post("/v1/jobs", json=asked(engine="fast", settings={}, styles=[style]), headers=wait).json()
        for style in ("mosaic", send(client, painting).json()["id"])
    ]
    assert [job["state"] for job in jobs] == ["done", "done"]
    starred = client.patch(jobs[0]["links"]["self"], json={"starred": True})
    assert (starred.status_code, starred.json()["starred"]) == (200, True)
    assert client.patch(jobs[0]["links"]["self"], json={"starred": "maybe"}).status_code == 422
    for only, found in (({"starred": True}, [jobs[0]]), ({"style": "mosaic"}, [jobs[0]])):
        listed = client.get("/v1/jobs", params={**only, "state": "done"}).json()["jobs"]
        assert [job["id"] for job in listed] == [job["id"] for job in found]
    place = served.home / "jobs" / jobs[0]["id"]
    assert place.is_dir()
    assert client.delete(jobs[0]["links"]["self"]).status_code == 204
    assert not place.exists()
    assert (
        client.get(jobs[0]["links"]["self"]).status_code == client.delete(jobs[0]["links"]["self"]).status_code == 404
    )


def test_what_is_needed_is_not_deleted_and_the_answer_says_what_to_do(client, asked) -> None:
    client.post("/v1/queue/pause")
    job = client.post("/v1/jobs", json=asked()).json()
    for place in (job["links"]["self"], f"/v1/assets/{job['request']['content']}"):
        refused = client.delete(place)
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
        assert "cancel" in refused.json()["detail"]
    client.post(job["links"]["cancel"])
    assert client.delete(f"/v1/assets/{job['request']['content']}").status_code == 204
    assert client.delete(f"/v1/assets/{job['request']['content']}").status_code == 404
    assert client.post("/v1/jobs", json=job["request"]).status_code == 404
