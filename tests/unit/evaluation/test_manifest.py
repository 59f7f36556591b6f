"""What belongs to a set: from CSV files as people write them, and from recipes."""

from pathlib import Path

import pytest
import torch

from impasto.errors import InputError
from impasto.evaluation.manifest import entries_from_recipes, read_manifest
from impasto.images import Picture, read, write
from impasto.recipe import Environment, Recipe, RegionSource, Scale, Source, Weights
from impasto.styles import style_pictures


def manifest(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "set.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_manifest_paths_are_relative_to_its_folder(tmp_path: Path) -> None:
    found = read_manifest(manifest(tmp_path, "output,content,style,name\nout/a.png,c.jpg,s1.jpg;s2.jpg,first\n"))
    assert len(found) == 1
    assert found[0].output == tmp_path / "out" / "a.png"
    assert found[0].content == tmp_path / "c.jpg"
    assert found[0].styles == (tmp_path / "s1.jpg", tmp_path / "s2.jpg")
    assert found[0].name == "first"


@pytest.mark.parametrize(
    "text",
    [
        "output,content,style\na.png,c.png,s.png\n",
        "style,comment,output,content\ns.png,nice,a.png,c.png\n",
        "Output , CONTENT, Style\r\na.png , c.png,s.png\r\n\r\n,,\r\n",
        'output;content;style\n"a.png";"c.png";s.png\n',
    ],
)
def test_manifest_is_read_as_programs_write_it(tmp_path: Path, text: str) -> None:
    entry = read_manifest(manifest(tmp_path, text))[0]
    assert (entry.output.name, entry.content.name, [style.name for style in entry.styles], entry.name) == (
        "a.png",
        "c.png",
        ["s.png"],
        "a",
    )


def test_manifest_with_a_byte_order_mark_and_a_name_beyond_ascii(tmp_path: Path) -> None:
    path = manifest(tmp_path, "output,content,style\nMödchen.png,c.png,s.png\n", "utf-8-sig")
    assert read_manifest(path)[0].name == "Mödchen"


def test_manifest_semicolons_between_columns_leave_quoted_styles_whole(tmp_path: Path) -> None:
    path = manifest(tmp_path, 'output;content;style\na.png;c.png;"s.png;t.png"\n')
    assert [style.name for style in read_manifest(path)[0].styles] == ["s.png", "t.png"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no column output and no column content and no column style"),
        ("output,content\na,b\n", "no column style; its first line must be output,content,style"),
        ("output,content,style\n", "names no outputs; add a line for each"),
        ("output,content,style\n\n,,\n", "names no outputs"),
        ("output,content,style\na.png,,s.png\n", "line 2 .* has no content; fill it in"),
        ("output,content,style\na.png,c.png\n", "line 2 .* has no style"),
        ("output,content,style\na.png,c.png,;\n", "line 2 .* has no style"),
        ("output,content,style\na.png,c,s\na.png,d,s\n", "line 3 .* names the output 'a.png' again"),
    ],
)
def test_manifest_that_cannot_be_used_says_why(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_manifest(manifest(tmp_path, text))


def test_manifest_that_is_missing_or_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="it is no UTF-8 text"):
        read_manifest(tmp_path / "picture.csv")


def picture(path: Path, seed: int, recipe: Recipe | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return write(Picture(pixels), path, metadata=recipe.to_json() if recipe else None)


def recipe_of(content: Path, *styles: Path, mask: Path | None = None) -> Recipe:
    def source(path: Path) -> Source:
        return Source(name=path.name, sha256=read(path).sha256 or "", width=8, height=8)

    # The first style is the region's where there is a mask.
    regions = (RegionSource(mask=source(mask), style=source(styles[0])),) if mask else ()
    return Recipe(
        engine="optimize",
        content=source(content),
        styles=tuple(source(style) for style in styles[len(regions) :]),
        regions=regions,
        settings={"vgg_weights": "gone.pth"},
        scales=(Scale(width=8, height=8, steps=1),),
        weights=Weights(source="w", sha256="0"),
        environment=Environment(impasto="1", torch="1", python="3", device="cpu", dtype="f", cpu="c", threads=1),
        loss=0.0,
        terms={},
    )


def test_recipes_find_renamed_folders_by_hash(tmp_path: Path) -> None:
    content, style = (
        picture(tmp_path / "in" / "photos" / "c.png", 1),
        picture(tmp_path / "in" / "paintings" / "s.png", 2),
    )
    picture(tmp_path / "out" / "a.webp", 3, recipe_of(content, style))
    picture(tmp_path / "out" / "b.PNG", 4, recipe_of(content, style))
    entries, problems = entries_from_recipes(tmp_path / "out", [tmp_path / "in"])
    assert problems == []
    assert [(entry.name, entry.content, entry.styles) for entry in entries] == [
        ("a", content, (style,)),
        ("b", content, (style,)),
    ]


def test_recipes_find_styles_of_the_library(tmp_path: Path) -> None:
    content, style = picture(tmp_path / "in" / "content.png", 1), style_pictures()["mosaic"]
    picture(tmp_path / "out" / "a.png", 2, recipe_of(content, style))
    entries, problems = entries_from_recipes(tmp_path / "out", [tmp_path / "in"])
    assert (problems, [entry.styles for entry in entries]) == ([], [(style,)])


def test_recipes_with_regions_need_neither_masks_nor_weights(tmp_path: Path) -> None:
    content, one, other = (picture(tmp_path / "in" / f"{name}.png", seed) for seed, name in enumerate("cst"))
    mask = picture(tmp_path / "in" / "m.png", 7)
    picture(tmp_path / "out" / "a.png", 9, recipe_of(content, one, other, mask=mask))
    mask.unlink()
    entries, problems = entries_from_recipes(tmp_path / "out", [tmp_path / "in"])
    assert problems == []
    assert set(entries[0].styles) == {one, other}


def test_recipes_that_do_not_help_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    content, style = picture(tmp_path / "in" / "c.png", 1), picture(tmp_path / "in" / "s.png", 2)
    recipe = recipe_of(content, style)
    picture(tmp_path / "out" / "good.png", 3, recipe)
    picture(tmp_path / "out" / "plain.png", 4)
    (tmp_path / "out" / "torn.png").write_bytes((tmp_path / "out" / "good.png").read_bytes()[:40])
    (tmp_path / "out" / "notes.txt").write_text("no picture")
    strange = recipe.model_copy(update={"content": recipe.content.model_copy(update={"sha256": "ab" * 32})})
    picture(tmp_path / "out" / "other.png", 5, strange)
    entries, problems = entries_from_recipes(tmp_path / "out", [tmp_path / "in"])
    assert [entry.name for entry in entries] == ["good"]
    assert [problem.name for problem in problems] == ["other.png", "plain.png", "torn.png"]
    reasons = [problem.reason for problem in problems]
    assert "has another content; give the folder that holds it as inputs" in reasons[0]
    assert reasons[1] == "plain.png holds no recipe; name its content and style in a manifest"
    assert "cannot read" in reasons[2]


def test_recipes_of_an_empty_or_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no pictures in"):
        entries_from_recipes(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        entries_from_recipes(tmp_path / "none")
    with pytest.raises(InputError, match="is no folder"):
        entries_from_recipes(tmp_path, [tmp_path / "none"])
