"""What the page's server hands out, to whom; and where ONNX Runtime Web comes from. No browser is needed."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

import pytest

from impasto.browser import ort_web
from impasto.browser.ort_web import CPU_FILES, FILES, SHA512, download_runtime, find_runtime
from impasto.cli.browser_page import BrowserPage
from impasto.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def fill(folder: Path) -> Path:
    """Files of the runtime's names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Iterator[BrowserPage]:
    """Serving; what the graphs are does not matter here."""
    with BrowserPage(b"transfer", None, fill(tmp_path / "ort"), {"blue": [1.0, 2.0]}) as served:
        yield served


def fetch(page: BrowserPage, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """What a program on this machine gets."""
    connection = http.client.HTTPConnection(page.address.removeprefix("http://"), timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.mark.parametrize("path", ["/", "/app.js", "/worker.js", "/transfer.onnx", f"/ort/{CPU_FILES[1]}", "/nothing"])
def test_every_answer_isolates_the_page(page: BrowserPage, path: str) -> None:
    answer, _ = fetch(page, path)
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy


def test_page_names_its_own_files_only(page: BrowserPage) -> None:
    texts = [fetch(page, path)[1].decode() for path in ("/", "/app.js", "/worker.js")]
    assert "app.js" in texts[0]
    assert "{{" not in texts[0]
    assert not [text for text in texts if "http:" in text or "https:" in text or "//cdn" in text]


def test_files_have_the_kinds_that_browsers_insist_on(page: BrowserPage) -> None:
    answer, body = fetch(page, f"/ort/{CPU_FILES[2]}")
    assert (answer.status, answer.headers["Content-Type"], body.decode()) == (200, "application/wasm", CPU_FILES[2])
    assert fetch(page, f"/ort/{CPU_FILES[0]}")[0].headers["Content-Type"] == "text/javascript"
    assert json.loads(fetch(page, "/about.json")[1]) == {"any_style": False, "codes": {"blue": [1.0, 2.0]}}


@pytest.mark.parametrize(
    "path", ["/encoder.onnx", "/ort/", "/ort/other.mjs", "/ort/../model", "/../live.html", "/ort/%2e%2e/x", "//x", "x"]
)
def test_what_is_not_the_pages_is_not_there(page: BrowserPage, path: str, tmp_path: Path) -> None:
    (tmp_path / "ort" / "other.mjs").write_text("secret")
    answer, body = fetch(page, path)
    assert answer.status == 404
    assert b"secret" not in body


def test_another_name_for_this_machine_is_refused(page: BrowserPage) -> None:
    assert fetch(page, "/transfer.onnx", Host="evil.example")[0].status == 403


@pytest.mark.parametrize("inside", ["", "dist"])
def test_runtime_is_found_in_a_folder_or_its_dist(tmp_path: Path, inside: str) -> None:
    folder = fill(tmp_path / "package" / inside)
    assert find_runtime(tmp_path / "package") == folder


def test_runtime_with_a_file_missing_is_refused_by_its_name(tmp_path: Path) -> None:
    (fill(tmp_path / "ort") / FILES[3]).unlink()
    with pytest.raises(InputError, match=FILES[3]):
        find_runtime(tmp_path / "ort")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, empty."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(ort_web, "cached_runtime", lambda: folder)
    return folder


def test_runtime_that_is_nowhere_is_asked_for_and_not_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="impasto live --download"):
        find_runtime()
    assert not cache.exists()


def test_another_package_is_refused_and_nothing_unpacked(cache: Path, tmp_path: Path) -> None:
    package = tmp_path / "onnxruntime-web.tgz"
    package.write_bytes(b"something else")
    with pytest.raises(InputError, match=f"expected|has {SHA512[:16]}"):
        find_runtime(package)
    assert not cache.exists()


def test_download_without_npm_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtraError, match="--ort"):
        download_runtime()


def npm(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, alone in the path."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")


def test_download_that_fails_gives_the_reason(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, "echo 'npm error network is down' >&2; exit 1", monkeypatch)
    with pytest.raises(InputError, match="network is down"):
        download_runtime()
    assert not cache.exists()


def test_download_of_another_file_is_refused(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, f"echo wrong > onnxruntime-web-{ort_web.VERSION}.tgz", monkeypatch)
    with pytest.raises(InputError, match="SHA-512"):
        download_runtime()
    assert not cache.exists()


def test_runtime_in_the_cache_is_not_downloaded_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    fill(cache)
    assert download_runtime() == find_runtime() == cache
