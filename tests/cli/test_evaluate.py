"""``impasto evaluate`` and ``stylize --gate`` as a user runs them."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def loose(tmp_path):
    """Gates that let everything pass."""
    from impasto.evaluation.gates import Gates

    path = tmp_path / "loose.toml"
    keys = ("review_below", "reject_below", "review_above", "reject_above")
    path.write_text(
        "".join(f"[rules.{name}]\n" + "".join(f"{key} = 'off'\n" for key in keys) for name in Gates.load().rules)
    )
    return path


def test_evaluate_ends_with_the_code_of_its_verdict(run, copy_of_finished, loose) -> None:
    shutil.copy("content.png", "untouched.png")
    rejected = run("evaluate", "untouched.png", "--content", "content.png", "--style", "style.png")
    assert rejected.returncode == 4
    assert "reject" in rejected.stdout
    assert "the output looks like the content (visible_change 0, expected at least 0.02)" in rejected.stdout
    passed = run("evaluate", "out.png", "--gates", loose)
    assert passed.returncode == 0
    assert "style_gain" in passed.stdout


def test_evaluate_as_json_holds_every_figure_and_control(run, copy_of_finished) -> None:
    done = run("evaluate", "out.png", "--controls", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == {"ok": 0, "review": 3, "reject": 4}[document["outcome"]]
    assert set(document["controls"]) >= {"identity", "style_copy", "wrong_style", "shuffled_style", "half_blend"}
    assert document["controls"]["identity"]["outcome"] == "reject"
    assert set(document["controls"]["identity"]["values"]) == set(document["values"])
    assert len(document["reasons"]) == 0 or "expected" in document["reasons"][0]


def test_evaluate_shows_controls_beside_the_output(run, copy_of_finished) -> None:
    done = run("evaluate", "out.png", "--controls")
    lines = done.stdout.splitlines()
    heading = next(line for line in lines if line.startswith("metric"))
    assert "wrong style" in heading
    assert len(next(line for line in lines if line.startswith("edge_content")).split()) == 13


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "content.png"), "no content was given, and there is no recipe in the output"),
        (("evaluate", "out.png", "--style", "missing.png"), "missing.png"),
        (("evaluate", "out.png", "--metric", "beauty"), "no metric named 'beauty'"),
        (("evaluate", "out.png", "--content", "narrow.png", "--style", "style.png"), "aspect ratios differ"),
        (("evaluate", "out.png", "--inputs", "."), "--inputs and --html are for a set"),
        (("evaluate", ".", "--content", "content.png"), "--content and --style are of one output"),
        (("evaluate", ".", "--colors", "content"), "--colors and --palette"),
        (("evaluate", "set.csv", "--inputs", "."), "leave --inputs out"),
        (("evaluate", "out.png", "--manifest", "set.csv"), "is no folder"),
        (("evaluate", "out.png", "--gates", "content.png"), "cannot be read"),
        (
            ("evaluate", "content.png", "--content", "content.png", "--style", "style.png", "--log", "q.sqlite"),
            "no recipe",
        ),
    ],
)
def test_what_cannot_be_judged_is_one_sentence_and_code_2(run, copy_of_finished, words, message) -> None:
    Image.new("RGB", (40, 90)).save("narrow.png")
    done = run(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_metric_without_its_weights_says_what_to_put_where(run, copy_of_finished, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "weights"))
    done = run("evaluate", "out.png", "--metric", "lpips")
    assert done.returncode == 1
    assert "alexnet-owt-7be5be79.pth" in done.stderr
    assert str(tmp_path / "weights") in done.stderr


def test_evaluate_appends_a_row_to_the_log(run, copy_of_finished, loose) -> None:
    from impasto.evaluation.quality_log import QualityLog

    for _ in range(2):
        assert run("evaluate", "out.png", "--log", "q.sqlite", "--gates", loose, "--quiet").returncode == 0
    with QualityLog("q.sqlite", "read") as log:
        rows = log.rows()
    assert [row.content.name for row in rows] == ["content.png"] * 2
    assert rows[0].values["style_gain"] == rows[1].values["style_gain"]


def test_stylize_with_gate_judges_what_it_wrote(run, folder, fast, loose) -> None:
    done = run("stylize", "content.png", "style.png", "-o", "out.png", "--gate", "--strength", "0", "--json", *fast)
    document = json.loads(done.stdout)
    assert done.returncode == 4
    assert document["gate"]["outcome"] == "reject"
    assert (folder / "out.png").exists()  # a person may want to see it
    assert "gate: reject" in done.stderr
    assert "the output looks like the content" in done.stderr
    passed = run("stylize", "content.png", "style.png", "-o", "out.png", "--gate", "--gates", loose, "--quiet", *fast)
    assert (passed.returncode, passed.stderr) == (0, "")


def test_gates_without_gate_are_refused_before_the_run(run, folder, fast, loose) -> None:
    done = run("stylize", "content.png", "style.png", "-o", "out.png", "--gates", loose, *fast)
    assert done.returncode == 2
    assert "give --gate too" in done.stderr
    assert not (folder / "out.png").exists()


def test_set_is_judged_and_what_cannot_be_is_listed(run, copy_of_finished, loose) -> None:
    (copy_of_finished / "set").mkdir()
    shutil.copy("out.png", "set/a.png")
    (copy_of_finished / "set" / "broken.png").write_bytes(b"no picture")
    done = run("evaluate", "set", "--inputs", ".", "--gates", loose, "--html", "set.html")
    assert done.returncode == 2  # something could not be judged
    assert "broken.png" in done.stderr
    assert "1 outputs of 1 pairs: ok 100%" in done.stdout
    assert "without intervals" in done.stdout
    page = (copy_of_finished / "set.html").read_text("utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    document = json.loads(run("evaluate", "set", "--inputs", ".", "--json", "--quiet").stdout)
    assert [row["name"] for row in document["rows"]] == ["a"]


def test_set_distance_without_its_weights_is_refused_before_anything_is_judged(
    run, copy_of_finished, monkeypatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(copy_of_finished / "weights"))
    done = run("evaluate", ".", "--metric", "fid")
    assert done.returncode == 1
    assert "pt_inception-2015-12-05-6726825d.pth" in done.stderr
    assert done.stderr.count("\n") == 1


def test_manifest_names_what_has_no_recipe(run, copy_of_finished, loose) -> None:
    (copy_of_finished / "set").mkdir()
    run("rerun", "out.png", "-o", "plain.png", "--quiet")
    Image.open("plain.png").convert("RGB").save("set/plain.png")
    (copy_of_finished / "set.csv").write_text("output,content,style\nset/plain.png,content.png,style.png\n")
    done = run("evaluate", "set", "--manifest", "set.csv", "--gates", loose)
    assert done.returncode == 0
    assert "plain: ok" in done.stderr


def test_manifest_alone_is_a_set(run, copy_of_finished, loose) -> None:
    (copy_of_finished / "set.csv").write_text("output,content,style\nout.png,content.png,style.png\n")
    done = run("evaluate", "set.csv", "--gates", loose)
    assert done.returncode == 0
    assert "1 outputs of 1 pairs: ok 100%" in done.stdout


def test_gate_is_the_same_with_and_without_a_recipe_in_the_file(run, folder, fast) -> None:
    words = ("stylize", "content.png", "style.png", "-o", "out.png", "--gate", "--json", "--quiet", *fast)
    palette = ("--color", "palette", "--palette", "#112233,#ffeedd")
    inside, left_out = (json.loads(run(*words, *palette, "--metadata", kind).stdout) for kind in ("full", "none"))
    assert "palette_distance" in inside["gate"]["values"]
    assert left_out["gate"] == inside["gate"]


def test_quiet_set_says_nothing_of_its_page(run, copy_of_finished, loose) -> None:
    (copy_of_finished / "set.csv").write_text("output,content,style\nout.png,content.png,style.png\n")
    done = run("evaluate", "set.csv", "--gates", loose, "--html", "set.html", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_name_in_a_manifest_cannot_steer_the_terminal(run, copy_of_finished, loose) -> None:
    (copy_of_finished / "set.csv").write_text("output,content,style,name\nout.png,content.png,style.png,a\x1b[2Jb\n")
    done = run("evaluate", "set.csv", "--gates", loose)
    assert "\x1b" not in done.stderr
