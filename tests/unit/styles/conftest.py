"""Styles of a few pixels, and a library and a cache that are the test's own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from impasto.styles import make_look, write_style

if TYPE_CHECKING:
    from pathlib import Path

TRAINED = {"fast": ("fast.safetensors", b"weights")}
LOOK = {
    "licence": "CC0-1.0",
    "settings": {"fast": {"strength": 0.8}},
    "thresholds": {"style_gain": {"review_below": 0.2}},
}


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's styles lie; not there yet."""
    monkeypatch.setenv("IMPASTO_STYLES", str(tmp_path / "library"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "library"


@pytest.fixture
def references(tmp_path: Path) -> list[Path]:
    """Two pictures of the same name."""
    paths = [tmp_path / "one" / "wave.png", tmp_path / "two" / "wave.png"]
    for path, color in zip(paths, ("navy", "teal"), strict=True):
        path.parent.mkdir()
        Image.new("RGB", (40, 30), color).save(path)
    return paths


@pytest.fixture
def folder(tmp_path: Path, references: list[Path]) -> Path:
    """A whole style, beside the library."""
    write_style(tmp_path / "wave", "The wave", references, TRAINED, make_look(**LOOK), b"# The wave\n")
    return tmp_path / "wave"


@pytest.fixture
def spring(library: Path, folder: Path) -> Path:
    """A style of the library with a look, a network and its card."""
    library.mkdir()
    shutil.copytree(folder, library / "spring")
    return library / "spring"
