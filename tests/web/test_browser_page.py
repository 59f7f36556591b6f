"""The page of ``impasto live`` in a real browser: it paints what Python paints, and asks nobody else."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.unit.fast.conftest import networks, picture

from impasto.cli.browser_page import BrowserPage
from impasto.engines.fast.model import save_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from tests.web.chromium import Chromium

    from impasto.engines.fast.onnx import Graphs

#: In steps of 256: what another order of adding up may change, and rounding.
CLOSE = 2

PIXELS = """(() => {
  const canvas = document.getElementById("%s"), {width, height} = canvas;
  const context = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  const {data} = context.getImageData(0, 0, width, height);
  return [width, height, btoa(Array.from(data, (value) => String.fromCharCode(value)).join(""))];
})()"""


def pixels_of(chromium: Chromium, canvas: str) -> NDArray[np.uint8]:
    """What a canvas shows, ``(h, w, 3)``."""
    width, height, data = chromium.value(PIXELS % canvas)
    return np.frombuffer(b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """The largest."""
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def save(path: Path, height: int, width: int, seed: int) -> torch.Tensor:
    """Write a picture; gives it as it was written, ``(1, 3, h, w)``."""
    values = (picture(height, width, seed) * 255).round().byte()
    Image.fromarray(values[0].permute(1, 2, 0).numpy()).save(path)
    return values.float() / 255


def set_to(chromium: Chromium, control: str, value: object) -> None:
    """Move a slider, or choose from a list."""
    chromium.value(
        f"(control => {{ control.value = '{value}'; control.dispatchEvent(new Event('input'));"
        f"control.dispatchEvent(new Event('change')); }})(document.getElementById('{control}'))"
    )


def text_of(chromium: Chromium, name: str) -> str:
    """What an element says."""
    text: str = chromium.value(f"document.getElementById('{name}').textContent")
    return text


@pytest.fixture(scope="module")
def page(graphs: Graphs, runtime: Path, chromium: Chromium) -> Iterator[Chromium]:
    """The browser on the page, ready to paint; one for all tests, because loading takes longer than they do."""
    with BrowserPage(graphs.transfer, graphs.encoder, runtime, {"plain": [0.0] * networks()[0].code_size}) as served:
        yield from opened(chromium, served)


def opened(chromium: Chromium, served: BrowserPage) -> Iterator[Chromium]:
    """Wait until the network is loaded; whatever the test does, the page complains about nothing."""
    chromium.requests.clear()
    chromium.problems.clear()
    chromium.open(served.address)
    chromium.until("document.body && document.body.dataset.ready")
    yield chromium
    assert not [problem for problem in chromium.problems if problem != "No available adapters."]  # of a GPU
    assert all(address.startswith(("http://127.0.0.1:", "data:", "blob:")) for address in chromium.requests)
    chromium.open("about:blank")


@pytest.fixture
def painted(page: Chromium, tmp_path: Path) -> Chromium:
    """A photo and a style are chosen, and the photo is painted at full strength."""
    set_to(page, "strength", 1)
    set_to(page, "size", 384)
    save(tmp_path / "photo.png", 45, 70, seed=1)
    save(tmp_path / "style.png", 40, 64, seed=2)
    page.value("document.body.dataset.painted = '0'")
    page.choose("#photo-file", tmp_path / "photo.png")
    page.choose("#style-file", tmp_path / "style.png")
    page.until("document.getElementById('style-file').value === ''")  # it is chosen
    page.until("document.body.dataset.painted > 0 && document.getElementById('painted').width === 70")
    settle(page)
    return page


def settle(chromium: Chromium) -> None:
    """Wait until nothing is being painted any more."""
    chromium.until("!document.body.hasAttribute('aria-busy')")


def test_painted_photo_is_what_python_paints(painted: Chromium, graphs: Graphs, tmp_path: Path) -> None:
    onnx_runtime = pytest.importorskip("impasto.engines.fast.onnx_runtime")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    photo, style = save(tmp_path / "photo.png", 45, 70, seed=1), save(tmp_path / "style.png", 40, 64, seed=2)
    painter = onnx_runtime.OnnxPainter(graphs.transfer, graphs.encoder, threads=1)
    wanted = (painter.paint(photo, painter.code(style))[0] * 255).round().byte().permute(1, 2, 0).numpy()
    found = pixels_of(painted, "painted")
    assert found.shape == (45, 70, 3)
    assert difference(found, wanted) <= CLOSE
    assert difference(found, pixels_of(painted, "photo")) > 20


def test_page_is_isolated_so_that_webassembly_gets_threads(page: Chromium) -> None:
    assert page.value("crossOriginIsolated") is True
    assert text_of(page, "backend").startswith("on the ")


def test_strength_lies_between_the_photo_and_the_style(painted: Chromium) -> None:
    full, photo = pixels_of(painted, "painted").astype(int), pixels_of(painted, "photo").astype(int)
    away = {}
    for strength in (0.5, 0.1, 0):
        set_to(painted, "strength", strength)
        settle(painted)
        found = pixels_of(painted, "painted").astype(int)
        away[strength] = float(np.abs(found - photo).mean())
        assert np.abs(found - full).mean() > 1
    assert away[0] == 0
    assert 0 < away[0.1] < away[0.5]


def test_size_is_that_of_the_slider_and_never_above_the_photos(painted: Chromium, tmp_path: Path) -> None:
    save(tmp_path / "large.png", 150, 300, seed=3)
    set_to(painted, "size", 128)
    painted.choose("#photo-file", tmp_path / "large.png")
    painted.until("document.getElementById('painted').width === 128")
    assert pixels_of(painted, "painted").shape == (64, 128, 3)
    set_to(painted, "size", 1280)
    painted.until("document.getElementById('painted').width === 300")


def test_webcam_is_painted_frame_by_frame_until_it_is_stopped(painted: Chromium) -> None:
    set_to(painted, "size", 128)
    painted.value("document.getElementById('camera').click()")
    painted.until("document.body.dataset.frames >= 3")
    first = pixels_of(painted, "painted")
    painted.until(f"document.body.dataset.frames >= {int(painted.value('document.body.dataset.frames')) + 8}")
    assert difference(first, pixels_of(painted, "painted")) > 5  # the browser's test picture moves
    assert float(painted.value("document.body.dataset.fps")) > 0
    assert "frames per second" in text_of(painted, "rate")
    assert 0 < float(painted.value("document.body.dataset.latency")) < 60_000
    assert "ms behind the webcam" in text_of(painted, "rate")
    painted.value("document.getElementById('camera').click()")
    assert painted.value("document.getElementById('video').srcObject") is None
    assert text_of(painted, "rate") == ""


def test_saved_file_is_the_painted_picture(painted: Chromium, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    painted.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    painted.value("document.getElementById('save').click()")
    wanted = pixels_of(painted, "painted")
    for _ in range(200):
        if (folder / "impasto.png").exists():
            break
        painted.value("new Promise((done) => setTimeout(done, 50))")
    with Image.open(folder / "impasto.png") as saved:
        assert difference(np.asarray(saved.convert("RGB")), wanted) == 0


def test_known_style_paints_without_a_picture_of_it(painted: Chromium) -> None:
    set_to(painted, "known", "plain")
    settle(painted)
    assert int(pixels_of(painted, "painted").max()) == 0  # a code of zeros has a palette of black alone


def test_file_that_is_no_picture_is_named(page: Chromium, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page.choose("#photo-file", tmp_path / "notes.png")
    with pytest.raises(AssertionError, match=r"notes\.png is no picture"):
        page.until("false")
    assert "notes.png is no picture" in text_of(page, "state")
    page.value("delete document.body.dataset.error")


def test_model_of_one_style_asks_for_a_photo_only(runtime: Path, chromium: Chromium, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra onnx")
    from impasto.engines.fast.onnx import onnx_graphs

    net, encoder = networks()
    save_model(tmp_path / "one.safetensors", net, encoder(picture(64, 64, seed=9)), {})
    graphs = onnx_graphs(tmp_path / "one.safetensors")
    save(tmp_path / "photo.png", 40, 48, seed=1)
    with BrowserPage(graphs.transfer, graphs.encoder, runtime) as served:
        for page in opened(chromium, served):
            assert page.value("document.getElementById('style-figure').hidden") is True
            page.choose("#photo-file", tmp_path / "photo.png")
            page.until("document.body.dataset.painted > 0")
            assert difference(pixels_of(page, "painted"), pixels_of(page, "photo")) > 20
