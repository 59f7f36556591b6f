"""``impasto stylize`` paints, writes, reports and tidies up."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from impasto import api
from impasto.cli.preview import Preview
from impasto.progress import Progress

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.usefixtures("folder")
def test_stylize_writes_the_picture_with_its_recipe(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", *fast)
    assert outcome.returncode == 0
    with Image.open("out.png") as image:
        assert image.size == (64, 48)
    recipe = api.read_recipe("out.png")
    assert (recipe.content.name, recipe.settings["steps"]) == ("content.png", 2)
    assert [scale.width for scale in recipe.scales] == [48, 64]


@pytest.mark.usefixtures("folder")
def test_stylize_reports_its_plan_one_line_per_scale_and_a_summary_on_stderr(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", *fast)
    assert outcome.stdout == ""
    plan, *lines = outcome.stderr.splitlines()
    assert re.fullmatch(r"64×48 px in 2 scales, about [\d,]+ of [\d,]+ free MiB, whole, about \d+:\d\d", plan)
    assert [line.split(":")[0] for line in lines] == ["scale 1/2 48×36", "scale 2/2 64×48", "out.png"]
    assert "64×48 px" in lines[-1]


@pytest.mark.usefixtures("folder")
def test_stylize_quiet_says_nothing(run: Run, fast: tuple[str, ...]) -> None:
    assert run("stylize", "content.png", "style.png", "-o", "out.png", "--quiet", *fast).stderr == ""


@pytest.mark.usefixtures("folder")
def test_saying_the_plan_changes_nothing_about_the_picture(run: Run, fast: tuple[str, ...]) -> None:
    mix = ("--style-loss", "w2,nn", "--samples", "64")  # looks at places that are drawn at random
    run("stylize", "content.png", "style.png", "-o", "said.png", *mix, *fast)
    run("stylize", "content.png", "style.png", "-o", "quiet.png", "--quiet", *mix, *fast)
    assert Path("said.png").read_bytes() == Path("quiet.png").read_bytes()


@pytest.mark.usefixtures("folder")
def test_stylize_takes_several_styles(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run(
        "stylize", "content.png", "style.png", "content.png", "-o", "out.jpg", *fast, "--style-weights", "1,0.5"
    )
    assert outcome.returncode == 0
    recipe = api.read_recipe("out.jpg")
    assert [style.name for style in recipe.styles] == ["style.png", "content.png"]
    assert recipe.settings["style_weights"] == [1.0, 0.5]


@pytest.mark.usefixtures("folder")
def test_stylize_json_is_one_document_on_stdout(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--json", *fast)
    document = json.loads(outcome.stdout)
    assert set(document) == {
        *("output", "width", "height", "recipe", "trace", "timings"),
        *("peak_memory_mb", "stopped_early", "warnings"),
    }
    assert (document["output"], document["width"], document["height"]) == ("out.png", 64, 48)
    assert document["recipe"] == json.loads(api.read_recipe("out.png").to_json())
    assert [scale["scale_px"] for scale in document["trace"]] == [48, 64]
    assert all(scale["minimum"] <= min(scale["first"], scale["last"]) for scale in document["trace"])
    assert document["timings"]["total"] > 0
    assert document["peak_memory_mb"] > 0
    assert document["stopped_early"] is False
    assert document["warnings"] == []


@pytest.mark.usefixtures("folder")
def test_stylize_shows_warnings_of_the_library_once_and_in_json(run: Run, fast: tuple[str, ...]) -> None:
    with Image.open("content.png") as image:
        image.save("odd.png", icc_profile=b"no profile at all")
    outcome = run("stylize", "odd.png", "style.png", "-o", "out.png", "--json", "--quiet", *fast)
    assert outcome.returncode == 0
    shown = outcome.stderr.splitlines()
    assert all(line.startswith("impasto: warning: odd.png: ") for line in shown)
    assert [line.removeprefix("impasto: warning: ") for line in shown] == json.loads(outcome.stdout)["warnings"]
    assert len(shown) == 1
    assert logging.getLogger("impasto").handlers == []


@pytest.mark.usefixtures("folder")
def test_stylize_metadata_none_leaves_no_recipe(run: Run, fast: tuple[str, ...]) -> None:
    assert run("stylize", "content.png", "style.png", "-o", "out.png", "--metadata", "none", *fast).returncode == 0
    assert b"impasto" not in Path("out.png").read_bytes()
    assert run("info", "out.png").returncode == 2


@pytest.mark.usefixtures("folder")
def test_stylize_quality_decides_the_size_of_a_jpeg(run: Run, fast: tuple[str, ...]) -> None:
    for quality in ("20", "95"):
        run("stylize", "content.png", "style.png", "-o", f"{quality}.jpg", "--file-quality", quality, *fast)
    assert Path("20.jpg").stat().st_size < Path("95.jpg").stat().st_size


@pytest.mark.usefixtures("folder")
def test_stylize_starts_from_a_picture(run: Run, fast: tuple[str, ...]) -> None:
    assert run("stylize", "content.png", "style.png", "-o", "out.png", "--init", "style.png", *fast).returncode == 0
    recipe = api.read_recipe("out.png")
    assert recipe.init is not None
    assert recipe.init.name == "style.png"


@pytest.mark.usefixtures("folder")
def test_stylize_replaces_an_output_that_is_there(run: Run, fast: tuple[str, ...]) -> None:
    Path("out.png").write_bytes(b"something else")
    assert run("stylize", "content.png", "style.png", "-o", "out.png", *fast).returncode == 0
    assert api.read_recipe("out.png").content.name == "content.png"


def test_previews_appear_beside_the_output_and_go(
    run: Run, folder: Path, fast: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    update = Preview.update

    def watched(self: Preview, progress: Progress) -> None:
        update(self, progress)
        if self.path.exists():
            with Image.open(self.path) as image:
                sizes.append(image.size)

    monkeypatch.setattr(Preview, "update", watched)
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--save-every", "2", *fast)
    assert outcome.returncode == 0
    assert sizes
    assert sorted(path.name for path in folder.iterdir()) == ["content.png", "out.png", "style.png"]


@pytest.mark.usefixtures("folder")
def test_preview_never_replaces_a_file_of_the_users(run: Run, fast: tuple[str, ...]) -> None:
    Path("out.preview.png").write_bytes(b"mine")
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--save-every", "1", *fast)
    assert outcome.returncode == 2
    assert "out.preview.png" in outcome.stderr
    assert Path("out.preview.png").read_bytes() == b"mine"
    assert not Path("out.png").exists()


@pytest.mark.usefixtures("folder")
def test_fast_engine_paints_in_one_pass_at_the_photos_size(run: Run) -> None:
    done = run("stylize", "content.png", "style.png", "-o", "out.png", "--engine", "fast", "--json", "--quiet")
    report = json.loads(done.stdout)
    assert (report["width"], report["height"]) == (96, 72)
    assert report["recipe"]["loss"] is None
    assert report["trace"] == []
    told = run("info", "out.png").stdout
    assert "settings of engine fast" in told
    assert "loss by term" not in told
    assert run("rerun", "out.png", "-o", "again.png").returncode == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


@pytest.mark.usefixtures("folder")
def test_setting_of_another_engine_is_refused_by_name(run: Run) -> None:
    done = run("stylize", "content.png", "style.png", "-o", "out.png", "--engine", "fast", "--steps", "3")
    assert done.returncode == 2
    assert "no setting named 'steps'; engine fast has" in done.stderr
    assert not Path("out.png").exists()


@pytest.mark.usefixtures("folder")
def test_draft_is_painted_by_the_fast_engine_and_planned_so(run: Run) -> None:
    assert (
        json.loads(run("plan", "content.png", "style.png", "--quality", "draft", "--json").stdout)["memory"] == "whole"
    )
    assert run("stylize", "content.png", "style.png", "-o", "out.png", "--quality", "draft", "--quiet").returncode == 0
    assert api.read_recipe("out.png").engine == "fast"
