"""``impasto explain``: one page, from the recipe alone or with the inputs beside it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from impasto import api
from impasto.images import read, write


class _Seen(HTMLParser):
    """Tags, attributes, and text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.text += data


def _seen(path: str = "out.html") -> _Seen:
    return _Seen(Path(path).read_text("utf-8"))


def _with_recipe(name: str, **changes: object) -> Path:
    """A picture with the recipe of ``out.png``, changed."""
    recipe = json.loads(api.read_recipe("out.png").to_json()) | changes
    return write(read(np.full((72, 96, 3), 99, dtype=np.uint8)), name, metadata=json.dumps(recipe))


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_writes_one_page_with_pictures_maps_verdict_and_losses(run) -> None:
    outcome = run("explain", "out.png")
    assert outcome.returncode == 0
    assert outcome.stdout == ""
    assert "written: out.html" in outcome.stderr
    seen = _seen()
    sources = [value for name, value in seen.attributes if name in ("src", "href", "xlink:href")]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert sum(source.startswith("data:image/jpeg") for source in sources) == 6  # slider 2, inputs 2, maps 2
    for part in (
        "Verdict",
        "Where the style was put on",
        "Where the photo was lost",
        "48 px",
        "style gain",
        "content.png",
    ):
        assert part in seen.text
    assert seen.tags.count("script") == 1
    for source in api.read_recipe("out.png").all_styles:
        assert source.sha256 in seen.text


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_gives_the_same_page_again(run) -> None:
    run("explain", "out.png", "-o", "a.html")
    run("explain", "out.png", "-o", "b.html")
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_without_its_inputs_makes_the_page_and_says_what_is_missing(run) -> None:
    Path("content.png").unlink()
    Path("style.png").unlink()
    outcome = run("explain", "out.png", "--json")
    assert outcome.returncode == 0
    document = json.loads(outcome.stdout)
    assert document["evaluation"] is None
    assert len(document["missing"]) == 2
    seen = _seen()
    for part in ("'content.png'", "'style.png'", "--content", "48 px", "the result"):
        assert part in seen.text
    assert "Where the style was put on" not in seen.text
    assert "script" not in seen.tags


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_without_the_style_still_shows_where_the_photo_was_lost(run) -> None:
    Path("style.png").unlink()
    assert run("explain", "out.png").returncode == 0
    text = _seen().text
    assert "Where the photo was lost" in text
    assert "Where the style was put on" not in text
    assert "Verdict" not in text


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_takes_inputs_that_lie_elsewhere_and_refuses_others(run) -> None:
    Path("elsewhere").mkdir()
    Path("content.png").rename("elsewhere/photo.bin")
    Path("style.png").rename("elsewhere/painting.bin")
    words = ("explain", "out.png", "--content", "elsewhere/photo.bin", "--style")
    assert run(*words, "elsewhere/painting.bin").returncode == 0
    assert "Verdict" in _seen().text
    Path("out.html").unlink()
    outcome = run(*words, "elsewhere/photo.bin")
    assert outcome.returncode == 2
    assert "--style" in outcome.stderr
    assert not Path("out.html").exists()


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_of_a_recipe_without_a_trace_says_so(run) -> None:
    _with_recipe("old.png", trace=[])
    assert run("explain", "old.png").returncode == 0
    assert "How the loss went is not known" in _seen("old.html").text


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_of_an_output_that_was_cropped_says_why_it_cannot_be_compared(run) -> None:
    text = api.read_recipe("out.png").to_json()
    write(read(np.full((40, 96, 3), 99, dtype=np.uint8)), "cropped.png", metadata=text)
    outcome = run("explain", "cropped.png")
    assert outcome.returncode == 0
    assert "could not be compared" in outcome.stderr
    assert "aspect ratios" in _seen("cropped.html").text


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_of_a_hostile_recipe_shows_text_and_runs_nothing(run) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    recipe = json.loads(api.read_recipe("out.png").to_json())
    trace = [{"scale_px": 9, "steps": [1, 2], "terms": {bad: [1.0, float("nan")], f"style relu1_1{bad}": [-1.0, 2.0]}}]
    _with_recipe(
        "<script>.png",
        engine=bad,
        content=recipe["content"] | {"name": bad},
        styles=[recipe["styles"][0] | {"name": f"{bad}.png"}],
        settings={**recipe["settings"], bad: bad, "palette": [[bad]], "layers": {bad: bad}},
        terms={bad: 1.0},
        trace=trace,
    )
    assert run("explain", "<script>.png").returncode == 0
    seen = _seen("<script>.html")
    assert "script" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert bad in seen.text


@pytest.mark.usefixtures("copy_of_finished")
def test_explain_never_replaces_a_picture(run) -> None:
    before = Path("out.png").read_bytes()
    outcome = run("explain", "out.png", "-o", "out.png")
    assert outcome.returncode == 2
    assert ".html" in outcome.stderr
    assert Path("out.png").read_bytes() == before


@pytest.mark.usefixtures("folder")
def test_explain_of_a_picture_without_a_recipe_is_refused(run) -> None:
    outcome = run("explain", "content.png")
    assert outcome.returncode == 2
    assert "recipe" in outcome.stderr


@pytest.mark.usefixtures("folder")
def test_explain_judges_a_palette_as_evaluate_does(run, fast) -> None:
    run("stylize", "content.png", "style.png", "-o", "out.png", "--color", "palette", "--palette", "#123,#fed", *fast)
    explained = json.loads(run("explain", "out.png", "--json").stdout)["evaluation"]
    judged = json.loads(run("evaluate", "out.png", "--json").stdout)
    assert explained["values"] == judged["values"]
    assert explained["reasons"] == judged["reasons"]
    assert "palette_distance" in _seen().text
