"""``impasto rerun`` makes the same bytes again, from inputs it recognises by their hash."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from impasto import api
from impasto.images import read, write

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_gives_identical_bytes(run: Run) -> None:
    outcome = run("rerun", "out.png")
    assert outcome.returncode == 0
    assert outcome.stdout == ""
    assert "identical to out.png, byte for byte" in outcome.stderr
    assert Path("out-rerun.png").read_bytes() == Path("out.png").read_bytes()


@pytest.mark.usefixtures("folder")
def test_rerun_of_a_jpeg_from_several_styles_and_an_initial_picture_is_identical(
    run: Run, fast: tuple[str, ...]
) -> None:
    made = run(
        *("stylize", "content.png", "style.png", "content.png", "-o", "a.jpg"),
        *("--style-weights", "2,1", "--init", "style.png", "--file-quality", "80", *fast),
    )
    assert made.returncode == 0
    document = json.loads(run("rerun", "a.jpg", "--file-quality", "80", "--json", "--quiet").stdout)
    assert document["identical"] is True
    assert document["environment_differences"] == {}
    assert document["output"] == "a-rerun.jpg"


@pytest.mark.usefixtures("folder")
def test_rerun_with_another_quality_says_what_differs(run: Run, fast: tuple[str, ...]) -> None:
    run("stylize", "content.png", "style.png", "-o", "a.jpg", "--file-quality", "50", *fast)
    outcome = run("rerun", "a.jpg", "-o", "b.jpg")
    assert outcome.returncode == 0
    assert "not identical to a.jpg, but the recipes are: its format or quality is another" in outcome.stderr


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_takes_inputs_that_were_renamed(run: Run) -> None:
    Path("elsewhere").mkdir()
    Path("content.png").rename("elsewhere/photo.bin")
    Path("style.png").rename("elsewhere/painting.png")
    outcome = run(
        "rerun", "out.png", "--content", "elsewhere/photo.bin", "--style", "elsewhere/painting.png", "-o", "b.png"
    )
    assert outcome.returncode == 0
    with Image.open("b.png") as again, Image.open("out.png") as before:
        assert again.tobytes() == before.tobytes()


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_names_the_missing_input_its_hash_and_the_option(run: Run) -> None:
    Path("style.png").unlink()
    outcome = run("rerun", "out.png")
    assert outcome.returncode == 2
    for part in ("'style.png'", api.read_recipe("out.png").styles[0].sha256, "--style", "not found"):
        assert part in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_refuses_an_input_that_has_changed(run: Run) -> None:
    Image.new("RGB", (96, 72)).save("content.png")
    outcome = run("rerun", "out.png")
    assert outcome.returncode == 2
    assert "another content" in outcome.stderr
    assert "--content" in outcome.stderr
    assert not Path("out-rerun.png").exists()


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_never_replaces_its_file_or_an_input(run: Run) -> None:
    for name in ("out.png", "content.png", "style.png"):
        before = Path(name).read_bytes()
        assert run("rerun", "out.png", "-o", name).returncode == 2
        assert Path(name).read_bytes() == before


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_names_what_differs_in_the_environment(run: Run) -> None:
    recipe = json.loads(api.read_recipe("out.png").to_json())
    recipe["environment"] |= {"torch": "1.0", "threads": 99}
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), "old.png", metadata=json.dumps(recipe))
    outcome = run("rerun", "old.png", "--json")
    document = json.loads(outcome.stdout)
    assert document["identical"] is False
    assert set(document["environment_differences"]) == {"torch", "threads"}
    assert document["environment_differences"]["threads"][0] == "99"
    assert "the environment differs: torch 1.0 → " in outcome.stderr


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_does_not_follow_a_name_out_of_its_folders(run: Run) -> None:
    recipe = json.loads(api.read_recipe("out.png").to_json())
    inner = Path("inner")
    inner.mkdir()
    (inner / "style.png").write_bytes(Path("style.png").read_bytes())
    recipe["content"]["name"] = "../content.png"
    Path("content.png").rename("moved.png")
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), inner / "old.png", metadata=json.dumps(recipe))
    assert run("rerun", inner / "old.png").returncode == 2


@pytest.mark.usefixtures("copy_of_finished")
@pytest.mark.parametrize("option", ["--init", "--vgg-weights", "--mask", "--content"])
def test_rerun_refuses_an_option_for_what_the_recipe_does_not_have(run: Run, option: str) -> None:
    outcome = run("rerun", "out.png", option, "style.png")
    assert outcome.returncode == 2
    assert option in outcome.stderr


@pytest.mark.usefixtures("copy_of_finished")
def test_rerun_asks_for_the_weights_that_the_recipe_names(run: Run) -> None:
    recipe = json.loads(api.read_recipe("out.png").to_json())
    recipe["settings"]["vgg_weights"] = "vgg19-dcbb9e9d.pth"
    write(read(np.zeros((8, 8, 3), dtype=np.uint8)), "other.png", metadata=json.dumps(recipe))
    outcome = run("rerun", "other.png")
    assert outcome.returncode == 2
    assert "'vgg19-dcbb9e9d.pth'" in outcome.stderr
    assert "--vgg-weights" in outcome.stderr
