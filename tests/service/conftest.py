"""A service as a user runs it: ``impasto serve`` with its worker, on a port that the system chooses."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from PIL import Image

import impasto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Small enough to take a moment.
QUICK = {
    "image_size": 64,
    "scales": [48, 64],
    "steps": 3,
    "layers": ["relu1_1", "relu2_1"],
    "style_loss": "w2",
}
#: Long enough to be looked at and to be ended.
LONG = {**QUICK, "optimizer": "adam", "steps": 100_000}


@dataclass
class Served:
    """A running service."""

    address: str
    process: subprocess.Popen[str]
    home: Path


def start(home: Path, *options: str, **environment: str) -> Served:
    """Start a service and wait until it answers."""
    source = Path(impasto.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", "serve", "--home", home, "--port", "0", *options],
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "IMPASTO_SAFETY": "off", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = ""
    assert process.stderr is not None
    while not (found := re.search(r"serves at (http://\S+);", seen)):
        line = process.stderr.readline()
        assert line, f"it ended with {process.wait()}: {seen}"
        seen += line
    return Served(found[1], process, home)


def end(served: Served) -> int:
    served.process.send_signal(signal.SIGTERM)
    try:
        return served.process.wait(timeout=60)
    finally:
        served.process.kill()
        served.process.stderr.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all tests that need not change how it runs."""
    one = start(tmp_path_factory.mktemp("service"))
    yield one
    assert end(one) == 0


@pytest.fixture
def client(served: Served) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=served.address, timeout=60) as one:
        yield one


def encoded(array: object, size: tuple[int, int], kind: str = "PNG") -> bytes:
    kept = io.BytesIO()
    Image.fromarray(array).resize(size).save(kept, kind)
    return kept.getvalue()


@pytest.fixture(scope="session")
def photo(content) -> bytes:
    return encoded(content, (64, 48))


@pytest.fixture(scope="session")
def painting(style) -> bytes:
    return encoded(style, (72, 56))


def send(client: httpx2.Client, data: bytes, name: str = "a.png") -> httpx2.Response:
    return client.post("/v1/assets", files={"file": (name, data)})


@pytest.fixture
def asked(client: httpx2.Client, photo: bytes, painting: bytes) -> Callable[..., dict[str, object]]:
    """The body of a small job."""
    content, style = (send(client, data).json()["id"] for data in (photo, painting))

    def make(**changes: object) -> dict[str, object]:
        return {"content": content, "styles": [style], "engine": "optimize", "settings": QUICK, **changes}

    return make
