"""How a service starts, is killed, is full, and to whom it answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import openai
import psutil
import pytest
from tests.service.conftest import LONG, QUICK, end, send, start

import impasto
from impasto import api
from impasto.provenance.identity import make_identity

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@contextmanager
def running(home: Path, *options: str, **environment: str) -> Iterator[httpx2.Client]:
    served = start(home, *options, **environment)
    try:
        with httpx2.Client(base_url=served.address, timeout=60) as client:
            client.process = served.process  # type: ignore[attr-defined]
            yield client
    finally:
        end(served)


def impasto_says(*words: str | Path) -> subprocess.CompletedProcess[str]:
    source = Path(impasto.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "impasto", *words],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def job_of(client: httpx2.Client, photo: bytes, painting: bytes, **changes: object) -> dict[str, object]:
    content, style = (send(client, data).json()["id"] for data in (photo, painting))
    return {"content": content, "styles": [style], "engine": "optimize", "settings": QUICK, **changes}


def until(client: httpx2.Client, job: str, is_so) -> dict:
    deadline = time.monotonic() + 90
    while not is_so(found := client.get(f"/v1/jobs/{job}").json()):
        assert time.monotonic() < deadline, found
        assert found["state"] in ("queued", "running"), found
        time.sleep(0.02)
    return found


def test_killed_service_started_again_ends_its_job_with_the_same_bytes(tmp_path: Path, photo, painting) -> None:
    """The whole service at once, as when the power fails; its worker is left alone, and ends by itself."""
    settings = {**QUICK, "optimizer": "adam", "steps": 250}
    with running(tmp_path / "home") as client:
        body = job_of(client, photo, painting, settings=settings)
        job = client.post("/v1/jobs", json=body).json()["id"]
        before = until(client, job, lambda job: job["chunks"] >= 1)
        workers = psutil.Process(client.process.pid).children()
        client.process.kill()
    psutil.wait_procs(workers, timeout=60)
    with running(tmp_path / "home") as client:
        after = until(client, job, lambda job: job["state"] == "done" or job["chunks"] > before["chunks"])
        assert after["progress"]["fraction"] > before["progress"]["fraction"]
        done = until(client, job, lambda job: job["state"] == "done")
        result = client.get(done["links"]["result"]).content
    for name, data in (("content", photo), ("style", painting)):
        (tmp_path / name).write_bytes(data)
    # Under the names that uploads have, which are in the recipe and so in the file.
    named = [tmp_path / body["content"], tmp_path / body["styles"][0]]
    for path, data in zip(named, (photo, painting), strict=True):
        path.write_bytes(data)
    whole = api.stylize(*named, **settings).save(tmp_path / "whole.png")
    assert result == whole.read_bytes()


def test_worker_whose_service_died_before_it_was_up_ends_without_a_job(tmp_path: Path, photo, painting) -> None:
    with running(tmp_path / "home", "--no-worker") as client:
        job = client.post("/v1/jobs", json=job_of(client, photo, painting)).json()["id"]
        ended = impasto_says("worker", "--home", tmp_path / "home", "--with-parent", "1")
        assert ended.returncode == 0, ended.stderr
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "queued"


def test_killed_worker_is_started_again_and_signs(tmp_path: Path, photo, painting, monkeypatch) -> None:
    monkeypatch.setenv("IMPASTO_PROVENANCE", str(tmp_path / "papers"))
    make_identity(tmp_path / "papers", name="Studio")
    with running(tmp_path / "home", "--sign", "local") as client:
        job = client.post("/v1/jobs", json=job_of(client, photo, painting, settings={**LONG, "steps": 100})).json()[
            "id"
        ]
        until(client, job, lambda job: job["state"] == "running")
        (worker,) = psutil.Process(client.process.pid).children()
        worker.send_signal(signal.SIGKILL)
        until(client, job, lambda job: job["state"] == "done")
        assert client.get("/readyz").json()["ready"]
        (tmp_path / "result.png").write_bytes(client.get(f"/v1/jobs/{job}/result").content)
    assert impasto.verify(tmp_path / "result.png").outcome == "trusted"
    assert (tmp_path / "home/registry.sqlite").exists()


def test_full_queue_is_answered_with_429_and_when_to_come_again(tmp_path: Path, photo, painting) -> None:
    with running(tmp_path, "--queue", "2", "--no-worker") as client:
        body = job_of(client, photo, painting)
        answers = [client.post("/v1/jobs", json=body) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        assert answers[2].json()["code"] == "overloaded_queue"
        assert client.get("/readyz").status_code == 503  # there is no worker
        address = str(client.base_url.join("/v1"))
        with (
            openai.OpenAI(base_url=address, api_key="none", max_retries=0) as sdk,
            pytest.raises(openai.RateLimitError) as refused,
        ):
            sdk.images.edit(model="impasto", image=[photo, painting], prompt="")
        assert refused.value.code == "overloaded_queue"
        assert client.post(answers[0].json()["links"]["cancel"]).json()["state"] == "cancelled"
        assert client.post("/v1/jobs", json=body).status_code == 202


def test_other_addresses_need_keys_and_keep_owners_apart(tmp_path: Path, photo, painting) -> None:
    refused = impasto_says("serve", "--home", tmp_path, "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert refused.returncode == 2
    assert "impasto keys add" in refused.stderr
    keys = [impasto_says("keys", "add", owner, "--home", tmp_path).stdout.strip() for owner in ("anna", "ben")]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("jobs.sqlite*"))
    assert not any(key.encode() in kept or key.split("_", 2)[2].encode() in kept for key in keys)
    with running(tmp_path, "--host", "0.0.0.0", "--no-worker") as open_client:  # noqa: S104
        address = str(open_client.base_url).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        anna, ben = (
            httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=60) for key in keys
        )
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {keys[0][:-1]}x"}):
            answer = httpx2.get(f"{address}/v1/jobs", headers=wrong)
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
        body = job_of(anna, photo, painting)
        job = anna.post("/v1/jobs", json=body).json()
        assert anna.get(f"/v1/jobs/{job['id']}").status_code == 200
        for method, route in (
            ("GET", ""),
            ("GET", "/result"),
            ("GET", "/preview"),
            ("POST", "/cancel"),
            ("POST", "/retry"),
        ):
            assert ben.request(method, f"/v1/jobs/{job['id']}{route}").status_code == 404
        assert ben.get("/v1/jobs").json()["jobs"] == []
        assert ben.post("/v1/jobs", json=body).status_code == 404  # the pictures are hers
        assert httpx2.get(f"{address}/healthz").status_code == 200
        assert impasto_says("keys", "revoke", keys[0].split("_")[1], "--home", tmp_path).returncode == 0
        assert anna.get("/v1/jobs").status_code == 401
        listed = impasto_says("keys", "list", "--home", tmp_path)
        assert "anna  revoked" in listed.stdout
        anna.close()
        ben.close()


def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with running(tmp_path / "one", "--no-worker") as client:
        port = str(client.base_url.port)
        refused = impasto_says("serve", "--home", tmp_path / "two", "--port", port, "--no-worker")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"impasto: error: cannot listen on 127.0.0.1:{port}")


def test_database_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    for url, words in (
        ("mysql://x/y", "cannot be used; give postgresql"),
        ("postgresql://u:secret@127.0.0.1:1/x", "cannot be used"),
    ):
        refused = impasto_says("serve", "--home", tmp_path, "--port", "0", "--database", url)
        assert refused.returncode == 2
        assert words in refused.stderr
        assert "secret" not in refused.stderr
        assert refused.stderr.count("\n") == 1
