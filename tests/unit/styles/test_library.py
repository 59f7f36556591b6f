"""Styles by name: what is found under one, what a name may be, and that the library is whole whatever goes wrong."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from impasto.api.styles import list_styles
from impasto.api.training import style_to_train
from impasto.errors import InputError, OutputError
from impasto.images import hex_palette, read
from impasto.styles import (
    Look,
    add_style,
    added_styles,
    export_style,
    find_style,
    get_style,
    house_styles,
    import_style,
    library_folder,
    new_folder,
    read_style,
    reference_folders,
    remove_style,
    write_archive,
    write_style,
)

HOUSE = (
    "flow_strokes",
    "ink_hatching",
    "mosaic",
    "palette_knife",
    "pointillism",
    "stained_glass",
    "watercolour",
    "woodcut_waves",
)


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _no_leftovers(library: Path) -> None:
    assert not [path.name for path in library.iterdir() if path.name.startswith(".")]


def _refuse_renaming(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every try to rename what has that name fails."""
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == name:
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)


def test_house_styles_are_found_by_name_and_free_to_use() -> None:
    assert house_styles() == HOUSE
    for name in HOUSE:
        style = get_style(name)
        assert (style.name, len(style.references), style.look.licence) == (name, 1, "CC0-1.0")
        assert len(style.palette) == 6
        assert style.references[0].is_file()
    pictured = get_style("flow_strokes")  # what is kept of each is what its picture gives
    assert list(pictured.palette) == list(hex_palette(read(pictured.references[0]).pixels[None], 6))


def test_library_lies_where_the_variable_says(
    library: Path, references: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library_folder() == library
    assert added_styles() == ()
    assert not library.exists()
    add_style("spring", references)
    assert (library / "spring" / "style.json").is_file()
    monkeypatch.setenv("IMPASTO_STYLES", str(tmp_path / "other"))
    assert find_style("spring") is None
    monkeypatch.delenv("IMPASTO_STYLES")
    assert library_folder() != library
    assert library_folder().name == "styles"


@pytest.mark.parametrize(
    "name",
    ["", "Spring", "my style", "-spring", "_spring", ".spring", "../spring", "a/b", "spring.1", "spring\n", "x" * 65],
)
def test_name_that_is_none_is_refused(library: Path, references: list[Path], name: str) -> None:
    with pytest.raises(InputError, match="is no name for a style; use up to 64 small letters"):
        add_style(name, references)
    assert not library.exists()


@pytest.mark.parametrize("name", ["a", "0", "spring-2027", "a_b", "x" * 64])
def test_name_that_is_one_is_taken(references: list[Path], name: str) -> None:
    assert add_style(name, references).name == name
    assert get_style(name).name == name


def test_name_that_is_taken_is_refused_unless_it_shall_be_replaced(references: list[Path]) -> None:
    add_style("spring", references)
    with pytest.raises(InputError, match="there is a style 'spring' already"):
        add_style("spring", references[:1])
    assert len(get_style("spring").references) == 2
    add_style("spring", references[:1], replace=True)
    assert len(get_style("spring").references) == 1


@pytest.mark.parametrize("replace", [False, True])
def test_name_of_the_house_is_never_given_away(references: list[Path], replace: bool) -> None:
    with pytest.raises(InputError, match="comes with impasto; choose another"):
        add_style("mosaic", references, replace=replace)
    with pytest.raises(InputError, match="comes with impasto and cannot be removed"):
        remove_style("mosaic")


def test_style_of_no_picture_is_not_added(library: Path, references: list[Path], tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(InputError, match="no picture was given"):
        add_style("spring", [])
    for wrong in ("note.txt", "gone.png"):
        with pytest.raises(InputError, match=wrong):
            add_style("spring", [*references, tmp_path / wrong])
    assert list(library.iterdir()) == []


def test_same_pictures_keep_the_network_and_others_lose_it(spring: Path, references: list[Path]) -> None:
    again = add_style("spring", references, Look(licence="mine"), replace=True)
    assert again.look == Look(licence="mine")
    assert again.trained["fast"].path.read_bytes() == b"weights"
    assert again.card is not None
    assert again.card.read_text() == "# The wave\n"
    other = add_style("spring", references[::-1], replace=True)
    assert (other.trained, other.card) == ({}, None)
    assert other.look == Look(licence="mine")


def test_style_that_was_damaged_can_be_replaced(spring: Path, references: list[Path]) -> None:
    (spring / "fast.safetensors").write_bytes(b"other weights")
    assert add_style("spring", references, Look(), replace=True).trained == {}


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_no_style_is_never_replaced(library: Path, folder: Path, references: list[Path], replace: bool) -> None:
    (library / "spring").mkdir(parents=True)
    (library / "spring" / "note.txt").write_text("mine")
    write_archive(folder, folder.with_suffix(".impasto"))
    with pytest.raises(InputError):
        add_style("spring", references, replace=replace)
    with pytest.raises(InputError):
        import_style(folder.with_suffix(".impasto"), "spring", replace=replace)
    with pytest.raises(InputError, match="there is no style 'spring'"):
        remove_style("spring")
    assert (library / "spring" / "note.txt").read_text() == "mine"
    _no_leftovers(library)


def test_library_that_cannot_be_made_is_said(
    folder: Path, references: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    write_archive(folder, tmp_path / "wave.impasto")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("IMPASTO_STYLES", str(place))
        for work in (
            lambda: add_style("spring", references),
            lambda: import_style(tmp_path / "wave.impasto", "spring"),
            lambda: new_folder("spring"),
        ):
            with pytest.raises(OutputError, match=r"cannot make the folder .*IMPASTO_STYLES"):
                work()
        assert added_styles() == ()
        assert get_style("mosaic").name == "mosaic"


def test_file_and_folder_come_before_a_name(spring: Path, folder: Path, references: list[Path], tmp_path: Path) -> None:
    assert len(get_style("spring").references) == 2
    shutil.copy(references[0], tmp_path / "spring")
    assert find_style("spring") is None  # a picture
    assert len(get_style("spring").references) == 2  # where a style is needed, no picture is meant
    (tmp_path / "spring").unlink()
    write_style(tmp_path / "spring", "another", references[:1])
    assert get_style("spring").name == "another"
    assert get_style(tmp_path / "spring").name == "another"


def test_list_shows_the_library_whatever_lies_in_the_working_directory(spring: Path, tmp_path: Path) -> None:
    for name in ("spring", "mosaic"):
        (tmp_path / name).mkdir()
    assert [style.name for style in list_styles()] == ["spring", *HOUSE]
    assert style_to_train("spring") == (spring, list(read_style(spring).references))


def test_list_leaves_out_what_was_damaged_and_what_has_no_name(
    spring: Path, library: Path, references: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    add_style("bad", references)
    (library / "bad" / "references" / "01-wave.png").unlink()
    shutil.copytree(spring, library / "My style")
    shutil.copytree(spring, library / ".impasto-0.old")
    (library / "empty").mkdir()
    assert added_styles() == ("bad", "spring")
    assert [style.name for style in list_styles()] == ["spring", *HOUSE]
    assert "left out bad: the style lacks" in caplog.text
    with pytest.raises(InputError, match="the style lacks"):
        get_style("bad")


@pytest.mark.parametrize("name", ["sprang", "Mosaic", "x" * 300, "gone.impasto", "no/where", "mosaic/"])
def test_style_that_is_not_there_is_refused_with_those_that_are(spring: Path, name: str) -> None:
    assert find_style(name) is None
    with pytest.raises(InputError, match=r"there is no style .*; there are spring, flow_strokes, .*woodcut_waves"):
        get_style(name)


def test_style_of_the_library_is_called_as_its_folder_is(spring: Path) -> None:
    assert read_style(spring).name == "The wave"
    assert get_style("spring").name == "spring"


def test_style_is_removed_and_only_once(spring: Path, library: Path) -> None:
    remove_style("spring")
    assert list(library.iterdir()) == []
    with pytest.raises(InputError, match=r"there is no style 'spring' in .*; there are none"):
        remove_style("spring")


def test_removed_link_leaves_what_it_leads_to(library: Path, folder: Path) -> None:
    library.mkdir()
    (library / "linked").symlink_to(folder)
    assert added_styles() == ("linked",)
    remove_style("linked")
    assert list(library.iterdir()) == []
    assert read_style(folder).name == "The wave"


def test_style_that_cannot_be_removed_stays_whole(spring: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _refuse_renaming(monkeypatch, "spring")
    with pytest.raises(OutputError, match=r"cannot remove the style 'spring'.*Permission denied"):
        remove_style("spring")
    assert get_style("spring").trained


def test_export_and_import_keep_everything(spring: Path, tmp_path: Path) -> None:
    export_style("spring", tmp_path / "spring.impasto")
    before = get_style("spring")
    remove_style("spring")
    again = import_style(tmp_path / "spring.impasto")
    assert again == get_style("spring")
    assert (again.name, again.look, again.palette) == ("spring", before.look, before.palette)
    assert again.look.settings == {"fast": {"strength": 0.8}}
    assert [path.name for path in again.references] == ["01-wave.png", "02-wave.png"]
    assert again.trained["fast"].path.read_bytes() == b"weights"
    assert again.card is not None
    assert again.card.read_text() == "# The wave\n"


@pytest.mark.parametrize("style", ["spring", "watercolour"])
def test_same_style_is_exported_to_the_same_bytes(spring: Path, tmp_path: Path, style: str) -> None:
    for name in ("a.impasto", "b.impasto"):
        export_style(style, tmp_path / name)
    import_style(tmp_path / "a.impasto", "other")
    export_style("other", tmp_path / "c.impasto")
    assert (tmp_path / "a.impasto").read_bytes() == (tmp_path / "b.impasto").read_bytes()
    assert get_style("other").references[0].read_bytes() == get_style(style).references[0].read_bytes()


@pytest.mark.parametrize("name", ["a:b.png", "a\\b.png", "painting", "line\nbreak.png"])
def test_picture_of_any_name_travels(references: list[Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(references[0].read_bytes())
    add_style("spring", [tmp_path / name])
    export_style("spring", tmp_path / "spring.impasto")
    assert import_style(tmp_path / "spring.impasto", "other").references[0].read_bytes() == references[0].read_bytes()


def test_import_of_a_style_whose_own_name_is_none_asks_for_one(folder: Path, library: Path, tmp_path: Path) -> None:
    write_archive(folder, tmp_path / "wave.impasto")
    with pytest.raises(InputError, match="is called 'The wave', which is no name in the library; give one with --name"):
        import_style(tmp_path / "wave.impasto")
    assert list(library.iterdir()) == []
    assert import_style(tmp_path / "wave.impasto", "wave").name == "wave"
    assert added_styles() == ("wave",)


def test_folder_of_a_style_is_imported_like_its_archive(folder: Path, library: Path, tmp_path: Path) -> None:
    write_archive(folder, tmp_path / "wave.impasto")
    exported = []
    for source in (folder, tmp_path / "wave.impasto"):
        import_style(source, "sea", replace=True)
        export_style("sea", tmp_path / "sea.impasto")
        exported.append((tmp_path / "sea.impasto").read_bytes())
    assert exported[0] == exported[1]
    with pytest.raises(InputError, match="there is nothing at"):
        import_style(tmp_path / "none", "lake")
    with pytest.raises(InputError, match="is no style"):
        import_style(tmp_path, "lake")
    assert added_styles() == ("sea",)


def test_import_refuses_names_that_are_taken(spring: Path, library: Path, tmp_path: Path) -> None:
    export_style("spring", tmp_path / "spring.impasto")
    export_style("mosaic", tmp_path / "mosaic.impasto")
    with pytest.raises(InputError, match="there is a style 'spring' already"):
        import_style(tmp_path / "spring.impasto")
    with pytest.raises(InputError, match="comes with impasto"):
        import_style(tmp_path / "mosaic.impasto")
    with pytest.raises(InputError, match=r"there is nothing at .*gone\.impasto"):
        import_style(tmp_path / "gone.impasto")
    _no_leftovers(library)
    import_style(tmp_path / "mosaic.impasto", "spring", replace=True)
    assert get_style("spring").look.licence == "CC0-1.0"
    assert get_style("spring").trained == {}
    _no_leftovers(library)


def test_import_that_fails_at_the_end_leaves_the_style_before(
    spring: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_style("mosaic", tmp_path / "mosaic.impasto")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target == spring and self.name == "style":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="No space left on device; nothing was changed"):
        import_style(tmp_path / "mosaic.impasto", "spring", replace=True)
    assert get_style("spring").trained
    assert [path.name for path in library.iterdir()] == ["spring"]


def test_files_of_a_recipe_are_looked_for_in_the_library(spring: Path) -> None:
    places = reference_folders()
    assert get_style("mosaic").references[0].parent in places
    assert spring / "references" in places  # its pictures
    assert spring in places  # its network
