"""The live views of a run: how often they look, what they show, who may ask, and that they never stand in its way."""

import http.client
import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

import impasto
from impasto.cli.live_page import LivePage
from impasto.cli.live_terminal import half_blocks
from impasto.cli.preview import Pace
from impasto.images import Picture, read
from impasto.progress import Cancelled, CancelToken, Progress

Run = Callable[..., subprocess.CompletedProcess[str]]

SOURCE = str(Path(impasto.__file__).parents[1])

#: L-BFGS would soon find nothing left to do.
ENDLESS = {"image_size": 64, "scales": [64], "steps": 100000, "optimizer": "adam"}


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def step(preview: Callable[[], torch.Tensor]) -> Progress:
    """A step of a run whose picture is what ``preview`` gives."""
    numbers = {"scale": 1, "scales": 1, "width": 8, "height": 6, "step": 1, "steps": 9}
    return Progress(**numbers, loss=1.0, terms={}, fraction=0.1, elapsed_s=1.0, eta_s=9.0, preview=preview)


@pytest.mark.parametrize(("copy_s", "encode_s", "pause_s"), [(0.001, 0.002, 0.5), (0.02, 0.0, 1.0), (0.01, 0.03, 2.0)])
def test_pace_rests_half_a_second_or_fifty_times_what_the_last_preview_cost(
    copy_s: float, encode_s: float, pause_s: float
) -> None:
    clock = Clock()
    pace = Pace(clock)
    ends = []
    for _ in range(10_000):
        clock.now += 0.01
        if pace.due():
            assert not ends or clock.now - ends[-1] >= pause_s - 1e-6
            with pace.taking():
                clock.now += copy_s
            with pace.working():
                clock.now += encode_s
            ends.append(clock.now)
    assert pace.taken == len(ends)
    assert pace.taken == pytest.approx(clock.now / (pause_s + copy_s + encode_s), rel=0.02)
    assert pace.spent_s == pytest.approx(pace.taken * (copy_s + encode_s))
    assert pace.spent_s < 0.02 * clock.now


def test_page_takes_pictures_only_for_those_who_look_and_in_its_pace(folder: Path) -> None:
    clock = Clock()

    def preview() -> torch.Tensor:
        clock.now += 0.02
        return torch.rand(3, 6, 8)

    page = LivePage(folder / "content.png", folder / "out.png", CancelToken())
    page.pace = Pace(clock)
    for _ in range(100):
        clock.now += 1.0
        page.update(step(preview))
    assert page.pace.taken == 0

    events = page.events()
    assert next(events).startswith(b"event: state\n")  # somebody looks from now on
    for _ in range(100):
        clock.now += 0.1
        page.update(step(preview))
    assert page.pace.taken == 1  # nobody has looked at it, so there is no need for another one
    assert next(events).startswith(b"event: picture\n")
    clock.now += 0.9
    page.update(step(preview))
    assert page.pace.taken == 1  # it took 0.02 s, so the next one is 1 s later
    clock.now += 0.2
    page.update(step(preview))
    assert page.pace.taken == 2

    events.close()
    clock.now += 100.0
    next(page.events())  # the picture that was left
    page.update(step(preview))
    assert page.pace.taken == 2


class Watched:
    """A real run with its page, in a thread of its own."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.token = CancelToken()
        self.page = LivePage(folder / "content.png", folder / "out.png", self.token)
        self.result: impasto.Stylization | None = None
        self._settings = settings
        self._folder = folder
        self._begun = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self.page:
                self._begun.set()
                self.result = impasto.stylize(
                    self._folder / "content.png",
                    self._folder / "style.png",
                    on_progress=self.page.update,
                    cancel=self.token,
                    **self._settings,
                )
                self.page.finish(self.result.picture)
        except Cancelled:
            pass

    @property
    def port(self) -> int:
        assert self.page.address is not None
        return int(self.page.address.rpartition(":")[2])

    def __enter__(self) -> "Watched":
        self.thread.start()
        assert self._begun.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.token.cancel()
        self.thread.join(60)
        assert not self.thread.is_alive()

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        with self.answer(path, method, **headers) as response:
            return response.status, dict(response.getheaders()), response.read()

    @contextmanager
    def answer(self, path: str, method: str = "GET", **headers: str) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def events(self) -> Iterator[tuple[str, bytes]]:
        """Name and data of each event until the page ends the stream."""
        with self.answer("/events") as response:
            assert response.getheader("Content-Type") == "text/event-stream"
            while line := response.readline():
                yield line.split()[1].decode(), response.readline().removeprefix(b"data: ").strip()
                assert response.readline() == b"\n"


@pytest.fixture
def endless(folder: Path) -> Iterator[Watched]:
    with Watched(folder, **ENDLESS) as watched:
        yield watched


def picture_of(data: bytes) -> Picture:
    with Image.open(BytesIO(b64decode(data, validate=True))) as image:
        assert image.format == "JPEG"
        return read(image)


def test_page_is_whole_and_closed_to_everybody_else(endless: Watched) -> None:
    status, headers, body = endless.ask("/")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    html = body.decode()
    assert html.count(f'nonce="{nonce[1]}"') == 2
    assert "{{" not in html
    assert endless.page.secret in html
    assert not re.search(r"(?:src|href|url)\W{1,3}(?:https?:)?//", html)  # asks nobody else for anything
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_page_gives_the_content_and_nothing_else(endless: Watched, folder: Path) -> None:
    status, headers, body = endless.ask("/content?anything")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert body == (folder / "content.png").read_bytes()
    for path in ("/content.png", "/style.png", "/../content.png", "/%2e%2e/content.png", "/stop", "content"):
        assert endless.ask(path)[0] == 404, path
    assert endless.ask("/", "HEAD")[0] == 501
    assert endless.ask("/", "PUT")[0] == 501


def test_page_refuses_requests_by_another_name(endless: Watched) -> None:
    for host in ("example.org", "127.0.0.1", "localhost:1", f"127.0.0.1.example.org:{endless.port}", ""):
        for method, path in (("GET", "/"), ("GET", "/events"), ("POST", "/stop")):
            status, _, body = endless.ask(path, method, Host=host, X_Impasto_Token=endless.page.secret)
            assert status == 403, (host, method, path)
            assert endless.page.secret.encode() not in body
    assert not endless.token.stopped
    assert endless.ask("/", Host=f"localhost:{endless.port}")[0] == 200


def test_page_refuses_orders_without_its_token(endless: Watched) -> None:
    for headers in ({}, {"X_Impasto_Token": "x"}, {"X_Impasto_Token": "\xe9" * 43}):
        assert endless.ask("/stop", "POST", **headers)[0] == 403
        assert endless.ask("/cancel", "POST", **headers)[0] == 403
    assert endless.ask("/", "POST", X_Impasto_Token=endless.page.secret)[0] == 404
    endless.token.check()
    assert not endless.token.stopped


def test_page_shows_the_run_until_it_is_stopped_and_then_its_final_picture(endless: Watched) -> None:
    pictures, states = [], []
    for name, data in endless.events():
        if name == "picture":
            pictures.append(picture_of(data))
            if len(pictures) == 2:
                assert endless.ask("/stop", "POST", X_Impasto_Token=endless.page.secret)[0] == 204
        else:
            states.append(json.loads(data))
    endless.thread.join(60)
    assert endless.result is not None
    assert endless.result.stopped_early
    assert {state["phase"] for state in states} <= {"preparing", "running", "stopping", "done"}
    assert states[-1]["phase"] == "done"
    assert states[-1]["output"] == "out.png"
    fractions = [state["fraction"] for state in states if "fraction" in state]
    assert fractions == sorted(fractions)
    curve = states[-1]["curve"]
    assert len(curve) <= 300
    assert curve[-1] == [len(endless.result.trace), 1, endless.result.trace[-1].loss]
    kept = endless.result.picture.pixels
    assert all(picture.pixels.shape == kept.shape for picture in pictures)
    assert (pictures[-1].pixels - kept).abs().mean() < 0.03  # JPEG


def test_page_cancels_the_run(endless: Watched) -> None:
    events = endless.events()
    next(events)
    assert endless.ask("/cancel", "POST", X_Impasto_Token=endless.page.secret)[0] == 204
    states = [json.loads(data) for name, data in events if name == "state"]
    assert states[-1]["phase"] == "cancelled"
    endless.thread.join(60)
    assert endless.result is None


def test_page_changes_nothing_about_the_picture(folder: Path) -> None:
    settings = {"image_size": 64, "scales": [48, 64], "steps": 3}
    alone = impasto.stylize(folder / "content.png", folder / "style.png", **settings)
    with Watched(folder, **settings) as watched:
        for _ in watched.events():
            pass
        watched.thread.join(60)
    assert watched.result is not None
    assert torch.equal(watched.result.picture.pixels, alone.picture.pixels)


def test_page_warns_once_and_lets_the_run_go_on(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> torch.Tensor:
        raise RuntimeError("no memory\nfor a copy")

    page = LivePage(None, folder / "out.png", CancelToken())
    page.pace = Pace(clock := Clock())
    events = page.events()
    next(events)
    with caplog.at_level(logging.WARNING, "impasto"):
        for _ in range(3):
            clock.now += 10.0
            page.update(step(broken))
        page.update(step(lambda: torch.full((3, 6, 8), torch.nan)))
        next(events)
        page.update(step(lambda: torch.zeros(3, 6, 8)))
        clock.now += 10.0
        page.update(step(lambda: torch.zeros(3, 6, 8)))
    assert next(events).startswith(b"event: picture\n")
    assert [record.getMessage().count("no memory for a copy") for record in caplog.records] == [1]


def test_half_blocks_show_two_pixels_in_a_character() -> None:
    pixels = torch.zeros(3, 4, 2)
    pixels[0, 0] = 1.0  # the first row is red, the last one blue
    pixels[2, 3] = 1.0
    lines = half_blocks(Picture(pixels), 2, 2)
    red, black, blue = "2;255;0;0", "2;0;0;0", "2;0;0;255"
    assert lines == [f"\x1b[38;{red};48;{black}m▀" * 2 + "\x1b[0m", f"\x1b[38;{black};48;{blue}m▀" * 2 + "\x1b[0m"]
    assert half_blocks(Picture(pixels), 2, 2, true_color=False)[0] == "\x1b[38;5;196;48;5;16m▀" * 2 + "\x1b[0m"


@pytest.mark.parametrize(
    ("height", "width", "columns", "lines"), [(30, 40, 80, 22), (300, 40, 80, 22), (40, 300, 80, 22), (9, 9, 1, 0)]
)
def test_half_blocks_fill_one_side_of_the_terminal_and_keep_the_shape(
    height: int, width: int, columns: int, lines: int
) -> None:
    drawn = half_blocks(Picture(torch.rand(3, height, width)), columns, lines)
    blocks = {line.count("▀") for line in drawn}
    assert len(blocks) == 1
    (across,) = blocks
    assert across <= columns
    assert len(drawn) <= max(1, lines)
    assert across == columns or len(drawn) == lines
    assert abs(across * height / width - 2 * len(drawn)) <= 2


@pytest.mark.usefixtures("folder")
def test_terminal_preview_without_a_terminal_is_refused_with_the_way_out(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--preview", "terminal", *fast)
    assert outcome.returncode == 2
    assert "--preview page" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not Path("out.png").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("kind", ["terminal", "page"])
def test_preview_contradicts_quiet(run: Run, fast: tuple[str, ...], kind: str) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--quiet", "--preview", kind, *fast)
    assert outcome.returncode == 2
    assert f"--preview {kind}" in outcome.stderr
    assert "--quiet" in outcome.stderr


@pytest.mark.usefixtures("folder")
def test_preview_page_says_where_it_is_and_goes_with_the_run(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--preview", "page", *fast)
    assert outcome.returncode == 0
    address = re.fullmatch(r"watch it at http://127\.0\.0\.1:(\d+)", outcome.stderr.splitlines()[0])
    assert address
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=5).connect()


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminal")
def test_terminal_preview_draws_the_picture_above_the_bar_and_leaves_the_final_one(folder: Path) -> None:
    ours, theirs = pty.openpty()
    words = ["stylize", "content.png", "style.png", "-o", "out.png", "--image-size", "64", "--steps", "100000"]
    environment = {"PYTHONPATH": SOURCE, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "impasto",
            *words,
            "--optimizer",
            "adam",
            "--preview",
            "terminal",
            "--keep-on-interrupt",
        ],
        cwd=folder,
        env={**os.environ, **environment, "COLUMNS": "100", "LINES": "30"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while "▀".encode() not in shown:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0
    assert "scale 1/" in text[text.index("▀") :]  # the bar stands below
    *_, final = text.split("\x1b[?25h")  # the cursor is back, the live display has gone
    drawn = [line for line in final.splitlines() if "▀" in line]
    assert {line.count("▀") for line in drawn} == {75}  # 28 lines are left to 4:3
    assert len(drawn) == 28
    assert "out.png: 64×48 px" in final
