"""Addresses: what they mean, what is fetched once, and what a campaign keeps there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest
from tests.unit.batch.conftest import save_photo

from impasto.batch.remote import Mirror, fetch, is_remote
from impasto.errors import InputError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from fsspec.implementations.memory import MemoryFileSystem


@pytest.fixture
def memory() -> MemoryFileSystem:
    """An empty file system in memory."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    return system


def test_address_is_told_from_a_path() -> None:
    assert is_remote("s3://bucket/photos")
    assert not is_remote("photos/a.png")
    assert not is_remote("C:\\photos")


def test_file_that_has_grown_is_fetched_again_and_others_are_not(memory: MemoryFileSystem, tmp_path: Path) -> None:
    memory.pipe({"/set/a.png": b"one", "/set/../b.png": b"two", "/set/c.txt": b"no"})
    wanted = lambda name: name.endswith(".png")  # noqa: E731
    first = tmp_path / "in" / "set" / "a.png"
    assert first in fetch("memory://set", tmp_path / "in", wanted)
    before = first.stat().st_mtime_ns
    fetch("memory://set", tmp_path / "in", wanted)
    assert first.stat().st_mtime_ns == before
    memory.pipe_file("/set/a.png", b"one and more")
    fetch("memory://set/a.png", tmp_path / "in", wanted)
    assert first.read_bytes() == b"one and more"
    assert all(path.is_relative_to(tmp_path / "in") for path in tmp_path.rglob("*.png"))


def test_what_cannot_be_opened_is_told() -> None:
    with pytest.raises(InputError, match="'nothing://x' cannot be opened: Protocol not known"):
        fetch("nothing://x", Path("in"), bool)
    with pytest.raises(MissingExtraError, match=r"'abfs://x/y' cannot be opened: .*; install it with pip"):
        fetch("abfs://x/y", Path("in"), bool)


def test_mirror_puts_lists_moves_and_gets(memory: MemoryFileSystem, tmp_path: Path) -> None:
    mirror = Mirror("memory://out/spring/")
    assert mirror.names() == frozenset()
    save_photo(tmp_path / "pictures" / "a.png", 0)
    (tmp_path / "rows").write_text("1")
    mirror.put(tmp_path, "pictures/a.png")
    mirror.put(tmp_path, "rows")
    assert mirror.names() == {"pictures/a.png", "rows"}
    mirror.move("pictures/a.png", "rejected/pictures/a.png")
    assert mirror.names() == {"rejected/pictures/a.png", "rows"}
    memory.pipe_file("/out/spring/rows", b"2")
    mirror.get(tmp_path, "rows")
    assert (tmp_path / "rows").read_text() == "1"
    mirror.get(tmp_path, "rows", anew=True)
    assert (tmp_path / "rows").read_text() == "2"
    mirror.get(tmp_path / "new", "rows")
    assert (tmp_path / "new" / "rows").read_text() == "2"
    mirror.get(tmp_path, "nothing")
    assert not (tmp_path / "nothing").exists()


def test_mirror_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    mirror = Mirror((tmp_path / "file").as_uri())
    (tmp_path / "a.png").write_text("a")
    with pytest.raises(OutputError, match=r"cannot write file://.*/a.png: "):
        mirror.put(tmp_path, "a.png")
    with pytest.raises(OutputError, match=r"cannot move file://.*/a.png: "):
        mirror.move("a.png", "rejected/a.png")
