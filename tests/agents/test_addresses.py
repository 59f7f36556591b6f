"""Pictures from the web: never from this machine or its network, by whatever name; and never for ever."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from impasto.agents import addresses
from impasto.agents.addresses import fetch, is_public
from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE = [
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104 — an address to refuse
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::10.0.0.1",
    "2002:c0a8:0001::",  # 6to4
    "64:ff9b::a00:1",  # NAT64
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "2606:4700::5efe:10.0.0.1",  # ISATAP
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_this_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700:4700::1111", "64:ff9b::5db8:d70e"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://localhost/a.png",
        "http://2130706433/a.png",
        "http://0177.0.0.1/a.png",
        "http://0x7f.1/a.png",
        "http://127.1/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:10.0.0.1]/a.png",
        "http://169.254.169.254/latest/meta-data",
        "https://somebody:secret@127.0.0.1/a.png",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https:///a.png",
        "https://host:99999/a.png",
        "https://a b/c.png\r\nHost: other",
    ],
)
def test_other_addresses_are_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(InputError) as refused:
        fetch(url, 1 << 20)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_name_with_one_public_and_one_inner_address_is_refused(monkeypatch) -> None:
    answers = [(2, 1, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(InputError, match="lies on this machine or its network"):
        fetch("https://two.example/a.png", 1 << 20)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/page", "is no picture but"),
        ("/packed", "is no picture but"),
        ("/large", "has more than 1 MiB"),
        ("/missing", "answers with 404"),
        ("/circle", "leads on more than 3 times"),
        ("/to-metadata", "lies on this machine or its network"),
        ("/garbage", "does not answer as a picture's address does"),
        ("/slow", "does not come within"),
    ],
)
def test_what_does_not_come_as_a_picture_is_refused(web: str, path: str, says: str, monkeypatch) -> None:
    monkeypatch.setattr(addresses, "_TIME_S", 0.5)
    with pytest.raises(InputError, match=says):
        fetch(web + path, 1 << 20, is_allowed=lambda address: address == "127.0.0.1")


def test_pictures_come_also_after_a_redirection(web: str) -> None:
    assert fetch(web + "/moved", 1 << 20, is_allowed=lambda address: address == "127.0.0.1") == b"a picture"


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        leads = {"/moved": "/picture", "/circle": "/circle", "/to-metadata": "http://169.254.169.254/"}
        if self.path in leads:
            self._answer(302, {"Location": leads[self.path]})
        elif self.path == "/page":
            self._answer(200, {"Content-Type": "text/html"}, b"<html>")
        elif self.path == "/packed":
            self._answer(200, {"Content-Type": "image/png", "Content-Encoding": "gzip"}, b"x")
        elif self.path == "/large":
            self._answer(200, {"Content-Type": "image/png"}, bytes(2 << 20))
        elif self.path == "/picture":
            self._answer(200, {"Content-Type": "image/png"}, b"a picture")
        elif self.path == "/garbage":
            self.wfile.write(b"no HTTP at all\r\n\r\n")
        elif self.path == "/slow":
            self._answer(200, {"Content-Type": "image/png"})
            for _ in range(8):
                try:
                    self.wfile.write(b".")
                    self.wfile.flush()
                except OSError:
                    return
                threading.Event().wait(0.15)
        else:
            self._answer(404, {})

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
