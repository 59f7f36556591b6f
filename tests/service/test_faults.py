"""What the machine does to a service: no disk, no memory, no database. It stays up, says so, and goes on afterwards."""

from __future__ import annotations

import resource
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import numpy as np
import psutil
import pytest
from tests.service.conftest import QUICK, encoded, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.service.conftest import Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux only"),
]


@pytest.fixture
def broken(served: Served, client: httpx2.Client) -> Served:
    """The service of all tests, whole before each of these: what happens to it is undone, and it goes on."""
    wait(lambda: client.get("/readyz").json()["ready"])
    return served


@contextmanager
def limited(process: psutil.Process, kind: int, value: int) -> Iterator[None]:
    """A limit of a running process, as if the machine had no more; lifted at the end if it is still there."""
    _, hard = process.rlimit(kind)
    process.rlimit(kind, (value, hard))
    try:
        yield
    finally:
        if process.is_running():
            process.rlimit(kind, (hard, hard))


def wait(is_so, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def over(client: httpx2.Client, job: dict) -> dict:
    found: dict = {}

    def is_over() -> bool:
        found.update(client.get(f"/v1/jobs/{job['id']}").json())
        return found["state"] not in ("queued", "running")

    wait(is_over, 120)
    return found


def checks(client: httpx2.Client) -> dict[str, bool]:
    answer = client.get("/readyz")
    assert answer.status_code == (200 if answer.json()["ready"] else 503)
    return answer.json()["checks"]


def still_works(client: httpx2.Client, body: dict) -> None:
    """The next job is done."""
    assert client.get("/healthz").status_code == 200
    job = client.post("/v1/jobs", json={**body, "settings": QUICK})
    assert job.status_code == 202, job.text
    assert over(client, job.json())["state"] == "done"


def test_worker_without_memory_fails_the_job_with_a_reason(client, broken, asked) -> None:
    (worker,) = psutil.Process(broken.process.pid).children()
    with limited(worker, resource.RLIMIT_AS, worker.memory_info().vms + (24 << 20)):
        job = client.post("/v1/jobs", json=asked(settings={**QUICK, "image_size": 512, "scales": [512]})).json()
        failed = over(client, job)
        assert (failed["state"], failed["error"]["code"]) == ("failed", "memory"), failed["error"]
        assert "smaller image_size" in failed["error"]["detail"]
        assert client.get("/healthz").status_code == 200


def test_worker_without_disk_fails_the_job_with_a_reason(client, broken, asked) -> None:
    (worker,) = psutil.Process(broken.process.pid).children()
    with limited(worker, resource.RLIMIT_FSIZE, 5 << 20):  # less than a checkpoint, more than the database's file
        settings = {**QUICK, "image_size": 224, "scales": [224], "steps": 60}
        failed = over(client, client.post("/v1/jobs", json=asked(settings=settings)).json())
        assert (failed["state"], failed["error"]["code"]) == ("failed", "OutputError"), failed["error"]
        assert str(broken.home) not in failed["error"]["detail"]
    still_works(client, asked())


def test_service_without_disk_refuses_and_stays_up(client, broken, asked) -> None:
    body = asked()
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    with limited(psutil.Process(broken.process.pid), resource.RLIMIT_FSIZE, 1 << 10):
        upload = send(client, encoded(noise, (300, 300)))
        assert (upload.status_code, upload.json()["code"]) == (507, "no_space")
        assert str(broken.home) not in upload.text
        job = client.post("/v1/jobs", json=body)
        assert (job.status_code, job.json()["code"]) == (503, "database")
        assert job.headers["retry-after"]
        assert not checks(client)["database"]
        assert client.get("/healthz").status_code == client.get("/v1/jobs").status_code == 200
    assert all(checks(client).values())
    assert not list(broken.home.rglob("*.tmp"))


def test_store_that_cannot_be_written_refuses_and_stays_up(client, broken, asked) -> None:
    body = asked()
    assets = broken.home / "assets"
    assets.rename(broken.home / "away")
    assets.write_bytes(b"")
    try:
        upload = send(client, encoded(np.full((40, 50, 3), 77, np.uint8), (50, 40)))
        assert (upload.status_code, upload.json()["code"]) == (507, "no_space")
        assert client.post("/v1/jobs", json=body).status_code == 404
        assert not checks(client)["store"]
        assert client.get("/v1/jobs").status_code == 200
    finally:
        assets.unlink()
        (broken.home / "away").rename(assets)


def test_locked_database_is_answered_in_time(client, broken, asked) -> None:
    """Another program writes to the file and does not end: who reads goes on, who writes is told to come again."""
    body = asked()
    other = sqlite3.connect(broken.home / "jobs.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with ThreadPoolExecutor(10) as threads:
            writes = [
                threads.submit(httpx2.post, f"{broken.address}/v1/jobs", json=body, timeout=60) for _ in range(20)
            ]
            began = time.monotonic()
            assert not checks(client)["database"]
            assert time.monotonic() - began < 5
            for place in ("/healthz", "/v1/jobs", "/v1/engines"):
                assert client.get(place).status_code == 200
            assert time.monotonic() - began < 6
            wait(lambda: any(one.done() for one in writes), 15)
            other.execute("COMMIT")
            answers = [one.result() for one in writes]
    finally:
        other.close()
    codes = {answer.status_code for answer in answers}
    assert codes <= {202, 429, 503}
    assert codes & {429, 503}
    for answer in answers:
        if answer.status_code == 202:
            client.post(answer.json()["links"]["cancel"])
        else:
            assert int(answer.headers["retry-after"]) > 0
    wait(lambda: checks(client)["database"])
    still_works(client, body)
