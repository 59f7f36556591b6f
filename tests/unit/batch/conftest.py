"""Photos of a few pixels, a style, and a library and a cache that are the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from impasto.batch.job import Job
from impasto.styles import Channel, Pack, make_pack

if TYPE_CHECKING:
    from pathlib import Path

STORY = {"name": "story", "width": 24, "height": 40}


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what whoever runs it keeps, and the working directory is empty."""
    monkeypatch.setenv("IMPASTO_STYLES", str(tmp_path / "library"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def save_photo(path: Path, seed: int, *, width: int = 80, height: int = 64) -> Path:
    """Write smooth coloured noise; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def cut_off(path: Path, seed: int = 99) -> Path:
    """A PNG whose header is whole and whose pixels are not."""
    save_photo(path, seed)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with four photos."""
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def style(tmp_path: Path) -> Path:
    """A picture as a style."""
    return save_photo(tmp_path / "wave.png", 1000, width=72, height=72)


def pack_of(style: Path, **rules: Any) -> Pack:
    """A pack of one style."""
    return make_pack({"styles": [str(style)], **rules}, "brand.toml")


def job_of(place: Path, **about: Any) -> Job:
    """A job about nothing much."""
    known: dict[str, Any] = {
        "key": "k", "slot": "s", "picture": "photo", "content": "photo.png", "style": "wave", "source": "wave.png",
        "engine": "fast", "settings": {}, "place": str(place), "output": "pictures/photo.png",
    }  # fmt: skip
    return Job(**known | about)


def channel_of(**about: Any) -> Channel:
    """A channel of 24×40."""
    return Channel(**STORY | about)
