"""A style's folder: what was written is read back, and a folder that was changed, is old or leads elsewhere is not."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from impasto.errors import InputError, OutputError, SettingsError, UnreadableImageError
from impasto.styles import Look, is_style, make_look, read_style, write_style

if TYPE_CHECKING:
    from collections.abc import Callable


def _change(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    document = json.loads((folder / "style.json").read_text())
    change(document)
    (folder / "style.json").write_text(json.dumps(document))


def test_style_comes_back_as_it_was_written(folder: Path, references: list[Path]) -> None:
    style = read_style(folder)
    assert style.name == "The wave"
    assert [path.read_bytes() for path in style.references] == [path.read_bytes() for path in references]
    assert style.trained["fast"].path.read_bytes() == b"weights"
    with Image.open(folder / "thumbnail.webp") as thumbnail:
        assert max(thumbnail.size) <= 256
    assert is_style(folder)
    assert not is_style(folder / "references")


def test_style_may_have_pictures_only(tmp_path: Path, references: list[Path]) -> None:
    style = write_style(tmp_path / "plain", "plain", references[:1], {})
    assert style.trained == {}
    assert len(style.references) == 1


def test_style_may_be_moved(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    assert read_style(tmp_path / "moved").references[0].is_relative_to(tmp_path / "moved")


def test_style_says_nothing_of_where_its_pictures_were(folder: Path, tmp_path: Path) -> None:
    assert str(tmp_path) not in (folder / "style.json").read_text()


def test_style_takes_the_place_of_the_one_before(folder: Path, references: list[Path]) -> None:
    write_style(folder, "again", references[:1], {})
    assert read_style(folder).name == "again"
    assert sorted(path.name for path in folder.iterdir()) == ["references", "style.json", "thumbnail.webp"]
    assert not list(folder.parent.glob(".impasto-*"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_style_is_never_replaced(tmp_path: Path, references: list[Path], kind: str) -> None:
    mine = tmp_path / "mine"
    if kind == "folder":
        mine.mkdir()
    note = mine / "note.txt" if kind == "folder" else mine
    note.write_text("mine")
    with pytest.raises(OutputError, match="is no style; choose another name"):
        write_style(mine, "x", references, {})
    assert note.read_text() == "mine"


def test_disk_that_is_full_leaves_the_style_before(
    folder: Path, references: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full(path: Path, data: str, **options: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)  # style.json is the last file that is written
    with pytest.raises(OutputError, match=r"No space left.*nothing was changed"):
        write_style(folder, "again", references, {})
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not list(folder.parent.glob(".impasto-*"))


def test_style_of_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(UnreadableImageError):
        write_style(tmp_path / "x", "x", [tmp_path / "note.txt"], {})
    assert not (tmp_path / "x").exists()


def test_folder_without_a_style_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"is no style: style\.json.*impasto train style"):
            read_style(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(style=2), r"style: .*another version of impasto"),
        (lambda d: d.pop("style"), "style: "),
        (lambda d: d.pop("references"), "references: "),
        (lambda d: d.update(references=[]), "references: "),
        (lambda d: d.update(name=3), "name: "),
        (lambda d: d["trained"]["fast"].pop("sha256"), r"trained\.fast\.sha256: "),
        (lambda d: d["trained"]["fast"].update(sha256="0" * 64), "expected 0000.*restore"),
        (lambda d: d["references"][0].update(file="gone.png"), r"lacks .*gone\.png"),
        (lambda d: d["references"][0].update(file="../wave.png"), "no plain file name"),
        (lambda d: d["references"][0].update(file="/etc/passwd"), "no plain file name"),
        (lambda d: d["references"][0].update(file="C:\\pictures\\x.png"), "no plain file name"),
        (lambda d: d["references"][0].update(file=".."), "no plain file name"),
        (lambda d: d["references"][0].update(file="a\0b"), "no plain file name"),
        (lambda d: d["references"][0].update(file=""), "no plain file name"),
    ],
)
def test_style_that_is_not_what_it_says_is_refused(folder: Path, change, words: str) -> None:
    _change(folder, change)
    with pytest.raises(InputError, match=words) as caught:
        read_style(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "3", "\0", '{"style": 1}'])
def test_garbage_is_refused(folder: Path, text: str) -> None:
    (folder / "style.json").write_text(text)
    with pytest.raises(InputError, match=r"style\.json"):
        read_style(folder)


def test_weights_that_were_changed_are_refused(folder: Path) -> None:
    (folder / "fast.safetensors").write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"fast\.safetensors.*SHA-256"):
        read_style(folder)


def test_link_that_leads_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "fast.safetensors").rename(tmp_path / "elsewhere")
    (folder / "fast.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a link"):
        read_style(folder)


def test_folder_of_references_that_leads_elsewhere_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "references").rename(tmp_path / "elsewhere")
    (folder / "references").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"references' is a link"):
        read_style(folder)


def test_style_keeps_its_look_its_card_and_its_colors(folder: Path) -> None:
    style = read_style(folder)
    assert style.look.licence == "CC0-1.0"
    assert style.look.settings == {"fast": {"strength": 0.8}}
    assert style.look.thresholds == {"style_gain": {"review_below": 0.2}}
    assert style.palette
    assert style.palette[0] == "#000080"  # navy: of the first picture
    assert style.card == folder / "MODEL_CARD.md"


def test_look_is_kept_where_none_is_given_and_replaced_where_one_is(folder: Path, references: list[Path]) -> None:
    assert write_style(folder, "again", references).look.licence == "CC0-1.0"
    assert write_style(folder, "again", references, look=Look()).look == Look()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"oil": {"strength": 0.8}}, "no engine named 'oil'; there are .*fast"),
        ({"fast": {"wetness": 1}}, "no setting named 'wetness'"),
        ({"fast": {"steps": 3}}, "no setting named 'steps'"),
        ({"fast": {"cls": 1}}, "no setting named 'cls'"),
        ({"fast": {"strength": 2}}, "strength"),
        ({"fast": {"device": "cpu"}}, "device belongs to a call or a machine"),
        ({"fast": {"model": "/home/me/m.safetensors"}}, "model belongs to"),
        ({"optimize": {"vgg_weights": "w.pth"}}, "vgg_weights belongs to"),
        ({"optimize": {"init": "start.png"}}, "init belongs to"),
        ({"optimize": {"time_budget": 5}}, "time_budget belongs to"),
        ({"fast": {"bit_depth": 16}}, "bit_depth belongs to"),
    ],
)
def test_settings_that_are_none_or_no_styles_are_refused_when_made_and_when_read(
    folder: Path, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        make_look(settings=settings)
    _change(folder, lambda document: document.update(settings=settings))
    with pytest.raises(InputError, match=words):
        read_style(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(palette=["red"]), "palette"),
        (lambda d: d.update(palette=['#00000g" onload="x']), "palette"),
        (lambda d: d.update(thresholds={"style_gain": {"review_below": "low"}}), "thresholds"),
        (lambda d: d.update(licence="x" * 2001), "licence"),
        (lambda d: d.update(script="x"), "script"),
    ],
)
def test_look_that_is_none_is_refused(folder: Path, change, words: str) -> None:
    _change(folder, change)
    with pytest.raises(InputError, match=words):
        read_style(folder)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a\\b.png", "01-a_b.png"),
        ("C:x.png", "01-C_x.png"),
        ("line\nbreak.png", "01-line_break.png"),
        ("painting", "01-painting.png"),
        ("painting.scan", "01-painting.scan.png"),
        ("07-wave.PNG", "01-wave.PNG"),
        ("w" * 200 + ".png", "01-" + "w" * 60 + ".png"),
    ],
)
def test_reference_gets_a_name_that_every_system_takes(
    tmp_path: Path, references: list[Path], name: str, kept: str
) -> None:
    (tmp_path / name).write_bytes(references[0].read_bytes())
    style = write_style(tmp_path / "style", "style", [tmp_path / name])
    assert [path.name for path in style.references] == [kept]


def test_style_before_is_there_again_where_the_new_one_cannot_be_renamed(
    folder: Path, references: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match=r"Permission denied; nothing was changed"):
        write_style(folder, "again", references)
    assert read_style(folder).name == "The wave"
    assert not list(folder.parent.glob(".impasto-*"))


def test_link_to_a_style_is_replaced_and_what_it_leads_to_stays(
    folder: Path, references: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(folder)
    write_style(tmp_path / "link", "again", references)
    assert read_style(tmp_path / "link").name == "again"
    assert read_style(folder).name == "The wave"
    assert not list(tmp_path.glob(".impasto-*"))
