"""One output judged: its pictures found, its figures taken, the gates' verdict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from impasto.api.styles import pictures_of, reference_folders, thresholds_of
from impasto.engines.base import Stylization
from impasto.errors import InputError, SettingsError
from impasto.evaluation.controls import CONTROLS
from impasto.evaluation.gates import Colors, Gates, colors_of
from impasto.evaluation.judge import Evaluation, judge
from impasto.evaluation.quality_log import QualityLog, QualityRow
from impasto.images import read, read_metadata
from impasto.inputs import find_sources
from impasto.palette import parse_palette
from impasto.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from impasto.api.styles import ImageLike
    from impasto.evaluation.swatches import Swatch
    from impasto.images import Picture


def evaluate(
    output: ImageLike | Stylization,
    *,
    content: ImageLike | None = None,
    style: ImageLike | Sequence[ImageLike] | None = None,
    gates: str | os.PathLike[str] | None = None,
    metrics: Iterable[str] = (),
    controls: bool | Iterable[str] = False,
    colors: Colors | None = None,
    palette: str | Sequence[str] | None = None,
    log: str | os.PathLike[str] | None = None,
) -> Evaluation:
    """Judge one output: figures, and what the gates say of them.

    Args:
        output: a picture of any kind that :func:`stylize` takes, or what it returned. It is judged as saved, in 8 bits.
        content: what it was made from; None: as the recipe inside the file names it, looked for beside the file and
            in the working directory.
        style: one picture or several; None: as the recipe names them, those of regions too. A style of the library that
            stands alone brings its own thresholds of the gates, which win.
        gates: a TOML file that changes thresholds of the packaged gates.
        metrics: names of metrics beyond the default ones.
        controls: whether to judge outputs that are known to be bad beside it; or the names of some.
        colors: whose colours the output shall have: ``style``, ``content`` or ``palette``; None: as the recipe says,
            otherwise ``style``. With the other two, style is judged without colours.
        palette: brand colours that the output shall keep to, such as ``"#1d3557,#e63946"``; None: those that the recipe
            asks for with ``color=palette``, if any.
        log: a quality log (SQLite) that gets a row; the output needs its recipe for that.

    Returns:
        Figures by metric, verdict with reasons, and the same for each control.

    Raises:
        InputError: content or style is not given and not found; the aspect ratios differ.
        UnreadableImageError: a picture cannot be read.
        SettingsError: an unknown metric, control or ``colors``, or gates that are none.
        WeightsError: a metric needs weights that are not there.

    Example:
        >>> import impasto
        >>> impasto.evaluate("out.png", content="photo.jpg", style="painting.jpg").verdict.outcome  # doctest: +SKIP
        'ok'
    """
    if colors is not None and colors not in get_args(Colors):
        raise SettingsError(f"colors={colors!r} cannot be used; use {', '.join(get_args(Colors))}, or leave it out")
    if isinstance(output, Stylization):
        recipe: Recipe | None = output.recipe
        picture = output.picture
    else:
        recipe, picture = recipe_in(output), read(output)
    seen, styles = _inputs(output, recipe, content, style)
    if log is not None and recipe is None:
        raise InputError(
            "a row of the quality log says how the output was made, but there is no recipe in it; drop log"
        )
    return judge_made(
        picture,
        recipe,
        read(seen),
        [read(one) for one in styles],
        gates=gates,
        metrics=metrics,
        controls=(CONTROLS if controls else ()) if isinstance(controls, bool) else controls,
        colors=colors,
        palette=palette,
        log=log,
        thresholds=None if style is None else thresholds_of(style),
    )


def judge_made(
    output: Picture,
    recipe: Recipe | None,
    content: Picture,
    styles: Sequence[Picture],
    *,
    gates: str | os.PathLike[str] | None = None,
    metrics: Iterable[str] = (),
    controls: Iterable[str] = (),
    colors: Colors | None = None,
    palette: str | Sequence[str] | None = None,
    log: str | os.PathLike[str] | None = None,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> Evaluation:
    """Judge pictures that are read already, by the gates that fit how the output was made; see :func:`evaluate`.

    The log gets a row only if there is a recipe. Thresholds are of a style or a brand, by metric.
    """
    whose = colors or (colors_of(recipe.settings) if recipe else "style")
    found = judge(
        output,
        content,
        styles,
        gates=Gates.load(gates, engine=recipe.engine if recipe else None, colors=whose, thresholds=thresholds),
        metrics=metrics,
        controls=controls,
        gray=whose != "style",
        swatches=swatches_of(recipe) if palette is None else parse_palette(palette),
    )
    if log is not None and recipe:
        with QualityLog(log) as rows:
            rows.append(
                QualityRow.of(recipe, output.sha256 or "", found.values, found.verdict.outcome, found.verdict.reasons)
            )
    return found


def swatches_of(recipe: Recipe | None) -> Sequence[Swatch]:
    """The palette that the recipe's colours were brought to; none if they were not.

    Raises:
        InputError: the recipe says that there is one, and it is none.
    """
    if recipe is None or recipe.settings.get("color") != "palette":
        return ()
    found: Any = recipe.settings.get("palette")
    try:
        return [(float(red), float(green), float(blue)) for red, green, blue in found]
    except (TypeError, ValueError):  # a file may hold anything in its place
        raise InputError(
            f"the recipe inside the file has the palette {found!r}, which is none; it was changed, give the picture as "
            "it was written"
        ) from None


def recipe_in(output: ImageLike) -> Recipe | None:
    """The recipe inside a file; None if it has none, or is no file.

    Raises:
        InputError: there is one that cannot be read.
    """
    if not isinstance(output, (str, os.PathLike)):
        return None
    text = read_metadata(output)
    return None if text is None else Recipe.from_json(text)


def _inputs(
    output: ImageLike | Stylization,
    recipe: Recipe | None,
    content: ImageLike | None,
    style: ImageLike | Sequence[ImageLike] | None,
) -> tuple[ImageLike, Sequence[ImageLike]]:
    """Content and styles: those given, the others as the recipe names them.

    Raises:
        InputError: they are neither given nor to be found.
    """
    styles: list[ImageLike] | None = None if style is None else pictures_of(style)
    if recipe is None and (content is None or styles is None):
        missing = "content" if content is None else "style"
        raise InputError(f"no {missing} was given, and there is no recipe in the output that names it; give it")
    folder = Path(output).parent if isinstance(output, (str, os.PathLike)) else Path()
    if content is None and recipe:
        content = find_sources([recipe.content], "--content", (), (folder, Path()))[0]
    if styles is None and recipe:
        places = (folder, Path(), *reference_folders())
        styles = list(find_sources(recipe.all_styles, "--style", (), places))
    assert content is not None  # noqa: S101 — one of the two gave it
    return content, styles or ()
