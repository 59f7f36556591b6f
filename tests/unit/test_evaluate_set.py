"""A set of real small pictures, some of them broken, judged once and looked at from several sides."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import StringIO
from statistics import median

import pytest
from PIL import Image

import impasto
from impasto.api.sets import MAIN_METRICS, evaluate_set
from impasto.errors import InputError, SettingsError
from impasto.evaluation.quality_log import QualityLog

CONTENTS, STYLES = ("astronaut", "chelsea"), ("coffee", "rocket")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photograph):
    """Two photographs in two styles, half and half, and a manifest that names broken files as well."""
    place = tmp_path_factory.mktemp("set")
    for name in (*CONTENTS, *STYLES):
        Image.fromarray(photograph(name, 48, 64)).save(place / f"{name}.png")
    lines = ["output,content,style,name"]
    for content in CONTENTS:
        for style in STYLES:
            mixed = (photograph(content, 48, 64) // 2 + photograph(style, 48, 64) // 2).astype("uint8")
            Image.fromarray(mixed).save(place / f"{content}-{style}.png")
            lines.append(f"{content}-{style}.png,{content}.png,{style}.png,{content} <i>as</i> {style}")
    (place / "torn.png").write_bytes((place / "astronaut.png").read_bytes()[:200])
    Image.fromarray(photograph("astronaut", 64, 48)).save(place / "upright.png")
    lines += [
        "torn.png,astronaut.png,coffee.png,torn",
        "upright.png,astronaut.png,coffee.png,upright",
        "astronaut-coffee-2.png,astronaut.png,coffee.png,missing",
    ]
    (place / "set.csv").write_text("\n".join(lines))
    return place


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def found(folder, told):
    return evaluate_set(folder / "set.csv", on_result=lambda *call: told.append(call))


def test_set_judges_what_it_can_and_lists_the_rest(found, told) -> None:
    assert [row.entry.output.stem for row in found.rows] == [f"{c}-{s}" for c in CONTENTS for s in STYLES]
    reasons = {problem.name: problem.reason for problem in found.problems}
    assert list(reasons) == ["torn", "upright", "missing"]
    assert "damaged or incomplete" in reasons["torn"]
    assert "aspect ratios differ" in reasons["upright"]
    assert "there is no such file" in reasons["missing"]
    assert [(number, count) for number, count, _ in told] == [(number, 7) for number in range(1, 8)]
    assert [result for *_, result in told] == [*found.rows, *found.problems]


def test_set_figures_are_those_of_each_output_alone(found, folder) -> None:
    row = found.rows[0]
    alone = impasto.evaluate(row.entry.output, content=row.entry.content, style=row.entry.styles[0])
    assert row.evaluation.values == alone.values
    assert row.evaluation.verdict == alone.verdict


def test_set_summary_is_the_median_inside_its_interval(found) -> None:
    for metric, summary in found.summary.items():
        values = [row.evaluation.values[metric] for row in found.rows]
        assert summary.median == pytest.approx(median(values))
        assert summary.interval is not None
        low, high = summary.interval
        least, most = min(values) - 1e-9, max(values) + 1e-9  # a mean of equal numbers may be rounded
        assert least <= low <= summary.median <= high <= most
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.notes == ("4 pairs are few: the intervals are rough, and narrower than they should be.",)


def test_set_outputs_of_one_style_are_compared_with_each_other(found) -> None:
    assert set(found.consistency) == set(STYLES)
    assert all(0 < one.ratio < 1 for one in found.consistency.values())  # half of each picture is the same
    assert found.kernel_distances == {}  # two styles are no set


def test_set_as_json_and_csv_hold_every_figure(found) -> None:
    document = json.loads(json.dumps(found.to_dict()))
    rows = list(csv.DictReader(StringIO(found.to_csv())))
    assert document["judged"] == len(rows) == 4
    for row, in_json, in_csv in zip(found.rows, document["rows"], rows, strict=True):
        assert in_json["values"] == dict(row.evaluation.values)
        assert {name: float(in_csv[name]) for name in row.evaluation.values} == row.evaluation.values
        assert in_csv["outcome"] == in_json["outcome"] == row.evaluation.verdict.outcome
    assert [problem["name"] for problem in document["problems"]] == ["torn", "upright", "missing"]


def test_set_page_shows_every_output_and_problem_and_escapes_names(found, tmp_path) -> None:
    page = found.to_html(tmp_path / "set.html").read_text()
    assert "<i>as</i>" not in page
    for row in found.rows:
        assert row.entry.name.replace("<", "&lt;").replace(">", "&gt;") in page
        assert all(reason.replace("'", "&#39;") in page for reason in row.evaluation.verdict.reasons)
    assert all(problem.name in page for problem in found.problems)
    assert all(f"<code>{metric}</code>" in page for metric in MAIN_METRICS)
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")


def test_set_of_one_stands_without_intervals_and_says_so(folder, content, style, tmp_path) -> None:
    made = impasto.stylize(folder / "astronaut.png", folder / "coffee.png", image_size=64, scales=[64], steps=2)
    (tmp_path / "out").mkdir()
    made.save(tmp_path / "out" / "one.webp")
    found = evaluate_set(tmp_path / "out", inputs=[folder], log=tmp_path / "log.sqlite")
    assert found.pairs == len(found.rows) == 1
    assert {summary.interval for summary in found.summary.values()} == {None}
    assert found.notes == ("One pair has no spread: the medians are its own figures and stand without intervals.",)
    assert "stand without intervals" in found.page()
    with QualityLog(tmp_path / "log.sqlite", "read") as log:
        assert [row.values for row in log.rows()] == [pytest.approx(dict(found.rows[0].evaluation.values))]


def test_set_where_nothing_can_be_judged_still_has_a_page(folder, tmp_path) -> None:
    (tmp_path / "torn.png").write_bytes((folder / "torn.png").read_bytes())
    found = evaluate_set(tmp_path)
    assert (found.rows, found.summary, [problem.name for problem in found.problems]) == ((), {}, ["torn.png"])
    assert "torn.png" in found.page()
    assert found.to_csv().splitlines() == ["name,output,content,style,outcome,reasons"]


def test_set_folder_pictures_that_the_manifest_leaves_out_are_listed(folder, tmp_path, photograph) -> None:
    for name in ("named", "stranger"):
        Image.fromarray(photograph("rocket", 48, 64)).save(tmp_path / f"{name}.png")
    (tmp_path / "set.csv").write_text("output,content,style\nnamed.png,none.png,none.png\n")
    found = evaluate_set(tmp_path, manifest=tmp_path / "set.csv")
    assert [problem.name for problem in found.problems] == ["stranger.png", "named"]
    assert "is not named in the manifest" in found.problems[0].reason


def test_set_call_that_is_wrong_is_refused_at_once(folder, tmp_path, told) -> None:
    before = len(told)
    with pytest.raises(SettingsError, match="no metric named 'beauty'"):
        evaluate_set(folder / "set.csv", metrics=["beauty"], on_result=lambda *call: told.append(call))
    with pytest.raises(SettingsError, match="gates"):
        evaluate_set(folder / "set.csv", gates=tmp_path / "none.toml", on_result=lambda *call: told.append(call))
    with pytest.raises(InputError, match="there is no"):
        evaluate_set(tmp_path / "nowhere")
    assert len(told) == before


def test_set_of_outputs_with_and_without_a_palette_has_every_figure(found) -> None:
    first, *others = found.rows
    values = {**first.evaluation.values, "palette_distance": 0.2}
    mixed = replace(found, rows=(replace(first, evaluation=replace(first.evaluation, values=values)), *others))
    assert mixed.summary["palette_distance"].median == 0.2
    assert mixed.summary["style_gain"] == found.summary["style_gain"]
    assert replace(mixed, rows=mixed.rows[::-1]).summary["palette_distance"].median == 0.2
    rows = list(csv.DictReader(StringIO(mixed.to_csv())))
    assert [row["palette_distance"] for row in rows] == ["0.2", "", "", ""]
    assert "palette_distance" in mixed.page()


def test_set_styles_of_one_name_are_told_apart(found) -> None:
    def elsewhere(row):
        styles = tuple(style.with_name("coffee.png") for style in row.entry.styles)
        return replace(
            row, entry=replace(row.entry, styles=tuple(s.parent / row.style_sha256[0][:4] / s.name for s in styles))
        )

    alike = replace(found, rows=tuple(elsewhere(row) for row in found.rows))
    assert len(alike.consistency) == 2


def test_set_of_one_content_in_two_files_is_summed_up_without_consistency(found) -> None:
    first, second = found.rows[0], found.rows[2]
    twin = replace(second, looks=(second.looks[0], first.looks[1]))
    assert replace(found, rows=(first, twin)).consistency == {}


def test_manifest_beside_a_single_output_is_refused(folder) -> None:
    with pytest.raises(InputError, match="is no folder"):
        evaluate_set(folder / "astronaut.png", manifest=folder / "set.csv")
