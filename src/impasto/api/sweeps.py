"""One or two settings varied and everything else fixed: a picture for each combination, judged as it was saved.

A sweep can be ended and called again: pictures that are there already are kept if their recipes say that they were made
from the same pictures with the same settings.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from importlib.metadata import version
from io import StringIO
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

from impasto.api.combinations import combinations_of, is_number, plain, word
from impasto.api.evaluate import evaluate, recipe_in
from impasto.api.sets import CONTENT, MAIN_METRICS, STYLE, thumbnail
from impasto.api.styles import pictures_of
from impasto.api.stylize import stylize
from impasto.engines.registry import load_engine
from impasto.errors import ImpastoError, InputError, OutputError, SettingsError
from impasto.evaluation.gates import Gates
from impasto.evaluation.metric import installed_metrics
from impasto.evaluation.pages import picture_uri, render, write_page
from impasto.evaluation.pages.plots import lines, scatter
from impasto.evaluation.statistics import spearman
from impasto.hashes import file_sha256
from impasto.images import Picture, read
from impasto.settings import STARTS, OptimizeSettings
from impasto.whole import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from impasto.api.styles import ImageLike
    from impasto.evaluation.judge import Evaluation
    from impasto.progress import CancelToken, OnProgress

#: The table and the page that a sweep leaves beside its pictures.
TABLE, PAGE = "sweep.csv", "sweep.html"

#: The one engine whose settings are known here, so that they can be checked before the first run.
OPTIMIZE: Final = "optimize"


@dataclass(frozen=True)
class Cell:
    """One combination and what came of it."""

    values: Mapping[str, Any]
    """The varied settings, as JSON has them."""
    label: str
    """The same as words: ``strength=0.5``; the picture's name without its extension."""
    output: Path | None = None
    evaluation: Evaluation | None = None
    problem: str | None = None
    """Why there is no picture, or why it could not be judged."""
    seconds: float | None = None
    """The run's; None where the picture was there already."""

    def to_dict(self) -> dict[str, object]:
        """A JSON document."""
        return {
            "settings": dict(self.values),
            "output": None if self.output is None else str(self.output),
            "seconds": self.seconds,
            "problem": self.problem,
            **(self.evaluation.to_dict() if self.evaluation else {}),
        }


@dataclass(frozen=True)
class Trend:
    """Whether a metric rises with a setting."""

    metric: str
    setting: str
    at: str
    """The other setting's value in words, or nothing."""
    points: tuple[tuple[float, float], ...]
    """Setting and metric."""
    spearman: float | None
    """−1 always falls … 1 always rises; None where it is undefined (fewer than three points, or all alike)."""


@dataclass(frozen=True)
class Sweep:
    """Every combination of a sweep, in order: the last setting changes fastest."""

    content: Picture
    styles: tuple[Picture, ...]
    vary: Mapping[str, tuple[Any, ...]]
    """The varied settings with their values, as JSON has them."""
    settings: Mapping[str, Any]
    """Those that were given and stayed fixed, as JSON has them."""
    folder: Path
    cells: tuple[Cell, ...]

    @property
    def trends(self) -> tuple[Trend, ...]:
        """Each metric over the first setting whose values are numbers, once for every value of the other."""
        setting = next((name for name, values in self.vary.items() if all(map(is_number, values))), None)
        judged = [(cell, cell.evaluation) for cell in self.cells if cell.evaluation]
        if setting is None or not judged:
            return ()
        found = []
        for metric in judged[0][1].values:
            curves: dict[str, list[tuple[float, float]]] = {}
            for cell, evaluation in judged:
                others = [f"{name}={word(value)}" for name, value in cell.values.items() if name != setting]
                point = (float(cell.values[setting]), evaluation.values[metric])
                curves.setdefault(",".join(others), []).append(point)
            for at, points in curves.items():
                x, y = zip(*sorted(points), strict=True)
                found.append(Trend(metric, setting, at, tuple(sorted(points)), spearman(x, y)))
        return tuple(found)

    def to_dict(self) -> dict[str, object]:
        """A JSON document."""
        return {
            "content": self.content.name,
            "styles": [style.name for style in self.styles],
            "folder": str(self.folder),
            "vary": {name: list(values) for name, values in self.vary.items()},
            "settings": dict(self.settings),
            "cells": [cell.to_dict() for cell in self.cells],
            "spearman": [
                {"metric": trend.metric, "setting": trend.setting, "at": trend.at, "value": trend.spearman}
                for trend in self.trends
            ],
        }

    def to_csv(self) -> str:
        """One line for each combination, with every metric."""
        metrics = list(next((cell.evaluation.values for cell in self.cells if cell.evaluation), ()))
        text = StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([*self.vary, "output", "outcome", "reasons", "problem", "seconds", *metrics])
        for cell in self.cells:
            verdict = cell.evaluation.verdict if cell.evaluation else None
            values = cell.evaluation.values if cell.evaluation else {}
            writer.writerow(
                [
                    *(word(cell.values[name]) for name in self.vary),
                    *(cell.output.name if cell.output else "", verdict.outcome if verdict else ""),
                    *("; ".join(verdict.reasons) if verdict else "", cell.problem or "", cell.seconds or ""),
                    *(values.get(metric, "") for metric in metrics),
                ]
            )
        return text.getvalue()

    def page(self) -> str:
        """Contact sheet, table and curves as one HTML page."""
        plots: dict[str, Any] = {}
        for metric in MAIN_METRICS:
            trends = [trend for trend in self.trends if trend.metric == metric]
            if trends:
                series = {trend.at or metric: trend.points for trend in trends}
                plots[metric] = (trends, lines(series, x=trends[0].setting, y=metric))
        judged = [(cell.label, cell.evaluation.values) for cell in self.cells if cell.evaluation]
        points = {"": [(values[STYLE], values[CONTENT], label) for label, values in judged]}
        names, values = list(self.vary), list(self.vary.values())
        return render(
            "sweep.html",
            found=self,
            inputs=[(one.name, picture_uri(one, 320)) for one in (self.content, *self.styles)],
            rows=[word(value) for value in values[0]],
            columns=[word(value) for value in values[1]] if len(names) > 1 else None,
            names=names,
            word=word,
            main=MAIN_METRICS,
            metrics=installed_metrics(),
            picture=thumbnail,
            plots=plots,
            trade_off=scatter(points, x=STYLE, y=CONTENT, front=True),
        )


def sweep(
    content: ImageLike,
    style: ImageLike | Sequence[ImageLike],
    *,
    vary: Mapping[str, Sequence[Any]],
    output: str | os.PathLike[str],
    engine: str = "optimize",
    gates: str | os.PathLike[str] | None = None,
    on_start: Callable[[int, int, str], None] | None = None,
    on_cell: Callable[[int, int, Cell], None] | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    **settings: Any,
) -> Sweep:
    """A picture for every combination of one or two settings, everything else being equal.

    Args:
        content: as for :func:`stylize`.
        style: as for :func:`stylize`.
        vary: one or two settings with the values that each shall have.
        output: a folder, made if there is none, for the pictures (``strength=0.5.png``), ``sweep.csv`` and
            ``sweep.html``. A picture in it is kept if it was made by this version of impasto from the same pictures
            with the same settings; another one of that name is replaced.
        engine: name of the engine.
        gates: a TOML file with other thresholds; None: the packaged ones.
        on_start: called before each combination with its number from 1, how many there are, and its label.
        on_cell: called after each with what came of it.
        on_progress: called after every step of every run.
        cancel: a :class:`CancelToken` to cancel the sweep; finished pictures stay.
        **settings: settings of the engine that stay fixed.

    Returns:
        Every combination; one that failed has its reason in ``problem``.

    Raises:
        SettingsError: a setting or a value is one that no combination could be run with; nothing was run.
        InputError: a picture cannot be read; every combination failed, and this is the first one's reason.
        OutputError: the folder cannot be written.
        EngineError: every combination failed, and this is the first one's reason.
        Cancelled: ``cancel`` was cancelled.

    Example:
        >>> impasto.sweep("photo.jpg", "painting.jpg", vary={"strength": [0, 0.5, 1]}, output="s")  # doctest: +SKIP
    """
    load_engine(engine)
    if engine != OPTIMIZE:
        raise SettingsError(f"sweep knows the settings of engine {OPTIMIZE}, not those of {engine}; use {OPTIMIZE}")
    shown, styles = read(content), tuple(read(one) for one in pictures_of(style))
    init = settings.get("init")
    if init is not None and not (isinstance(init, str) and init in STARTS):
        settings = {**settings, "init": read(init)}
    combinations = combinations_of(vary, settings)
    Gates.load(gates)
    folder = _made_folder(Path(output))
    cells: list[Cell] = []
    errors: list[ImpastoError] = []
    for number, combination in enumerate(combinations, start=1):
        if on_start:
            on_start(number, len(combinations), combination.label)
        if cancel:
            cancel.check()
        cell = Cell(combination.values, combination.label)
        target = folder / f"{combination.label}.png"
        try:
            settled = combination.settled()
            if not _is_made(target, shown, styles, settled, combination.options.get("init")):
                _refuse_inputs(target, (shown, *styles))
                made = stylize(shown, styles, on_progress=on_progress, cancel=cancel, **combination.options)
                if cancel:
                    cancel.check()  # an interruption during the last step
                made.save(target)
                cell = replace(cell, seconds=made.timings["total"])
            cell = replace(cell, output=target)
            cell = replace(cell, evaluation=evaluate(target, content=shown, style=styles, gates=gates))
        except OutputError:
            raise  # the next picture could not be written either
        except ImpastoError as error:
            errors.append(error)
            cell = replace(cell, problem=str(error))
        cells.append(cell)
        if on_cell:
            on_cell(number, len(combinations), cell)
    if not any(cell.output for cell in cells):
        raise errors[0]
    varied = {name: tuple({word(c.values[name]): c.values[name] for c in combinations}.values()) for name in vary}
    fixed = {name: plain(value) for name, value in settings.items()}
    found = Sweep(shown, styles, varied, fixed, folder, tuple(cells))
    write_whole(folder / TABLE, found.to_csv().encode())
    write_page(found.page(), folder / PAGE)
    return found


def _is_made(target: Path, content: Picture, styles: Sequence[Picture], settings: OptimizeSettings, init: Any) -> bool:
    """Whether the picture is there, made by this version from these pictures with these settings."""
    try:
        recipe = recipe_in(target) if target.exists() else None
    except InputError:
        recipe = None
    if recipe is None or recipe.regions or recipe.engine != OPTIMIZE:
        return False
    first = None if init is None or (isinstance(init, str) and init in STARTS) else read(init).sha256
    wanted = settings.model_dump(mode="json") | ({"init": "file"} if first else {})
    if settings.vgg_weights:  # a recipe holds no folders
        wanted["vgg_weights"] = PureWindowsPath(settings.vgg_weights).name
    if settings.memory == "auto":  # then it is decided by the memory that was free
        wanted["memory"] = recipe.settings.get("memory")
    return (
        recipe.settings == wanted
        and recipe.content.sha256 == content.sha256
        and [style.sha256 for style in recipe.styles] == [style.sha256 for style in styles]
        and (recipe.init.sha256 if recipe.init else None) == first
        and recipe.environment.impasto == version("impasto")
    )


def _refuse_inputs(target: Path, inputs: Sequence[Picture]) -> None:
    """Refuse to replace a picture that goes in.

    Raises:
        OutputError: the target's content is an input's.
    """
    if target.exists() and file_sha256(target) in {one.sha256 for one in inputs}:
        raise OutputError(f"{str(target)!r} is also an input; give another folder for the sweep")


def _made_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot make the folder {str(folder)!r}: {reason}; give another one") from None
    return folder
