"""Many outputs judged one by one and summed up over their pairs; what cannot be judged is listed, the rest goes on."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

import torch

from impasto.api.evaluate import judge_made, recipe_in
from impasto.errors import InputError, OutputError, UnreadableImageError
from impasto.evaluation.adapters.fid import art_fid, frechet_inception_distance
from impasto.evaluation.adapters.weights import find_weights
from impasto.evaluation.controls import CONTROLS
from impasto.evaluation.gates import Gates
from impasto.evaluation.manifest import Entry, Problem, entries_of
from impasto.evaluation.metric import choose_metrics, installed_metrics
from impasto.evaluation.pages import picture_uri, render, write_page
from impasto.evaluation.pages.plots import intervals, scatter
from impasto.evaluation.sets import embedding, kernel_distance, style_consistency, style_statistics
from impasto.evaluation.statistics import MIN_PAIRS, interval
from impasto.evaluation.view import views
from impasto.images import read

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from impasto.evaluation.gates import Outcome
    from impasto.evaluation.judge import Evaluation
    from impasto.evaluation.sets import KernelDistance, StyleConsistency
    from impasto.images import Picture

#: What summaries, comparisons and sweeps show first: style by two networks, content by three ways to lose it.
MAIN_METRICS: Final = ("style_gain", "style_gain_efficientnet", "recognition", "edge_content", "content_distance")
#: How good the style is and how much content is left: the plane in which settings are traded off.
STYLE, CONTENT = "style_gain", "recognition"

#: Distances of whole sets that need weights of the user's, and which.
SET_DISTANCES: Final = {"fid": "inception", "art_fid": "art-inception"}

_THUMBNAIL_PX: Final = 320


@dataclass(frozen=True)
class Judged:
    """One output of a set, judged."""

    entry: Entry
    evaluation: Evaluation
    content_sha256: str
    style_sha256: tuple[str, ...]
    pixels_sha256: str
    """Of the output's decoded pixels: two outputs with the same look the same, whatever else their files hold."""
    embeddings: tuple[Tensor, ...] = field(repr=False)
    """Of output, content and style; see :func:`impasto.evaluation.sets.embedding`."""
    looks: tuple[tuple[Tensor, ...], ...] = field(repr=False)
    """Of output and content; see :func:`impasto.evaluation.sets.style_statistics`."""

    @property
    def pair(self) -> tuple[str, tuple[str, ...]]:
        """Which content and styles it was made of."""
        return self.content_sha256, self.style_sha256

    def to_dict(self) -> dict[str, object]:
        """A JSON document."""
        return {
            "name": self.entry.name,
            "output": str(self.entry.output),
            "content": str(self.entry.content),
            "styles": [str(style) for style in self.entry.styles],
            **self.evaluation.to_dict(),
        }


@dataclass(frozen=True)
class Summary:
    """One metric over a set."""

    median: float
    interval: tuple[float, float] | None
    """95 %, by bootstrap over pairs; None with fewer than two pairs."""


@dataclass(frozen=True)
class SetEvaluation:
    """A set of outputs, judged."""

    source: Path
    rows: tuple[Judged, ...]
    problems: tuple[Problem, ...]
    """What could not be judged, with the reason."""
    seed: int
    """Of the bootstrap."""
    distances: Mapping[str, float] = field(default_factory=dict)
    """``fid`` and ``art_fid``, where they were asked for."""

    @property
    def pairs(self) -> int:
        """How many different (content, styles) there are."""
        return len({row.pair for row in self.rows})

    @property
    def shares(self) -> Mapping[Outcome, float]:
        """The share of judged outputs by outcome; 0 each where none was judged."""
        counted = Counter(row.evaluation.verdict.outcome for row in self.rows)
        outcomes: tuple[Outcome, ...] = ("ok", "review", "reject")
        return {outcome: counted[outcome] / max(1, len(self.rows)) for outcome in outcomes}

    @property
    def summary(self) -> dict[str, Summary]:
        """Median over pairs with its interval, by metric."""
        return self._summary([row.evaluation for row in self.rows])

    @property
    def controls(self) -> dict[str, dict[str, Summary]]:
        """The same of each control, where they were computed."""
        names = [name for name in CONTROLS if self.rows and name in self.rows[0].evaluation.controls]
        return {name: self._summary([row.evaluation.controls[name] for row in self.rows]) for name in names}

    @property
    def consistency(self) -> dict[str, StyleConsistency]:
        """How alike the outputs of one style look, by the style's name, where two or more contents share it."""
        found = {}
        for rows in _by_style(self.rows).values():
            if len({row.content_sha256 for row in rows}) >= 2:
                looks = [row.looks for row in rows]
                name = style_name(rows[0].entry)
                if name in found:  # another picture of that name, from another folder
                    name = " + ".join(str(style) for style in rows[0].entry.styles)
                try:
                    found[name] = style_consistency([out for out, _ in looks], [c for _, c in looks])
                except InputError:  # the contents are one picture in several files
                    continue
        return found

    @property
    def kernel_distances(self) -> dict[str, KernelDistance]:
        """KID of the outputs and, beside it, of their untouched contents to the styles; of three or more of each."""
        styles = [rows[0].embeddings[2] for rows in _by_style(self.rows).values()]
        contents = list({row.content_sha256: row.embeddings[1] for row in self.rows}.values())
        if min(len(styles), len(contents)) < 3:
            return {}
        outputs = [row.embeddings[0] for row in self.rows]
        return {
            name: kernel_distance(torch.stack(pictures), torch.stack(styles))
            for name, pictures in (("outputs", outputs), ("contents", contents))
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before the figures."""
        notes = []
        if self.pairs == 1:
            notes.append("One pair has no spread: the medians are its own figures and stand without intervals.")
        elif 1 < self.pairs < MIN_PAIRS:
            notes.append(f"{self.pairs} pairs are few: the intervals are rough, and narrower than they should be.")
        if self.pairs < len(self.rows):
            notes.append(f"{len(self.rows)} outputs are of {self.pairs} pairs: of one pair the mean counts, once.")
        return tuple(notes)

    def to_dict(self) -> dict[str, object]:
        """A JSON document."""
        return {
            "source": str(self.source),
            "judged": len(self.rows),
            "pairs": self.pairs,
            "shares": dict(self.shares),
            "summary": _document(self.summary),
            "controls": {name: _document(summary) for name, summary in self.controls.items()},
            "consistency": {name: asdict(one) for name, one in self.consistency.items()},
            "kernel_distances": {name: asdict(one) for name, one in self.kernel_distances.items()},
            "distances": dict(self.distances),
            "notes": list(self.notes),
            "rows": [row.to_dict() for row in self.rows],
            "problems": [vars(problem) for problem in self.problems],
        }

    def to_csv(self) -> str:
        """One line for each judged output, with every metric."""
        metrics = _metrics(row.evaluation for row in self.rows)
        text = StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["name", "output", "content", "style", "outcome", "reasons", *metrics])
        for row in self.rows:
            entry, found = row.entry, row.evaluation
            styles = ";".join(str(style) for style in entry.styles)
            reasons = "; ".join(found.verdict.reasons)
            values = [found.values.get(metric, "") for metric in metrics]
            writer.writerow([entry.name, entry.output, entry.content, styles, found.verdict.outcome, reasons, *values])
        return text.getvalue()

    def page(self) -> str:
        """The report as one HTML page."""
        summary, known = self.summary, installed_metrics()
        plotted = {name: summary[name] for name in MAIN_METRICS if name in summary}
        order = ("reject", "review", "ok")  # what needs a person comes first
        by_style: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        for row in self.rows:
            values = row.evaluation.values
            by_style[style_name(row.entry)].append((values[STYLE], values[CONTENT], row.entry.name))
        return render(
            "sets.html",
            found=self,
            summary=summary,
            metrics={name: known[name] for name in summary if name in known},
            main=[name for name in MAIN_METRICS if name in summary],
            rows=sorted(self.rows, key=lambda row: order.index(row.evaluation.verdict.outcome)),
            picture=thumbnail,
            trade_off=scatter(by_style, x=STYLE, y=CONTENT, front=True) if self.rows else "",
            spread=intervals(
                {name: (one.interval[0], one.median, one.interval[1]) for name, one in plotted.items() if one.interval},
                x="median and 95 % interval over pairs",
                zero=None,
            ),
        )

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the page.

        Raises:
            OutputError: it cannot be written there.
        """
        return write_page(self.page(), path)

    def _summary(self, evaluations: Sequence[Evaluation]) -> dict[str, Summary]:
        """Medians over pairs of figures of the rows, in their order; of those that have the figure."""
        found = {}
        for metric in _metrics(evaluations):
            by_pair = defaultdict(list)
            for row, evaluation in zip(self.rows, evaluations, strict=True):
                if metric in evaluation.values:
                    by_pair[row.pair].append(evaluation.values[metric])
            values = [fmean(of_pair) for of_pair in by_pair.values()]
            found[metric] = Summary(median(values), interval(values, seed=self.seed))
        return found


def evaluate_set(
    source: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str] | None = None,
    inputs: Sequence[str | os.PathLike[str]] = (),
    metrics: Iterable[str] = (),
    controls: bool = False,
    gates: str | os.PathLike[str] | None = None,
    log: str | os.PathLike[str] | None = None,
    seed: int = 0,
    on_result: Callable[[int, int, Judged | Problem], None] | None = None,
) -> SetEvaluation:
    """Judge every output of a set beside what it was made of, and sum up over pairs.

    Args:
        source: a folder of pictures, or a manifest.
        manifest: what they were made of: a CSV file with the columns ``output,content,style`` and, if wanted, ``name``;
            several styles are separated by semicolons. None: as the recipes inside the pictures say.
        inputs: folders in which contents and styles are looked for by the names and hashes in the recipes.
        metrics: names of metrics beyond the default ones, and of ``fid`` and ``art_fid``, distances of the whole set.
        controls: whether each output's controls are judged beside it; about five times the work.
        gates: a TOML file with other thresholds; None: the packaged ones.
        log: a quality log that gets a row for each output with a recipe.
        seed: of the bootstrap.
        on_result: called after each output with its number from 1, how many there are, and what came of it.

    Returns:
        Every figure with the sums; outputs that could not be judged are in ``problems`` with a sentence.

    Raises:
        InputError: the folder or the manifest cannot be used at all.
        SettingsError: an unknown metric, or gates that cannot be read.
        WeightsError: a metric needs weights that are not there.

    Example:
        >>> found = evaluate_set("out/", inputs=["photos/", "paintings/"])  # doctest: +SKIP
        >>> found.summary["style_gain"].interval  # doctest: +SKIP
    """
    place, wanted = Path(source), tuple(metrics)
    of_sets = tuple(name for name in wanted if name in SET_DISTANCES)
    asked = tuple(name for name in wanted if name not in SET_DISTANCES)
    for name in of_sets:
        find_weights(SET_DISTANCES[name])
    choose_metrics(asked)  # what is wrong with the call is said once, not for every output
    Gates.load(gates)
    entries, problems = entries_of(place, None if manifest is None else Path(manifest), [Path(one) for one in inputs])
    count, rows = len(problems) + len(entries), []
    for number, problem in enumerate(problems, start=1):
        if on_result:
            on_result(number, count, problem)
    for number, entry in enumerate(entries, start=len(problems) + 1):
        result: Judged | Problem
        try:
            result = _judged(entry, gates, asked, log, controls=controls)
            rows.append(result)
        except OutputError:  # the log cannot be written: no fault of this output
            raise
        except InputError as error:
            result = Problem(entry.name, str(error))
            problems.append(result)
        if on_result:
            on_result(number, count, result)
    return SetEvaluation(place, tuple(rows), tuple(problems), seed, _distances(of_sets, rows))


def thumbnail(path: Path, longer_px: int = _THUMBNAIL_PX) -> str | None:
    """A picture for a page; None if it cannot be read any more."""
    try:
        return picture_uri(read(path), longer_px)
    except UnreadableImageError:
        return None


def style_name(entry: Entry) -> str:
    """The names of its styles without their extensions."""
    return " + ".join(style.stem for style in entry.styles)


def pixels_sha256(picture: Picture) -> str:
    """SHA-256 of the decoded pixels in 8 bits and of the size."""
    levels = (picture.pixels.clamp(0, 1) * 255).round().byte()
    return hashlib.sha256(repr(tuple(levels.shape)).encode() + levels.numpy().tobytes()).hexdigest()


def _distances(names: Sequence[str], rows: Sequence[Judged]) -> dict[str, float]:
    """FID and ArtFID of the outputs; each style counts once."""
    if not names:
        return {}
    seen = [
        views(read(row.entry.output), read(row.entry.content), [read(one) for one in row.entry.styles]) for row in rows
    ]
    outputs, contents = [view for view, _, _ in seen], [view for _, view, _ in seen]
    styles = list({row.style_sha256: style for row, (_, _, style) in zip(rows, seen, strict=True)}.values())
    found = {}
    for name in names:
        found[name] = (
            frechet_inception_distance(outputs, styles) if name == "fid" else art_fid(outputs, contents, styles)
        )
    return found


def _judged(
    entry: Entry,
    gates: str | os.PathLike[str] | None,
    metrics: Sequence[str],
    log: str | os.PathLike[str] | None,
    *,
    controls: bool,
) -> Judged:
    """One output, judged, and what the whole set needs of it."""
    output, content, styles = read(entry.output), read(entry.content), [read(style) for style in entry.styles]
    evaluation = judge_made(
        output,
        recipe_in(entry.output),
        content,
        styles,
        gates=gates,
        metrics=metrics,
        controls=CONTROLS if controls else (),
        log=log,
    )
    seen = views(output, content, styles)
    return Judged(
        entry,
        evaluation,
        content_sha256=content.sha256 or "",
        style_sha256=tuple(style.sha256 or "" for style in styles),
        pixels_sha256=pixels_sha256(output),
        embeddings=tuple(embedding(view) for view in seen),
        looks=tuple(style_statistics(view) for view in seen[:2]),
    )


def _by_style(rows: Iterable[Judged]) -> dict[tuple[str, ...], list[Judged]]:
    found = defaultdict(list)
    for row in rows:
        found[row.style_sha256].append(row)
    return found


def _metrics(evaluations: Iterable[Evaluation]) -> list[str]:
    """Every metric that any of them has: ``palette_distance`` is only of outputs with a palette."""
    return list(dict.fromkeys(metric for found in evaluations for metric in found.values))


def _document(summary: Mapping[str, Summary]) -> dict[str, object]:
    return {
        name: {"median": one.median, "interval": list(one.interval) if one.interval else None}
        for name, one in summary.items()
    }
