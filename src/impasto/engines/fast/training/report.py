"""What a training leaves for people: the loss as a table and a plot, a preview, and a model card."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from impasto.images import Picture, write
from impasto.whole import replacing, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

#: Steps that a point of the plot is the mean of, at most.
_SMOOTH: Final = 25
_SKIPPED_SHOWN: Final = 20


def write_losses(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write ``losses.csv``, every step, and ``losses.png``, smoothed.

    Raises:
        OutputError: it cannot be written there.
    """
    if not history:
        return
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for terms in history for name in terms))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["step", *names])
    writer.writerows([step, *(terms.get(name, "") for name in names)] for step, terms in enumerate(history, start=1))
    write_whole(folder / "losses.csv", table.getvalue().encode())
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in names:
        steps = [step for step, terms in enumerate(history, start=1) if terms.get(name, 0) > 0]
        values = np.array([history[step - 1][name] for step in steps])
        width = min(_SMOOTH, len(values))
        if width:
            smooth = np.convolve(values, np.ones(width) / width, "valid")
            axes.plot(steps[width - 1 :], smooth, label=name)
    axes.set(xlabel="step", ylabel="loss, weighted", yscale="log")
    axes.legend()
    with replacing(folder / "losses.png") as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def write_preview(folder: Path, pixels: Tensor) -> None:
    """Write ``preview.png``.

    Raises:
        OutputError: it cannot be written there.
    """
    write(Picture(pixels), folder / "preview.png")


def model_card(name: str, about: Mapping[str, Any], skipped: Mapping[str, str], command: str) -> str:
    """What a model is, in Markdown: data, recipe, losses, limits. No folder and no picture is named.

    Args:
        name: of the model.
        about: what its header says.
        skipped: files that could not be used.
        command: that made it, without folders.
    """
    losses = "\n".join(f"| {term} | {loss:.4g} |" for term, loss in about["losses"].items())
    settings = "\n".join(f"| `{key}` | {value} |" for key, value in about["settings"].items())
    left_out = "\n".join(f"- {file}: {reason}" for file, reason in list(skipped.items())[:_SKIPPED_SHOWN])
    more = len(skipped) - _SKIPPED_SHOWN
    tail = f"\n- and {more} more" if more > 0 else ""
    lines = [
        f"# {name}",
        "A model of impasto's engine `fast` "
        + ("for any style." if about["kind"] == "any-style" else "for one style."),
        f"Made by `{command}`, {about['steps']} steps, {about['processes']} process(es), {about['dtype']}.",
        "## Data",
        f"{about['photos']} photos and {about['styles']} style pictures, cut at random. The model holds none of them.",
        "## Settings",
        f"| setting | value |\n| - | - |\n{settings}",
        "## Loss at the end",
        f"Weighted, the mean of the last steps.\n\n| term | loss |\n| - | - |\n{losses}",
        "## Limits",
        "Strokes have the size in pixels that they had in training. What the photo shows is held on to by a network "
        "that was trained to recognise objects; small text and faces below some 60 px may be lost. A style far from "
        "all that was trained on keeps its palette, and its strokes less.",
    ]
    if skipped:
        lines += ["## Files left out", left_out + tail]
    if about["rollbacks"]:
        lines.append(f"The run went back to a good state at steps {', '.join(map(str, about['rollbacks']))}.")
    lines.append(
        f"Trained from {'chance' if about['start'] is None else 'a model with SHA-256 ' + about['start']}; "
        f"loss network VGG-19, SHA-256 {about['vgg']}."
    )
    return "\n\n".join(lines) + "\n"
