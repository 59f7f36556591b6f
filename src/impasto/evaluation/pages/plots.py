"""Plots as inline SVG: they scale with the page, and take its colours in light and dark.

matplotlib draws the axes and the marks; legends are HTML beside the plot, so that they wrap on a small screen. Names
come from files, so matplotlib never sees them: it draws tokens, which are replaced by the escaped names afterwards.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from hashlib import sha256
from io import StringIO
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axis import Axis

#: Colours of series, told apart by colour-blind people too; on a light and on a dark ground.
SERIES_LIGHT: Final = ("#a8451f", "#2f6f9f", "#2b8a5f", "#8a5fb0", "#a8801a", "#3a3a3a", "#c2528b")
SERIES_DARK: Final = ("#ee8f5f", "#6fb6e6", "#62c99a", "#c3a1e6", "#e3c25a", "#d8d8d8", "#f08fc0")

#: After so many series the colours come again, dashed, and then dotted.
_DASHES: Final = ("", "7 3", "2 3")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
_INK: Final = "#010203"  # stands for the text's own colour until the SVG is written
_WIDTH_PX, _FONT_PX = 560.0, 14.0
_NAME_LETTERS: Final = 44  # of a row's name: more would run into the figures beside it
_POINTS_PX: Final = 72.0  # of matplotlib's inch: one point is then one unit of the SVG
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 72.0, 14.0, 10.0, 44.0

# How SVG is written matplotlib takes from the process alone, so it is set for a moment, by one plot at a time.
_LOCK: Final = Lock()

_SCRAP: Final = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    log_y: bool = False,
    breaks: Sequence[float] = (),
    names: Sequence[str] = (),
) -> Markup:
    """Lines over a common axis, such as losses over steps.

    Args:
        series: points ``(x, y)`` by name; what cannot be drawn (not finite, or not above 0 where ``log_y``) is left
            out.
        x: what the horizontal axis shows, with its unit.
        y: what the vertical axis shows.
        log_y: whether the vertical axis is logarithmic.
        breaks: ascending places on the horizontal axis where something begins anew: the lines are interrupted there,
            and a thin one stands across.
        names: of what begins at each break, written beside it.

    Returns:
        Legend and plot as HTML, to be put into a page as it is.
    """
    plot = _Plot(300.0, x, y, (series, breaks, names, log_y))
    drawn = {name: [(a, b) for a, b in points if _shows(a) and _shows(b, log_y)] for name, points in series.items()}
    if log_y:
        plot.axes.set_yscale("log")
    for place in breaks:
        plot.axes.axvline(place, color=_INK, alpha=0.25, linewidth=1)
    for place, name in zip(breaks, names, strict=False):
        plot.axes.annotate(
            plot.token(name),
            (place, 1),
            (4, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            color=_INK,
            alpha=0.7,
            fontsize=_FONT_PX - 2,
        )
    for index, points in enumerate(drawn.values()):
        for _, part in groupby(points, key=lambda point: bisect_right(breaks, point[0])):
            xs, ys = zip(*part, strict=True)
            single = "o" if len(xs) == 1 else None
            plot.axes.plot(xs, ys, color=_color(index), linewidth=2, linestyle=_linestyle(index), marker=single)
    plot.tick(plot.axes.xaxis, whole=all(float(a).is_integer() for points in drawn.values() for a, _ in points))
    plot.tick(plot.axes.yaxis, log=log_y)
    legend = [(name, _line_key(index)) for index, name in enumerate(drawn)]
    return plot.html(legend, empty=not any(drawn.values()))


def scatter(
    groups: Mapping[str, Sequence[tuple[float, float, str]]],
    *,
    x: str,
    y: str,
    front: bool = False,
) -> Markup:
    """Points of several groups, told apart by colour and shape; each says its name under the pointer.

    Args:
        groups: points ``(x, y, label)`` by the group's name; what is not finite is left out.
        x: what the horizontal axis shows.
        y: what the vertical axis shows.
        front: whether to join the points that no other beats on both axes, higher being better on both.

    Returns:
        Legend and plot as HTML, to be put into a page as it is.
    """
    plot = _Plot(400.0, x, y, (groups, front))
    drawn = {name: [p for p in points if _shows(p[0]) and _shows(p[1])] for name, points in groups.items()}
    everything = [(a, b) for points in drawn.values() for a, b, _ in points]
    if front and everything:
        best = pareto_front(everything)
        plot.axes.plot(
            [a for a, _ in best], [b for _, b in best], color=_INK, alpha=0.45, linewidth=1.2, drawstyle="steps-pre"
        )
    for index, points in enumerate(drawn.values()):
        for a, b, label in points:
            (mark,) = plot.axes.plot(
                [a], [b], linestyle="", marker=_marker(index), markersize=8, color=_color(index), alpha=0.85
            )
            mark.set_gid(plot.titled(label))
    plot.tick(plot.axes.xaxis)
    plot.tick(plot.axes.yaxis)
    plot.axes.margins(0.06)
    legend = [(name, _point_key(index)) for index, name in enumerate(drawn)]
    return plot.html(legend, empty=not everything)


def intervals(rows: Mapping[str, tuple[float, float, float]], *, x: str, zero: float | None = 0.0) -> Markup:
    """One line for each row from its low to its high end, with a point in the middle and the figures beside its name.

    Args:
        rows: ``(low, middle, high)`` by name, drawn from top to bottom; what is not finite is left out.
        x: what the axis shows.
        zero: where a line is drawn that means "no difference"; None for none.

    Returns:
        The plot as HTML, to be put into a page as it is.
    """
    drawn = {name: row for name, row in rows.items() if all(_shows(value) for value in row)}
    plot = _Plot(56.0 + 46.0 * max(1, len(drawn)), x, "", (rows, zero))
    plot.figure.subplots_adjust(left=_RIGHT_PX / _WIDTH_PX)
    axes = plot.axes
    for index, (name, (low, middle, high)) in enumerate(drawn.items()):
        clear = zero is not None and not low <= zero <= high
        axes.plot([low, high], [-index, -index], color=_color(0), linewidth=3, alpha=1 if clear else 0.55)
        axes.plot([middle], [-index], color=_color(0), marker="o", markersize=8)
        # Above its line, from the left rim: a name then has the room of the whole row.
        shown = name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"
        figures = f"{middle:.3g}  [{low:.3g}, {high:.3g}]".replace("-", "−")
        for text, at, side in ((shown, 0, "left"), (figures, 1, "right")):
            axes.annotate(
                plot.token(text),
                (at, -index),
                (0, 9),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha=side,
                color=_INK,
                fontsize=_FONT_PX,
            )
    if zero is not None:
        axes.axvline(zero, color=_INK, alpha=0.5, linewidth=1)
    axes.set_ylim(-len(drawn) + 0.5, 0.75)
    axes.yaxis.set_major_locator(NullLocator())
    axes.spines["left"].set_visible(False)
    plot.tick(axes.xaxis)
    return plot.html([], empty=not drawn)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats on one axis without losing on the other, from left to right.

    Example:
        >>> pareto_front([(0, 3), (1, 1), (2, 2), (2, 1)])
        [(0, 3), (2, 2)]
    """
    best: list[tuple[float, float]] = []
    for point in sorted(set(points), reverse=True):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best[::-1]


class _Plot:
    """Axes in the page's colours, and the way from matplotlib's SVG to HTML."""

    def __init__(self, height_px: float, x: str, y: str, facts: object) -> None:
        # Its own salt for each plot: two on one page then share no ids.
        self._salt = sha256(repr((x, y, facts)).encode("utf-8", "replace")).hexdigest()[:12]
        self._names: list[str] = []
        self._titles: list[str] = []
        self._label = f"{y} over {x}" if y else x
        self.figure = Figure(figsize=(_WIDTH_PX / _POINTS_PX, height_px / _POINTS_PX), dpi=_POINTS_PX)
        self.figure.patch.set_alpha(0)
        FigureCanvasSVG(self.figure)
        self.axes = self.figure.add_subplot()
        self.figure.subplots_adjust(
            left=_LEFT_PX / _WIDTH_PX,
            right=1 - _RIGHT_PX / _WIDTH_PX,
            top=1 - _TOP_PX / height_px,
            bottom=_BOTTOM_PX / height_px,
        )
        self.axes.patch.set_alpha(0)
        self.axes.set_xlabel(self.token(x), color=_INK, fontsize=_FONT_PX)
        self.axes.set_ylabel(self.token(y) if y else "", color=_INK, fontsize=_FONT_PX)
        self.axes.tick_params(which="both", color=_INK, labelcolor=_INK, labelsize=_FONT_PX - 1, length=4)
        for side, spine in self.axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_INK)
            spine.set_alpha(0.4)
        self.axes.grid(visible=True, color=_INK, alpha=0.1, linewidth=1)
        self.axes.set_axisbelow(True)

    def token(self, name: str) -> str:
        """What matplotlib draws in place of a name."""
        self._names.append(name)
        return f"@{len(self._names) - 1}@"

    def titled(self, title: str) -> str:
        """The id of a mark that gets a title, shown under the pointer."""
        self._titles.append(self.token(title))  # a token, so that it stays as it is while the SVG is worked on
        return f"mark-{len(self._titles) - 1}-"

    def tick(self, axis: Axis, *, log: bool = False, whole: bool = False) -> None:
        """Few ticks with plain figures: matplotlib's own would be formulas."""
        if log:
            axis.set_major_locator(_log_ticks(*axis.get_view_interval()))
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_major_locator(MaxNLocator(6, integer=whole))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}".replace("-", "−")))

    def html(self, legend: Sequence[tuple[str, Markup]], *, empty: bool) -> Markup:
        """Legend and SVG."""
        if empty:
            return Markup('<p class="plot-empty">There are no figures to draw.</p>')
        items = Markup("").join(Markup("<li>{}{}</li>").format(key, name) for name, key in legend)
        keys = Markup('<ul class="legend">{}</ul>').format(items) if len(legend) > 1 else Markup("")
        return Markup('<div class="plot">{}{}</div>').format(keys, self._svg())

    def _svg(self) -> Markup:
        buffer = StringIO()
        with _LOCK, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": self._salt}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        svg = _SCRAP.sub("", buffer.getvalue())
        used = set(re.findall(r"#([\w-]+)", svg))
        svg = re.sub(r'<g id="mark-(\d+)-">', lambda found: f"<g><title>{self._titles[int(found[1])]}</title>", svg)
        svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
        svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", svg)
        svg = svg.replace(_INK, "currentColor")
        for index, color in enumerate(SERIES_LIGHT):
            svg = svg.replace(color, f"var(--series-{index + 1}, {color})")
        svg = re.sub(r"@(\d+)@", lambda found: str(escape(self._names[int(found[1])])), svg)
        svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg role="img" {self._aria()} \1>', svg, count=1)
        return Markup(svg.strip())  # noqa: S704 — matplotlib's marks, and names escaped just above

    def _aria(self) -> str:
        return f'aria-label="{escape(self._label)}"'.replace("\\", "&#92;")


def _log_ticks(low: float, high: float) -> LogLocator | FixedLocator:
    """Powers of ten, or steps of 1, 2 and 5 between them where fewer than three would show."""
    low, high = sorted((low, high))
    if low <= 0 or math.log10(high / low) >= 2.5:
        return LogLocator(numticks=7)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    finest = (1, 1.5, 2, 3, 4, 5, 6, 7, 8) if high / low < 3 else (1, 2, 5)
    steps = [digit * 10.0**power for power in range(first, last + 1) for digit in finest]
    return FixedLocator([step for step in steps if low <= step <= high])


def _shows(value: float, positive: bool = False) -> bool:
    return math.isfinite(value) and (value > 0 or not positive)


def _color(index: int) -> str:
    return SERIES_LIGHT[index % len(SERIES_LIGHT)]


def _dash(index: int) -> str:
    return _DASHES[index // len(SERIES_LIGHT) % len(_DASHES)]


def _linestyle(index: int) -> str | tuple[int, tuple[float, ...]]:
    dash = _dash(index)
    return (0, tuple(float(part) / 2 for part in dash.split())) if dash else "-"


def _marker(index: int) -> str:
    # From the second round of colours on, the markers are shifted: twelve styles are twelve different signs.
    return _MARKERS[(index + index // len(SERIES_LIGHT)) % len(_MARKERS)]


#: Shapes of the legend's keys in a box of 12 px, in the order of the markers.
_KEYS: Final = (
    "M6 2a4 4 0 1 0 0.01 0z", "M2 2h8v8h-8z", "M6 2l4 8h-8z", "M6 1l5 5-5 5-5-5z", "M6 10l4-8h-8z",
    "M4.5 1h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z", "M3 1l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3z",
)  # fmt: skip


def _line_key(index: int) -> Markup:
    return Markup(
        '<svg viewBox="0 0 24 12" width="24" height="12" aria-hidden="true"><path d="M1 6h22" fill="none" '
        'stroke="var(--series-{}, {})" stroke-width="3" stroke-dasharray="{}"/></svg>'
    ).format(index % len(SERIES_LIGHT) + 1, _color(index), _dash(index))


def _point_key(index: int) -> Markup:
    return Markup(
        '<svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="{}" '
        'fill="var(--series-{}, {})"/></svg>'
    ).format(_KEYS[(index + index // len(SERIES_LIGHT)) % len(_KEYS)], index % len(SERIES_LIGHT) + 1, _color(index))
