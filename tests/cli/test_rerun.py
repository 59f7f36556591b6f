"""``impasto rerun`` makes the same bytes again, from inputs it recognises by their hash."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from impasto import api
from impasto.images import read, write


def test_rerun_gives_identical_bytes(run, copy_of_finished: Path) -> None:
    outcome = run("rerun", "out.png")
    assert outcome.code == 0
    assert outcome.stdout == ""
    assert "identical to out.png, byte for byte" in outcome.stderr
    assert Path("out-rerun.png").read_bytes() == Path("out.png").read_bytes()


def test_rerun_of_a_jpeg_from_several_styles_and_an_initial_picture_is_identical(
    run, folder: Path, fast
) -> None:
    made = run(
        *("stylize", "content.png", "style.png", "content.png", "-o", "a.jpg"),
        *("--style-weights", "2,1", "--init", "style.png", "--quality", "80", *fast),
    )
    assert made.code == 0
    document = json.loads(run("rerun", "a.jpg", "--quality", "80", "--json", "--quiet").stdout)
    assert document["identical"] is True
    assert document["environment_differences"] == {}
    assert document["output"] == "a-rerun.jpg"


def test_rerun_with_another_quality_says_what_differs(run, folder: Path, fast) -> None:
    run("stylize", "content.png", "style.png", "-o", "a.jpg", "--quality", "50", *fast)
    outcome = run("rerun", "a.jpg", "-o", "b.jpg")
    assert outcome.code == 0
    assert "not identical to a.jpg, but the recipes are: its format or quality is another" in outcome.stderr


def test_rerun_takes_inputs_that_were_renamed(run, copy_of_finished: Path) -> None:
    Path("elsewhere").mkdir()
    Path("content.png").rename("elsewhere/photo.bin")
    Path("style.png").rename("elsewhere/painting.png")
    outcome = run(
        "rerun", "out.png", "--content", "elsewhere/photo.bin", "--style", "elsewhere/painting.png", "-o", "b.png"
    )
    assert "identical" in outcome.stderr
    assert Path("b.png").exists()


def test_rerun_names_the_missing_input_its_hash_and_the_option(run, copy_of_finished: Path) -> None:
    Path("style.png").unlink()
    outcome = run("rerun", "out.png")
    assert outcome.code == 2
    for part in ("'style.png'", api.read_recipe("out.png").styles[0].sha256, "--style", "not found"):
        assert part in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_rerun_refuses_an_input_that_has_changed(run, copy_of_finished: Path) -> None:
    Image.new("RGB", (96, 72)).save("content.png")
    outcome = run("rerun", "out.png")
    assert outcome.code == 2
    assert "another content" in outcome.stderr
    assert "--content" in outcome.stderr
    assert not Path("out-rerun.png").exists()


def test_rerun_never_replaces_its_file_or_an_input(run, copy_of_finished: Path) -> None:
    for name in ("out.png", "content.png", "style.png"):
        before = Path(name).read_bytes()
        assert run("rerun", "out.png", "-o", name).code == 2
        assert Path(name).read_bytes() == before


def test_rerun_names_what_differs_in_the_environment(run, copy_of_finished: Path) -> None:
    recipe = json.loads(api.read_recipe("out.png").to_json())
    recipe["environment"] |= {"torch": "1.0", "threads": 99}
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), "old.png", metadata=json.dumps(recipe))
    outcome = run("rerun", "old.png", "--json")
    document = json.loads(outcome.stdout)
    assert document["identical"] is False
    assert set(document["environment_differences"]) == {"torch", "threads"}
    assert document["environment_differences"]["threads"][0] == "99"
    assert "the environment differs: torch 1.0 → " in outcome.stderr


def test_rerun_does_not_follow_a_name_out_of_its_folders(run, copy_of_finished: Path) -> None:
    recipe = json.loads(api.read_recipe("out.png").to_json())
    inner = Path("inner")
    inner.mkdir()
    (inner / "style.png").write_bytes(Path("style.png").read_bytes())
    recipe["content"]["name"] = "../content.png"
    Path("content.png").rename("moved.png")
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), inner / "old.png", metadata=json.dumps(recipe))
    assert run("rerun", inner / "old.png").code == 2
