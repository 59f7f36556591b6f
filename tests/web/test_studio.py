"""The studio in a real browser, from a dropped photo to the file that brings its settings back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import httpx2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tests.service.conftest import LONG, QUICK, Served, encoded, end, send, start

from impasto.api import read_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.chromium import Chromium

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark")
HOSTILE = '<img src=x onerror="document.body.dataset.hacked=1">'


def typed(settings: dict[str, object]) -> str:
    """Settings as the page's address has them."""
    words = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in settings.items()}
    return urlencode({"quality": "fine", **{f"set.{name}": value for name, value in words.items()}})


class Studio:
    """The page, the service behind it, and two pictures to give it."""

    def __init__(self, chromium: Chromium, served: Served, folder: Path) -> None:
        self.page, self.served, self.folder = chromium, served, folder

    def __getattr__(self, name: str):
        return getattr(self.page, name)

    @property
    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.served.address, timeout=60)

    def go(self, path: str) -> None:
        """Open a page and wait until it and its components are there."""
        self.page.value("document.body && (document.body.dataset.old = '1')")
        self.page.open(self.served.address + path)
        self.loaded()

    def loaded(self) -> None:
        ready = "document.readyState === 'complete' && document.querySelectorAll('header').length > 0"
        self.page.until(f"{ready} && !document.body.dataset.old")
        self.page.until("[...document.images].filter(i => !i.hidden && i.loading !== 'lazy').every(i => i.complete)")

    def count(self, selector: str) -> int:
        return self.page.value(f"document.querySelectorAll({json.dumps(selector)}).length")

    def wait_for(self, selector: str) -> None:
        self.page.until(f"document.querySelectorAll({json.dumps(selector)}).length > 0")

    def click(self, selector: str) -> None:
        self.page.value(f"document.querySelector({json.dumps(selector)}).click()")

    def box(self, selector: str) -> list[float]:
        """Left, top, width and height."""
        return self.page.value(
            f"(b => [b.left, b.top, b.width, b.height])(document.querySelector('{selector}').getBoundingClientRect())"
        )

    def text(self, selector: str) -> str:
        return self.page.value(f"document.querySelector({json.dumps(selector)}).textContent.trim()")

    def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.page.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=KEYS[name])

    def slide(self, selector: str, value: float) -> None:
        self.page.value(
            f"(slider => {{ slider.value = '{value}'; slider.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def drop(self, selector: str, file: Path) -> None:
        """Drop a file on a zone, as from a file manager."""
        data = list(file.read_bytes())
        self.page.value(
            f"(zone => {{ const given = new DataTransfer();"
            f"given.items.add(new File([new Uint8Array({data})], {json.dumps(file.name)}, {{type: 'image/png'}}));"
            "zone.dispatchEvent(new DragEvent('drop', {dataTransfer: given, bubbles: true, cancelable: true})); })"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def see_previews(self, count: int) -> None:
        self.page.until(f"Number(document.querySelector('#stage .so-far')?.dataset.shown) >= {count}")


KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> Iterator[Served]:
    one = start(tmp_path_factory.mktemp("studio"))
    yield one
    assert end(one) == 0


@pytest.fixture
def studio(chromium: Chromium, service: Served, photo: bytes, painting: bytes, tmp_path: Path) -> Iterator[Studio]:
    """Whatever a test does: the page asks nobody else for anything, and nothing is against its policy."""
    (tmp_path / "photo.png").write_bytes(photo)
    (tmp_path / "painting.png").write_bytes(painting)
    chromium.requests.clear()
    chromium.problems.clear()
    yield Studio(chromium, service, tmp_path)
    assert [line for line in chromium.problems if "ERR_" not in line] == []  # while the service is started again
    assert [url for url in chromium.requests if urlsplit(url).hostname != "127.0.0.1"] == []
    chromium.open("about:blank")


@pytest.fixture(scope="session")
def photo(content) -> bytes:
    return encoded(content, (64, 48))


@pytest.fixture(scope="session")
def painting(style) -> bytes:
    return encoded(style, (72, 56))


@pytest.fixture(scope="module")
def result(service: Served, photo: bytes, painting: bytes) -> str:
    """The id of a job that is done."""
    with httpx2.Client(base_url=service.address, timeout=60) as client:
        content, style = (send(client, data).json()["id"] for data in (photo, painting))
        asked = {"content": content, "styles": [style], "settings": QUICK}
        job = client.post("/v1/jobs", json=asked, headers={"Prefer": "wait=60"}).json()
    assert job["state"] == "done", job
    return job["id"]


def test_from_a_dropped_photo_over_a_restart_to_the_file_that_brings_it_back(studio: Studio) -> None:
    studio.go(f"/?{typed(LONG)}")
    assert studio.count("input[name=style]") >= 8
    studio.drop("drop-zone.photo", studio.folder / "photo.png")
    studio.page.until("document.querySelector('[name=content]').value.length === 64")
    studio.page.choose("drop-zone.add input[type=file]", studio.folder / "painting.png")
    studio.wait_for("input[name=style]:checked")
    studio.click("#paint")
    studio.wait_for("#queue .job[data-state=running]")
    studio.see_previews(2)

    studio.page.value("document.body.dataset.old = '1'")
    studio.page.ask("Page.reload")
    studio.loaded()
    studio.see_previews(2)
    assert studio.count("input[name=style]:checked") == 1
    assert studio.page.value("document.querySelector('[name=content]').value.length") == 64

    port = urlsplit(studio.served.address).port
    assert end(studio.served) == 0
    again = start(studio.served.home, "--port", str(port))
    studio.served.process = again.process  # ends with the module
    seen = studio.page.value("Number(document.querySelector('#stage .so-far').dataset.shown)")
    studio.see_previews(seen + 2)
    assert studio.page.value("document.querySelector('#queue progress').value") > 0

    studio.click("#queue [id^=stop-]")
    studio.wait_for("#stage[data-state=done]")
    studio.page.until("document.querySelectorAll('#queue .job').length === 0")
    job = studio.page.value("document.querySelector('#stage').dataset.job")
    with studio.client as client:
        made = client.get(f"/v1/jobs/{job}/result").content
    (studio.folder / "made.png").write_bytes(made)

    studio.page.value("document.body.dataset.old = '1'")
    studio.drop("drop-zone.photo", studio.folder / "made.png")
    studio.loaded()
    assert studio.page.value("document.querySelector('[name=\"set.steps\"]').value") == "100000"
    assert studio.page.value("document.querySelector('[name=\"set.optimizer\"]').value") == "adam"
    assert studio.page.value("document.querySelector('[name=content]').value.length") == 64
    assert studio.count(".missing") == 0
    studio.click("#paint")
    studio.wait_for("#queue .job")
    with studio.client as client:
        first, before = client.get("/v1/jobs").json()["jobs"]
        assert {**first["request"], "settings": None} == {**before["request"], "settings": None}
        for name in ("steps", "optimizer", "scales", "image_size"):
            assert first["request"]["settings"][name] == before["request"]["settings"][name], name
    studio.click("#queue [id^=drop-]")
    studio.page.until("document.querySelectorAll('#queue .job').length === 0")


def test_slider_is_moved_by_keys_and_by_the_pointer(studio: Studio, result: str) -> None:
    studio.go(f"/?job={result}")
    studio.page.value("document.querySelector('.divider').focus()")
    clip = "document.querySelector('before-after .after').style.clipPath"
    studio.key("End")
    assert studio.page.value(clip) == "inset(0px 0px 0px 100%)"
    studio.key("ArrowLeft")
    assert studio.page.value(clip) == "inset(0px 0px 0px 99%)"
    assert studio.page.value("document.querySelector('.divider').ariaValueText") == "99 % photo, 1 % painted"
    box = studio.box("before-after")
    spot = {"x": box[0] + box[2] / 4, "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
    studio.page.ask("Input.dispatchMouseEvent", type="mousePressed", **spot)
    studio.page.ask("Input.dispatchMouseEvent", type="mouseReleased", **spot)
    assert studio.page.value(clip) == "inset(0px 0px 0px 25%)"


def test_strength_afterwards_shows_at_once_and_downloads_the_blend(studio: Studio, result: str, photo: bytes) -> None:
    studio.go(f"/?job={result}")
    studio.page.requests.clear()
    studio.slide("#share", 40)
    assert studio.page.value("document.querySelector('before-after .after').style.opacity") == "0.4"
    assert studio.page.requests == []
    address = studio.page.value("document.querySelector('#download').href")
    with studio.client as client:
        answer = client.get(address)
        painted = np.asarray(Image.open(io.BytesIO(client.get(f"/v1/jobs/{result}/result").content)), float)
    assert answer.headers["content-disposition"].startswith("attachment")
    (studio.folder / "blend.png").write_bytes(answer.content)
    assert read_recipe(studio.folder / "blend.png").blend == 0.4
    found = np.asarray(Image.open(studio.folder / "blend.png"), float)
    before = np.asarray(Image.open(io.BytesIO(photo)), float)
    assert np.abs(found - (before + 0.4 * (painted - before))).max() <= 0.501


def test_names_and_recipes_of_strangers_are_shown_as_text(studio: Studio, result: str) -> None:
    with studio.client as client:
        made = client.get(f"/v1/jobs/{result}/result").content
    picture = Image.open(io.BytesIO(made))
    recipe = json.loads(picture.text["impasto"])
    recipe["content"] |= {"name": HOSTILE, "sha256": "0" * 64}
    recipe["settings"] |= {"optimizer": f'"><script>{HOSTILE}</script>', HOSTILE: HOSTILE}
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("impasto", json.dumps(recipe))
    bad = studio.folder / 'a"><script>document.body.dataset.hacked=1<'
    picture.save(bad, "PNG", pnginfo=chunks)
    studio.go("/")
    studio.page.value("document.body.dataset.old = '1'")
    studio.drop("drop-zone.photo", bad)
    studio.loaded()
    assert studio.text(".missing q").startswith("<img src=x onerror=")
    (studio.folder / f"{HOSTILE[:24]}.png").write_bytes(b"no picture")
    studio.drop("drop-zone.photo", studio.folder / f"{HOSTILE[:24]}.png")
    studio.page.until("document.querySelectorAll('#notes p').length > 0")
    assert HOSTILE[:24] in studio.text("#notes p")
    assert studio.count("#notes img, .missing img, body > script") == 0
    assert studio.page.value("document.body.dataset.hacked") is None
    studio.page.problems[:] = [line for line in studio.page.problems if "415" not in line]


def test_gallery_filters_stars_compares_and_deletes(studio: Studio, result: str) -> None:
    with studio.client as client:
        request = client.get(f"/v1/jobs/{result}").json()["request"]
        other = client.post("/v1/jobs", json=request, headers={"Prefer": "wait=60"}).json()["id"]
    studio.go("/gallery")
    tiles = studio.count(".tile")
    assert tiles >= 2
    studio.click(f".tile[data-job='{other}'] .star")
    studio.wait_for(f".tile[data-job='{other}'] .star[aria-pressed=true]")
    studio.click("input[name=starred]")
    studio.page.until("document.querySelectorAll('.tile').length === 1")
    assert "starred=true" in studio.page.value("location.href")
    studio.click("input[name=starred]")
    studio.page.until(f"document.querySelectorAll('.tile').length === {tiles}")
    for job in (result, other):
        studio.click(f".pick input[value='{job}']")
    assert studio.text("#compare") == "Compare 2"
    studio.page.value("document.body.dataset.old = '1'")
    studio.click("#compare")
    studio.loaded()
    assert studio.count(".grid figure") == 3
    studio.go("/gallery")
    studio.page.value("window.confirm = () => true")
    studio.click(f".tile[data-job='{other}'] .bin")
    studio.page.until(f"document.querySelectorAll('.tile').length === {tiles - 1}")
    with studio.client as client:
        assert client.get(f"/v1/jobs/{other}").status_code == 404


@pytest.mark.parametrize("path", ["/?job={}", "/gallery", "/compare?job={}", "/campaigns"])
def test_nobody_is_shut_out(studio: Studio, result: str, path: str) -> None:
    if not AXE.is_file():
        pytest.skip("needs axe-core; `make browser` gets it")
    for theme in THEMES:
        studio.page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        studio.go(path.format(result))
        studio.page.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        studio.page.ask("Runtime.evaluate", expression=AXE.read_text("utf-8"))
        found = studio.page.value(
            "axe.run().then(({violations}) => violations.filter(({impact}) => ['serious', 'critical'].includes(impact))"
            ".map(({id, nodes}) => [id, nodes.map(node => [node.html, node.failureSummary])]))"
        )
        assert found == [], theme
    studio.page.ask("Emulation.setEmulatedMedia", features=[])
    studio.page.ask("Emulation.setDeviceMetricsOverride", width=375, height=700, deviceScaleFactor=1, mobile=True)
    assert studio.page.value("document.documentElement.scrollWidth") <= 375
    studio.page.ask("Emulation.clearDeviceMetricsOverride")


def open_regions(studio: Studio) -> None:
    """With a photo under the brush, to be painted as a mosaic elsewhere."""
    studio.go(f"/?{typed(QUICK)}&style=mosaic")
    studio.drop("drop-zone.photo", studio.folder / "photo.png")
    studio.page.until("document.querySelector('mask-painter img').naturalWidth > 0")
    studio.page.value("document.querySelector('#regions').open = true")


def test_region_is_brushed_by_keys_alone(studio: Studio) -> None:
    open_regions(studio)
    studio.page.value("document.querySelector('mask-painter canvas').focus()")

    def press(key: str, *, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            studio.page.ask("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0)

    def painted(x: float, y: float) -> bool:
        place = f"Math.round({x} * one.width), Math.round({y} * one.height), 1, 1"
        copied = "other = new OffscreenCanvas(one.width, one.height).getContext('2d'); other.drawImage(one, 0, 0)"
        read = f"{{ const {copied}; return other.getImageData({place}).data[3] > 0 }}"
        return studio.page.value(f"(one => {read})(document.querySelector('mask-painter canvas'))")

    press("ArrowLeft")
    assert studio.page.value("document.querySelector('mask-painter .keep').disabled")  # only moved
    for _ in range(8):
        press("ArrowRight", shift=True)
    assert painted(0.5, 0.5)
    assert painted(0.66, 0.5)
    assert not painted(0.9, 0.5)
    assert not painted(0.5, 0.2)
    for _ in range(12):
        press("ArrowUp")
    press(" ")
    assert painted(0.675, 0.2)
    assert not painted(0.675, 0.35)
    studio.page.value("document.querySelector('mask-painter .keep').click()")
    studio.wait_for("input[name=region]")


def test_brushed_region_takes_its_own_style(studio: Studio) -> None:
    open_regions(studio)
    studio.page.value("document.querySelector('mask-painter').scrollIntoView({block: 'center'})")
    studio.page.value("document.querySelector('mask-painter .with').value = 'woodcut_waves'")
    box = studio.box("mask-painter canvas")
    for kind, x in (("mousePressed", 0.1), ("mouseMoved", 0.5), ("mouseReleased", 0.5)):
        spot = {"x": box[0] + box[2] * x, "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1, "buttons": 1}
        studio.page.ask("Input.dispatchMouseEvent", type=kind, **spot)
    studio.click("#paint")
    studio.page.until("document.querySelector('#notes').textContent.includes('keep or clear')")
    studio.click("mask-painter .keep")
    studio.wait_for("input[name=region]")
    assert "region=" in studio.page.value("location.href")
    shown = studio.page.value("document.querySelector('#stage').dataset.job")
    studio.click("#paint")
    studio.page.until(f"(s => s.state === 'done' && s.job !== '{shown}')(document.querySelector('#stage').dataset)")
    with studio.client as client:
        job = client.get("/v1/jobs").json()["jobs"][0]
        (region,) = job["request"]["regions"]
        assert (region["style"], job["request"]["styles"]) == ("woodcut_waves", ["mosaic"])
        (studio.folder / "made.png").write_bytes(client.get(f"/v1/jobs/{job['id']}/result").content)
        mask = np.asarray(Image.open(io.BytesIO(studio_asset(studio.served, region["mask"]))).convert("L"), float) / 255
    assert read_recipe(studio.folder / "made.png").regions[0].mask.sha256 == region["mask"]
    studio.page.value("document.body.dataset.old = '1'")
    studio.drop("drop-zone.photo", studio.folder / "made.png")
    studio.loaded()
    assert studio.page.value("document.querySelector('input[name=region]').value") == f"{region['mask']}:woodcut_waves"
    assert studio.page.value("document.querySelector('input[name=style]:checked').value") == "mosaic"
    assert 0.05 < mask.mean() < 0.5
    assert mask[mask.shape[0] // 2, mask.shape[1] // 3] == 1
    assert mask[:, -1].max() == 0


def studio_asset(served: Served, name: str) -> bytes:
    (path,) = served.home.glob(f"assets/*/{name[:2]}/{name}")
    return path.read_bytes()


def test_webcam_is_painted_on_the_page(studio: Studio, runtime: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra onnx")
    studio.go("/live")
    studio.page.until("document.body.dataset.ready")
    assert studio.page.value("crossOriginIsolated") is True
    studio.slide("#size", 128)
    studio.click("[data-style=mosaic]")
    studio.page.until("!document.querySelector('#style').hidden && document.querySelector('#style-file').value === ''")
    studio.click("#camera")
    studio.page.until("Number(document.body.dataset.frames) >= 3")
    assert "frames per second" in studio.text("#rate")
    studio.click("#camera")
    studio.page.problems[:] = [line for line in studio.page.problems if line != "No available adapters."]  # of a GPU


def test_campaign_is_started_looked_at_and_decided_on(studio: Studio) -> None:
    pack = 'styles = ["mosaic"]\nengine = "fast"\nlevel = false'
    studio.go("/campaigns")
    studio.page.choose("drop-zone.photo input[type=file]", studio.folder / "photo.png")
    studio.wait_for(".inputs img")
    studio.page.value(f"document.querySelector('[name=pack]').value = {json.dumps(pack)}")
    studio.page.value("document.querySelector('[name=name]').value = '<b>spring</b>'")
    studio.page.value("document.body.dataset.old = '1'")
    studio.click("#paint")
    studio.wait_for("#campaign .tile img")
    assert studio.text("h1") == "<b>spring</b>"
    studio.wait_for("#run")
    studio.click("[id^=approve-]")
    studio.wait_for("[id^=approve-][aria-pressed=true]")
    campaign = studio.page.value("location.pathname").rpartition("/")[2]
    with studio.client as client:
        (row,) = client.get(f"/v1/campaigns/{campaign}").json()["rows"]
    assert (row["picture"], row["style"]) == ("photo", "mosaic")
    studio.go("/campaigns")
    assert "<b>spring</b>" in studio.text(".list strong")
