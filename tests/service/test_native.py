"""The native API, as any client speaks it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.service.conftest import LONG, QUICK, send

from impasto import api

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def until(client, job: dict, *states: str) -> dict:
    deadline = time.monotonic() + 90
    while job["state"] not in states:
        assert time.monotonic() < deadline, job
        assert job["state"] in ("queued", "running"), job
        job = client.get(job["links"]["self"]).json()
        time.sleep(0.05)
    return job


def test_job_from_upload_to_result(client, asked, photo, painting, tmp_path: Path) -> None:
    answer = client.post("/v1/jobs", json=asked())
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    done = until(client, job, "done")
    assert (done["metrics"]["width"], done["metrics"]["height"]) == (64, 48)
    result = client.get(done["links"]["result"])
    assert (result.status_code, result.headers["content-type"]) == (200, "image/png")
    assert result.headers["etag"].strip('"') == done["metrics"]["sha256"]
    (tmp_path / "out.png").write_bytes(result.content)
    recipe = api.read_recipe(tmp_path / "out.png")
    for name, data in (("content", photo), ("style", painting)):
        (tmp_path / name).write_bytes(data)
    again = api.rerun(recipe, tmp_path / "content", tmp_path / "style").save(tmp_path / "again.png")
    assert again.read_bytes() == result.content


def test_prefer_wait_answers_with_the_end(client, asked) -> None:
    answer = client.post("/v1/jobs", json=asked(engine="fast", settings={}), headers={"Prefer": "wait=50"})
    assert answer.status_code == 201
    assert answer.json()["state"] == "done"


def test_same_idempotency_key_gives_the_same_job(client, asked) -> None:
    body, key = asked(), {"Idempotency-Key": "a key of mine"}
    first = client.post("/v1/jobs", json=body, headers=key).json()
    assert client.post("/v1/jobs", json=body, headers=key).json()["id"] == first["id"]
    other = client.post("/v1/jobs", json=asked(format="jpeg"), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    with ThreadPoolExecutor(8) as threads:
        ids = threads.map(
            lambda _: client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "at once"}).json()["id"], range(8)
        )
    assert len(set(ids)) == 1


def test_stop_keeps_the_picture_and_cancel_drops_it(client, asked) -> None:
    kept = until(client, client.post("/v1/jobs", json=asked(settings=LONG)).json(), "running")
    waits = client.post("/v1/jobs", json=asked(settings=LONG)).json()
    assert waits["state"] == "queued"
    assert client.post(waits["links"]["cancel"]).json()["state"] == "cancelled"
    client.post(kept["links"]["stop"])
    done = until(client, kept, "done")
    assert done["metrics"]["stopped_early"]
    assert client.get(done["links"]["result"]).status_code == 200
    dropped = until(client, client.post("/v1/jobs", json=asked(settings=LONG)).json(), "running")
    client.post(dropped["links"]["cancel"])
    ended = until(client, dropped, "cancelled")
    refused = client.get(f"/v1/jobs/{dropped['id']}/result")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert client.post(ended["links"]["retry"]).json()["state"] == "queued"
    client.post(f"/v1/jobs/{ended['id']}/cancel")
    assert until(client, ended | {"state": "queued"}, "cancelled")
    assert client.post(f"{done['links']['self']}/retry").status_code == 409


def test_list_pages_from_the_newest(client, asked) -> None:
    made = [client.post("/v1/jobs", json=asked(engine="fast", settings={})).json()["id"] for _ in range(3)]
    first = client.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in first["jobs"]] == made[:0:-1]
    second = client.get("/v1/jobs", params={"limit": 2, "before": first["next"]}).json()
    assert second["jobs"][0]["id"] == made[0]
    assert client.get("/v1/jobs", params={"before": "0" * 32}).status_code == 404


def test_events_are_snapshots_that_a_client_takes_up_again(client, asked) -> None:
    job = client.post("/v1/jobs", json=asked()).json()
    number, seen = 0, []
    for _ in range(20):  # each time as if the connection had broken after one event
        headers = {"Last-Event-ID": str(number)} if number else {}
        with client.stream("GET", "/v1/events", headers=headers) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for event in _events(stream.iter_lines()):
                assert event["id"] > number
                number = event["id"]
                if event["data"]["id"] == job["id"]:
                    seen.append(event["data"]["state"])
                    break
        if seen[-1] == "done":
            break
    assert seen[-1] == "done"
    assert seen == sorted(seen, key=["queued", "running", "done"].index)


def _events(lines):
    event = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            event["id"] = int(value)
        elif name == "data":
            yield event | {"data": json.loads(value)}


def test_engines_and_styles_say_what_can_be_asked_for(client) -> None:
    found = client.get("/v1/engines").json()
    assert {engine["id"] for engine in found["engines"]} == {"fast", "optimize"}
    assert all("strength" in engine["settings"] for engine in found["engines"])
    assert not any("vgg_weights" in engine["settings"] for engine in found["engines"])
    assert [style["id"] for style in client.get("/v1/styles").json()["styles"]]


def test_service_says_how_it_is(client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    deadline = time.monotonic() + 60
    while not client.get("/readyz").json()["ready"]:  # its worker is still loading
        assert time.monotonic() < deadline
    assert client.get("/readyz").status_code == 200
    assert client.get("/v1/version").json()["jobs"] == "jobs-v2"
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")


@pytest.mark.parametrize("change", [{"colour": 1}, {"settings": {"steps": -1}}, {"settings": {**QUICK, "model": "x"}}])
def test_job_that_cannot_be_run_is_refused_in_one_sentence(client, asked, change: dict) -> None:
    answer = client.post("/v1/jobs", json=asked(**change))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["detail"].count("\n") == 0


def test_upload_again_is_the_same_asset(client, photo) -> None:
    first, second = send(client, photo), send(client, photo, name="other.jpg")
    assert first.status_code == 201
    assert first.json() == second.json() == {**first.json(), "format": "PNG", "width": 64, "height": 48}
