"""A stream painted as it comes in: the newest frame, how far behind, and the page that shows it."""

from __future__ import annotations

import http.client
import json
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from impasto.api import as_jpeg, stylize_stream
from impasto.cli.main import main
from impasto.cli.stream_page import StreamPage
from impasto.errors import UnreadableImageError
from impasto.progress import CancelToken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def style(tmp_path: Path) -> Path:
    path = tmp_path / "style.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 120, (64, 64, 3), dtype=np.uint8)).save(path)
    return path


def test_newest_frame_is_painted_and_the_rest_left_out(clip: Callable[..., Path], style: Path) -> None:
    frames = list(stylize_stream(str(clip(times=range(0, 600, 10))), style))
    assert 1 <= len(frames) <= 60
    assert len(frames) + sum(frame.left_out for frame in frames) <= 60
    assert all(frame.latency_s > 0 and frame.pixels.shape == (48, 64, 3) for frame in frames)


def test_stream_ends_when_it_is_told_to(clip: Callable[..., Path], style: Path) -> None:
    token, count = CancelToken(), 0
    for _ in stylize_stream(str(clip(times=range(0, 60_000, 1000))), style, cancel=token):
        count += 1
        token.stop()
    assert count == 1


def test_source_that_is_none_is_named(style: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"cannot read 'nowhere\.mp4'"):
        stylize_stream("nowhere.mp4", style)


def test_page_shows_frames_and_how_far_behind_they_are() -> None:
    jpeg = as_jpeg(np.full((16, 16, 3), 200, np.uint8))
    with StreamPage() as page:
        address = page.address.removeprefix("http://")
        page.show(jpeg, width=16, height=16, fps=25.0, latency_s=0.04)
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", "/state")
        state = json.loads(connection.getresponse().read())
        assert (state["frames"], state["latency_s"], state["over"]) == (1, 0.04, False)
        watching = http.client.HTTPConnection(address, timeout=10)
        watching.request("GET", "/frames")
        answer = watching.getresponse()
        assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        threading.Timer(0.2, page.end).start()
        parts = answer.read()
        assert parts.count(b"--frame") == 1
        assert jpeg in parts
        other = http.client.HTTPConnection(address, timeout=10)
        other.request("GET", "/", headers={"Host": "elsewhere.example"})
        assert other.getresponse().status == 403


def test_command_ends_with_the_stream(
    clip: Callable[..., Path], style: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "--source", str(clip()), "--style", str(style)]) == 0
    said = capsys.readouterr().err
    assert "watch it at http://127.0.0.1:" in said
    assert "the stream has ended" in said


def test_stream_without_a_style_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--source", "0"]) == 2
    assert "give --source and --style" in capsys.readouterr().err
