"""``impasto live``: a page that paints photos and the webcam in the browser, or shows a stream painted here."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated, Final

import typer

from impasto.cli.terminal import say

#: The panel of ``--help`` for what is painted here.
STREAM_PANEL: Final = "A stream"

_Model = Annotated[
    Path | None,
    typer.Option(metavar="FILE", show_default="the shipped any-style one", help="a network that `impasto train` wrote"),
]
_Ort = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        show_default="the user's cache",
        help="the npm package onnxruntime-web: its folder or its .tgz file",
    ),
]
_Download = Annotated[
    bool, typer.Option("--download", help="get onnxruntime-web (33 MB) with npm if it is not in the cache yet")
]


_Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        show_default=False,
        rich_help_panel=STREAM_PANEL,
        help="paint here instead: the number of a camera (0), a file, or the address of a stream",
    ),
]
_Style = Annotated[
    Path | None,
    typer.Option(
        "--style", metavar="FILE", show_default=False, rich_help_panel=STREAM_PANEL, help="the style of the stream"
    ),
]
_Smooth = Annotated[
    float, typer.Option("--smooth", min=0, max=1, rich_help_panel=STREAM_PANEL, help="how steady it is painted")
]
_ImageSize = Annotated[
    int,
    typer.Option("--image-size", min=16, rich_help_panel=STREAM_PANEL, help="longer side at most, pixels"),
]


def live(
    *,
    model: _Model = None,
    ort: _Ort = None,
    download: _Download = False,
    source: _Source = None,
    style: _Style = None,
    smooth: _Smooth = 0.5,
    image_size: _ImageSize = 640,
) -> None:
    """Serve a page that paints in the browser, photos and the webcam, until Ctrl-C; pictures never leave it.

    With --source this machine paints, and the page shows it: [dim]impasto live --source 0 --style painting.jpg[/dim]
    """
    if source is not None or style is not None:
        _stream(source, style, model, smooth, image_size)
        return
    from impasto.browser.ort_web import download_runtime, find_runtime
    from impasto.cli.browser_page import BrowserPage
    from impasto.engines.fast.onnx import onnx_graphs
    from impasto.errors import SettingsError

    if download and ort is not None:
        raise SettingsError("--ort and --download were given; give one of them")
    runtime = download_runtime() if download else find_runtime(ort)
    graphs = onnx_graphs(model)
    with BrowserPage(graphs.transfer, graphs.encoder, runtime) as page:
        say(f"paint at {page.address}; Ctrl-C ends it")
        # Installed here, because a program that was started in the background has Ctrl-C switched off.
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        while not ended.wait(1.0):  # in turns: on Windows a signal does not end a longer one
            pass


def _stream(source: str | None, style: Path | None, model: Path | None, smooth: float, image_size: int) -> None:
    """Paint a camera or a stream on this machine until it ends, or until Ctrl-C."""
    from impasto import api
    from impasto.cli.stream_page import StreamPage
    from impasto.errors import SettingsError
    from impasto.progress import CancelToken

    if source is None or style is None:
        raise SettingsError("a stream needs a source and a style; give --source and --style")
    token = CancelToken()
    own = None if model is None else str(model)
    frames = api.stylize_stream(source, style, smooth=smooth, image_size=image_size, cancel=token, model=own)
    with StreamPage() as page:
        say(f"watch it at {page.address}; Ctrl-C ends it")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: token.stop())
        for frame in frames:
            height, width = frame.pixels.shape[:2]
            page.show(api.as_jpeg(frame.pixels), width=width, height=height, fps=frame.fps, latency_s=frame.latency_s)
        page.end()
        say("the stream has ended" if not token.stopped else "ended")
