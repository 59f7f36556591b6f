"""Getting a model: from a hub on this machine that answers as the real one does."""

from __future__ import annotations

import hashlib
import http.server
import threading
from typing import TYPE_CHECKING

import pytest
from tests import tiny_hub

import impasto
from impasto import api
from impasto.engines.diffusion import downloads, registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "3" * 40
WEIGHTS = f"{tiny_hub.TAESD_SDXL}/diffusion_pytorch_model.safetensors"


@pytest.fixture
def asked(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that a hub with TAESD was asked for; the folder of models is empty."""
    paths: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            paths.append(self.path)
            repository, _, rest = self.path.lstrip("/").partition("/resolve/")
            data = (hub / repository / rest.partition("/")[2]).read_bytes()
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "models"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield paths
        server.shutdown()


def test_download_puts_a_model_where_it_is_found_and_records_its_digest(asked: list[str], tmp_path: Path) -> None:
    told: list[tuple[str, ...]] = []
    (place,) = api.download_models(["taesd-xl"], on_file=lambda *file: told.append(file))
    assert place == tmp_path / "models" / tiny_hub.TAESD_SDXL
    assert told == [("taesd-xl", "MIT", name) for name in registry.PARTS["taesd-xl"].files]
    assert {state.state for state in api.verify_models()} == {"as first downloaded"}
    before = len(asked)
    assert before > 0
    api.download_models(["taesd-xl"])
    assert len(asked) == before, "what is here was asked for again"


def test_pinned_revision_is_what_is_asked_for(asked: list[str]) -> None:
    api.download_models(["ip-adapter-sd15"])
    assert all(f"/resolve/{registry.PARTS['ip-adapter-sd15'].revision}/" in path for path in asked)


def test_file_that_is_another_than_the_pinned_one_is_removed(asked, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(registry.PINS, WEIGHTS, "0" * 64)
    with pytest.raises(impasto.WeightsError, match=r"another diffusion_pytorch_model.*expected 0000.*removed"):
        api.download_models(["taesd-xl"])
    assert not (tmp_path / "models" / WEIGHTS).exists()


def test_part_that_the_hub_has_not_is_one_sentence(asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("time.sleep", lambda _: None)  # between its tries
    with pytest.raises(
        impasto.WeightsError, match=r"config\.json of madebyollin/taesdxl cannot be downloaded"
    ) as caught:
        api.download_models(["taesd-xl"])
    assert "\n" not in str(caught.value)


def test_no_room_is_said_before_the_first_byte(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_ROOM_GIB", 1e9)
    with pytest.raises(impasto.OutputError, match=r"0\.0 GiB are to be downloaded.*IMPASTO_MODELS"):
        api.download_models(["taesd-xl"])
    assert asked == []
