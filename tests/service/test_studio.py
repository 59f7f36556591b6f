"""The studio's pages without a browser: who may see them, what they stand under, and what a draft is."""

from __future__ import annotations

import hashlib
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest
from PIL import Image
from tests.service.conftest import send

from impasto.errors import SettingsError
from impasto.jobs.intake import small_picture
from impasto.jobs.job import NOT_YOURS, JobRequest
from impasto.jobs.keys import add_key
from impasto.jobs.refusals import RefusedAssetError
from impasto.service.web.drafts import Draft, fields
from impasto.settings import ENGINES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

ASSET = "0123456789abcdef" * 4
MASK = "fedcba9876543210" * 4
WEB = Path(str(files("impasto.service.web")))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str]]:
    """A service that asks for keys, and one of them."""
    from starlette.testclient import TestClient

    from impasto.jobs.durable import DurableJobs
    from impasto.service.app import create_app
    from impasto.service.config import ServiceConfig

    jobs = DurableJobs(tmp_path_factory.mktemp("guarded"))
    with TestClient(create_app(jobs, ServiceConfig(host="0.0.0.0")), follow_redirects=False) as client:  # noqa: S104
        yield client, add_key(jobs.engine, "anna")
    jobs.close()


def test_visitor_without_a_key_signs_in_once(guarded: tuple[TestClient, str]) -> None:
    client, key = guarded
    assert client.get("/").headers["location"] == "/signin"
    assert client.get("/studio/queue", headers={"HX-Request": "true"}).headers["hx-redirect"] == "/signin"
    assert client.post("/signin", data={"key": "impasto_no"}).status_code == 401
    answer = client.post("/signin", data={"key": key})
    assert answer.headers["location"] == "/"
    assert {"httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().replace("; ", ";").split(";"))
    assert client.get("/gallery").status_code == 200
    assert client.get("/v1/jobs").json()["jobs"] == []
    client.post("/signout")
    assert client.get("/v1/jobs").status_code == 401


def test_webcam_without_its_runtime_says_what_to_do(monkeypatch: pytest.MonkeyPatch, guarded, tmp_path) -> None:
    visitor, key = guarded
    visitor.post("/signin", data={"key": key})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    page = visitor.get("/live/")
    assert "impasto live --download" in page.text
    assert page.headers["cross-origin-embedder-policy"] == "require-corp"
    visitor.post("/signout")


def test_pages_stand_under_a_strict_policy(guarded: tuple[TestClient, str]) -> None:
    client, _ = guarded
    policy = client.get("/signin").headers["content-security-policy"]
    # Without any referrer browsers send a page's form with the origin `null`, which the guard refuses.
    assert client.get("/signin").headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for template in (WEB / "templates").iterdir():
        text = template.read_text("utf-8")
        assert " style=" not in text, template.name
        assert "onclick" not in text, template.name


def test_only_what_is_for_browsers_is_served(guarded: tuple[TestClient, str]) -> None:
    client, _ = guarded
    page = client.get("/signin").text
    sheet = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = client.get(sheet)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    folder = sheet.rpartition("/")[0]
    for path in ("routes.py", "templates/base.html", "../config.py", "components/../routes.py", "%2e%2e/config.py"):
        assert client.get(f"{folder}/{path}").status_code == 404, path


def test_vendored_files_are_those_of_the_manifest() -> None:
    listed = json.loads((WEB / "vendor" / "manifest.json").read_text("utf-8"))
    assert {entry["file"] for entry in listed} == {path.name for path in (WEB / "vendor").glob("*.js")}
    for entry in listed:
        assert hashlib.sha256((WEB / "vendor" / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
        assert (WEB / "vendor" / entry["licence_file"]).is_file()


def test_components_are_small() -> None:
    assert {
        path.name for path in (WEB / "components").glob("*.js") if len(path.read_text().splitlines()) >= 150
    } == set()


def test_draft_comes_back_from_its_own_address() -> None:
    draft = Draft(
        content=ASSET,
        styles=("mosaic", MASK),
        strength="0.4",
        quality="fine",
        settings={"steps": "3", "scales": "48, 64"},
        regions=(f"{MASK}:mosaic",),
        missing=("<b>.png",),
    )
    assert Draft.read(parse_qsl(urlsplit(draft.address).query)) == draft


def test_draft_is_the_request_that_it_says() -> None:
    pairs = [("content", ASSET), ("style", "mosaic"), ("strength", "0.5"), ("quality", "fine"), ("format", "webp")]
    typed = [("set.steps", "3"), ("set.scales", "48, 64"), ("set.style_loss", "w2, nn=0.5"), ("set.seed", " ")]
    asked = Draft.read([*pairs, *typed, ("region", f"{MASK}:{ASSET}")]).request()
    assert asked.settings == {"strength": 0.5, "steps": 3, "scales": ["48", "64"], "style_loss": "w2, nn=0.5"}
    assert (asked.quality, asked.format, asked.regions[0].mask) == ("fine", "webp", MASK)
    assert Draft.of_request(asked).request() == asked


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"set.steps": "many"}, "steps"),
        ({"strength": "2"}, "strength"),
        ({"content": "no"}, "content"),
        ({"style": "<b>"}, "neither an asset"),
        ({"set.model": "/etc/passwd"}, "model"),
    ],
)
def test_draft_that_cannot_be_painted_is_one_sentence(typed: dict[str, str], words: str) -> None:
    pairs = {"content": ASSET, "style": "mosaic", "quality": "fine", **typed}
    with pytest.raises(SettingsError, match=words):
        Draft.read(pairs.items()).request()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_setting_of_a_client_has_a_control(engine: str) -> None:
    shown = {field.name: field for field in fields(engine, {"seed": "7"})}
    hidden = set(ENGINES[engine].model_fields) - set(shown)
    assert hidden <= {"strength", *NOT_YOURS}
    assert all(field.help for field in shown.values())
    assert shown["color"].kind == "choice"
    assert engine != "optimize" or (shown["seed"].value, shown["seed"].kind) == ("7", "number")


def test_regions_need_a_mask_and_a_style_each() -> None:
    region = {"mask": MASK, "style": "mosaic"}
    asked = JobRequest.of(content=ASSET, styles=(), regions=[region])
    assert (asked.assets, asked.library_styles) == ((ASSET, MASK), ("mosaic",))
    for bad in ({**region, "mask": "mosaic"}, {**region, "style": "../x"}, {"mask": MASK}):
        with pytest.raises(SettingsError):
            JobRequest.of(content=ASSET, styles=("mosaic",), regions=[bad])
    with pytest.raises(SettingsError, match="at least one"):
        JobRequest.of(content=ASSET, styles=())


def test_small_picture_is_upright_and_made_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (80, 40), (200, 10, 10)).save(tmp_path / "turned.jpg", exif=exif)
    small = small_picture(tmp_path / "turned.jpg", tmp_path / "small", 20)
    with Image.open(small) as shown:
        assert shown.size == (10, 20)
    before = small.stat().st_mtime_ns
    assert small_picture(tmp_path / "turned.jpg", tmp_path / "small", 20).stat().st_mtime_ns == before
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 64)
    with pytest.raises(RefusedAssetError):
        small_picture(tmp_path / "bad.png", tmp_path / "small", 20)


def test_dropped_photo_is_kept_and_has_no_settings(client, photo: bytes) -> None:
    answer = client.post("/studio/drop", files={"file": ("a.png", photo)}).json()
    assert answer["address"] is None
    assert answer["id"] == send(client, photo).json()["id"]
    shown = client.get(f"/studio/pictures/assets/{answer['id']}", params={"px": 160})
    assert Image.open(io.BytesIO(shown.content)).size == (64, 48)
    assert client.get(f"/studio/pictures/assets/{answer['id']}", params={"px": 161}).status_code == 422
    assert client.get(f"/studio/pictures/assets/{'0' * 64}").status_code == 404
