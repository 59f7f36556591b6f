"""A campaign summed up: counts, evenness, what stands out, and a page that is whole by itself."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.unit.batch.conftest import save_photo

from impasto.batch.inputs import Problem
from impasto.batch.job import Result
from impasto.batch.journal import Decision
from impasto.batch.summary import Campaign, evenness

HOSTILE = "</script><script>alert('x')</script>"


def row(picture: str, gain: float, /, **about: Any) -> Result:
    """A finished row."""
    known: dict[str, Any] = {
        "key": f"key-{picture}", "slot": f"slot-{picture}", "picture": picture, "content": f"{picture}.png",
        "style": "wave", "source": "wave.png", "status": "done", "outputs": (f"pictures/{picture}.png",),
        "outcome": "ok", "values": {"style_gain": gain, "recognition": 0.5}, "lab": (0.5, 0.0, 0.0),
    }  # fmt: skip
    return Result(**known | about)


def campaign(*rows: Result, **about: Any) -> Campaign:
    """In the working directory."""
    known: dict[str, Any] = {"left_out": (), "problems": ()}
    return Campaign("spring", Path.cwd(), rows, **known | about)


def test_counts_are_of_every_kind() -> None:
    found = campaign(
        row("a", 0.5),
        row("b", 0.5, outcome="review"),
        row("c", 0.5, status="failed", outcome=None),
        left_out=(row("d", 0.5),),
        problems=(Problem("e.png", "it is no picture"),),
        missing=3,
    )
    assert found.counts == {
        "done": 2, "ok": 1, "review": 1, "reject": 0, "failed": 1, "missing": 3, "left_out": 1, "unusable": 1,
    }  # fmt: skip


def test_evenness_is_the_spread_of_gain_and_of_colours() -> None:
    rows = [row(str(number), number / 10, lab=(0.5, 0.1 * (-1) ** number, 0.0)) for number in range(11)]
    found = evenness("wave", rows)
    assert found.gain == pytest.approx((0.1, 0.5, 0.9))
    assert found.gain_spread == pytest.approx(0.8)
    assert found.color_spread == pytest.approx(0.1, rel=0.02)
    assert found.close is None
    same = evenness("wave", [row("a", 0.4, close=0.2), row("b", 0.4, close=0.6)])
    assert (same.gain_spread, same.color_spread, same.close) == (0, 0, pytest.approx(0.4))


def test_what_stands_out_comes_first() -> None:
    rows = (
        row("usual", 0.5),
        row("far", 0.9),
        row("near", 0.52),
        row("odd", 0.5, outcome="review"),
        row("bad", 0.5, outcome="reject"),
        row("other", 0.1, style="mosaic"),  # the only one of its style is its middle
    )
    order = [one.picture for one in campaign(*rows).outliers_first()]
    assert order == ["bad", "odd", "far", "near", "other", "usual"]


def test_page_asks_nobody_and_runs_nothing_but_its_own_script() -> None:
    save_photo(Path("pictures/a.png"), 0)
    save_photo(Path("a.png"), 1)
    page = campaign(row("a", 0.5), row("lost", 0.4)).page()  # a picture that is gone leaves its card
    assert page.count('<article data-slot="') == 2
    assert page.count('src="data:image/jpeg;base64,') == 2
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert not re.search(r"@import|url\((?!['\"]?#)", page)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    assert f"'sha256-{b64encode(sha256(scripts[0].encode()).digest()).decode()}'" in policy


def test_hostile_names_are_text() -> None:
    rows = (row("a", 0.5, picture=HOSTILE, style=HOSTILE, reasons=(HOSTILE,), outputs=(HOSTILE,), slot=f'"{HOSTILE}'),)
    failed = row("b", 0.5, picture=HOSTILE, status="failed", reason=HOSTILE)
    page = campaign(
        *rows,
        failed,
        left_out=(row("c", 0.5, picture=HOSTILE),),
        problems=(Problem(HOSTILE, HOSTILE),),
        decisions={HOSTILE: Decision(decision="approve", note=HOSTILE)},
    ).page()
    assert "<script>alert" not in page
    assert page.count("</script>") == 2  # the decisions and the page's own


def test_page_without_painted_pictures_offers_no_decisions() -> None:
    page = campaign(row("a", 0.5, status="failed", reason="no memory", outcome=None)).page()
    assert "no memory" in page
    assert "<script" not in page
    assert 'id="save"' not in page


def test_what_was_set_aside_can_be_taken_back() -> None:
    page = campaign(left_out=(row("a", 0.5),), decisions={"slot-a": Decision(decision="reject")}).page()
    assert '<li data-slot="slot-a" data-key="key-a">a as wave' in page
    assert "<script>" in page


def test_document_holds_every_row() -> None:
    found = campaign(row("a", 0.5), problems=(Problem("b", "it is no picture"),)).to_dict()
    assert found["name"] == "spring"
    assert found["rows"] == [row("a", 0.5).model_dump(mode="json")]
    assert found["problems"] == [{"name": "b", "reason": "it is no picture"}]
