"""Paints with PyTorch: a picture at once, or tile by tile with the statistics of the whole."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.engines.fast.folded import Folded
from impasto.engines.fast.network import EPSILON, PALETTE, StyleEncoder, TransferNet, colored
from impasto.images import resize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Pixels that a picture is extended by before it is painted, so that the network's zero padding is not in it: with 16
#: a frame of another colour showed around some (docs/engines/fast.md).
MARGIN: Final = 32
#: Shorter sides leave the network nothing to take statistics from.
SMALLEST_PX: Final = 16
#: Shorter side at which styles are looked at: strokes of photos of some 500 px have the size then that judges expect.
STYLE_PX: Final = 320
#: Longer side of the picture that tiles take their statistics from.
_STATISTICS_PX: Final = 1536


class Coded(NamedTuple):
    """A part of the picture and the code it is painted with."""

    code: Tensor
    """``(1, code_size)``."""
    mask: Tensor | None
    """``(1, 1, h, w)``, 1 where the part is; None: everywhere. Masks of all parts add up to 1."""


class Statistics(NamedTuple):
    """Mean and variance of a layer's channels, ``(c,)`` each."""

    mean: Tensor
    variance: Tensor


class Modulation:
    """Conditional instance normalisation of one picture, with a code for each of its parts.

    Args:
        parts: with masks at the size of the padded picture.
        widths: of the transfer network.
        statistics: of every layer; None: those of the features themselves.
    """

    def __init__(
        self, parts: Sequence[Coded], widths: tuple[int, ...], statistics: Sequence[Statistics] | None = None
    ) -> None:
        self._masks = [part.mask for part in parts]
        sizes = [width for width in widths for _ in range(2)]
        numbers = [part.code[0, :-PALETTE].float().split(sizes) for part in parts]
        self._scales = [[1 + each for each in split[0::2]] for split in numbers]
        self._shifts = [split[1::2] for split in numbers]
        self._statistics = statistics
        self._resized: dict[tuple[int, int], list[Tensor]] = {}

    def __call__(self, layer: int, features: Tensor) -> Tensor:
        """The features ``(1, c, h, w)`` of one layer, normalised and in their style."""
        if len(self._masks) == 1:
            return self._normalised(layer, features, self._scales[0][layer], self._shifts[0][layer])
        plain = self._normalised(layer, features, None, None)
        scale, shift = torch.zeros_like(plain), torch.zeros_like(plain)
        for share, scales, shifts in zip(self._shares(plain), self._scales, self._shifts, strict=True):
            scale += share * scales[layer].to(plain.dtype).view(1, -1, 1, 1)
            shift += share * shifts[layer].to(plain.dtype).view(1, -1, 1, 1)
        return torch.addcmul(shift, plain, scale)

    def _shares(self, like: Tensor) -> list[Tensor]:
        """The masks at the size and in the format of features; most layers are of one size."""
        size = (like.shape[-2], like.shape[-1])
        if size not in self._resized:
            masks = [mask for mask in self._masks if mask is not None]  # only a single part goes without
            self._resized[size] = [resize(mask, *size).to(like.dtype) for mask in masks]
        return self._resized[size]

    def _normalised(self, layer: int, features: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        if self._statistics is None:
            # Groups of one channel are instances; on the CPU this is four times as fast as F.instance_norm, which
            # copies channels-last features (docs/engines/fast.md).
            return F.group_norm(features, features.shape[1], scale, shift, eps=EPSILON)
        mean, variance = self._statistics[layer]
        return F.batch_norm(features, mean, variance, scale, shift, eps=EPSILON)


class _Recorder(Modulation):
    """A modulation that keeps the statistics it meets."""

    def __init__(self, parts: Sequence[Coded], widths: tuple[int, ...]) -> None:
        super().__init__(parts, widths)
        self.found: list[Statistics] = []

    def _normalised(self, _: int, features: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        count, channels, height, width = features.shape
        if scale is None or shift is None:  # statistics come in the format of the scale
            scale, shift = features.new_ones(channels, dtype=torch.float32), features.new_zeros(channels).float()
        normal, mean, factor = torch.native_group_norm(
            features, scale, shift, count, channels, height * width, channels, EPSILON
        )
        self.found.append(Statistics(mean[0].float(), factor[0].float() ** -2 - EPSILON))
        return normal


class TorchPainter:
    """A transfer network and its encoder, ready to paint.

    Args:
        net: the transfer network.
        encoder: of styles; None where codes come from elsewhere.
        device: where to compute.
        dtype: of the features; colours are float32.
    """

    def __init__(
        self, net: TransferNet, encoder: StyleEncoder | None, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.device, self.dtype = device, dtype
        self._plain = copy.deepcopy(net).to(device).requires_grad_(False)
        self._net = copy.deepcopy(net).to(device=device, dtype=dtype)
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its stub
        self._encoder = None if encoder is None else copy.deepcopy(encoder).to(device)
        self.widths, self.code_size = net.widths, net.code_size

    @torch.inference_mode()
    def code(self, style: Tensor, *, scale: float = 1.0, mask: Tensor | None = None) -> Tensor:
        """The code ``(1, code_size)`` of a style ``(1, 3, h, w)`` in [0, 1].

        Args:
            style: at least 16 px on each side.
            scale: above 1 the style is looked at larger, so its strokes are.
            mask: ``(1, 1, h, w)``, which of the style counts; None: all of it.
        """
        assert self._encoder is not None  # noqa: S101 — the engine asks only any-style models
        height, width = style.shape[-2:]
        factor = min(1.0, STYLE_PX * scale / min(height, width))
        size = [max(16, round(side * factor) // 2 * 2) for side in (height, width)]
        seen = resize(style, size[0], size[1]).to(self.device)
        weights = None if mask is None else resize(mask, size[0], size[1]).to(self.device)
        code: Tensor = self._encoder(seen, weights)
        return code.cpu()

    @torch.inference_mode()
    def paint(self, pixels: Tensor, parts: Sequence[Coded], statistics: Sequence[Statistics] | None = None) -> Tensor:
        """The picture ``(1, 3, h, w)``, any size from 16 px, painted whole; in [0, 1] on the painter's device."""
        padded = _Padded(pixels, parts, self.device)
        return padded.cropped(self._window(padded, slice(None), slice(None), statistics))

    @torch.inference_mode()
    def statistics(self, pixels: Tensor, parts: Sequence[Coded]) -> list[Statistics]:
        """What :meth:`tiles` normalises with: from the picture, reduced where it is large."""
        height, width = pixels.shape[-2:]
        factor = min(1.0, _STATISTICS_PX / max(height, width))
        size = max(SMALLEST_PX, round(height * factor)), max(SMALLEST_PX, round(width * factor))
        small = [Coded(part.code, None if part.mask is None else resize(part.mask, *size)) for part in parts]
        padded = _Padded(resize(pixels, *size), small, self.device)
        recorder = _Recorder(padded.parts, self.widths)
        self._net(padded.pixels.to(self.dtype), recorder)
        return recorder.found

    @torch.inference_mode()
    def folded(self, code: Tensor, statistics: Sequence[Statistics]) -> Callable[[Tensor], Tensor]:
        """What :meth:`paint` does with one code and these statistics, faster, for as many pictures as one likes."""
        net = Folded(self._plain, code.to(self.device), statistics, self.dtype)

        def paint(pixels: Tensor) -> Tensor:
            padded = _Padded(pixels, (), self.device)
            return padded.cropped(net(padded.pixels)).clamp_(0, 1)

        return paint

    @torch.inference_mode()
    def tiles(
        self, pixels: Tensor, parts: Sequence[Coded], side: int, statistics: Sequence[Statistics]
    ) -> Iterator[tuple[Tensor, tuple[int, int]]]:
        """The picture painted in tiles of ``side`` pixels, row by row.

        Each gives its pixels and where their upper left corner is. A tile is computed with a margin as wide as the
        network sees, and with the statistics of the whole, so there are no seams.
        """
        padded = _Padded(pixels, parts, self.device)
        reach = TransferNet.REACH
        height, width = padded.pixels.shape[-2:]
        for top in range(0, height, side):
            for left in range(0, width, side):
                bottom, right = min(height, top + side), min(width, left + side)
                rows = slice(max(0, top - reach), min(height, bottom + reach))
                columns = slice(max(0, left - reach), min(width, right + reach))
                painted = self._window(padded, rows, columns, statistics)
                inner = painted[
                    ..., top - rows.start : bottom - rows.start, left - columns.start : right - columns.start
                ]
                place = padded.place(inner, top, left)
                if place is not None:
                    yield place

    def _window(self, padded: _Padded, rows: slice, columns: slice, statistics: Sequence[Statistics] | None) -> Tensor:
        """A part of the padded picture, painted and coloured."""
        parts = [
            Coded(part.code, None if part.mask is None else part.mask[..., rows, columns]) for part in padded.parts
        ]
        window = padded.pixels[..., rows, columns].to(self.dtype)
        painted = self._net(window, Modulation(parts, self.widths, statistics))
        if len(parts) == 1:
            return colored(painted, parts[0].code).clamp_(0, 1)
        mixed = torch.zeros_like(painted)
        for part in parts:
            assert part.mask is not None  # noqa: S101
            mixed += part.mask * colored(painted, part.code)
        return mixed.clamp_(0, 1)


class _Padded:
    """A picture and its parts, extended to sides that are multiples of four, with a margin."""

    def __init__(self, pixels: Tensor, parts: Sequence[Coded], device: torch.device) -> None:
        self._height, self._width = pixels.shape[-2:]
        right, bottom = (MARGIN + -side % TransferNet.MULTIPLE for side in (self._width, self._height))
        # A mirror needs one pixel more than it shows.
        mode = "reflect" if min(self._height, self._width) > max(right, bottom) else "replicate"

        def extended(tensor: Tensor) -> Tensor:
            return F.pad(tensor.to(device), (MARGIN, right, MARGIN, bottom), mode=mode)

        self.pixels = extended(pixels).contiguous(memory_format=torch.channels_last)
        self.parts = [Coded(part.code.to(device), None if part.mask is None else extended(part.mask)) for part in parts]

    def cropped(self, painted: Tensor) -> Tensor:
        """Without the margin."""
        return painted[..., MARGIN : MARGIN + self._height, MARGIN : MARGIN + self._width]

    def place(self, tile: Tensor, top: int, left: int) -> tuple[Tensor, tuple[int, int]] | None:
        """What of a tile of the padded picture is the picture's own, and where that is; None if nothing."""
        first_row, first_column = max(0, MARGIN - top), max(0, MARGIN - left)
        last_row, last_column = MARGIN + self._height - top, MARGIN + self._width - left
        inner = tile[..., first_row : max(0, last_row), first_column : max(0, last_column)]
        if 0 in inner.shape:
            return None
        return inner, (top + first_row - MARGIN, left + first_column - MARGIN)


def blended(codes: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The code between several: codes mix linearly."""
    total = sum(shares)
    return sum((code * (share / total) for code, share in zip(codes, shares, strict=True)), torch.zeros(()))
