"""The page of a campaign in a real browser: decisions are made, kept over a reload, and saved for the next run."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from impasto.batch.job import Result
from impasto.batch.journal import Decision, read_decisions
from impasto.batch.summary import Campaign
from impasto.images import Picture, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.web.chromium import Chromium

    Opened = Callable[..., Chromium]

DATA = "document.querySelector('[data-slot=\"{0}\"]')"


def row(place: Path, slot: str, *, strength: float = 1.0) -> Result:
    """A finished row whose picture and photo are there."""
    name = f"pictures/{slot}.png"
    (place / "pictures").mkdir(exist_ok=True)
    write(Picture(torch.full((3, 12, 16), 0.5)), place / name)
    return Result(
        key=f"key-{slot}", slot=slot, picture=f"photo {slot}", content=str(place / name), style="mosaic",
        source="mosaic", status="done", outputs=(name,), width=16, height=12, outcome="ok",
        values={"style_gain": 0.5, "recognition": 0.5}, lab=(0.5, 0.0, 0.0), strength=strength,
    )  # fmt: skip


@pytest.fixture
def page(chromium: Chromium, tmp_path: Path) -> Iterator[Opened]:
    """Writes the page of three pictures and opens it; whatever the test does, the page complains about nothing."""

    def opened(decisions: dict[str, Decision] | None = None, *, left_out: str = "") -> Chromium:
        rows = [row(tmp_path, slot, strength=0.6) for slot in ("a", "b", "c")]
        shown, aside = (tuple(one for one in rows if (one.slot in left_out) is wanted) for wanted in (False, True))
        campaign = Campaign("spring", tmp_path, shown, aside, (), decisions or {})
        campaign.to_html(tmp_path / "report.html")
        chromium.requests.clear()
        chromium.problems.clear()
        chromium.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
        chromium.open((tmp_path / "report.html").as_uri())
        ready(chromium)
        return chromium

    yield opened
    assert chromium.problems == []
    assert all(address.startswith(("file://", "data:", "blob:")) for address in chromium.requests)
    chromium.open("about:blank")


def ready(chromium: Chromium) -> None:
    """Wait until the page has counted its decisions."""
    chromium.until("document.readyState === 'complete' && document.getElementById('count')?.textContent")


def press(chromium: Chromium, slot: str, decision: str) -> None:
    """A button of a picture."""
    chromium.value(f"{DATA.format(slot)}.querySelector('button[value={decision}]').click()")


def pressed(chromium: Chromium) -> dict[str, str]:
    """The buttons that are pressed, by picture."""
    found: dict[str, str] = chromium.value(
        "Object.fromEntries([...document.querySelectorAll('[data-slot] button[aria-pressed=true]')]"
        ".map((button) => [button.closest('[data-slot]').dataset.slot, button.value]))"
    )
    return found


def saved(chromium: Chromium, folder: Path) -> dict[str, Any]:
    """What "Save decisions.json" writes."""
    path = folder / "saved" / "decisions.json"
    path.unlink(missing_ok=True)
    chromium.value("document.getElementById('save').click()")
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, chromium.problems
        time.sleep(0.05)
    assert read_decisions(path)  # the next run takes it
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_decisions_are_saved_as_the_next_run_reads_them(page: Opened, tmp_path: Path) -> None:
    chromium = page()
    press(chromium, "a", "approve")
    press(chromium, "b", "reject")
    press(chromium, "c", "redo")
    assert chromium.value("document.getElementById('count').textContent") == "1 approve · 1 reject · 1 redo"
    assert saved(chromium, tmp_path) == {
        "a": {"decision": "approve", "key": "key-a"},
        "b": {"decision": "reject", "key": "key-b"},
        "c": {"decision": "redo", "key": "key-c", "strength": 0.6},
    }
    press(chromium, "a", "approve")  # again: taken back
    assert set(saved(chromium, tmp_path)) == {"b", "c"}


def test_decisions_stay_when_the_page_is_loaded_again(page: Opened, tmp_path: Path) -> None:
    chromium = page()
    press(chromium, "a", "approve")
    press(chromium, "b", "redo")
    chromium.value(
        "(input => { input.value = '0.35'; input.dispatchEvent(new Event('input', {bubbles: true})); })"
        f"({DATA.format('b')}.querySelector('input'))"
    )
    end = time.monotonic() + 20  # on a busy machine Chromium shows a page what another kept only after a while
    while True:
        chromium.value("document.body.dataset.old = 'yes'")
        chromium.ask("Page.reload")
        chromium.until("document.body && !document.body.dataset.old")
        ready(chromium)
        if pressed(chromium) or time.monotonic() > end:
            break
    assert pressed(chromium) == {"a": "approve", "b": "redo"}
    assert chromium.value(f"{DATA.format('b')}.querySelector('input').value") == "0.35"
    assert chromium.value(f"{DATA.format('b')}.querySelector('label').hidden") is False
    assert chromium.value(f"{DATA.format('a')}.querySelector('label').hidden") is True
    assert saved(chromium, tmp_path)["b"] == {"decision": "redo", "key": "key-b", "strength": 0.35}


@pytest.mark.parametrize(("typed", "strength"), [("", 0.6), ("7", 1), ("0.001", 0.05)])
def test_strength_that_is_none_is_never_saved(page: Opened, tmp_path: Path, typed: str, strength: float) -> None:
    chromium = page()
    press(chromium, "a", "redo")
    chromium.value(
        f"(input => {{ input.focus(); input.value = '{typed}';"
        "input.dispatchEvent(new Event('input', {bubbles: true})); })"
        f"({DATA.format('a')}.querySelector('input'))"
    )
    assert chromium.value(f"{DATA.format('a')}.querySelector('input').value") == typed  # typing is not disturbed
    assert saved(chromium, tmp_path)["a"]["strength"] == strength


def test_decisions_of_the_campaign_win_over_those_of_an_older_page(page: Opened, tmp_path: Path) -> None:
    chromium = page()
    press(chromium, "a", "approve")
    press(chromium, "c", "approve")
    page()  # a run without new decisions in between
    assert pressed(chromium) == {"a": "approve", "c": "approve"}
    page({"a": Decision(decision="reject", key="key-a"), "gone": Decision(decision="approve", key="k")}, left_out="a")
    assert pressed(chromium) == {"a": "reject"}
    assert chromium.value("document.getElementById('count').textContent") == "0 approve · 1 reject · 0 redo"
    press(chromium, "a", "reject")  # what was set aside is taken back; pictures that are not on the page stay decided
    assert set(saved(chromium, tmp_path)) == {"gone"}
