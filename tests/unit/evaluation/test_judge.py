"""The judge and the public call behind every door."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.errors import ImageTooSmallError, InputError, SettingsError
from impasto.evaluation import metric as registry
from impasto.evaluation.controls import CONTROLS, MUST_FAIL
from impasto.evaluation.judge import judge
from impasto.evaluation.metric import choose_metrics, installed_metrics
from impasto.images import Picture, read


@pytest.fixture(scope="module")
def pictures(photograph):
    content, style = photograph("astronaut", 72, 96), photograph("coffee", 80, 96)
    mixed = (content.astype(int) + photograph("coffee", 72, 96).astype(int)) // 2
    return read(mixed.astype("uint8")), read(content), read(style)


def test_judge_gives_every_default_metric_and_a_verdict(pictures) -> None:
    output, content, style = pictures
    found = judge(output, content, [style])
    assert list(found.values) == [one.name for one in installed_metrics().values() if one.default]
    assert all(np.isfinite(value) for value in found.values.values())
    assert found.verdict.outcome in ("ok", "review", "reject")
    assert found == judge(output, content, [style])  # nothing in it is random


def test_controls_that_must_fail_do(pictures) -> None:
    output, content, style = pictures
    found = judge(output, content, [style], controls=MUST_FAIL)
    passed = [name for name, control in found.controls.items() if control.verdict.outcome == "ok"]
    assert list(found.controls) == list(MUST_FAIL)
    assert not passed
    assert found.to_dict()["controls"]["identity"]["outcome"] == "reject"


def test_judge_takes_the_picture_as_it_is_saved(pictures) -> None:
    output, content, style = pictures
    between = output.with_pixels((output.pixels + 0.3 / 255).clamp(0, 1))
    assert judge(between, content, [style]).values == judge(output, content, [style]).values


def test_another_aspect_ratio_is_refused_with_both_sizes(pictures) -> None:
    output, content, style = pictures
    cut = output.with_pixels(output.pixels[..., :80])
    with pytest.raises(InputError, match=r"80×72 px.*96×72 px.*at most 2%"):
        judge(cut, content, [style])


def test_content_of_another_size_is_fine(pictures, photograph) -> None:
    output, content, style = pictures
    larger = judge(output, read(photograph("astronaut", 144, 192)), [style]).values
    assert larger["edge_content"] == pytest.approx(judge(output, content, [style]).values["edge_content"], abs=0.02)


def test_missing_style_tiny_pictures_and_unknown_names_are_refused(pictures) -> None:
    output, content, style = pictures
    with pytest.raises(InputError, match="no style"):
        judge(output, content, [])
    with pytest.raises(ImageTooSmallError, match="20×20 px, but 32 px"):
        judge(output, content, [Picture(torch.rand(3, 20, 20))])
    with pytest.raises(SettingsError, match=r"no metric named 'beauty'; installed: style_gain"):
        judge(output, content, [style], metrics=["beauty"])
    with pytest.raises(InputError, match=r"no control named 'x'; there are identity"):
        judge(output, content, [style], controls=["x"])
    with pytest.raises(InputError, match="1400×64 px, but at most 20:1"):
        judge(output, content, [Picture(torch.rand(3, 64, 1400))])
    broken = output.with_pixels(torch.full_like(output.pixels, torch.nan))
    with pytest.raises(InputError, match="not finite"):
        judge(broken, content, [style])


def test_two_metrics_of_one_name_are_refused(monkeypatch) -> None:
    known = installed_metrics()["ssim"]
    entry = dataclasses.make_dataclass("Entry", [("name", str), ("value", str)])

    class Twice(entry):
        def load(self):
            return (known,)

    registry.installed_metrics.cache_clear()
    monkeypatch.setattr(registry, "entry_points", lambda **_: [Twice("builtin", "a"), Twice("other", "b:METRICS")])
    with pytest.raises(SettingsError, match=r"two metrics are named 'ssim'.*b:METRICS"):
        choose_metrics()
    monkeypatch.undo()
    registry.installed_metrics.cache_clear()


def test_every_metric_says_what_must_be_known_to_read_it() -> None:
    for metric in installed_metrics().values():
        assert all((metric.meaning, metric.span, metric.cost, metric.blind_to, metric.source))


def test_evaluate_finds_the_inputs_by_the_recipe(content, style, tmp_path, monkeypatch) -> None:
    Image.fromarray(content).save(tmp_path / "c.png")
    Image.fromarray(style).save(tmp_path / "s.png")
    made = impasto.stylize(tmp_path / "c.png", tmp_path / "s.png", image_size=48, steps=1)
    made.save(tmp_path / "out.png")
    found = impasto.evaluate(tmp_path / "out.png")
    given = impasto.evaluate(made, content=tmp_path / "c.png", style=tmp_path / "s.png")
    assert found.values == pytest.approx(given.values)
    shutil.move(tmp_path / "s.png", tmp_path / "other.png")
    with pytest.raises(InputError, match=r"'s\.png' with SHA-256 .* was not found; give its place with --style"):
        impasto.evaluate(tmp_path / "out.png")
    assert impasto.evaluate(tmp_path / "out.png", style=[tmp_path / "other.png"]).values == found.values


def test_evaluate_without_recipe_asks_for_what_is_missing(content, style, tmp_path) -> None:
    Image.fromarray(content).save(tmp_path / "out.png")
    with pytest.raises(InputError, match="no content was given"):
        impasto.evaluate(tmp_path / "out.png")
    with pytest.raises(InputError, match="no style was given"):
        impasto.evaluate(tmp_path / "out.png", content=content)
    with pytest.raises(InputError, match="quality log"):
        impasto.evaluate(tmp_path / "out.png", content=content, style=style, log=tmp_path / "log.sqlite")
    assert not (tmp_path / "log.sqlite").exists()


def test_outputs_that_keep_the_contents_colours_are_judged_without_colours(content, style) -> None:
    kept = impasto.stylize(content, style, image_size=48, steps=1, color="luminance")
    by_recipe = impasto.evaluate(kept, content=content, style=style)
    assert by_recipe.values == impasto.evaluate(kept, content=content, style=style, colors="content").values
    assert (
        by_recipe.values["style_gain"]
        != impasto.evaluate(kept, content=content, style=style, colors="style").values["style_gain"]
    )


def test_palette_that_was_given_is_judged_and_its_distance_gated(pictures, photograph) -> None:
    output, content, style = pictures
    red = impasto.evaluate(
        output, content=content, style=style, palette="#e63946", controls=["identity"], colors="palette"
    )
    own = [f"#{int(r):02x}{int(g):02x}{int(b):02x}" for r, g, b in photograph("coffee", 4, 4).reshape(-1, 3)]
    near = impasto.evaluate(output, content=content, style=style, palette=own, colors="palette")
    assert red.values["palette_distance"] > 2 * near.values["palette_distance"]
    assert "palette_distance" in red.controls["identity"].values
    assert any("far from the palette" in reason for reason in red.verdict.reasons)
    assert red.palette
    assert near.palette
    assert red.palette.within_close < near.palette.within_close
    assert "palette" in near.to_dict()
    assert impasto.evaluate(output, content=content, style=style).palette is None


def test_palette_distance_without_a_palette_is_refused(pictures) -> None:
    output, content, style = pictures
    with pytest.raises(InputError, match="needs a palette"):
        judge(output, content, [style], metrics=["palette_distance"])


def test_every_control_keeps_the_size(pictures) -> None:
    from impasto.evaluation.view import views

    output, content, style = pictures
    trio = views(output, content, [style])
    for name, control in CONTROLS.items():
        assert control(trio)[0].pixels.shape == trio[0].pixels.shape, name


@pytest.mark.parametrize("palette", [None, "#abc", [[1, 2]], 7, [["red", 0, 0]]])
def test_recipe_with_a_palette_that_is_none_is_refused(content, style, tmp_path, palette) -> None:
    Image.fromarray(content).save(tmp_path / "content.png")
    Image.fromarray(style).save(tmp_path / "style.png")
    made = impasto.stylize(tmp_path / "content.png", tmp_path / "style.png", image_size=48, scales=[48], steps=1)
    settings = {**made.recipe.settings, "color": "palette", "palette": palette}
    changed = dataclasses.replace(made, recipe=made.recipe.model_copy(update={"settings": settings}))
    changed.save(tmp_path / "out.png")
    with pytest.raises(InputError, match="palette"):
        impasto.evaluate(tmp_path / "out.png")


def test_unknown_colors_are_refused(content, style) -> None:
    with pytest.raises(SettingsError, match="colors='purple' cannot be used; use style, content, palette"):
        impasto.evaluate(content, content=content, style=style, colors="purple")


def test_name_with_a_null_byte_in_a_recipe_is_not_found(content, style, tmp_path) -> None:
    made = impasto.stylize(content, style, image_size=48, scales=[48], steps=1)
    source = made.recipe.content.model_copy(update={"name": "a\0b.png"})
    changed = dataclasses.replace(made, recipe=made.recipe.model_copy(update={"content": source}))
    changed.save(tmp_path / "out.png")
    with pytest.raises(InputError, match="was not found"):
        impasto.evaluate(tmp_path / "out.png")
