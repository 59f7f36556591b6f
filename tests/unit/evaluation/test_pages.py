"""Pages are one file with everything inside, hostile names are harmless in them, and they come out the same again."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
import torch
from jinja2 import UndefinedError
from PIL import Image

from impasto.errors import OutputError
from impasto.evaluation.pages import picture_uri, plots, write_page
from impasto.evaluation.pages.colors import BLUE, ORANGE, overlay, swatches
from impasto.evaluation.pages.page import _environment, number
from impasto.images import Picture

if TYPE_CHECKING:
    from markupsafe import Markup

HOSTILE = "<script>alert(1)</script>\"'&$x_1$@0@.png"
SERIES = {"content": [(1.0, 2.0), (2.0, 1.0), (3.0, 0.5)], HOSTILE: [(1.0, 5.0), (2.0, 3.0), (3.0, 2.0)]}


class _Seen(HTMLParser):
    """The tags, attributes and text of a page, as a browser would take them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(body: str, **context: object) -> str:
    template = (
        '{% extends "base.html" %}{% block title %}{{ name }}{% endblock %}{% block main %}' + body + "{% endblock %}"
    )
    return _environment().from_string(template).render(name=HOSTILE, **context)


def _plots() -> list[Markup]:
    return [
        plots.lines(SERIES, x="step", y=HOSTILE, log_y=True, breaks=[1.5], names=[HOSTILE]),
        plots.scatter({HOSTILE: [(0.1, 0.9, HOSTILE), (0.5, 0.4, "b")]}, x="gain", y="edges", front=True),
        plots.intervals({HOSTILE: (-0.1, 0.2, 0.3), "b": (0.1, 0.2, 0.3)}, x="difference"),
    ]


def test_page_asks_nobody_for_anything() -> None:
    seen = _Seen(_page("<p>{{ name }}</p>{{ a }}{{ b }}{{ c }}", **dict(zip("abc", _plots(), strict=True))))
    addresses = [value for name, value in seen.attributes if name in ("src", "href", "xlink:href", "action", "data")]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    policy = next(value for name, value in seen.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_page_with_a_hostile_name_shows_it_as_text() -> None:
    html = _page('<p title="{{ name }}">{{ name }}</p>{{ a }}{{ b }}{{ c }}', **dict(zip("abc", _plots(), strict=True)))
    seen = _Seen(html)
    assert "script" not in seen.tags
    assert seen.text.count("<script>alert(1)</script>") >= 7
    assert ("title", HOSTILE) in seen.attributes


def test_page_refuses_a_name_that_nobody_gave() -> None:
    with pytest.raises(UndefinedError):
        _page("{{ nobody_gave_it }}")


@pytest.mark.parametrize("index", range(3))
def test_plot_is_the_same_again_and_shares_no_ids_with_another(index: int) -> None:
    plot, again = _plots()[index], _plots()[index]
    assert plot == again
    other = plots.lines({"a": [(0.0, 1.0), (1.0, 2.0)]}, x="x", y="y")
    ids, others = (re.findall(r' id="([^"]+)"', html) for html in (plot, other))
    assert len(ids) == len(set(ids))
    assert not set(ids) & set(others)


@pytest.mark.parametrize("plot", _plots(), ids=["lines", "scatter", "intervals"])
def test_plot_keeps_text_as_text_in_the_colour_of_the_page(plot: Markup) -> None:
    assert "currentColor" in plot
    assert "<text" in plot
    assert "#010203" not in plot
    assert "<metadata" not in plot
    assert "var(--series-1" in plot


@pytest.mark.parametrize("label", ["@99@", "#010203", "#a8451f and font: 3px b"])
def test_label_that_looks_like_the_plots_own_marks_is_shown_as_it_is(label: str) -> None:
    seen = _Seen(
        plots.scatter({label: [(0.1, 0.9, label), (0.5, 0.4, "b")], "c": [(0.2, 0.2, "c")]}, x="gain", y="edges")
    )
    assert seen.text.count(label) == 2  # in the legend and under the pointer


def test_lines_leave_out_what_a_logarithm_cannot_show() -> None:
    points = [(1.0, 0.0), (2.0, -1.0), (3.0, float("nan")), (4.0, 1.0), (5.0, 2.0)]
    assert plots.lines({"a": points}, x="x", y="y", log_y=True) != ""
    assert "no figures" in plots.lines({"a": points[:3]}, x="x", y="y", log_y=True)


def test_plots_of_nothing_say_so() -> None:
    assert "no figures" in plots.lines({}, x="x", y="y")
    assert "no figures" in plots.scatter({"a": []}, x="x", y="y")
    assert "no figures" in plots.intervals({"a": (0.0, float("nan"), 1.0)}, x="x")


def test_pareto_front_holds_exactly_what_nothing_beats() -> None:
    generator = torch.Generator().manual_seed(0)
    points = [(float(a), float(b)) for a, b in torch.rand(40, 2, generator=generator)]
    front = plots.pareto_front(points)
    unbeaten = {p for p in points if not any(q[0] >= p[0] and q[1] >= p[1] and q != p for q in points)}
    assert set(front) == unbeaten
    assert front == sorted(front)


def test_picture_uri_shrinks_but_never_enlarges() -> None:
    small = Picture(torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)))
    for pixels, px, size in ((small, 512, (30, 20)), (small, 15, (15, 10)), (small.pixels[None], 15, (15, 10))):
        uri = picture_uri(pixels, px, ".png")
        assert uri.startswith("data:image/png;base64,")
        data = b64decode(uri.split(",")[1])
        assert Image.open(BytesIO(data)).size == size


def test_write_page_replaces_whole_and_refuses_what_is_no_page(tmp_path) -> None:
    path = tmp_path / "a.html"
    assert write_page("one", path) == path
    write_page("two \udcff", path)  # of a file name that is no text
    assert path.read_text() == "two ?"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.html"]
    for bad in (tmp_path / "a.png", tmp_path / "none" / "a.html", tmp_path / "a\0.html"):
        with pytest.raises(OutputError):
            write_page("three", bad)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(OutputError, match=r"folder\.html"):
        write_page("four", tmp_path / "folder.html")


def test_overlay_is_grey_at_nothing_and_coloured_at_the_ends() -> None:
    pixels = torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    amount = torch.tensor([[-1.0, 0.0, 1.0]])
    found = overlay(pixels, amount.repeat_interleave(3, 1), above=ORANGE, below=BLUE)
    assert found.shape == (3, 8, 9)
    assert float((found[:, :, 4] - found[:1, :, 4]).abs().max()) == 0
    assert bool((found[2] > found[0])[:, 0].all())
    assert bool((found[0] > found[2])[:, 8].all())


def test_swatches_are_the_colours_with_their_shares_from_dark_to_light() -> None:
    pixels = torch.zeros(1, 3, 10, 10)
    pixels[:, :, :, 7:] = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    assert swatches(pixels) == [("#000000", pytest.approx(0.7)), ("#ff0000", pytest.approx(0.3))]


def test_number_has_three_digits_that_count() -> None:
    assert [number(value) for value in (0.0, -0.12345, 12345.6, None, float("inf"))] == [
        "0",
        "−0.123",
        "12,346",
        "–",
        "–",
    ]
