"""Keys, slow clients, headers and the API's page, by a service that asks for keys."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.service.conftest import QUICK, Served, end, send, start
from typer.testing import CliRunner

from impasto.cli.main import app
from impasto.jobs import keys
from impasto.jobs.database import open_database
from impasto.jobs.keys import Quota

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SCOPES = {"reads": {"jobs:read"}, "writes": {"jobs:write"}, "both": keys.USUAL_SCOPES, "rules": {"admin"}}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
#: What an answer carries, whatever it is.
HEADERS = {
    "content-security-policy": "default-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guarded:
    """The service, and keys of each kind."""

    def __init__(self, served: Served) -> None:
        self.served = served
        engine = open_database(f"sqlite:///{served.home / 'jobs.sqlite'}")
        self.keys = {name: keys.add_key(engine, "anna", scopes=frozenset(some)) for name, some in SCOPES.items()}
        self.keys["slow"] = keys.add_key(engine, "slow")
        self.keys["few"] = keys.add_key(engine, "carla", quota=Quota(requests_a_minute=3))
        self.keys["one"] = keys.add_key(engine, "dora", quota=Quota(waiting=1))
        engine.dispose()

    def by(self, name: str) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.keys[name]}"}
        return httpx2.Client(base_url=self.served.address, timeout=60, headers=headers)


def connect(guarded: Guarded) -> socket.socket:
    place = urlsplit(guarded.served.address)
    return socket.create_connection((place.hostname, place.port), timeout=30)


class Slow(threading.Thread):
    """Clients that send a little now and then, while the tests go on: when each was ended, and what it was told."""

    def __init__(self, guarded: Guarded) -> None:
        super().__init__(daemon=True)
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {guarded.keys['slow']}\r\n"
        json_head = f"{head}Content-Type: application/json\r\n"
        form_head = head.replace("jobs", "assets") + "Content-Type: multipart/form-data; boundary=x\r\n"
        field = '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        begins = {
            "headers": head,
            "second": f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n{head}",
            "body": f"{json_head}Content-Length: 1000\r\n\r\n{{",
            "form": f"{form_head}Transfer-Encoding: chunked\r\n\r\n{len(field):x}\r\n{field}\r\n",
            "refused": f"{form_head}Content-Length: 9999999\r\n\r\n",
        }
        self.drips = {
            "headers": b"X: y\r\n",
            "second": b"X: y\r\n",
            "body": b" ",
            "form": b"1\r\nx\r\n",
            "refused": b"x",
        }
        self.open = {name: connect(guarded) for name in begins}
        for name, text in begins.items():
            self.open[name].sendall(text.encode())
        self.got = dict.fromkeys(begins, b"")
        self.ended: dict[str, float] = {}

    def run(self) -> None:
        began = time.monotonic()
        while len(self.ended) < len(self.open) and (now := time.monotonic() - began) < 40:
            for name in self.open.keys() - self.ended.keys():
                self.open[name].settimeout(0.05)
                try:
                    self.open[name].sendall(self.drips[name])
                    piece = self.open[name].recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    piece = b""
                self.got[name] += piece
                if not piece:
                    self.ended[name] = now
            time.sleep(0.3)
        for connection in self.open.values():
            connection.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("guarded")
    engine = open_database(f"sqlite:///{home / 'jobs.sqlite'}")
    first = keys.add_key(engine, "first")
    engine.dispose()
    served = start(home, "--no-worker", "--require-keys", "--allow-url-fetch", "--max-upload", "1")
    one = Guarded(served)
    slow = Slow(one)
    slow.start()
    one.slow = slow
    yield one
    slow.join()
    # Now that everything was asked with every key: none of them, nor a part of one, was written anywhere.
    served.process.terminate()
    served.process.wait(timeout=60)
    said = served.process.stderr.read()
    said += "".join(path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file())
    secrets = [key.split("_", 2)[2] for key in (first, *one.keys.values())]
    assert not [secret for secret in secrets if secret in said]
    assert "could not be answered" in said  # the log of a fault was read too
    assert end(served) == 0


@pytest.mark.parametrize(
    ("key", "reads", "writes"), [("reads", 200, 403), ("writes", 403, 404), ("both", 200, 404), ("rules", 200, 404)]
)
def test_key_does_what_its_scopes_allow(guarded: Guarded, key: str, reads: int, writes: int) -> None:
    with guarded.by(key) as client:
        for place in ("/v1/jobs", "/v1/styles", "/v1/engines", "/v1/models"):
            assert client.get(place).status_code == reads
        answer = client.post(f"/v1/jobs/{'0' * 32}/cancel")
        assert answer.status_code == writes
        if writes == 403:
            assert answer.json()["code"] == "missing_scope"
            assert "jobs:write" in answer.json()["detail"]


def test_key_that_comes_too_often_is_told_when_to_come(guarded: Guarded) -> None:
    with guarded.by("few") as client:
        answers = [client.get("/v1/jobs") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        late = answers[3]
        assert late.json()["code"] == "rate_limited"
        assert 0 < int(late.headers["retry-after"]) <= 60
        assert int(late.headers["retry-after-ms"]) <= 60_000
        compatible = client.get("/v1/models")
        assert (compatible.status_code, compatible.json()["error"]["type"]) == (429, "rate_limit_error")
    with guarded.by("both") as client:
        assert client.get("/v1/jobs").status_code == 200


def test_key_has_no_more_waiting_than_it_may(guarded: Guarded, photo: bytes, painting: bytes) -> None:
    with guarded.by("one") as client:
        content, style = (send(client, data).json()["id"] for data in (photo, painting))
        body = {"content": content, "styles": [style], "engine": "optimize", "settings": QUICK}
        first, second = (client.post("/v1/jobs", json=body) for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 429)
        assert second.json()["code"] == "overloaded_waiting"
        assert int(second.headers["retry-after"]) > 0
        edited = client.post(
            "/v1/images/edits", files=[("image[]", ("a", photo)), ("image[]", ("b", painting))], data={"prompt": ""}
        )
        assert (edited.status_code, edited.json()["error"]["code"]) == (429, "overloaded_waiting")
        client.post(first.json()["links"]["cancel"])
        assert client.post(f"/v1/jobs/{first.json()['id']}/retry").status_code == 202
        assert client.post("/v1/jobs", json=body).status_code == 429


def test_keys_are_listed_with_what_they_may_do(guarded: Guarded) -> None:
    def says(*words: str) -> str:
        done = CliRunner().invoke(app, ["keys", *words, "--home", str(guarded.served.home)])
        return done.output + str(done.exception or "")

    limits = ("--waiting", "9", "--megapixels-a-day", "2.5", "--rate", "60", "--running", "2")
    shown = says("add", "emil", "--scope", "jobs:read", "--expires", "30", *limits).strip()
    assert re.fullmatch(r"impasto_[0-9a-f]{16}_[\w-]{43}", shown)
    with httpx2.Client(base_url=guarded.served.address, headers={"Authorization": f"Bearer {shown}"}) as client:
        assert client.get("/v1/jobs").status_code == 200
    listed = {key["id"]: key for key in json.loads(says("list", "--json"))["keys"]}
    emil = listed[shown.split("_")[1]]
    assert (emil["owner"], emil["state"], emil["scopes"]) == ("emil", "in use", ["jobs:read"])
    assert emil["quota"] == {"waiting": 9, "running": 2, "megapixels_a_day": 2.5, "requests_a_minute": 60}
    assert emil["used_at"] is not None
    assert emil["expires_at"] > emil["created_at"]
    assert shown.split("_")[2] not in json.dumps(listed)
    assert "no scope 'x'; there are jobs:read" in says("add", "emil", "--scope", "x")


def test_every_answer_has_the_headers(guarded: Guarded, photo: bytes) -> None:
    with guarded.by("both") as client, httpx2.Client(base_url=guarded.served.address) as nobody:
        answers = {
            200: client.get("/v1/styles"),
            201: send(client, photo),
            401: nobody.get("/v1/jobs"),
            403: client.post("/v1/jobs", headers={"Origin": "https://evil.example"}),
            404: client.get("/nowhere"),
            405: client.put("/v1/jobs"),
            413: send(client, bytes(2 << 20)),
            415: send(client, b"x"),
            422: client.post("/v1/jobs", json={}),
            500: client.get(f"/v1/jobs/{_broken_job(guarded.served.home)}"),
            503: nobody.get("/readyz"),
        }
    assert {status: answer.status_code for status, answer in answers.items()} == {status: status for status in answers}
    for answer in answers.values():
        for name, value in HEADERS.items():
            assert answer.headers[name].startswith(value), (answer.status_code, name)
        assert "x-request-id" in answer.headers
        assert "server" not in answer.headers
    assert answers[405].headers["allow"] == "GET, POST"
    for status in (401, 403, 404, 405, 413, 415, 422, 500):
        assert answers[status].headers["content-type"] == "application/problem+json", status
    assert "Traceback" not in answers[500].text
    assert "KeyError" not in answers[500].text


def _broken_job(home: Path) -> str:
    """A row that somebody spoiled: reading it is a fault of ours."""
    job = "b" * 32
    with sqlite3.connect(home / "jobs.sqlite") as file:
        file.execute(
            "INSERT OR REPLACE INTO impasto_jobs (id, number, place, owner, state, kind, starred, request, created_s, "
            "changed, chunks, attempts, runs) VALUES (?, -1, -1, 'anna', 'done', 'picture', 0, '{}', 0, 0, 0, 0, 0)",
            (job,),
        )
    file.close()
    return job


def test_listing_styles_loads_no_pytorch(guarded: Guarded) -> None:
    with guarded.by("both") as client:
        assert {"mosaic", "watercolour"} <= {style["id"] for style in client.get("/v1/styles").json()["styles"]}
        named = client.post("/v1/jobs", json={"content": "0" * 64, "styles": ["mosaic"]})
        assert named.status_code == 404  # the style was found, the photo is not there
    maps = open(f"/proc/{guarded.served.process.pid}/maps") if sys.platform == "linux" else None  # noqa: SIM115, PTH123
    if maps is None:
        pytest.skip("/proc is Linux's")
    with maps:
        assert "libtorch" not in maps.read()


def test_answer_waits_for_no_acknowledgement(guarded: Guarded) -> None:
    """With Nagle's algorithm it takes the 40 ms that a client's system waits to acknowledge its first part."""
    took = []
    with httpx2.Client(base_url=guarded.served.address) as client:
        for _ in range(20):
            began = time.monotonic()
            client.get("/healthz")
            took.append(time.monotonic() - began)
    assert min(took[2:]) < 0.03


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "http://127.0.0.1:1/x"}, 400, "url_refused"),
        ({"url": "http://127.0.0.1/x"}, 400, "url_refused"),
        ({"url": "http://localhost/x"}, 400, "url_refused"),
        ({"url": "http://[::1]/x"}, 400, "url_refused"),
        ({"url": "http://0x7f.1/x"}, 400, "url_refused"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, 400, "url_refused"),
        ({"url": "file:///etc/passwd"}, 400, "url_refused"),
        ({"url": "http://no-such-host.invalid/"}, 400, "url_refused"),
        ({"url": 5}, 422, "invalid"),
        ({"url": "http://127.0.0.1/x", "more": 1}, 422, "invalid"),
        ({}, 422, "invalid"),
        ([], 422, "invalid"),
    ],
)
def test_url_of_this_machine_is_refused(guarded: Guarded, body: object, status: int, code: str) -> None:
    with guarded.by("both") as client:
        answer = client.post("/v1/assets", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_urls_are_not_fetched_unless_it_was_allowed(client) -> None:
    answer = client.post("/v1/assets", json={"url": "https://example.org/a.png"})
    assert (answer.status_code, answer.json()["code"]) == (400, "url_refused")
    assert "upload the file" in answer.json()["detail"]


def test_page_of_the_api_asks_nobody_else(guarded: Guarded) -> None:
    with httpx2.Client(base_url=guarded.served.address) as client:
        page = client.get("/docs")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "<script" not in page.text
        assert not re.findall(r'(?:src|href)="(?!/|#)', page.text)
        for link in re.findall(r'(?:src|href)="(/[^"]*)"', page.text):
            assert client.get(link).status_code == 200
        anchors = set(re.findall(r'href="#([^"]+)"', page.text))
        assert anchors <= set(re.findall(r'id="([^"]+)"', page.text))
        document = client.get("/openapi.json").json()
    for path, entry in document["paths"].items():
        assert path in page.text
        for method, operation in entry.items():
            assert operation["summary"].endswith("."), (method, path)
            answers = operation["responses"]
            assert path in ("/healthz", "/v1/version") or any(int(status) >= 400 for status in answers), path
            for status, answer in answers.items():
                for kind, content in answer.get("content", {}).items():
                    shown = kind.startswith("image/") or "example" in content or "$ref" in content["schema"]
                    assert shown, (method, path, status)


def test_clients_that_send_nothing_keep_nobody_out(guarded: Guarded) -> None:
    """More connections than may wait: the oldest give way, and an honest client is answered at once."""
    silent = [connect(guarded) for _ in range(600)]
    try:
        for one in silent[100:]:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
        began = time.monotonic()
        with httpx2.Client(base_url=guarded.served.address, timeout=30) as client:
            assert client.get("/healthz").status_code == 200
        assert time.monotonic() - began < 5
        silent[0].settimeout(5)
        assert silent[0].recv(1) == b""
    finally:
        for one in silent:
            one.close()


def test_large_body_is_refused_however_it_comes(guarded: Guarded) -> None:
    with guarded.by("both") as client:
        for body in (bytes(6 << 20), iter([bytes(1 << 20)] * 6)):
            form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            content = form + body if isinstance(body, bytes) else iter([form, *body])
            answer = client.post("/v1/assets", content=content, headers=FORM)
            assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        within = client.post("/v1/assets", files={"file": ("a", bytes(2 << 20))})
        assert (within.status_code, within.json()["code"]) == (413, "too_large")
        assert client.post("/v1/jobs", content=iter([b" " * (6 << 20)])).status_code == 413


def test_slow_headers_and_slow_bodies_are_ended(guarded: Guarded) -> None:
    """Last, as these clients have dripped since the service began."""
    slow = guarded.slow
    slow.join()
    assert set(slow.ended) == set(slow.open), slow.ended
    assert max(slow.ended[name] for name in ("headers", "second", "refused")) < 15
    assert 8 < min(slow.ended["body"], slow.ended["form"]) < 20
    assert b" 200 " in slow.got["second"].partition(b"\r\n")[0]
    assert b" 413 " in slow.got["refused"].partition(b"\r\n")[0]
    for name in ("body", "form"):
        assert b" 408 " in slow.got[name].partition(b"\r\n")[0], slow.got[name]
        assert b"connection: close" in slow.got[name].lower()
