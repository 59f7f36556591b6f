"""The two networks of engine ``fast``: one turns a style into a code, the other paints any picture after a code.

The code holds a scale and a shift for every normalised channel of the transfer network, so codes can be kept, blended
and trained by themselves. Sources: Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style", ICLR 2017
(conditional instance normalisation, eq. 5); Ghiasi, Lee, Kudlur, Dumoulin, Shlens, "Exploring the structure of a
real-time, arbitrary neural artistic stylization network", BMVC 2017 (a network predicts the code); Johnson, Alahi,
Fei-Fei, ECCV 2016 (the residual transfer network).

Departures: both networks start by folding 2×2 pixels into channels instead of convolving at full resolution, and the
output is unfolded likewise, so nothing wide ever runs at the picture's own size; the encoder pools means and deviations
of every stage, not the last one's means, and is small enough to train on a few hundred styles; and the transfer network
paints in the style's own palette: what it puts out are colours in units of the style's spread around the style's mean,
which no network has to learn. With a few hundred styles to learn from that decides (docs/engines/fast.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Normalises the features of one layer and gives them their style: called with the layer's index and ``(b, c, h, w)``.
Modulate = Callable[[int, Tensor], Tensor]

#: What pixels are centred on before the first convolution: about the mean of photographs.
MIDDLE: Final = 0.45
#: Added to variances before the root, as PyTorch's instance normalisation does.
EPSILON: Final = 1e-5
#: Numbers of a palette, at the end of a code: a 3×3 matrix row by row, and the mean colour.
PALETTE: Final = 12
#: Added to a style's colour covariance: one of a single colour has a spread of 1/100.
PALETTE_RIDGE: Final = 1e-4
#: Newton–Schulz steps; the smallest spread that sRGB allows against the largest is found to 1e-4 in so many.
ROOT_STEPS: Final = 16


class TransferNet(nn.Module):
    """Paints a picture: 12 folded channels, ``narrow`` at ½ and ``wide`` at ¼ of the size, residual blocks, and back.

    Args:
        narrow: channels at half the picture's size.
        wide: channels at a quarter of it.
        blocks: residual blocks of two convolutions each.
    """

    #: Both sides of a picture must be multiples of it; :meth:`forward` leaves padding to its caller.
    MULTIPLE: Final = 4
    #: Pixels around an output pixel that it depends on, statistics apart.
    REACH: Final = 52

    def __init__(self, narrow: int = 32, wide: int = 64, blocks: int = 5) -> None:
        super().__init__()
        self.shape = (narrow, wide, blocks)
        self.stem = _convolution(12, narrow)
        self.down = _convolution(narrow, wide, stride=2)
        self.blocks = nn.ModuleList(_convolution(wide, wide) for _ in range(2 * blocks))
        self.up = _convolution(wide, narrow)
        self.out = nn.Conv2d(narrow, 12, 3, padding=1)
        with torch.no_grad():  # the four pixels of a fold start alike, so that no lattice is there to unlearn
            kernel = torch.empty(3, narrow, 3, 3)
            nn.init.kaiming_normal_(kernel, nonlinearity="linear")
            self.out.weight.copy_(0.3 * kernel.repeat_interleave(4, 0))
            nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the normalised layers, in the order in which they are called."""
        narrow, wide, blocks = self.shape
        return (narrow, wide, *[wide] * (2 * blocks), narrow)

    @property
    def code_size(self) -> int:
        """Numbers in a code: a scale and a shift for each channel of :attr:`widths`, and a palette."""
        return 2 * sum(self.widths) + PALETTE

    def forward(self, pixels: Tensor, modulate: Modulate) -> Tensor:
        """Paint, in units of a palette.

        Args:
            pixels: ``(b, 3, h, w)`` in [0, 1]; both sides multiples of :attr:`MULTIPLE`.
            modulate: normalises each layer's features; see :class:`Conditional`.

        Returns:
            ``(b, 3, h, w)`` float32, what :func:`colored` turns into colours.
        """
        x = F.pixel_unshuffle(pixels - MIDDLE, 2)
        x = modulate(0, self.stem(x)).relu_()
        x = modulate(1, self.down(x)).relu_()
        for index in range(0, len(self.blocks), 2):
            inner = modulate(index + 2, self.blocks[index](x)).relu_()
            x = x + modulate(index + 3, self.blocks[index + 1](inner))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = modulate(len(self.widths) - 1, self.up(x)).relu_()
        return F.pixel_shuffle(self.out(x).float(), 2)


class StyleEncoder(nn.Module):
    """Turns style pictures into codes: six light stages, the statistics of each, and a small perceptron on them.

    Args:
        code_size: of the transfer network.
        widths: channels of the stages.
        hidden: widths of the perceptron's two hidden layers.
    """

    def __init__(
        self,
        code_size: int,
        widths: tuple[int, ...] = (24, 48, 96, 96, 160, 192),
        hidden: tuple[int, int] = (256, 192),
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        before = 12
        for index, width in enumerate(widths):
            stride = 2 if index in (1, 2, 4) else 1
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(before, before, 3, stride, padding=1, groups=before),
                    nn.Conv2d(before, width, 1),
                    nn.GroupNorm(1, width),
                    nn.ReLU(),
                )
            )
            before = width
        statistics = 2 * (12 + sum(widths))
        self.perceptron = nn.Sequential(
            nn.Linear(statistics, hidden[0]), nn.ReLU(), nn.Linear(hidden[0], hidden[1]), nn.ReLU()
        )
        self.head = nn.Linear(hidden[1], code_size - PALETTE)
        with torch.no_grad():  # every style starts from plain instance normalisation
            nn.init.normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)

    def forward(self, styles: Tensor, weights: Tensor | None = None) -> Tensor:
        """Codes ``(b, code_size)`` of styles.

        Args:
            styles: ``(b, 3, h, w)`` in [0, 1]; both sides even, at least 16.
            weights: ``(b, 1, h, w)`` ≥ 0, which of a style counts; None: all of it.
        """
        x = F.pixel_unshuffle(styles - MIDDLE, 2)
        found = [*_statistics(x, weights)]
        for stage in self.stages:
            x = stage(x) if weights is None else _masked(stage, x, weights)
            found.extend(_statistics(x, weights))
        return torch.cat([self.head(self.perceptron(torch.cat(found, 1))).float(), palette(styles, weights)], 1)


class Conditional:
    """Conditional instance normalisation: each channel to mean 0 and deviation 1, then the code's scale and shift.

    Args:
        code: ``(b, code_size)``; for every layer ``scale − 1`` of its channels, then their shifts; then the palette.
        widths: of :class:`TransferNet`.

    Source:
        Dumoulin et al., ICLR 2017, eq. 5.
    """

    def __init__(self, code: Tensor, widths: tuple[int, ...]) -> None:
        parts = code[:, :-PALETTE].split([width for width in widths for _ in range(2)], 1)
        self._scales, self._shifts = parts[0::2], parts[1::2]

    def __call__(self, layer: int, features: Tensor) -> Tensor:
        """The features of one layer in the code's style."""
        scale, shift = 1 + self._scales[layer], self._shifts[layer]
        normal = F.instance_norm(features, eps=EPSILON)
        styled: Tensor = normal * scale[..., None, None] + shift[..., None, None]
        return styled


def palette(pictures: Tensor, weights: Tensor | None = None) -> Tensor:
    """Palettes ``(b, 12)`` of pictures ``(b, 3, h, w)``: the root of the colours' covariance, and their mean.

    Args:
        pictures: in [0, 1].
        weights: ``(b, 1, h, w)`` ≥ 0, which of a picture counts; None: all of it.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        colors = pictures.float().flatten(2)
        shares = torch.full_like(colors[:, :1], 1 / colors.shape[2]) if weights is None else _shares(weights, pictures)
        mean = (colors * shares).sum(2)
        centred = colors - mean[..., None]
        covariance = (centred * shares) @ centred.mT + PALETTE_RIDGE * torch.eye(3, device=colors.device)
        return torch.cat([_root(covariance).flatten(1), mean], 1)


def colored(painted: Tensor, code: Tensor) -> Tensor:
    """Colours ``(b, 3, h, w)`` of what :class:`TransferNet` painted, in the palette of a code; not yet in [0, 1]."""
    numbers = code[:, -PALETTE:].float()
    matrix, mean = numbers[:, :9].unflatten(1, (3, 3)), numbers[:, 9:]
    with torch.autocast(painted.device.type, enabled=False):
        colors: Tensor = torch.baddbmm(mean[..., None], matrix, painted.flatten(2))
        return colors.view_as(painted)


def _root(matrices: Tensor) -> Tensor:
    """Symmetric roots of symmetric positive ``(b, 3, 3)``: the coupled Newton–Schulz iteration (Higham, 1997, eq. 2.6).

    Products only, so that the same steps run wherever the network does.
    """
    size = matrices.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    unit = torch.eye(3, device=matrices.device)
    root, inverse = matrices / size, unit.expand_as(matrices)
    for _ in range(ROOT_STEPS):
        step = 0.5 * (3 * unit - inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * size.sqrt()


def _convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    """3×3 without a bias, which the normalisation behind it would take away."""
    return nn.Conv2d(before, after, 3, stride, padding=1, bias=False)


def _masked(stage: nn.Module, features: Tensor, weights: Tensor) -> Tensor:
    """A stage of the encoder whose normalisation counts only what has weight, and sees nothing else."""
    depthwise, pointwise, norm, _ = stage.children()
    assert isinstance(norm, nn.GroupNorm)  # noqa: S101 — as __init__ builds it
    there = F.adaptive_avg_pool2d(weights.float(), (features.shape[-2], features.shape[-1]))
    x = pointwise(depthwise(features * (there > 0)))
    shares = _shares(weights, x)
    mean = (x.flatten(2) * shares).sum((1, 2)) / x.shape[1]
    centred = x - mean[:, None, None, None]
    variance = (centred.flatten(2).square() * shares).sum((1, 2)) / x.shape[1]
    plain = centred / (variance + norm.eps).sqrt()[:, None, None, None]
    return torch.relu_(plain * norm.weight[:, None, None] + norm.bias[:, None, None])


def _statistics(features: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Means and deviations of channels, ``(b, c)`` each."""
    if weights is None:
        return features.mean((2, 3)), (features.var((2, 3), correction=0) + EPSILON).sqrt()
    shares, values = _shares(weights, features), features.flatten(2)
    mean = (values * shares).sum(2)
    variance = ((values - mean[..., None]).square() * shares).sum(2)
    return mean, (variance + EPSILON).sqrt()


def _shares(weights: Tensor, like: Tensor) -> Tensor:
    """Weights ``(b, 1, n)`` that add up to 1, one for each place of ``like``."""
    there = F.adaptive_avg_pool2d(weights.float(), (like.shape[-2], like.shape[-1])).flatten(2)
    return there / there.sum(2, keepdim=True).clamp_min(1e-12)
