"""``--region`` gives a part of the content its own style; ``info`` shows it and ``rerun`` finds its pictures."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from impasto import api
from impasto.cli.request import RegionFiles
from impasto.errors import InputError

Run = Callable[..., CompletedProcess[str]]


def save_mask(name: str, *, width: int = 96, height: int = 72, white: bool = True) -> None:
    """The left half, or nothing."""
    values = np.zeros((height, width), dtype=np.uint8)
    if white:
        values[:, : width // 2] = 255
    Image.fromarray(values).save(name)


@pytest.fixture
def masks(folder: Path) -> Path:
    """The folder with masks in it; it is the working directory."""
    save_mask("left.png")
    save_mask("part.png", width=80, height=80)
    save_mask("small.png", width=48, height=36)
    save_mask("empty.png", white=False)
    return folder


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("m.png:s.png", ["m.png", "s.png"]),
        ("m.png:s.png:t.png", ["m.png", "s.png", "t.png"]),
        (r"C:\a.png:d:/b.png", [r"C:\a.png", "d:/b.png"]),
        (r"m.png:C:\a b.png:E:\c.png", ["m.png", r"C:\a b.png", r"E:\c.png"]),
        ("/x/m.png:/y/s.png", ["/x/m.png", "/y/s.png"]),
        ("m:s", ["m", "s"]),
    ],
)
def test_region_is_cut_at_its_colons_but_not_behind_drives(text: str, parts: list[str]) -> None:
    assert [str(path) for path in RegionFiles.parse(text).files()] == parts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m.png", "1 part"),
        (r"C:\m.png", "1 part"),
        ("a:b:c:d", "4 parts"),
        ("", "an empty part"),
        (":s.png", "an empty part"),
        ("m.png:", "an empty part"),
        ("m.png:s.png:", "an empty part"),
        ("m.png: :t.png", "an empty part"),
    ],
)
def test_region_of_other_parts_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        RegionFiles.parse(text)


@pytest.mark.usefixtures("masks")
def test_outside_of_regions_the_photo_stays_where_no_style_is_given(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "-o", "out.png", "--region", "left.png:style.png", *fast)
    assert outcome.returncode == 0
    with Image.open("out.png") as made, Image.open("content.png") as photo:
        painted, content = np.asarray(made, float), np.asarray(photo.resize(made.size, Image.Resampling.BICUBIC), float)
    change = np.abs(painted - content).mean(axis=(0, 2))
    assert change[40:].mean() < 3 < change[:24].mean()


@pytest.mark.usefixtures("masks")
def test_regions_are_in_the_recipe_in_info_and_rerun_to_identical_bytes_in_16_bits(
    run: Run, fast: tuple[str, ...]
) -> None:
    regions = ("--region", "left.png:content.png:small.png", "--region", "small.png:style.png")
    made = run("stylize", "content.png", "style.png", "-o", "out.png", "--bit-depth", "16", *regions, *fast)
    assert made.returncode == 0
    named = api.read_recipe("out.png").regions
    assert [region.mask.name for region in named] == ["left.png", "small.png"]
    shown = run("info", "out.png").stdout
    for kind, source in (("mask", named[0].mask), ("style", named[0].style), ("style mask", named[0].style_mask)):
        assert source is not None
        (line,) = (line for line in shown.splitlines() if line.startswith(f"  region 1 {kind}  "))
        assert line.split()[-4:-2] == [source.name, f"{source.width}×{source.height}"]
        assert line.split()[-1] == source.sha256[:12]
    assert "region 2 style mask" not in shown
    again = run("rerun", "out.png")
    assert "identical to out.png, byte for byte" in again.stderr
    assert Path("out-rerun.png").read_bytes() == Path("out.png").read_bytes()


@pytest.mark.usefixtures("masks")
def test_rerun_takes_masks_and_styles_from_elsewhere_in_any_order(run: Run, fast: tuple[str, ...]) -> None:
    run("stylize", "content.png", "-o", "out.png", "--region", "left.png:style.png:part.png", *fast)
    for folder in ("made", "elsewhere"):
        Path(folder).mkdir()
    Path("out.png").rename("made/out.png")
    for name in ("left.png", "part.png", "style.png"):
        Path(name).rename(f"elsewhere/{name}")
    lost = run("rerun", "made/out.png")
    assert lost.returncode == 2
    assert "'left.png'" in lost.stderr
    assert "--mask" in lost.stderr
    found = ("--mask", "elsewhere/part.png", "--style", "elsewhere/style.png", "--mask", "elsewhere/left.png")
    assert "identical to made/out.png, byte for byte" in run("rerun", "made/out.png", *found).stderr
    needless = run("rerun", "made/out.png", *found, "--mask", "empty.png", "-o", "b.png")
    assert needless.returncode == 2
    assert "--mask empty.png cannot be used" in needless.stderr


@pytest.mark.usefixtures("masks")
def test_mask_of_another_size_is_resized_and_the_warning_says_so(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "-o", "out.png", "--quiet", "--region", "small.png:style.png", *fast)
    assert outcome.returncode == 0
    assert outcome.stderr == (
        "impasto: warning: mask small.png is 48x36 px and was resized to the 96x72 px of content.png\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no style was given"),
        (["--region", "empty.png:style.png"], "mask empty.png is empty"),
        (["--region", "left.png:style.png:empty.png"], "mask empty.png is empty"),
        (["--region", "left.png"], "--region 'left.png' has 1 part"),
        (["--region", "left.png:"], "an empty part"),
        (["--region", "missing.png:style.png"], "missing.png"),
        (["--region", "left.png:missing.png"], "missing.png"),
        (["--region", "left.png:style.png", "--style-weights", "1"], "for 0 styles"),
    ],
)
@pytest.mark.usefixtures("masks")
def test_unusable_region_is_refused_in_one_sentence(
    run: Run, fast: tuple[str, ...], words: list[str], said: str
) -> None:
    outcome = run("stylize", "content.png", "-o", "out.png", *words, *fast)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stderr.startswith("impasto: error: ")
    assert outcome.stderr.count("\n") == 1
    assert not Path("out.png").exists()


@pytest.mark.parametrize("name", ["left.png", "part.png", "style.png"])
@pytest.mark.usefixtures("masks")
def test_output_that_is_a_picture_of_a_region_is_refused(run: Run, fast: tuple[str, ...], name: str) -> None:
    before = Path(name).read_bytes()
    outcome = run("stylize", "content.png", "-o", name, "--region", "left.png:style.png:part.png", *fast)
    assert outcome.returncode == 2
    assert "is also an input" in outcome.stderr
    assert Path(name).read_bytes() == before
