"""Runs the command line as a user would, in this process, on pictures of a few pixels."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli.main import main

#: Enough to be a real run, over two scales.
FAST = ("--image-size", "64", "--scales", "48,64", "--steps", "2")


Run = Callable[..., CompletedProcess[str]]


def save_picture(path: Path, *, width: int, height: int, seed: int) -> Path:
    """Write smooth coloured noise: small as a file, and nothing in it is flat."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """One thread is enough for pictures of this size, and two test runs at once do not wait for each other."""
    before, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
    yield
    torch.set_num_threads(before)
    if variable is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = variable


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``impasto`` with the words given."""

    def call(*words: str | Path) -> CompletedProcess[str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return CompletedProcess(words, code, *capsys.readouterr())

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``content.png`` and ``style.png``."""
    save_picture(tmp_path / "content.png", width=96, height=72, seed=1)
    save_picture(tmp_path / "style.png", width=80, height=80, seed=2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fast() -> tuple[str, ...]:
    """Options that make a run take a moment."""
    return FAST


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished ``out.png`` and what it was made of; nobody writes into it."""
    place = tmp_path_factory.mktemp("finished")
    content = save_picture(place / "content.png", width=96, height=72, seed=1)
    style = save_picture(place / "style.png", width=80, height=80, seed=2)
    assert main(["stylize", str(content), str(style), "-o", str(place / "out.png"), "--quiet", *FAST]) == 0
    return place


@pytest.fixture
def copy_of_finished(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished folder again, for a test that writes; it is the working directory."""
    for path in finished.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path
