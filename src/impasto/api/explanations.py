"""A result explained on one page: what went in, what the method did, and where it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from impasto.api.evaluate import swatches_of
from impasto.api.styles import reference_folders
from impasto.api.stylize import read_recipe
from impasto.errors import InputError
from impasto.evaluation.gates import Gates, colors_of
from impasto.evaluation.judge import Evaluation, judge_views
from impasto.evaluation.maps import content_loss_map, place, style_gain_map, style_shares
from impasto.evaluation.metric import choose_metrics
from impasto.evaluation.pages import picture_uri, render, write_page
from impasto.evaluation.pages.colors import BLUE, MAGENTA, ORANGE, TEAL, overlay, swatches
from impasto.evaluation.pages.losses import loss_plot, style_plot, terms
from impasto.evaluation.view import views
from impasto.images import Picture, fill_transparent, read
from impasto.inputs import find_sources
from impasto.settings import ENGINES

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from torch import Tensor

    from impasto.evaluation.view import View
    from impasto.recipe import Recipe, Source

_LARGE_PX: Final = 1024
_MAP_PX: Final = 768
_SMALL_PX: Final = 400
#: An edge is lost or new by so much of a strong edge.
_EDGE: Final = 0.5
#: Maps whose ninths differ by less than this are even to the eye.
_EVEN: Final = 0.25
#: Settings that a run decides by itself unless it is told.
_DECIDED: Final = ("memory", "history", "image_size")


@dataclass(frozen=True)
class Explanation:
    """A page about one result."""

    html: str
    evaluation: Evaluation | None
    """None if an input was not found or the output cannot be judged."""
    missing: tuple[str, ...]
    """What is not on the page, and why; one sentence each."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page.

        Raises:
            OutputError: it cannot be written there, or the name does not end in ``.html``.
        """
        return write_page(self.html, path)


def explain(
    result: str | os.PathLike[str],
    *,
    content: str | os.PathLike[str] | None = None,
    style: Sequence[str | os.PathLike[str]] = (),
    folders: Sequence[str | os.PathLike[str]] = (),
) -> Explanation:
    """Explain a picture that impasto made, from the recipe inside it and the files that the recipe names.

    Args:
        result: the picture.
        content: where the content lies; None: it is looked for by name and hash in the folders.
        style: where styles lie that are not in the folders, those of regions too, in any order.
        folders: where to look for what is not given, after the result's own folder and the working directory.

    Returns:
        The page, self-contained. What the inputs are needed for is left out where they are not found.

    Raises:
        UnreadableImageError: the result, or a file given, is no picture.
        InputError: there is no recipe in it, or a file was given that the recipe does not name.

    Example:
        >>> import impasto
        >>> impasto.explain("out.png").save("out.html")  # doctest: +SKIP
    """
    recipe, picture, path = read_recipe(result), read(result), Path(result)
    places = [path.parent, Path(), *map(Path, folders), *reference_folders()]
    missing: list[str] = []
    photos = _found([recipe.content], "--content", [content] if content else [], places, missing)
    styles = _found(list(dict.fromkeys(recipe.all_styles)), "--style", style, places, missing)
    photo = read(photos[recipe.content]) if photos else None
    drawn = {source: read(file) for source, file in styles.items()}
    seen = _Seen.of(recipe, picture, photo, drawn, missing)
    html = render(
        "explain.html",
        name=path.name,
        recipe=recipe,
        missing=missing,
        output=picture_uri(picture, _LARGE_PX),
        photo=seen.photo or (photo and picture_uri(photo, _LARGE_PX)),
        styles=[(source.name, picture_uri(one, _SMALL_PX)) for source, one in drawn.items()],
        palettes=_palettes(picture, photo, drawn),
        evaluation=seen.evaluation,
        figures=_figures(seen.evaluation),
        maps=seen.maps,
        loss_plot=loss_plot(recipe),
        style_plot=style_plot(recipe),
        terms=terms(recipe),
        files=_files(recipe),
        settings=_settings(recipe),
        environment=[*recipe.environment.model_dump().items(), ("weights", recipe.weights.source)],
    )
    return Explanation(html, seen.evaluation, tuple(missing))


@dataclass(frozen=True)
class _Map:
    """A map over a picture, with what its colours mean and what it shows in words."""

    title: str
    picture: str
    words: str
    colors: tuple[str, str]
    """Of the least and of the greatest value; between them is grey."""
    ends: tuple[str, str, str]
    """What the least, the middle and the greatest value mean."""


@dataclass(frozen=True)
class _Seen:
    """What can be seen only beside the inputs."""

    photo: str | None = None
    """At the output's size, to be laid under it."""
    evaluation: Evaluation | None = None
    maps: tuple[_Map, ...] = ()

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        picture: Picture,
        photo: Picture | None,
        styles: dict[Source, Picture],
        missing: list[str],
    ) -> _Seen:
        """Judge, and draw the maps; what cannot be done is added to what is missing."""
        if photo is None:
            return cls()
        whole = len(styles) == len(set(recipe.all_styles))
        whose = colors_of(recipe.settings)
        try:
            # Without all of its styles only output and content are compared: the third view is then not read.
            pictures = [styles[source] for source in recipe.all_styles] if whole else [photo]
            output, content, style = views(
                picture, photo, pictures, gray=whose != "style", swatches=swatches_of(recipe)
            )
            evaluation = _judged(output, content, style, Gates.load(engine=recipe.engine, colors=whose), whole=whole)
        except InputError as error:  # it was cropped after it was made, or is too small to be judged
            missing.append(f"It could not be compared with what it was made from: {error}.")
            return cls()
        gain = [_gain_map(output, content, style)] if whole else []
        edges = _edge_map(output, content_loss_map(output, content))
        return cls(picture_uri(content.pixels, _LARGE_PX), evaluation, (*gain, edges))


def _judged(output: View, content: View, style: View, gates: Gates, *, whole: bool) -> Evaluation | None:
    """The figures and the verdict; on the views that the maps read too, so that networks look once."""
    if not whole:
        return None
    values = judge_views(output, content, style, choose_metrics(["palette_distance"] if output.swatches else ()))
    return Evaluation(values, gates.judge(values))


def _found(
    sources: Sequence[Source],
    option: str,
    given: Sequence[str | os.PathLike[str]],
    folders: Sequence[Path],
    missing: list[str],
) -> dict[Source, Path]:
    """Where the sources' files lie. What was given must fit; what was not may be missing, and is then told."""
    if given:
        return dict(zip(sources, find_sources(sources, option, [Path(one) for one in given], folders), strict=True))
    found = {}
    for source in sources:
        try:
            found[source] = find_sources([source], option, (), folders)[0]
        except InputError as error:
            sentence = str(error)
            missing.append(f"{sentence[0].upper()}{sentence[1:]}.")
    return found


def _gain_map(output: View, content: View, style: View) -> _Map:
    gain = style_gain_map(output, content, style)
    before, after = style_shares(output, content, style)
    words = f"{after:.0%} of the result looks like pieces of the style; of the photo, {before:.0%} did. The change is "
    cells = torch.nn.functional.adaptive_avg_pool2d(gain[None], 3)
    if float(cells.max() - cells.min()) < _EVEN:
        words += "about the same everywhere."
    else:
        words += f"largest at the {place(gain)}, smallest at the {place(-gain)}."
    return _Map(
        "Where the style was put on",
        picture_uri(overlay(output.small, gain, above=ORANGE, below=BLUE), _MAP_PX),
        words,
        (BLUE, ORANGE),
        ("farther from the style than the photo was", "as the photo was", "as near as the style's own pieces"),
    )


def _edge_map(output: View, change: Tensor) -> _Map:
    lost, new = (float((sign * change > _EDGE).float().mean()) for sign in (-1, 1))
    words = f"Edges of the photo are gone on {lost:.0%} of the picture"
    if lost >= 0.01:
        words += f", most at the {place((-change).clamp_min(0))}"
    words += f"; edges that it did not have, such as strokes, stand on {new:.0%}"
    words += f", most at the {place(change.clamp_min(0))}." if new >= 0.01 else "."
    return _Map(
        "Where the photo was lost",
        picture_uri(overlay(output.small, change, above=TEAL, below=MAGENTA), _MAP_PX),
        words,
        (MAGENTA, TEAL),
        ("an edge is gone", "as it was", "a new edge"),
    )


def _palettes(
    picture: Picture, photo: Picture | None, styles: dict[Source, Picture]
) -> list[tuple[str, list[tuple[str, float]]]]:
    """The colours of the photo, of every style and of the output."""
    named = [("the photo", photo), *((source.name, one) for source, one in styles.items()), ("the result", picture)]
    return [(name, swatches(fill_transparent(one))) for name, one in named if one is not None]


def _figures(evaluation: Evaluation | None) -> list[dict[str, object]]:
    """Every figure with how to read it, and what the gates say of it."""
    if evaluation is None:
        return []
    flagged = {finding.metric: finding.outcome for finding in evaluation.verdict.findings}
    return [
        {"metric": metric, "value": evaluation.values[metric.name], "outcome": flagged.get(metric.name)}
        for metric in choose_metrics(evaluation.values)
        if metric.name in evaluation.values
    ]


def _files(recipe: Recipe) -> list[tuple[str, Source]]:
    """Every file that went in, with its part."""
    found = [("content", recipe.content), *(("style", style) for style in recipe.styles)]
    for number, region in enumerate(recipe.regions, start=1):
        found += [(f"mask of region {number}", region.mask), (f"style of region {number}", region.style)]
        if region.style_mask:
            found.append((f"style mask of region {number}", region.style_mask))
    return [*found, ("initial picture", recipe.init)] if recipe.init else found


def _settings(recipe: Recipe) -> list[dict[str, object]]:
    """Every setting with its default and meaning, and whether it was set to something else."""
    model = ENGINES.get(recipe.engine)
    known = model.model_fields if model else {}
    defaults = model.of().model_dump(mode="json") if model else {}
    return [
        {
            "name": name,
            "value": _text(value),
            "default": _text(defaults[name]) if name in defaults else "",
            "meaning": (known[name].description or "") if name in known else "",
            "differs": name in defaults and value != defaults[name] and name not in _DECIDED,
        }
        for name, value in recipe.settings.items()
    ]


def _text(value: object) -> str:
    """A setting in words; a file may hold anything in its place."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(weight)}" for key, weight in value.items())
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)
