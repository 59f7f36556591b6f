"""``impasto live``: a page that paints photos and the webcam in the browser."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.terminal import say

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


def live(*, model: _Model = None, ort: _Ort = None, download: _Download = False) -> None:
    """Serve a page that paints in the browser, photos and the webcam, until Ctrl-C; pictures never leave it."""
    from impasto.cli.browser_page import BrowserPage
    from impasto.cli.ort_web import download_runtime, find_runtime
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
