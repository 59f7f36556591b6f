"""``impasto compare``: versions on the pairs that they share, real small ones and some with known figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from impasto.api.comparisons import compare_sets
from impasto.api.sets import Judged, SetEvaluation
from impasto.errors import InputError, SettingsError
from impasto.evaluation.gates import Verdict
from impasto.evaluation.judge import Evaluation
from impasto.evaluation.manifest import Entry

from .conftest import save_picture

Run = Callable[..., CompletedProcess[str]]


def judged(name: str, values: Mapping[str, float], pair: str | None = None) -> Judged:
    entry = Entry(Path(f"{name}.png"), Path("c.png"), (Path("s.png"),), name)
    evaluation = Evaluation(values, Verdict("ok", ()))
    return Judged(entry, evaluation, pair or name, ("s",), pixels_sha256=str(values), embeddings=(), looks=())


def versions(*gains: Sequence[float], metric: str = "style_gain") -> dict[str, SetEvaluation]:
    return {
        f"v{number}": SetEvaluation(
            Path(f"v{number}"), tuple(judged(str(at), {metric: gain}) for at, gain in enumerate(row)), (), 0
        )
        for number, row in enumerate(gains, start=1)
    }


LOW, HIGH = [0.1 * at for at in range(8)], [0.1 * at + 0.01 * (at + 1) for at in range(8)]


def test_later_version_that_is_better_or_worse_is_told_by_the_metrics_direction() -> None:
    found = compare_sets(versions(LOW, HIGH), metrics=["style_gain"], guards=["style_gain"])
    assert found.contests[0].results["style_gain"].outcome == "better"
    assert found.losses == ()
    back = compare_sets(versions(HIGH, LOW), metrics=["style_gain"], guards=["style_gain"])
    assert back.losses[0].startswith("style_gain: v2 is worse: median difference -0.045, 95 % interval -0.0")
    noisier = compare_sets(versions(LOW, HIGH, metric="noise_ratio"), metrics=["noise_ratio"], guards=["noise_ratio"])
    assert noisier.contests[0].results["noise_ratio"].outcome == "worse"


def test_metric_that_is_best_near_one_is_compared_by_its_distance_from_one() -> None:
    nearer = versions([0.5 + 0.01 * at for at in range(8)], [1.2 + 0.01 * at for at in range(8)], metric="sharpness")
    result = compare_sets(nearer, metrics=["sharpness"], guards=[]).contests[0].results["sharpness"]
    assert result.outcome == "better"
    assert result.median < 0


def test_margin_is_what_a_difference_must_exceed() -> None:
    sets = versions(LOW, HIGH)
    found = compare_sets(sets, metrics=["style_gain"], guards=[], margins={"style_gain": 0.1})
    assert found.contests[0].results["style_gain"].outcome == "equivalent"


def test_every_two_versions_are_compared_and_p_is_corrected_for_all() -> None:
    found = compare_sets(versions(LOW, HIGH, HIGH), metrics=["style_gain"], guards=[])
    assert [(contest.a, contest.b) for contest in found.contests] == [("v1", "v2"), ("v1", "v3"), ("v2", "v3")]
    assert found.tests == 3
    assert [contest.identical for contest in found.contests] == [0, 0, 8]
    assert found.contests[2].verdict("style_gain") == "v2 and v3 are identical in every pair, n = 8"


def test_outputs_are_matched_by_what_they_were_made_of_and_then_by_name() -> None:
    gain = {"style_gain": 0.5}
    old = (judged("a", gain, "one"), judged("seed 1", gain, "two"), judged("seed 2", gain, "two"), judged("x", gain))
    new = (judged("renamed", gain, "one"), judged("seed 2", gain, "two"), judged("seed 3", gain, "two"))
    sets = {"old": SetEvaluation(Path("o"), old, (), 0), "new": SetEvaluation(Path("n"), new, (), 0)}
    contest = compare_sets(sets, metrics=["style_gain"], guards=[]).contests[0]
    assert [(one.entry.name, other.entry.name) for one, other in contest.matched] == [
        ("a", "renamed"),
        ("seed 2", "seed 2"),
    ]
    assert sorted(contest.unmatched) == ["new: seed 3", "old: seed 1", "old: x"]


def test_several_outputs_of_one_pair_count_once() -> None:
    def rows(by: float) -> tuple[Judged, ...]:
        return tuple(judged(f"{at}", {"style_gain": 0.3 + by * (at + 1)}, "one") for at in range(9))

    sets = {"old": SetEvaluation(Path("o"), rows(0), (), 0), "new": SetEvaluation(Path("n"), rows(0.1), (), 0)}
    result = compare_sets(sets, metrics=["style_gain"], guards=[]).contests[0].results["style_gain"]
    assert result.n == 1
    assert result.median == pytest.approx(0.5)
    assert result.outcome == "too few"


def test_comparison_that_cannot_be_made_says_why() -> None:
    with pytest.raises(SettingsError, match="content_distance cannot be guarded"):
        compare_sets(versions(LOW, HIGH), guards=["content_distance"])
    with pytest.raises(SettingsError, match="no metric named 'beauty'"):
        compare_sets(versions(LOW, HIGH), metrics=["beauty"])
    with pytest.raises(SettingsError, match="there is a margin for 'noise_ratio', which is not compared"):
        compare_sets(versions(LOW, HIGH), metrics=["style_gain"], margins={"noise_ratio": 0.1})
    with pytest.raises(SettingsError, match="the margin of style_gain is -1; give 0 or more"):
        compare_sets(versions(LOW, HIGH), metrics=["style_gain"], margins={"style_gain": -1})
    strangers = {
        "old": SetEvaluation(Path(), (judged("a", {}),), (), 0),
        "new": SetEvaluation(Path(), (judged("b", {}),), (), 0),
    }
    with pytest.raises(InputError, match="no two of old, new have an output of the same content and style"):
        compare_sets(strangers, metrics=["style_gain"], guards=[])


@pytest.fixture
def sets(folder: Path) -> Path:
    """Six pictures nearly copies of the style (strong) and nearly untouched (weak), with manifests."""
    style = Image.open("style.png").resize((64, 48))
    lines = {"strong": ["output,content,style"], "weak": ["output,content,style"]}
    for number in range(6):
        content = Image.open(save_picture(folder / f"c{number}.png", width=64, height=48, seed=10 + number))
        for name, share in (("strong", 0.95), ("weak", 0.1)):
            Path(name).mkdir(exist_ok=True)
            Image.blend(content, style, share).save(f"{name}/{number}.png")
            lines[name].append(f"{number}.png,../c{number}.png,../style.png")
    for name, text in lines.items():
        Path(name, "set.csv").write_text("\n".join(text))
    return folder


@pytest.mark.usefixtures("sets")
def test_compare_ends_with_3_where_a_guarded_metric_was_lost(run: Run) -> None:
    Path("weak/extra.png").write_bytes(b"")
    with Path("weak/set.csv").open("a") as file:
        file.write("\nextra.png,../content.png,../style.png")
    done = run(
        *("compare", "strong/set.csv", "weak/set.csv", "--names", "old,new", "--html", "page.html", "--json"),
        *("--metric", "style_gain", "--guard", "style_gain"),
    )
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    result = document["contests"][0]["metrics"]["style_gain"]
    assert (result["outcome"], result["wins"], result["losses"], result["pairs"]) == ("worse", 0, 6, 6)
    assert result["median_interval"][0] <= result["median"] <= result["median_interval"][1] < 0
    assert document["losses"][0] in done.stderr
    assert "it is empty" in document["versions"]["new"]["problems"][0]["reason"]
    page = Path("page.html").read_text()
    assert "new is worse" in page
    assert page.count("data:image/jpeg") == 6 * 4


@pytest.mark.usefixtures("sets")
def test_compare_of_few_identical_outputs_gives_no_verdict(run: Run) -> None:
    Path("one").mkdir()
    for name in ("two", "three"):
        Path("one", f"{name}.csv").write_text("output,content,style\n../strong/0.png,../c0.png,../style.png\n")
    done = run("compare", "one/two.csv", "one/three.csv", "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["contests"][0]["identical"] == 1
    assert (
        document["contests"][0]["metrics"]["style_gain"]["verdict"]
        == "two and three are identical in every pair, n = 1"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("strong/set.csv",), "there is 1 version to compare; give two or more"),
        (("strong/set.csv", "weak/set.csv", "--names", "a"), "--names has 1 names for 2 versions"),
        (("strong/set.csv", "weak/set.csv", "--names", "a,a"), "two versions are called 'a'"),
        (("strong/set.csv", "weak/set.csv", "--margin", "style_gain"), "--margin 'style_gain' cannot be read"),
        (("strong/set.csv", "weak/set.csv", "--guard", "ssim"), "ssim cannot be guarded"),
        (("strong/set.csv", "nowhere"), "there is no 'nowhere'"),
    ],
)
def test_compare_that_cannot_be_made_is_refused(run: Run, folder: Path, words: tuple[str, ...], sentence: str) -> None:
    for name in ("strong", "weak"):
        Path(name).mkdir()
        Path(name, "set.csv").write_text("output,content,style\nnone.png,none.png,none.png\n")
    done = run("compare", *words)
    assert done.returncode == 2
    assert sentence in done.stderr


@pytest.mark.usefixtures("folder")
def test_compare_with_a_set_that_is_not_there_is_refused_before_anything_is_judged(run) -> None:
    Path("here").mkdir()
    done = run("compare", "here", "nowhere")
    assert done.returncode == 2
    assert "there is no 'nowhere'" in done.stderr
