"""Where it shows: maps of what the style gave and of what became of the content's edges.

Metrics say how much, these say where. They are for looking at; no gate reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F

from impasto.evaluation.view import blur

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.evaluation.view import View

#: Colours, strokes and texture; deeper layers see objects, and those should stay the content's.
_GAIN_LAYERS: Final = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
#: σ of the window of local statistics on the twin: a few strokes are inside.
_WINDOW_PX: Final = 10.0
#: The gain's places are so far apart on the twin.
_GRID_PX: Final = 8
#: The share of the style's places that a place is compared with: those most like it.
_NEAREST: Final = 0.1
#: The share of the style's own places that counts as typical of it.
_OWN: Final = 0.9
#: Where the content is this much nearer to the style than on average, or where content and style hardly differ, a
#: share of their distance would be a share of nothing.
_LEAST_SHARE: Final = 0.5
_LEAST_ROOM: Final = 0.1
#: σ of the window on the twin in which edges are taken relative to those around them.
_EDGE_WINDOW_PX: Final = 24.0
#: What is added to those around: a share of the content's edges on the whole, and a step of one level in 8 bits.
_LEAST_EDGE: Final = 0.3
_LEVEL: Final = 4 / 255

_ROWS: Final = ("upper", "middle", "lower")
_COLUMNS: Final = ("left", "centre", "right")


def style_gain_map(output: View, content: View, style: View) -> Tensor:
    """Where the style was put on: 0 as the untouched content, 1 as near the style as the style's own pieces are.

    At every place the channels' means and deviations in a Gaussian window are compared with the style's at all of its
    places; d is the mean distance to the nearest tenth of them, over relu1_1 … relu4_1, and
    gain = (d(content) − d(output)) / (d(content) − d(the style's own places)).
    Blind to whatever is smaller than a few strokes. About 0 also where the photo was like the style from the start.

    Args:
        output, content: two views of one size.
        style: of any size.

    Returns:
        ``(h', w')`` in [-1, 1], a place for every 8 × 8 px of the twin; below 0 the output is farther from the style
        than the content was.

    Note:
        Distances to the style's statistics as a whole call the empty paper of a woodcut foreign to it: it is calmer
        than the whole. Distances to the one nearest place let a single odd place stand for the style.

    Source:
        The statistics are those of Huang, Belongie, "Arbitrary Style Transfer in Real-time with AdaIN", ICCV 2017,
        there of whole pictures; the windows are ours.
    """
    with torch.inference_mode():
        places = [_local_statistics(view) for view in (output, content, style)]
        ours, start, own = (_distances(found, places[2]) for found in places)
        room = start - own.mean()
        gain = (start - ours) / room.clamp_min(max(_LEAST_SHARE * float(room.mean()), _LEAST_ROOM))
        return gain.view(_grid(output)).clamp(-1, 1)


def style_shares(output: View, content: View, style: View) -> tuple[float, float]:
    """Which share of the content looked like pieces of the style, and which share of the output does: each 0 to 1.

    A place does if it is no farther from the style's places, as in :func:`style_gain_map`, than nine tenths of these
    are from each other.
    """
    with torch.inference_mode():
        places = [_local_statistics(view) for view in (content, output, style)]
        before, after, own = (_distances(found, places[2]) for found in places)
        farthest = own.quantile(_OWN)
        return float((before <= farthest).float().mean()), float((after <= farthest).float().mean())


def content_loss_map(output: View, content: View) -> Tensor:
    """Where the content's edges were lost (below 0), and where edges appeared that it did not have (above 0).

    Edge strengths are compared after each is divided by its root mean square in a wide window, so a picture that is
    paler or darker as a whole has lost nothing. A contour drawn anew beside the old one shows as both.

    Returns:
        ``(h, w)`` in [-1, 1] at the twin's size; 1 is as much as the content's strongest edges (95th percentile).
    """
    least = _LEAST_EDGE * float(content.edges.square().mean().sqrt()) + _LEVEL
    ours, start = (view.edges / (_root_mean_square(view.edges) + least) for view in (output, content))
    return ((ours - start) / max(float(start.flatten().quantile(0.95)), 0.5)).clamp(-1, 1)


def place(amount: Tensor) -> str:
    """The ninth of a picture where there is most of something, in words: ``upper left``, ``centre``.

    Args:
        amount: ``(h, w)``, any values.

    Example:
        >>> place(torch.eye(3) * torch.tensor([1.0, 2.0, 3.0]))
        'lower right'
    """
    cells = F.adaptive_avg_pool2d(amount[None], 3)[0]
    row, column = divmod(int(cells.argmax()), 3)
    if (row, column) == (1, 1):
        return "centre"
    return f"{_ROWS[row]} {_COLUMNS[column]}"


def _grid(view: View) -> list[int]:
    return [max(1, round(side / _GRID_PX)) for side in view.small.shape[-2:]]


def _local_statistics(view: View) -> list[Tensor]:
    """Means and deviations around every place, ``(n, 2 c)`` for each layer."""
    found = []
    for layer in _GAIN_LAYERS:
        features = view.vgg[layer][None]
        sigma = _WINDOW_PX * features.shape[-1] / view.small.shape[-1]
        mean = blur(features, sigma)
        deviation = (blur(features.square(), sigma) - mean.square()).clamp_min(0).sqrt()
        both = F.interpolate(torch.cat([mean, deviation], 1), _grid(view), mode="bilinear", antialias=True)
        found.append(both[0].flatten(1).mT)
    return found


def _distances(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """How far every place is from the nearest of the wanted ones, ``(n,)``: the mean over layers in their own units."""
    nearest = max(1, round(_NEAREST * len(wanted[0])))
    layers = [
        torch.cdist(ours, theirs).topk(nearest, largest=False).values.mean(1) / theirs.norm(dim=1).mean()
        for ours, theirs in zip(found, wanted, strict=True)
    ]
    return torch.stack(layers).mean(0)


def _root_mean_square(edges: Tensor) -> Tensor:
    return blur(edges.square()[None, None], _EDGE_WINDOW_PX)[0, 0].clamp_min(0).sqrt()
