"""An archive comes back whole, always with the same bytes; one that is hostile or damaged leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from impasto.errors import InputError, OutputError
from impasto.styles import find_style, import_style, read_style, unpack_archive, write_archive

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of an entry in the table at an archive's end.
_TABLE = b"PK\x01\x02"
_FLAGS_AT, _SIZE_AT = 8, 24


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    """A good one."""
    write_archive(folder, tmp_path / "wave.impasto")
    return tmp_path / "wave.impasto"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder to unpack into."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def _contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def _packed(archive: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(archive, "w", method) as opened:
        for name, data in files.items():
            opened.writestr(name, data)


def _patched(archive: Path, name: str, at: int, kind: str, value: int) -> None:
    """Another number in the line of the table that tells of an entry."""
    data = bytearray(archive.read_bytes())
    end = data.rindex(name.encode())  # the table stands behind all data
    struct.pack_into(kind, data, data.rindex(_TABLE, 0, end) + at, value)
    archive.write_bytes(data)


def _refused(archive: Path, place: Path, words: str, kind: type[InputError] = InputError) -> None:
    with pytest.raises(kind, match=words) as caught:
        unpack_archive(archive, place / "style")
    assert "\n" not in str(caught.value)
    assert list(place.iterdir()) == []


def test_archive_comes_back_as_it_was(folder: Path, archive: Path, place: Path) -> None:
    style = unpack_archive(archive, place / "style")
    assert style.name == "The wave"
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    after = {path.relative_to(place / "style"): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert after == before
    assert [path.name for path in place.iterdir()] == ["style"]


def test_same_style_gives_the_same_bytes(folder: Path, archive: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    for path in (tmp_path / "copy").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    (tmp_path / "copy" / "note.txt").write_text("not of the style")
    write_archive(tmp_path / "copy", tmp_path / "copy.impasto")
    assert (tmp_path / "copy.impasto").read_bytes() == archive.read_bytes()


def test_files_that_were_packed_again_by_another_program_are_taken(archive: Path, place: Path) -> None:
    """What the other tests change one thing of is itself good."""
    _packed(archive, _contents(archive))
    assert unpack_archive(archive, place / "style").name == "The wave"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "references/../../evil.png",
        "/evil.png",
        "references\\evil.png",
        "C:evil.png",
        "references/deep/evil.png",
        "other/evil.png",
        "references/",
        "./evil.png",
        "references//evil.png",
        "evil\n.png",
        "evil\x1b[2J.png",
    ],
)
def test_name_that_no_file_of_a_style_has_is_refused(archive: Path, place: Path, name: str) -> None:
    _packed(archive, {**_contents(archive), name: b""})
    _refused(archive, place, "which is no file of a style; it was not unpacked")
    assert not list(place.parent.glob("**/evil*"))


@pytest.mark.parametrize("name", ["evil.pkl", "evil.pt", "evil.py", "EVIL.PY", "references/evil.svg", "evil", ".png"])
def test_kind_that_no_file_of_a_style_has_is_refused(archive: Path, place: Path, name: str) -> None:
    _packed(archive, {**_contents(archive), name: b""})
    _refused(archive, place, "a style has pictures, JSON, Markdown and safetensors only")


def test_link_is_refused(archive: Path, place: Path) -> None:
    files = _contents(archive)
    del files["thumbnail.webp"]
    _packed(archive, files)
    entry = zipfile.ZipInfo("thumbnail.webp")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(entry, "/etc/passwd")
    _refused(archive, place, r"'thumbnail\.webp', which is no file of a style")


def test_name_that_is_there_twice_is_refused(archive: Path, place: Path) -> None:
    with zipfile.ZipFile(archive, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr("style.json", "{}")
    _refused(archive, place, "holds a name twice")


def test_file_of_another_content_is_refused(archive: Path, place: Path) -> None:
    _packed(archive, {**_contents(archive), "fast.safetensors": b"other weights"})
    _refused(archive, place, r"fast\.safetensors.*it was changed")


@pytest.mark.parametrize("missing", ["style.json", "references/01-wave.png", "fast.safetensors"])
def test_archive_that_lacks_a_file_is_refused(archive: Path, place: Path, missing: str) -> None:
    files = _contents(archive)
    del files[missing]
    _packed(archive, files)
    _refused(archive, place, missing.rpartition("/")[2])


def test_style_inside_that_leads_out_of_it_is_refused(archive: Path, place: Path) -> None:
    files = _contents(archive)
    document = json.loads(files["style.json"])
    document["references"][0]["file"] = "../../../one/wave.png"
    _packed(archive, {**files, "style.json": json.dumps(document).encode()})
    _refused(archive, place, "no plain file name")


@pytest.mark.parametrize("part", [0.0, 0.2, 0.9, 0.999])
def test_truncated_archive_is_refused(archive: Path, place: Path, part: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * part)])
    _refused(archive, place, "cannot be unpacked: .*get the archive again")


def test_archive_whose_packed_bytes_are_damaged_is_refused(archive: Path, place: Path) -> None:
    _packed(archive, {**_contents(archive), "MODEL_CARD.md": b"".join(b"%d\n" % n for n in range(5000))})
    data = bytearray(archive.read_bytes())
    start = data.index(b"MODEL_CARD.md") + 60
    data[start : start + 400] = b"\xff" * 400
    archive.write_bytes(data)
    _refused(archive, place, "cannot be unpacked: .*get the archive again")


def test_archive_with_a_password_is_refused(archive: Path, place: Path) -> None:
    _patched(archive, "style.json", _FLAGS_AT, "<H", 1)
    _refused(archive, place, "cannot be unpacked: .*encrypted")


def test_entry_that_is_larger_than_it_claims_is_refused(archive: Path, place: Path) -> None:
    _packed(archive, {**_contents(archive), "MODEL_CARD.md": b"0" * 2**20})
    assert archive.stat().st_size < 2**16  # it is a small bomb
    _patched(archive, "MODEL_CARD.md", _SIZE_AT, "<I", 10)
    _refused(archive, place, "cannot be unpacked: .*MODEL_CARD")


def test_entries_that_claim_too_much_are_refused(archive: Path, place: Path) -> None:
    _patched(archive, "MODEL_CARD.md", _SIZE_AT, "<I", 2**31)
    _refused(archive, place, "files of 2048 MiB; a style has at most 1000 of 1024 MiB")


def test_too_many_entries_are_refused(archive: Path, place: Path) -> None:
    _packed(archive, _contents(archive) | {f"{number}.md": b"" for number in range(1000)}, zipfile.ZIP_STORED)
    _refused(archive, place, r"holds 100\d files of 0 MiB; a style has at most 1000")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_cannot_be_undone_in_blocks_is_refused(archive: Path, place: Path, method: int) -> None:
    _packed(archive, _contents(archive), method)
    _refused(archive, place, "packed in another way than deflate")


def test_what_is_no_archive_is_refused(archive: Path, place: Path) -> None:
    archive.write_bytes(b"no archive")
    _refused(archive, place, "cannot be unpacked: ")
    archive.unlink()
    _refused(archive, place, "cannot be unpacked: No such file")


def test_folder_that_is_there_is_not_replaced(archive: Path, place: Path) -> None:
    (place / "style").mkdir()
    (place / "style" / "note.txt").write_text("mine")
    with pytest.raises(OutputError, match="nothing was changed"):
        unpack_archive(archive, place / "style")
    assert [path.name for path in place.rglob("*")] == ["style", "note.txt"]


def test_place_that_cannot_be_written_is_said(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot unpack"):
        unpack_archive(archive, tmp_path / "nowhere" / "style")


def test_archive_is_written_under_its_extension_and_into_a_folder_only(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.impasto"):
        write_archive(folder, tmp_path / "wave.zip")
    with pytest.raises(OutputError, match="cannot write"):
        write_archive(folder, tmp_path / "nowhere" / "wave.impasto")
    with pytest.raises(InputError, match="is no style"):
        write_archive(tmp_path / "one", tmp_path / "one.impasto")
    assert not list(tmp_path.glob("**/*.impasto"))


def _damage(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-40])


def _spoil(archive: Path) -> None:
    _packed(archive, {**_contents(archive), "evil.py": b""})


@pytest.mark.parametrize("hostile", [_damage, _spoil])
def test_library_is_as_it_was_where_an_archive_is_refused(
    archive: Path, library: Path, hostile: Callable[[Path], None]
) -> None:
    import_style(archive, "wave")
    hostile(archive)
    with pytest.raises(InputError):
        import_style(archive, "other")
    with pytest.raises(InputError):
        import_style(archive, "wave", replace=True)
    assert [path.name for path in library.iterdir()] == ["wave"]
    assert read_style(library / "wave").trained["fast"].path.read_bytes() == b"weights"


def test_archive_is_unpacked_once_and_again_where_the_cache_was_damaged(archive: Path, tmp_path: Path) -> None:
    style = find_style(archive)
    assert style is not None
    (weights,) = (tmp_path / "cache").rglob("fast.safetensors")
    assert style.trained["fast"].path == weights
    written = weights.stat().st_ino
    assert find_style(archive) == style
    assert weights.stat().st_ino == written
    weights.write_bytes(b"other weights")
    assert find_style(archive) == style
    assert weights.read_bytes() == b"weights"
    (weights.parent / "style.json").unlink()
    assert find_style(archive) == style


def test_two_that_unpack_the_same_archive_both_get_it(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, others = Path.rename, []

    def late(self: Path, target: Path) -> Path:
        if not others:
            others.append(target)
            unpack_archive(archive, target)  # the other is done in the last moment
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    style = find_style(archive)
    assert style is not None
    assert style.references[0].is_relative_to(others[0])
    assert [path.name for path in others[0].parent.iterdir()] == [others[0].name]


def test_cache_that_cannot_be_made_is_said(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match="cannot make the folder"):
        find_style(archive)
