"""``impasto golden`` makes a set again: same bytes here, figures within tolerance elsewhere, the rest goes on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from PIL import Image

from impasto import api
from impasto.api.golden import TOLERANCES, record_golden
from impasto.evaluation.metric import choose_metrics
from impasto.images import read, write

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def recorded(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A golden set of one output whose inputs lie in ``inputs``; nobody writes into it."""
    place = tmp_path_factory.mktemp("golden")
    (place / "inputs").mkdir()
    for name in ("content.png", "style.png"):
        (place / "inputs" / name).write_bytes((finished / name).read_bytes())
    (place / "out.png").write_bytes((finished / "out.png").read_bytes())
    record_golden(place)
    return place


@pytest.fixture
def golden(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The set again, for a test that changes it; the working directory is another one."""
    place = tmp_path / "golden"
    for path in recorded.rglob("*"):
        if path.is_file():
            target = place / path.relative_to(recorded)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return place


def change(golden: Path, edit: Callable[[dict], None]) -> None:
    document = json.loads((golden / "golden.json").read_text())
    edit(document)
    (golden / "golden.json").write_text(json.dumps(document))


def test_the_file_holds_every_metric_with_a_tolerance_and_the_environment(golden: Path) -> None:
    document = json.loads((golden / "golden.json").read_text())
    output = document["outputs"]["out.png"]
    assert list(document["outputs"]) == ["out.png"]  # pictures without a recipe are inputs
    assert set(output["values"]) == set(document["tolerances"]) == {metric.name for metric in choose_metrics()}
    assert output["environment"]["torch"] == torch.__version__


def test_every_metric_has_a_tolerance_of_its_own() -> None:
    assert set(TOLERANCES) == {metric.name for metric in choose_metrics()}
    assert all(0 < tolerance < 1 for tolerance in TOLERANCES.values())


def test_a_set_that_did_not_change_is_identical(run: Run, golden: Path) -> None:
    outcome = run("golden", golden)
    assert outcome.returncode == 0
    assert outcome.stderr == "out.png: identical, byte for byte\n"
    assert "the same  1 identical" in outcome.stdout


def test_a_style_of_the_library_is_found_without_a_copy_of_it(run: Run, golden: Path, fast) -> None:
    content = golden / "inputs" / "content.png"
    ended = run("stylize", content, "mosaic", "-o", golden / "house.png", "--quiet", *fast)
    assert ended.returncode == 0, ended.stderr
    (golden / "out.png").unlink()
    assert run("golden", golden, "--record").returncode == 0
    ended = run("golden", golden)
    assert ended.returncode == 0, ended.stderr


def test_other_bytes_with_figures_in_tolerance_are_the_same(run: Run, golden: Path) -> None:
    recipe = json.loads(api.read_recipe(golden / "out.png").to_json())
    recipe["environment"]["cpu"] = "abacus"  # as if it came from another machine
    picture = read(golden / "out.png")
    picture.pixels[:, 20, 30] += 1 / 255
    write(picture, golden / "out.png", metadata=json.dumps(recipe))
    assert run("golden", golden, "--record", "--quiet").returncode == 0
    outcome = run("golden", golden, "--json")
    document = json.loads(outcome.stdout)
    (entry,) = document["entries"]
    assert (outcome.returncode, document["passed"], entry["status"]) == (0, True, "within")
    assert entry["environment"]["cpu"][0] == "abacus"


def test_figures_outside_their_tolerance_end_with_3_and_are_named(run: Run, golden: Path) -> None:
    def edit(document: dict) -> None:
        document["outputs"]["out.png"]["values"]["edge_content"] -= 0.3
        document["outputs"]["out.png"]["values"]["not_computed_any_more"] = 0.5

    change(golden, edit)
    outcome = run("golden", golden)
    assert outcome.returncode == 3
    assert "out.png: outside the tolerance: edge_content" in outcome.stderr
    assert "not_computed_any_more 0.500 → –" in outcome.stderr
    assert "style_gain" not in outcome.stderr
    assert "not the same  1 outside" in outcome.stdout


def test_tolerances_changed_by_hand_hold_and_survive_recording(run: Run, golden: Path) -> None:
    change(golden, lambda document: document["tolerances"].update(edge_content=0.5))
    assert run("golden", golden, "--record").returncode == 0

    def edit(document: dict) -> None:
        document["outputs"]["out.png"]["values"]["edge_content"] -= 0.3

    change(golden, edit)
    assert run("golden", golden, "--quiet").returncode == 0


def test_an_output_that_cannot_be_made_is_listed_and_the_rest_goes_on(run: Run, golden: Path) -> None:
    expected = json.loads((golden / "golden.json").read_text())["outputs"]["out.png"]
    change(golden, lambda document: document.update(outputs={"a.png": expected} | document["outputs"]))
    (golden / "b.png").write_bytes((golden / "out.png").read_bytes())
    outcome = run("golden", golden)
    assert outcome.returncode == 3
    first, second = outcome.stderr.splitlines()
    assert first.startswith("a.png: failed: ")
    assert second == "out.png: identical, byte for byte"
    assert "not in golden.json: b.png" in outcome.stdout


def test_an_output_or_input_that_was_replaced_fails_with_the_reason(run: Run, golden: Path) -> None:
    Image.new("RGB", (80, 80)).save(golden / "inputs" / "style.png")
    outcome = run("golden", golden)
    assert outcome.returncode == 3
    assert "another content" in outcome.stderr
    Image.new("RGB", (64, 48)).save(golden / "out.png")
    assert "not the file that was recorded" in run("golden", golden).stderr


@pytest.mark.usefixtures("copy_of_finished")
def test_a_lossy_output_cannot_be_recorded(run: Run) -> None:
    recipe = api.read_recipe("out.png").to_json()
    write(read("out.png"), "out.jpg", metadata=recipe)
    outcome = run("golden", ".", "--record")
    assert outcome.returncode == 2
    assert "must be PNG or TIFF" in outcome.stderr
    assert not Path("golden.json").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((".",), "record the golden set first"),
        ((".", "--record"), "there is no output"),
        (("content.png", "--record"), "no folder"),
    ],
)
def test_a_folder_that_is_no_golden_set_is_refused(run: Run, words: tuple[str, ...], said: str) -> None:
    outcome = run("golden", *words)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["{}", "no JSON", '{"golden": 2}'])
@pytest.mark.usefixtures("folder")
def test_a_file_that_is_no_golden_set_is_refused(run: Run, text: str) -> None:
    Path("golden.json").write_text(text)
    outcome = run("golden", ".")
    assert outcome.returncode == 2
    assert "is no golden set" in outcome.stderr
    assert "remove it and record again" in outcome.stderr  # recording keeps its tolerances, so it must be readable
    assert outcome.stderr.count("\n") == 1
