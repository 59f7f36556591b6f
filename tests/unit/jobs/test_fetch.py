"""URLs that lead anywhere but to a picture of the public network: a real server, and a guard with names of our own."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import anyio
import httpcore2
import httpx2
import numpy as np
import pytest
from tests.unit.jobs.conftest import picture

from impasto.jobs.durable import DurableJobs
from impasto.jobs.fetch import PublicNetwork, fetch, is_public
from impasto.jobs.refusals import RefusedUrlError
from impasto.service.app import create_app
from impasto.service.config import ServiceConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PUBLIC = "93.184.215.14"
PICTURE = picture(np.zeros((8, 8, 3), np.uint8), (8, 8))
MOST = 10_000


class Handler(BaseHTTPRequestHandler):
    """The outside: every path does something else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.strip("/").partition("?")[0]
        if name.startswith("to="):
            self.answer(b"", status=302, location=name.removeprefix("to=").replace("|", "/"))
        elif name == "html":
            self.answer(b"<html>", kind="text/html")
        elif name == "loop":
            self.answer(b"", status=302, location="/loop")
        elif name == "packed":
            self.answer(gzip.compress(bytes(10_000_000)), encoding="gzip")
        elif name == "large":
            self.answer(bytes(MOST + 1))
        elif name == "endless":  # no length, and no end
            self.answer(None)
            with client_may_go():
                while True:
                    self.wfile.write(bytes(4096))
        elif name == "slow":
            self.answer(None)
            with client_may_go():
                for _ in range(100):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
        elif name == "slow-headers":
            with client_may_go():
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                for number in range(100):
                    self.wfile.write(b"X-%d: x\r\n" % number)
                    self.wfile.flush()
                    time.sleep(0.05)
        elif name == "short":
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b"x")
            self.close_connection = True
        elif name == "claims":  # a length that is not true
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", "999999999999")
            self.end_headers()
            self.close_connection = True
        elif name == "not-a-picture":
            self.answer(b"MZ" * 99)
        elif name == "gone":
            self.answer(b"", status=404)
        else:
            self.answer(PICTURE)

    def answer(
        self, body: bytes | None, *, status: int = 200, kind: str = "image/png", location: str = "", encoding: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if body is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        for name, value in (("Location", location), ("Content-Encoding", encoding)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def client_may_go() -> Iterator[None]:
    """The client may go in the middle."""
    with suppress(OSError):
        yield


class Loopback(httpcore2.AsyncNetworkBackend):
    """A network in which every address is the server above; knows which ones were dialled."""

    def __init__(self, port: int) -> None:
        self.port, self.dialled = port, []

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):  # noqa: ARG002
        self.dialled.append(host)
        return await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", self.port, timeout)


@pytest.fixture(scope="module")
def outside() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def get(outside: int, url: str, names: dict[str, list[str] | list[list[str]]] | None = None, timeout_s: float = 5.0):
    """Fetch with names of our own; gives what came and which addresses were dialled."""
    network, asked = Loopback(outside), []
    names = {"good.example": [PUBLIC], **(names or {})}

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        if host not in names:
            return [host]
        found = names[host]
        return found.pop(0) if isinstance(found[0], list) else found

    async def run() -> bytes:
        return await fetch(url, most_bytes=MOST, network=PublicNetwork(resolve, network), timeout_s=timeout_s)

    try:
        return anyio.run(run), network.dialled
    except RefusedUrlError as refused:
        return refused.code, network.dialled


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1",  # noqa: S104
        "169.254.169.254", "100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::10.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "2002:c0a8:0001::", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2001:470:1::5efe:10.0.0.1", "2001:470::200:5efe:a00:1",
        "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "100::1", "4000::1",
        "", "x", "127.1", "0177.0.0.1", "0x7f000001", "2130706433", "1.2.3.4/8",
    ],
)  # fmt: skip
def test_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_address_is_known(address: str) -> None:
    assert is_public(address)


def test_picture_is_fetched_from_the_address_that_was_checked(outside: int) -> None:
    assert get(outside, "http://good.example/picture.png?x=1#y") == (PICTURE, [PUBLIC])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://good.example/x", "ftp://good.example/x", "data:image/png;base64,AA==",
        "javascript:alert(1)", "//good.example/x", "good.example/x", "", "http://", "http:///x", "https:good.example",
        "http://user@good.example/", "http://user:word@good.example/", "http://good.example@127.0.0.1/",
        "http://good.example:22/", "http://good.example:8080/", "https://good.example:80/", "http://good.example:99999/",
        "http://127.0.0.1/", "http://2130706433/", "http://0177.0.0.1/", "http://0x7f000001/", "http://0x7f.1/",
        "http://127.1/", "http://[::1]/", "http://[::ffff:7f00:1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/",
        "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://100.64.0.1/", "http://[::10.0.0.1]/",
        "http://[2002:c0a8:0001::]/", "http://[64:ff9b::7f00:1]/", "http://[fe80::1]/", "http://[fd00::1]/",
        "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "http://[::5efe:10.0.0.1]/", "http://[fe80::1%25eth0]/",
        "http://localhost/", "http://good.example\\@127.0.0.1/", "http://good.example /", "http://good.example\t/",
        "http://１２７.0.0.1/", "http://ⓛocalhost/", "http://good.example/\r\nHost: x", "http://[good.example]/",
        "http://" + "a" * 3000, "http://inside.example/", "http://both.example/", "http://nothing.example/",
    ],
)  # fmt: skip
def test_url_that_leads_elsewhere_dials_nobody(outside: int, url: str) -> None:
    names = {
        "localhost": ["127.0.0.1"],
        "inside.example": ["10.0.0.1"],
        "both.example": [PUBLIC, "127.0.0.1"],
        "nothing.example": [[]],
        "2130706433": ["127.0.0.1"],
    }
    assert get(outside, url, names) == ("url_refused", [])


def test_name_that_changes_its_address_is_asked_once(outside: int) -> None:
    names = {"rebound.example": [[PUBLIC], ["127.0.0.1"]]}
    assert get(outside, "http://rebound.example/x", names) == (PICTURE, [PUBLIC])
    # A redirection to the same name asks again, and what is then inside is refused.
    names = {"rebound.example": [[PUBLIC], ["127.0.0.1"]]}
    found = get(outside, "http://rebound.example/to=http:||good.example|to=http:||rebound.example|x", names)
    assert found[0] == "url_refused"
    assert "127.0.0.1" not in found[1]


@pytest.mark.parametrize(
    "target",
    ["http:||127.0.0.1|x", "http:||169.254.169.254|", "file:|||etc|passwd", "http:||inside.example|", "||[::1]|"],
)
def test_redirection_is_looked_at_like_a_url(outside: int, target: str) -> None:
    found = get(outside, f"http://good.example/to={target}", {"inside.example": ["192.168.1.1"]})
    assert found == ("url_refused", [PUBLIC])


def test_redirections_are_followed_three_times(outside: int) -> None:
    assert get(outside, "http://good.example/to=http:||other.example|x", {"other.example": ["8.8.8.8"]}) == (
        PICTURE,
        [PUBLIC, "8.8.8.8"],
    )
    assert get(outside, "http://good.example/to=|picture")[0] == PICTURE
    assert get(outside, "http://good.example/loop")[0] == "url_refused"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("html", "url_refused"),
        ("gone", "url_refused"),
        ("packed", "url_refused"),
        ("short", "url_refused"),
        ("large", "too_large"),
        ("endless", "too_large"),
        ("claims", "too_large"),
        ("slow", "url_timeout"),
        ("slow-headers", "url_timeout"),
    ],
)
def test_answer_that_is_no_small_picture_in_time_is_refused(outside: int, path: str, code: str) -> None:
    began = time.monotonic()
    assert get(outside, f"http://good.example/{path}", timeout_s=0.5)[0] == code
    assert time.monotonic() - began < 3


def test_name_server_that_does_not_answer_is_not_waited_for() -> None:
    async def never(host: str) -> list[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    async def run() -> None:
        await fetch("http://good.example/", most_bytes=MOST, network=PublicNetwork(never), timeout_s=0.2)

    with pytest.raises(RefusedUrlError) as refused:
        anyio.run(run)
    assert refused.value.code == "url_timeout"


def test_url_becomes_an_asset_like_an_upload(outside: int, tmp_path: Path) -> None:
    jobs = DurableJobs(tmp_path)
    app = create_app(jobs, ServiceConfig(allow_url_fetch=True))

    async def resolve(host: str) -> list[str]:
        return [PUBLIC]

    app.state.context = replace(app.state.context, network=PublicNetwork(resolve, Loopback(outside)))

    async def run() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return [
                await client.post("/v1/assets", json={"url": "http://good.example/photo.png"}),
                await client.post("/v1/assets", files={"file": ("a.png", PICTURE)}),
                await client.post("/v1/assets", json={"url": "http://good.example/not-a-picture"}),
            ]

    fetched, sent, refused = anyio.run(run)
    assert (fetched.status_code, fetched.json()) == (201, sent.json())
    assert jobs.store.asset(fetched.json()["id"], owner="local").read_bytes() == PICTURE
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_image")
    jobs.close()
