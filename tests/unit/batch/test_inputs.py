"""Which pictures are meant: folders, patterns, links, manifests, and what is left out and why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import fsspec
import pytest
from PIL import Image
from tests.unit.batch.conftest import cut_off, save_photo

from impasto.batch.inputs import Input, Problem, inputs_of, read_manifest
from impasto.errors import InputError

SETTINGS = ("strength", "image_size")


def found(*words: str | Path, output: str = "out") -> tuple[list[str], list[Problem]]:
    """The names of the pictures that words mean, and the problems."""
    inputs, problems = inputs_of([str(word) for word in words], Path(output))
    return [one.path.name for one in inputs], problems


def rows(text: str, name: str = "rows.csv") -> tuple[list[Input], list[Problem]]:
    """What a manifest in the working directory holds."""
    Path(name).write_text(text, encoding="utf-8")
    return read_manifest(Path(name), SETTINGS, Path("out"))


def test_folder_means_every_picture_in_it_and_below_but_no_hidden_ones(photos: Path) -> None:
    save_photo(photos / "summer" / "beach.jpg", 10)
    save_photo(photos / ".thumbnails" / "0.png", 11)
    save_photo(photos / ".hidden.png", 12)
    (photos / "notes.txt").write_text("no picture")
    names, problems = found(photos)
    assert names == ["0.png", "1.png", "2.png", "3.png", "beach.jpg"]
    assert problems == []
    [one], _ = inputs_of([str(photos / "summer")], Path("out"))
    assert (one.width, one.height, one.style, one.overrides) == (80, 64, None, {})
    assert one.path == photos / "summer" / "beach.jpg"


@pytest.mark.parametrize("word", ["photos", "photos/**/*.png", "photos/**"])
def test_links_that_lead_round_in_circles_end(photos: Path, word: str) -> None:
    for name in ("round", "again", "more"):  # three ways round: 3^40 paths for who follows them
        (photos / name).symlink_to(photos, target_is_directory=True)
    (photos / "itself.png").symlink_to(photos / "itself.png")
    names, problems = found(word)
    assert names == ["0.png", "1.png", "2.png", "3.png"]
    assert [problem.name for problem in problems] == ["itself.png"]
    assert problems[0].reason.startswith("it cannot be read: ")


def test_patterns_mean_pictures_only_and_no_hidden_ones(photos: Path) -> None:
    save_photo(photos / "summer" / "10.png", 10)
    save_photo(photos / ".old" / "11.png", 11)
    (photos / "1.txt").write_text("no picture")
    assert found("photos/[01].*")[0] == ["0.png", "1.png"]
    assert found(photos / "**" / "*.png")[0] == ["0.png", "1.png", "2.png", "3.png", "10.png"]
    assert found("photos/**/1*")[0] == ["1.png", "10.png"]
    save_photo(photos / "a[1].png", 12)
    assert found("photos/a[1].png")[0] == ["a[1].png"]  # a file of that name comes first


def test_word_that_means_nothing_is_listed(photos: Path) -> None:
    Path("empty").mkdir()
    names, problems = found("photos", "empty", "nowhere", "photos/*.webp")
    assert len(names) == 4
    formats = "there are no pictures (.avif, .bmp, .gif, .jpeg, .jpg, .png, .tif, .tiff, .webp)"
    assert [(one.name, one.reason) for one in problems] == [
        ("empty", formats),
        ("nowhere", "there is no such file or folder"),
        ("photos/*.webp", formats),
    ]


def test_same_picture_is_painted_once(photos: Path) -> None:
    shutil.copy(photos / "1.png", photos / "copy.png")
    names, problems = found("photos", "photos/0.png", photos)
    assert names == ["0.png", "1.png", "2.png", "3.png"]
    assert problems == [Problem("copy.png", "it is the same picture as 1.png, which is painted once")]


def test_what_is_no_picture_is_listed(photos: Path) -> None:
    (photos / "text.png").write_text("no picture")
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(photos / "pipe.png")  # reading one would wait for ever
    cut_off(photos / "cut.png")  # its header is whole, and no more is read yet
    names, problems = found("photos")
    assert names == ["0.png", "1.png", "2.png", "3.png", "cut.png"]
    assert [(one.name, one.reason) for one in problems] == [
        ("empty.jpg", "it cannot be read: it is no picture"),
        ("gone.png", "there is no such file"),
        ("pipe.png", "it is no file"),
        ("text.png", "it cannot be read: it is no picture"),
    ]


def test_picture_that_is_too_large_is_listed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert found(photos / "0.png") == ([], [Problem("0.png", "it is too large")])


@pytest.mark.parametrize(
    ("word", "output"),
    [("photos", "photos/out"), ("photos", "photos"), ("photos/**/*.png", "photos/a/out"), (".", "out")],
)
@pytest.mark.usefixtures("photos")
def test_output_among_the_inputs_is_refused(word: str, output: str) -> None:
    with pytest.raises(InputError, match=r"the output '.*' lies in the input '.*', which would find its own pictures"):
        found(word, output=output)


def test_input_inside_the_output_is_refused(photos: Path) -> None:
    save_photo(Path("out/pictures/0.png"), 0)
    with pytest.raises(InputError, match=r"the input '.*0.png' lies in the output; give another folder"):
        found("out/pictures")
    Path("link").symlink_to("out/pictures", target_is_directory=True)
    with pytest.raises(InputError, match="lies in the output"):
        found("link/*.png")
    assert found("photos/*.png", output="photos/out")[0] == ["0.png", "1.png", "2.png", "3.png"]


def test_address_is_fetched_once(photos: Path) -> None:
    system = fsspec.filesystem("memory")
    system.put_file(str(photos / "0.png"), "/fetched/set/a.png")
    system.put_file(str(photos / "1.png"), "/fetched/set/deep/b.png")
    system.pipe_file("/fetched/set/notes.txt", b"no picture")
    assert found("memory://fetched/set")[0] == ["a.png", "b.png"]
    [copy] = Path("out/inputs").rglob("a.png")
    before = copy.stat().st_mtime_ns
    assert found("memory://fetched/set/*.png")[0] == ["a.png"]
    assert copy.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="there are no pictures at 'memory://fetched/nothing'"):
        found("memory://fetched/nothing")
    with pytest.raises(InputError, match="'nowhere://x' cannot be opened: "):
        found("nowhere://x")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", 'picture,style,strength\nphotos/0.png,mosaic,\n"photos/1.png",,0.5\n'),
        ("rows.CSV", "﻿picture,style,strength\r\nphotos/0.png,mosaic,\r\nphotos/1.png,,0.5\r\n"),
        (
            "rows.jsonl",
            '{"picture": "photos/0.png", "style": "mosaic"}\n\n{"picture": "photos/1.png", "strength": 0.5}',
        ),
        (
            "rows.toml",
            '[[pictures]]\npicture = "photos/0.png"\nstyle = "mosaic"\n'
            '[[pictures]]\npicture = "photos/1.png"\nstrength = 0.5\n',
        ),
    ],
)
@pytest.mark.usefixtures("photos")
def test_manifest_says_the_same_in_every_form(name: str, text: str) -> None:
    inputs, problems = rows(text, name)
    assert problems == []
    assert [(one.path.name, one.style) for one in inputs] == [("0.png", "mosaic"), ("1.png", None)]
    assert inputs[0].overrides == {}
    assert {name: float(value) for name, value in inputs[1].overrides.items()} == {"strength": 0.5}


def test_paths_of_a_manifest_are_from_where_it_lies(photos: Path, style: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = photos / "rows.csv"
    shutil.copy(style, photos / "wave.png")
    manifest.write_text("picture,style\n0.png,wave.png\n1.png,mosaic\n")
    monkeypatch.chdir("/")
    inputs, _ = read_manifest(manifest, SETTINGS, Path("out"))
    assert [one.path for one in inputs] == [photos / "0.png", photos / "1.png"]
    assert [one.style for one in inputs] == [str(photos / "wave.png"), "mosaic"]


@pytest.mark.usefixtures("photos")
def test_rows_that_cannot_be_used_are_listed_with_their_number() -> None:
    Path("photos/text.png").write_text("no picture")
    inputs, problems = rows(
        "picture,style,strength\nphotos/0.png,,\nphotos/none.png,,\nphotos/0.png,mosaic,\nphotos/0.png,,\n"
        "photos/text.png,,\nphotos/0.png,mosaic,0.5\nphotos/0.png,mosaic,\n"
    )
    assert [(one.style, one.overrides) for one in inputs] == [
        (None, {}),
        ("mosaic", {}),
        ("mosaic", {"strength": "0.5"}),
    ]
    where = "of the manifest 'rows.csv'"
    assert [(one.name, one.reason) for one in problems] == [
        ("photos/none.png", f"row 2 {where}: there is no such file"),
        ("photos/0.png", f"row 4 {where} is there already; it is painted once"),
        ("photos/text.png", f"row 5 {where}: it cannot be read: it is no picture"),
        ("photos/0.png", f"row 7 {where} is there already; it is painted once"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "rows.csv",
            "picture,stile\nphotos/0.png,mosaic\n",
            "row 1 of the manifest 'rows.csv' has 'stile', which is not known; "
            "there are picture, style, image_size, strength",
        ),
        (
            "rows.csv",
            "picture,style\nphotos/0.png,mosaic,much\n",
            "row 1 of the manifest 'rows.csv' has a value too many, 'much'; put values with a comma into quotes",
        ),
        ("rows.csv", "picture,style\nphotos/0.png,\n,mosaic\n", "row 2 of the manifest 'rows.csv' has no picture"),
        ("rows.csv", "picture,style\n", "the manifest 'rows.csv' has no rows; each needs a picture"),
        ("rows.csv", "", "the manifest 'rows.csv' has no rows; each needs a picture"),
        ("rows.csv", 'picture\n"photos', "the manifest 'rows.csv' cannot be read: unexpected end of data"),
        ("rows.jsonl", '{"picture": 3}', "row 1 of the manifest 'rows.jsonl' has no picture; give its path"),
        ("rows.jsonl", '["photos/0.png"]', "the manifest 'rows.jsonl' has no rows"),
        ("rows.jsonl", "{", "the manifest 'rows.jsonl' cannot be read: Expecting property name"),
        ("rows.toml", "picture = 3", "the manifest 'rows.toml' has no rows"),
        ("rows.toml", "pictures = [", "the manifest 'rows.toml' cannot be read: "),
        ("rows.xlsx", "", "'rows.xlsx' is no manifest; give a file that ends in .csv, .jsonl, .toml"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_manifest_that_says_something_else_is_refused(name: str, text: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        rows(text, name)
    assert str(caught.value).startswith(sentence)


def test_manifest_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"the manifest 'none.csv' cannot be read: No such file or directory"):
        read_manifest(Path("none.csv"), SETTINGS, Path("out"))


def test_names_with_line_ends_and_separators_are_kept_whole(tmp_path: Path) -> None:
    names = ["two\nlines.png", "separator .png"]
    for number, name in enumerate(names):
        save_photo(tmp_path / name, number)
    inputs, _ = rows('picture\n"two\nlines.png"\n"separator .png"\n')
    assert [one.path.name for one in inputs] == names
    text = "\n".join(json.dumps({"picture": name}, ensure_ascii=False) for name in names)
    assert [one.path.name for one in rows(text, "rows.jsonl")[0]] == names


def test_row_may_name_an_address(photos: Path, tmp_path: Path) -> None:
    fsspec.filesystem("memory").put_file(str(photos / "0.png"), "/rows/a.png")
    inputs, problems = rows("picture\nmemory://rows/a.png\nmemory://rows/b.png\n")
    assert [one.path for one in inputs] == [tmp_path / "out/inputs/rows/a.png"]
    assert [one.reason for one in problems] == [
        "row 2 of the manifest 'rows.csv': there are no pictures at 'memory://rows/b.png'"
    ]
