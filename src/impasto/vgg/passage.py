"""A picture's way through the network and its gradient's way back, whole or in strips of rows.

Between two poolings only a few convolutions lie, so a strip needs only a few rows more than it is to give; what each
stage takes is kept for the whole picture (60 bytes a pixel in bfloat16, where all activations are 1,000), and on the
way back a stage computes its activations again, strip by strip. The result is the whole picture's up to the order of
sums, at half as much computation again and without the wide margins that cutting the picture itself would need.
Source: our own; exact localisation by two passes is due to Galerne et al., "Scaling Painting Style Transfer", EGSR
2024, who cut the picture into blocks with margins of 256 px; keeping what stages take is gradient checkpointing (Chen
et al., "Training Deep Nets with Sublinear Memory Cost", 2016).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.vgg.layers import block, channels, up_to
from impasto.vgg.network import VGG19, pool, pool_backward

#: Called with a layer's name, some rows of its activation ``(1, c, rows, w)``, and the first row's index.
Visit = Callable[[str, Tensor, int], None]
#: Called with the same; gives the loss's gradient with respect to these rows, or None. It may be changed afterwards.
Gradient = Callable[[str, Tensor, int], Tensor | None]


class _Strip(NamedTuple):
    """Rows ``first … last`` of a stage, computed from the wider ``top … bottom``."""

    first: int
    last: int
    top: int
    bottom: int


class Passage:
    """One picture size's way through the network.

    Args:
        net: the network.
        layers: whose activations are visited; nothing behind the deepest is computed.
        strip_mb: None: the whole picture at once, every activation kept for the way back. Otherwise about the MiB that
            the activations of a strip may take.
    """

    def __init__(self, net: VGG19, layers: Sequence[str], *, strip_mb: float | None = None) -> None:
        self._net, self._taps, self._strip_mb = net, frozenset(layers), strip_mb
        names = up_to(layers) if layers else ()
        last = block(names[-1]) if names else 0
        self._stages = [tuple(name for name in names if block(name) == number) for number in range(1, last + 1)]
        self._taken: list[Tensor] = []
        self._kept: list[tuple[list[Tensor], Tensor | None]] = []

    def forward(self, pixels: Tensor, visit: Visit, *, backward: bool = True) -> None:
        """Send a picture ``(1, 3, h, w)`` through; every layer asked for is visited from its first row to its last.

        Args:
            pixels: float32 in [0, 1].
            visit: sees each strip of each layer.
            backward: whether :meth:`backward` will follow; if not, nothing is kept.
        """
        net = self._net
        self.release()
        taken = pixels.detach()
        for number, layers in enumerate(self._stages):
            if backward:
                self._taken.append(taken)
            behind: Tensor | None = None
            for strip in self._strips(taken, layers):
                activations = net.stage(self._window(number, taken, strip), layers)
                for layer, activation in zip(layers, activations, strict=True):
                    if layer in self._taps:
                        visit(layer, activation[..., strip.first - strip.top : strip.last - strip.top, :], strip.first)
                routing: Tensor | None = None
                if number + 1 < len(self._stages):
                    pooled, routing = pool(activations[-1], net.pooling)
                    behind = self._put(behind, pooled, strip, taken.shape)
                if backward and self._strip_mb is None:
                    self._kept.append((activations, routing))
            if behind is not None:
                taken = behind

    def backward(self, gradient: Gradient) -> Tensor | None:
        """The picture's gradient ``(1, 3, h, w)`` float32, once, after :meth:`forward`; None if no loss has any."""
        net = self._net
        grad: Tensor | None = None  # with respect to what the stage behind takes
        for number in reversed(range(len(self._stages))):
            layers, taken = self._stages[number], self._taken.pop()
            here: Tensor | None = None
            for strip in self._strips(taken, layers):
                activations, routing = self._again(number, taken, strip)
                taps: dict[str, Tensor] = {}
                for layer, activation in zip(layers, activations, strict=True):
                    tap = gradient(layer, activation, strip.top) if layer in self._taps else None
                    if tap is not None:
                        taps[layer] = tap.to(net.dtype).contiguous(memory_format=torch.channels_last)
                into: Tensor | None = None
                if grad is not None and routing is not None:
                    rows = grad[..., strip.top // 2 : strip.bottom // 2, :]
                    into = pool_backward(
                        rows.contiguous(memory_format=torch.channels_last), activations[-1], routing, net.pooling
                    )
                window = net.stage_backward(into, layers, activations, taps)
                if window is None:
                    continue
                if number == 0:
                    window = net.leave(window)
                inner = window[..., strip.first - strip.top : strip.last - strip.top, :]
                if inner.shape == taken.shape:
                    here = inner
                else:
                    if here is None:
                        here = torch.zeros_like(taken, dtype=inner.dtype)
                    here[..., strip.first : strip.last, :] = inner
            grad = here
        return grad

    def release(self) -> None:
        """Forget what was kept of a forward pass that has no way back."""
        self._taken.clear()
        self._kept.clear()

    def _window(self, number: int, taken: Tensor, strip: _Strip) -> Tensor:
        """What a stage computes a strip from."""
        rows = taken[..., strip.top : strip.bottom, :]
        return self._net.enter(rows) if number == 0 else rows.contiguous(memory_format=torch.channels_last)

    def _again(self, number: int, taken: Tensor, strip: _Strip) -> tuple[list[Tensor], Tensor | None]:
        """A strip's activations and its pooling's routing: as kept, or computed once more."""
        if self._strip_mb is None:
            return self._kept.pop()
        activations = self._net.stage(self._window(number, taken, strip), self._stages[number])
        if number + 1 == len(self._stages):
            return activations, None
        return activations, pool(activations[-1], self._net.pooling)[1]

    def _put(self, whole: Tensor | None, pooled: Tensor, strip: _Strip, shape: torch.Size) -> Tensor:
        """Write the rows of a pooled strip that are its own into what the next stage takes."""
        height, width = shape[-2] // 2, shape[-1] // 2
        first, last = strip.first // 2, min(strip.last // 2, height)
        own = pooled[..., first - strip.top // 2 : last - strip.top // 2, :]
        if own.shape[-2] == height:
            return own
        if whole is None:
            whole = torch.empty(
                (1, pooled.shape[1], height, width), dtype=pooled.dtype, device=pooled.device
            ).contiguous(memory_format=torch.channels_last)
        whole[..., first:last, :] = own
        return whole

    def _strips(self, taken: Tensor, layers: Sequence[str]) -> Iterator[_Strip]:
        """Strips of a stage. Their windows start at even rows, so that poolings fall on the same four positions."""
        height, width = taken.shape[-2:]
        if self._strip_mb is None:
            yield _Strip(0, height, 0, height)
            return
        # One convolution blurs what is wrong at a cut by a row, forward and once more on the way back.
        margin = 2 * len(layers)
        row_bytes = channels(layers[0]) * width * (len(layers) + 2) * self._net.dtype.itemsize
        rows = max(2, 2 * margin, int(self._strip_mb * 2**20 / row_bytes) - 2 * margin) // 2 * 2
        for first in range(0, height, rows):
            last = min(first + rows, height)
            top = max(0, min(first - margin, (height - rows - 2 * margin) // 2 * 2))
            yield _Strip(first, last, top, min(height, max(last + margin, top + rows + 2 * margin)))


def activations(net: VGG19, pixels: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
    """Activations of a picture, differentiable with respect to it.

    Args:
        net: the network.
        pixels: ``(1, 3, h, w)`` float32 RGB in [0, 1]; ``h`` and ``w`` at least the deepest layer's stride.
        layers: names ``relu1_1 … relu5_4``.

    Returns:
        For each name ``(1, c, h', w')`` in the network's dtype, channels last, with ``h' = h // stride``.
    """
    return dict(zip(layers, _Features.apply(pixels, net, layers), strict=True))  # type: ignore[no-untyped-call]


class _Features(torch.autograd.Function):
    """The network as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, net: VGG19, layers: tuple[str, ...]) -> tuple[Tensor, ...]:
        found: dict[str, Tensor] = {}
        ctx.passage, ctx.layers = Passage(net, layers), layers

        def visit(layer: str, activation: Tensor, first_row: int) -> None:  # noqa: ARG001
            found[layer] = activation

        ctx.passage.forward(pixels, visit, backward=ctx.needs_input_grad[0])
        ctx.set_materialize_grads(False)
        return tuple(found[layer] for layer in layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        wanted: Mapping[str, Tensor | None] = dict(zip(ctx.layers, grads, strict=True))

        def gradient(layer: str, activation: Tensor, first_row: int) -> Tensor | None:  # noqa: ARG001
            grad = wanted[layer]
            # Autograd's own tensors are not ours to change.
            return None if grad is None else grad.clone(memory_format=torch.channels_last)

        return ctx.passage.backward(gradient), None, None
