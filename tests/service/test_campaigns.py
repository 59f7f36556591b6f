"""A campaign over HTTP: planned, run, looked at, decided on, run again, stopped and deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.service.conftest import encoded, send

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

pytestmark = pytest.mark.slow

PACK = """
name = "Spring"
styles = ["{style}"]
[settings]
image_size = 64
[[channels]]
name = "web"
width = 32
height = 32
"""


@pytest.fixture
def campaign(client: httpx2.Client, content, painting: bytes) -> Callable[..., dict[str, object]]:
    """The body of a campaign of two pictures."""
    photos = [send(client, encoded(content, (64 + number, 48))).json()["id"] for number in range(2)]
    pack = PACK.format(style=send(client, painting).json()["id"])

    def make(**changes: object) -> dict[str, object]:
        return {"pack": pack, "inputs": [photos[0], {"asset": photos[1], "name": "beach"}], **changes}

    return make


def until(client: httpx2.Client, found: dict, *states: str) -> dict:
    deadline = time.monotonic() + 120
    while found["state"] not in states:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
        found = client.get(found["links"]["self"]).json()
    return found


def test_campaign_from_plan_to_the_run_after_a_decision(client, campaign) -> None:
    plan = client.post("/v1/campaigns", json=campaign(plan_only=True))
    assert plan.status_code == 200
    assert [row["picture"] for row in plan.json()["to_paint"]] == [campaign()["inputs"][0][:12], "beach"]
    assert plan.json()["memory_mb"] > 0
    assert client.get("/v1/campaigns").json()["campaigns"] == []

    answer = client.post("/v1/campaigns", json=campaign())
    assert answer.status_code == 202
    taken = answer.json()
    assert answer.headers["location"] == taken["links"]["self"] == f"/v1/campaigns/{taken['id']}"
    assert client.delete(taken["links"]["self"]).status_code == 409
    done = until(client, taken, "done", "failed")
    assert (done["name"], done["error"], done["counts"]["done"]) == ("Spring", None, 2), done
    assert done["progress"]["fraction"] == 1
    assert client.get("/v1/campaigns").json()["campaigns"][0]["id"] == taken["id"]
    assert client.get(f"/v1/jobs/{taken['id']}").status_code == 404
    assert taken["id"] not in {job["id"] for job in client.get("/v1/jobs").json()["jobs"]}

    first, beach = sorted(done["rows"], key=lambda row: row["picture"] == "beach")
    assert len(beach["files"]) == 2
    for name in beach["files"]:
        picture = client.get(name)
        assert (picture.status_code, picture.headers["content-type"].partition("/")[0]) == (200, "image")
    for name in ("campaign.jsonl", "../manifest.jsonl", "pictures/none.png"):
        assert client.get(f"{done['links']['self']}/files/{name}").status_code == 404

    page = client.get(done["links"]["report"])
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-scripts allow-downloads" in policy
    assert "beach" in page.text

    decide = done["links"]["decisions"]
    assert client.post(decide, json={"0" * 16: {"decision": "reject"}}).status_code == 422
    assert client.post(decide, json={first["slot"]: {"decision": "keep"}}).status_code == 422
    said = {first["slot"]: {"decision": "reject"}, beach["slot"]: {"decision": "redo", "strength": 0.3}}
    assert client.post(decide, json=said).status_code == 200
    kept = client.post(decide, json={first["slot"]: {"decision": "approve"}}).json()["decisions"]
    assert kept[first["slot"]]["key"] == first["key"]
    assert kept[beach["slot"]]["strength"] == 0.3
    again = until(client, client.post(done["links"]["run"]).json(), "done", "failed")
    rows = {row["slot"]: row for row in again["rows"]}
    assert rows[first["slot"]] == first
    assert (rows[beach["slot"]]["strength"], beach["strength"]) == (0.3, 1.0)
    assert client.delete(again["links"]["self"]).status_code == 204
    assert client.get(again["links"]["self"]).status_code == 404


def test_campaign_is_stopped_and_what_cannot_be_run_is_refused(client, campaign) -> None:
    client.post("/v1/queue/pause")
    try:
        waits = client.post("/v1/campaigns", json=campaign()).json()
        assert client.get(waits["links"]["report"]).status_code == 404
        assert client.post(waits["links"]["stop"]).json()["state"] == "cancelled"
    finally:
        client.post("/v1/queue/resume")
    for change, status in (
        ({"pack": None, "styles": ["no-such-style"]}, 422),
        ({"pack": 'styles = ["../x"]'}, 422),
        ({"inputs": ["0" * 64]}, 404),
        ({"colour": 1}, 422),
    ):
        refused = client.post("/v1/campaigns", json=campaign(**change))
        assert (refused.status_code, refused.json()["detail"].count("\n")) == (status, 0), refused.text
