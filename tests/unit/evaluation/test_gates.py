"""Gates: thresholds from TOML, the worst finding decides, and a user's file changes what it names."""

from __future__ import annotations

import pytest

from impasto.errors import SettingsError
from impasto.evaluation.gates import Gates, Rule, colors_of
from impasto.evaluation.metric import installed_metrics
from impasto.settings import OptimizeSettings


def test_packaged_rules_are_of_installed_metrics_and_say_why() -> None:
    for colors in ("style", "content", "palette"):
        for name, rule in Gates.load(colors=colors).rules.items():
            assert name in installed_metrics()
            assert rule.below or (rule.review_below is None and rule.reject_below is None)
            assert rule.above or (rule.review_above is None and rule.reject_above is None)


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.5, "ok"), (0.3, "ok"), (0.29, "review"), (0.1, "review"), (0.09, "reject")]
)
def test_rule_at_its_thresholds(value: float, outcome: str) -> None:
    finding = Rule(review_below=0.3, reject_below=0.1, below="too little").finding("style_gain", value)
    assert (finding.outcome if finding else "ok") == outcome
    if finding:
        assert finding.reason.startswith("too little (style_gain ")


def test_verdict_is_the_worst_finding_and_lists_it_first() -> None:
    gates = Gates({"a": Rule(review_above=1, above="a is high"), "b": Rule(reject_below=0, below="b is low")})
    verdict = gates.judge({"a": 2, "b": -1, "unruled": 7})
    assert verdict.outcome == "reject"
    assert [finding.metric for finding in verdict.findings] == ["b", "a"]
    assert gates.judge({"a": 0, "b": 1}).outcome == "ok"
    assert gates.judge({}).reasons == ()


def test_users_file_changes_what_it_names_and_leaves_the_rest(tmp_path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(
        "[rules.style_gain]\nreview_below = 0.9\n[engines.other.flatness]\nreview_below = 'off'\n"
        "[colors.content.style_gain]\nreview_below = 0.2\n"
    )
    packaged, ours = Gates.load(), Gates.load(path)
    assert ours.rules["style_gain"].review_below == 0.9
    assert ours.rules["style_gain"].reject_below == packaged.rules["style_gain"].reject_below
    assert {**ours.rules, "style_gain": None} == {**packaged.rules, "style_gain": None}
    assert Gates.load(path, engine="other").rules["flatness"].review_below is None
    assert Gates.load(path, colors="content").rules["style_gain"].review_below == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[rules.style_gain\n", "are no TOML"),
        ("[rules.style_gain]\nbelow_review = 1\n", "below_review"),
        ("[rules.style_gain]\nreview_below = 'much'\n", "style_gain.*number"),
        ("[rules.style_gain]\nreview_below = 0.1\nreject_below = 0.2\n", "must lie beyond"),
        ("[colors.purple.style_gain]\nreview_below = 0.1\n", "colors.purple"),
        ("[rules.style_gain]\nreview_below = nan\n", "finite"),
        ("[rules.style_gian]\nreview_below = 0.9\n", "style_gian.*no metric"),
        ("[engines.other.style_gian]\nreview_below = 0.9\n", "style_gian.*no metric"),
    ],
)
def test_gates_that_are_none_are_refused_with_the_place(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "gates.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        Gates.load(path)


def test_gates_that_are_not_there_are_refused(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        Gates.load(tmp_path / "missing.toml")


def test_colors_of_every_color_setting_are_known() -> None:
    schema = OptimizeSettings.model_json_schema()["properties"]["color"]["enum"]
    expected = {
        "style": "style",
        "luminance": "content",
        "linear": "content",
        "histogram": "content",
        "palette": "palette",
    }
    assert {color: colors_of({"color": color}) for color in schema} == expected
    assert colors_of({}) == "style"


def test_rule_without_words_still_says_what_is_wrong() -> None:
    finding = Rule(review_above=0.1).finding("leak", 0.2)
    assert finding is not None
    assert finding.reason == "it is too high (leak 0.2, expected at most 0.1)"
