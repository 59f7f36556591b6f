"""The judge: every figure of an output, what the gates say of them, and the controls beside it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import torch

from impasto.errors import InputError, SettingsError
from impasto.evaluation.controls import CONTROLS
from impasto.evaluation.gates import Gates, Verdict
from impasto.evaluation.metric import Metric, choose_metrics
from impasto.evaluation.swatches import palette_adherence
from impasto.evaluation.view import View, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from impasto.evaluation.swatches import PaletteAdherence, Swatch
    from impasto.images import Picture


@dataclass(frozen=True)
class Evaluation:
    """What was found of one output."""

    values: Mapping[str, float]
    """By metric; see :class:`impasto.evaluation.metric.Metric` for what each says."""
    verdict: Verdict
    controls: Mapping[str, Evaluation] = field(default_factory=dict)
    """The same of outputs that are known to be bad, by name; empty unless asked for."""
    palette: PaletteAdherence | None = None
    """How near the colours are to the swatches that were given, and which of them are used."""

    def to_dict(self) -> dict[str, object]:
        """A JSON document."""
        document: dict[str, object] = {
            "outcome": self.verdict.outcome,
            "reasons": list(self.verdict.reasons),
            "values": dict(self.values),
        }
        if self.palette:
            document["palette"] = asdict(self.palette)
        if self.controls:
            document["controls"] = {name: found.to_dict() for name, found in self.controls.items()}
        return document


def judge(
    output: Picture,
    content: Picture,
    styles: Sequence[Picture],
    *,
    gates: Gates | None = None,
    metrics: Iterable[str] = (),
    controls: Iterable[str] = (),
    gray: bool = False,
    swatches: Sequence[Swatch] = (),
) -> Evaluation:
    """Judge one output beside its content and style.

    Args:
        output: the picture as it was saved; rounded to 8 bits.
        content: what it was made from, of the same aspect ratio.
        styles: the pictures whose style it shall have.
        gates: the thresholds; None: the packaged ones.
        metrics: names of metrics beyond the default ones.
        controls: names of :data:`~impasto.evaluation.controls.CONTROLS` to compute beside it.
        gray: whether style is judged without colours, for outputs that keep the content's.
        swatches: the palette that the output's colours shall keep to; adds ``palette_distance``.

    Raises:
        InputError: aspect ratios differ, a picture holds numbers that are not finite, or there is no style.
        ImageTooSmallError: a picture is smaller than 32 px.
        SettingsError: an unknown metric or control.
        WeightsError: a metric needs weights that are not there.
    """
    chosen = choose_metrics([*metrics, "palette_distance"] if swatches else metrics)
    wanted = list(controls)
    for name in wanted:
        if name not in CONTROLS:
            raise SettingsError(f"no control named {name!r}; there are {', '.join(CONTROLS)}")
    for picture in (output, content, *styles):
        if not bool(torch.isfinite(picture.pixels).all()):
            raise InputError(f"{picture.name or 'a picture'} holds numbers that are not finite; make it again")
    rules = gates or Gates.load()
    trio = views(output, content, styles, gray=gray, swatches=swatches)
    with torch.inference_mode():
        beside = {name: judge_views(*CONTROLS[name](trio), chosen) for name in wanted}
    values = judge_views(*trio, chosen)
    return Evaluation(
        values,
        rules.judge(values),
        {name: Evaluation(found, rules.judge(found)) for name, found in beside.items()},
        palette_adherence(trio[0], swatches) if swatches else None,
    )


def judge_views(output: View, content: View, style: View, metrics: Iterable[Metric] | None = None) -> dict[str, float]:
    """The figures alone, of views that are at hand."""
    with torch.inference_mode():
        chosen = choose_metrics() if metrics is None else metrics
        return {metric.name: _finite(metric, metric.function(output, content, style)) for metric in chosen}


def _finite(metric: Metric, value: float) -> float:
    if not math.isfinite(value):
        raise InputError(f"metric {metric.name} gives {value} here; it has nothing to measure in these pictures")
    return value
