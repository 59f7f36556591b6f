"""The loss of a run in words and lines: what the method did, from the trace inside a recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from impasto.evaluation.pages.plots import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markupsafe import Markup

    from impasto.recipe import Recipe, ScaleTrace

#: What the first word of a term's name says, for people.
_KINDS: Final = {
    "content": "content: how far from the photo's shapes",
    "style": "style: how far from the style's look",
    "tv": "smoothness: how speckled it is",
}
#: What VGG-19's blocks see.
_BLOCKS: Final = {
    "1": "colour and grain",
    "2": "fine strokes",
    "3": "strokes",
    "4": "motifs",
    "5": "large forms",
}


@dataclass(frozen=True)
class Term:
    """A part of the loss at the end of a run."""

    name: str
    meaning: str
    loss: float
    share: float
    """Of the whole loss, 0 to 1."""


def loss_plot(recipe: Recipe) -> Markup | None:
    """The loss over all steps: the whole, and what content, style and smoothness have in it; None without a trace."""
    return _plot(recipe, _kind, whole=True)


def style_plot(recipe: Recipe) -> Markup | None:
    """The style's part of the loss by layer, from grain to large forms; None without a trace or without layers."""
    return _plot(recipe, _layer, whole=False)


def terms(recipe: Recipe) -> list[Term]:
    """How each part of the loss ended, the largest first."""
    whole = sum(abs(loss) for loss in recipe.terms.values()) or 1.0
    found = [Term(name, _meaning(name), loss, abs(loss) / whole) for name, loss in recipe.terms.items()]
    return sorted(found, key=lambda term: -term.share)


def _plot(recipe: Recipe, group: Callable[[str], str | None], *, whole: bool) -> Markup | None:
    """Sums of terms over the steps of all scales, one line for each group."""
    trace = [scale for scale in recipe.trace if scale.steps]
    starts = [0, *accumulate(scale.steps[-1] for scale in trace)]
    series: dict[str, list[tuple[float, float]]] = {"the whole loss": []} if whole else {}
    for name in sorted({shown for scale in trace for term in scale.terms if (shown := group(term))}):
        series[name] = []
    for start, scale in zip(starts, trace, strict=False):
        for index, step in enumerate(scale.steps):
            for name, loss in _sums(scale, index, group, whole=whole).items():
                series[name].append((start + step, loss))
    if not any(series.values()):
        return None
    return lines(
        series,
        x="step",
        y="loss, weighted",
        log_y=True,
        breaks=[start + 0.5 for start in starts[:-1]],
        names=[f"{scale.scale_px} px" for scale in trace] if _have_room(trace) else (),
    )


def _sums(scale: ScaleTrace, index: int, group: Callable[[str], str | None], *, whole: bool) -> Mapping[str, float]:
    sums: dict[str, float] = {"the whole loss": sum(losses[index] for losses in scale.terms.values())} if whole else {}
    for term, losses in scale.terms.items():
        if name := group(term):
            sums[name] = sums.get(name, 0.0) + losses[index]
    return sums


def _have_room(trace: Sequence[ScaleTrace]) -> bool:
    """Whether every scale is wide enough in the plot for its name."""
    steps = [scale.steps[-1] for scale in trace]
    return min(steps) >= 0.09 * sum(steps)


def _kind(term: str) -> str:
    word = term.split(" ")[0]
    return _KINDS.get(word, word)


def _layer(term: str) -> str | None:
    """Of a style's term its layer, with what that sees; None for others."""
    if not term.startswith("style ") or not (found := re.search(r"\b(relu|conv)([1-5])_\d\b", term)):
        return None
    return f"{found[0]}: {_BLOCKS[found[2]]}"


def _meaning(term: str) -> str:
    """What a term holds, in a few words."""
    return {"content": "the photo's shapes", "tv": "smoothness"}.get(term.split(" ")[0], "") or (
        f"the style's {layer.split(': ')[1]}" if (layer := _layer(term)) else ""
    )
