"""A campaign summed up: how many, how even the look is, what stands out; and its page."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

import numpy as np
from jinja2.utils import htmlsafe_json_dumps

from impasto.errors import ImpastoError
from impasto.evaluation.pages import picture_uri, render, write_page
from impasto.evaluation.pages.plots import scatter
from impasto.images import read

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from impasto.batch.inputs import Problem
    from impasto.batch.job import Result
    from impasto.batch.journal import Decision

GAIN: Final = "style_gain"
_SHOWN: Final = ("style_gain", "style_gain_efficientnet", "recognition", "edge_content", "palette_distance")
_LARGE_PX, _SMALL_PX = 360, 128
#: Where in a page its digest stands: behind the style sheet.
_HEAD_CHARACTERS: Final = 2**16


@dataclass(frozen=True)
class Evenness:
    """How alike the pictures of one style came out."""

    style: str
    pictures: int
    gain: tuple[float, float, float]
    """Style gain: its 10th percentile, median and 90th percentile."""
    color_spread: float
    """Mean distance of the pictures' mean colours from their common one, in OkLab."""
    close: float | None
    """Share of pixels near the brand's colours, over all pictures; None where there are none."""

    @property
    def gain_spread(self) -> float:
        """90th less 10th percentile of the style gain."""
        return self.gain[2] - self.gain[0]


@dataclass(frozen=True)
class Campaign:
    """Where a campaign stands."""

    name: str
    place: Path
    rows: tuple[Result, ...]
    left_out: tuple[Result, ...]
    """Rejected by a person."""
    problems: tuple[Problem, ...]
    """What was given and could not be used."""
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    missing: int = 0
    """Rows that a run which was ended did not come to."""

    @property
    def done(self) -> tuple[Result, ...]:
        """Rows whose files are written."""
        return tuple(row for row in self.rows if row.status == "done")

    @property
    def failed(self) -> tuple[Result, ...]:
        """Rows that came to nothing, with their reasons."""
        return tuple(row for row in self.rows if row.status == "failed")

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        outcomes = Counter(row.outcome for row in self.done)
        return {
            "done": len(self.done),
            "ok": outcomes["ok"],
            "review": outcomes["review"],
            "reject": outcomes["reject"],
            "failed": len(self.failed),
            "missing": self.missing,
            "left_out": len(self.left_out),
            "unusable": len(self.problems),
        }

    @property
    def evenness(self) -> tuple[Evenness, ...]:
        """By style."""
        return tuple(evenness(style, rows) for style, rows in self._by_style().items())

    def outliers_first(self) -> list[Result]:
        """Rejected, then those to be reviewed, then those whose style gain is farthest from their style's median."""
        middle = {style: median(row.values[GAIN] for row in rows) for style, rows in self._by_style().items()}
        order = {"reject": 0, "review": 1, "ok": 2, None: 3}
        return sorted(
            self.done, key=lambda row: (order[row.outcome], -abs(row.values[GAIN] - middle[row.style]), row.picture)
        )

    def to_dict(self) -> dict[str, object]:
        """A JSON document."""
        return {
            "name": self.name,
            "output": str(self.place),
            "counts": self.counts,
            "evenness": [
                {
                    "style": one.style,
                    "pictures": one.pictures,
                    "style_gain": list(one.gain),
                    "style_gain_spread": one.gain_spread,
                    "color_spread": one.color_spread,
                    "close_to_palette": one.close,
                }
                for one in self.evenness
            ],
            "rows": [row.model_dump(mode="json") for row in self.rows],
            "left_out": [row.model_dump(mode="json") for row in self.left_out],
            "problems": [vars(problem) for problem in self.problems],
        }

    def page(self) -> str:
        """The report as one HTML page."""
        points: dict[str, list[tuple[float, float, str]]] = {}
        for row in self.done:
            recognition = row.values.get("recognition")
            if recognition is not None:
                points.setdefault(row.style, []).append((row.values[GAIN], recognition, row.picture))
        return render(
            "campaign.html",
            campaign=self,
            rows=self.outliers_first(),
            shown=_SHOWN,
            picture=self._thumbnail,
            plot=scatter(points, x=GAIN, y="recognition", front=False) if points else "",
            seconds=sum(row.seconds for row in self.done),
            decisions=htmlsafe_json_dumps({slot: one.model_dump() for slot, one in self.decisions.items()}),
            peak=max((row.peak_memory_mb for row in self.done), default=0.0),
        )

    @property
    def digest(self) -> str:
        """Hash of all that the page shows, and of the version that draws it."""
        shown = {
            **self.to_dict(),
            "version": version("impasto"),
            "decisions": {slot: one.model_dump() for slot, one in self.decisions.items()},
        }
        return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the page; one that shows the same already stays, since every picture on it would be read again.

        Raises:
            OutputError: it cannot be written there.
        """
        target = Path(path)
        try:
            with target.open(encoding="utf-8", errors="replace") as file:
                if self.digest in file.read(_HEAD_CHARACTERS):
                    return target
        except OSError:
            pass
        return write_page(self.page(), target)

    def _by_style(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {}
        for row in self.done:
            found.setdefault(row.style, []).append(row)
        return found

    def _thumbnail(self, row: Result, *, content: bool = False) -> str | None:
        """A picture for the page; None if it cannot be read any more."""
        try:
            path = row.content if content else self.place / row.outputs[0]
            return picture_uri(read(path), _SMALL_PX if content else _LARGE_PX)
        except ImpastoError:
            return None


def evenness(style: str, rows: Sequence[Result]) -> Evenness:
    """Of finished rows of one style; at least one."""
    gains = np.array([row.values[GAIN] for row in rows])
    low, middle, high = np.percentile(gains, [10, 50, 90]).tolist()
    colors = np.array([row.lab for row in rows])
    spread = float(np.linalg.norm(colors - colors.mean(0), axis=1).mean())
    close = [row.close for row in rows if row.close is not None]
    return Evenness(style, len(rows), (low, middle, high), spread, fmean(close) if close else None)
