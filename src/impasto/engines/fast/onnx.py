"""Engine ``fast``'s networks as ONNX graphs, written by hand: they run without PyTorch, in browsers and on phones.

Two graphs with one output each. ``encoder`` turns a style into a code, once; ``transfer`` paints a picture of any size
after a code, and holds all that :class:`impasto.engines.fast.painting.TorchPainter` does around the network: the
mirrored margin, the palette, the crop. Both take one picture at a time, because ONNX's InstanceNormalization has one
scale and one shift for each channel, not for each picture. Masks and tiles are PyTorch's alone.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from torch import nn

from impasto.engines.fast.model import FORMAT, PACKAGED, VERSION, load_model
from impasto.engines.fast.network import EPSILON, MIDDLE, PALETTE, PALETTE_RIDGE, ROOT_STEPS, TransferNet
from impasto.engines.fast.onnx_graph import Graph
from impasto.engines.fast.painting import MARGIN
from impasto.errors import WeightsError
from impasto.whole import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.engines.fast.model import Model

#: Shortest side that the transfer graph takes: a mirror needs one pixel more than the margin that it shows.
SMALLEST_PX: Final = MARGIN + TransferNet.MULTIPLE


class Graphs(NamedTuple):
    """A model as ONNX files."""

    transfer: bytes
    """Inputs ``pixels`` ``(1, 3, height, width)`` in [0, 1] and ``code`` ``(1, code_size)``, the latter only in an
    any-style model; output ``painted`` ``(1, 3, height, width)`` in [0, 1]."""
    encoder: bytes | None
    """Input ``style`` ``(1, 3, height, width)`` in [0, 1] with even sides from 16 px; output ``code``
    ``(1, code_size)``. None in a model of one style."""


def onnx_graphs(model: Path | None = None, *, location: str | None = None) -> Graphs:
    """A model's networks as ONNX files.

    Args:
        model: of a file that ``impasto train`` wrote; None: the shipped any-style one.
        location: name under which the model's own file will lie beside the graphs, which then hold no weights;
            None: the graphs hold them.

    Raises:
        MissingExtraError: the package onnx is not installed.
        WeightsError: the model is missing, damaged or no model.
    """
    return _graphs(load_model(model), _read(model), location)


def export_onnx(model: Path | None, folder: Path, *, self_contained: bool) -> list[Path]:
    """Write a model as ONNX files, each whole or not at all; gives what was written.

    ``NAME.transfer.onnx`` and, of an any-style model, ``NAME.encoder.onnx``. Unless they are self-contained, they are a
    few kB each and take their weights from ``NAME.safetensors`` beside them, which is copied there if need be.

    Args:
        model: of a file that ``impasto train`` wrote; None: the shipped any-style one.
        folder: where to; it exists.
        self_contained: whether the graphs hold their weights.

    Raises:
        MissingExtraError: the package onnx is not installed.
        WeightsError: the model is missing, damaged or no model.
        OutputError: it cannot be written there.
    """
    name = PACKAGED if model is None else model.name
    stem = name.removesuffix(".safetensors")
    data = _read(model)
    graphs = _graphs(load_model(model), data, None if self_contained else f"{stem}.safetensors")
    new = {} if self_contained else {f"{stem}.safetensors": data}
    new[f"{stem}.transfer.onnx"] = graphs.transfer
    if graphs.encoder is not None:
        new[f"{stem}.encoder.onnx"] = graphs.encoder
    paths = []
    for name, content in new.items():
        path = folder / name
        if model is None or not path.exists() or not path.samefile(model):
            write_whole(path, content)
            paths.append(path)
    return paths


def _read(model: Path | None) -> bytes:
    """The file of a model that :func:`load_model` can read."""
    path = files("impasto.engines.fast").joinpath("data", PACKAGED) if model is None else model
    expected = load_model(model).sha256
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the model {str(path)!r}: {error.strerror or error}; check its name") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise WeightsError(f"the model {str(path)!r} was changed while it was read; run again when it is finished")
    return data


def _graphs(model: Model, file: bytes, location: str | None) -> Graphs:
    """Both graphs of a model, with what they are in their metadata."""
    about = {"format": FORMAT, "version": VERSION, "source": model.source, "sha256": model.sha256}
    about["weights"] = location or ""
    encoder = None
    if model.encoder is not None:
        encoder = _Writer(file, location, about).encoder(model)
    return Graphs(_Writer(file, location, about).transfer(model), encoder)


class _Writer:
    """Writes one graph of a model."""

    def __init__(self, file: bytes, location: str | None, about: dict[str, str]) -> None:
        self._graph, self._about = Graph(file, location), about

    def transfer(self, model: Model) -> bytes:
        """See :class:`Graphs`."""
        graph, net = self._graph, model.net
        add, floats, ints = graph.add, graph.floats, graph.ints
        size = (1, 3, "height", "width")
        pixels = graph.input("pixels", size, f"sRGB in [0, 1]; any size from {SMALLEST_PX} px")
        if model.code is None:
            code = graph.input("code", (1, net.code_size), "what the encoder gives, or a blend of several")
        else:
            code = graph.weight("code")
        flat = add("Squeeze", code, ints(0))
        ends = list(accumulate([*(width for width in net.widths for _ in range(2)), PALETTE - 3, 3], initial=0))
        # Not one Split: with so many outputs it has more buffers than WebGPU binds to a shader.
        numbers = [add("Slice", flat, ints(start), ints(end)) for start, end in pairwise(ends)]
        scales, shifts = [add("Add", each, floats(1)) for each in numbers[:-2:2]], numbers[1:-2:2]

        def conditional(layer: int, features: str) -> str:
            return add("InstanceNormalization", features, scales[layer], shifts[layer], epsilon=EPSILON)

        sides = add("Slice", add("Shape", pixels), ints(2), ints(4))
        beyond = add("Add", add("Mod", add("Neg", sides), ints(TransferNet.MULTIPLE)), ints(MARGIN))
        pads = add("Concat", ints(0, 0, MARGIN, MARGIN, 0, 0), beyond, axis=0)
        x = add("Pad", add("Sub", pixels, floats(MIDDLE)), pads, mode="reflect")

        stem = self._unfolded("net.stem.weight")
        x = add("SpaceToDepth", x, blocksize=2)
        x = add("Relu", conditional(0, self._convolution(x, stem)))
        x = add("Relu", conditional(1, self._convolution(x, graph.weight("net.down.weight"), stride=2)))
        for index in range(0, len(net.blocks), 2):
            first, second = (graph.weight(f"net.blocks.{each}.weight") for each in (index, index + 1))
            inner = add("Relu", conditional(index + 2, self._convolution(x, first)))
            x = add("Add", x, conditional(index + 3, self._convolution(inner, second)))
        # Spelled out: each pixel becomes four. Left to its defaults, Resize would look between pixels.
        nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        x = add("Resize", x, "", floats([1, 1, 2, 2]), mode="nearest", **nearest)
        x = add("Relu", conditional(len(net.widths) - 1, self._convolution(x, graph.weight("net.up.weight"))))
        x = self._convolution(x, graph.weight("net.out.weight"), graph.weight("net.out.bias"))
        x = add("DepthToSpace", x, blocksize=2, mode="CRD")
        x = add("Slice", x, ints(MARGIN, MARGIN), add("Add", sides, ints(MARGIN)), ints(2, 3))

        # A palette is a convolution of one pixel.
        x = add("Conv", x, add("Reshape", numbers[-2], ints(3, 3, 1, 1)), numbers[-1], kernel_shape=[1, 1])
        return self._finished("painted", add("Clip", x, floats(0), floats(1)), size, "sRGB in [0, 1]")

    def encoder(self, model: Model) -> bytes:
        """See :class:`Graphs`."""
        assert model.encoder is not None  # noqa: S101 — _graphs asks no other
        graph = self._graph
        add = graph.add
        style = graph.input("style", (1, 3, "height", "width"), "sRGB in [0, 1]; even sides from 16 px")
        x = add("SpaceToDepth", add("Sub", style, graph.floats(MIDDLE)), blocksize=2)
        x = add("Gather", x, graph.ints(*_TORCH_ORDER), axis=1)
        found = [*self._statistics(x)]
        for index, stage in enumerate(model.encoder.stages):
            depthwise, norm = stage.get_submodule("0"), stage.get_submodule("2")
            assert isinstance(depthwise, nn.Conv2d)  # noqa: S101 — as StyleEncoder builds it
            assert isinstance(norm, nn.GroupNorm)  # noqa: S101
            weights = [graph.weight(f"encoder.stages.{index}.{name}") for name in ("0.weight", "0.bias")]
            x = self._convolution(x, *weights, stride=depthwise.stride[0], group=depthwise.groups)
            weights = [graph.weight(f"encoder.stages.{index}.{name}") for name in ("1.weight", "1.bias")]
            x = add("Conv", x, *weights, kernel_shape=[1, 1])
            x = add("Relu", self._one_group(x, f"encoder.stages.{index}.2", norm.eps))
            found.extend(self._statistics(x))
        x = add("Concat", *found, axis=1)
        for name in ("perceptron.0", "perceptron.2", "head"):
            weights = [graph.weight(f"encoder.{name}.{kind}") for kind in ("weight", "bias")]
            x = add("Gemm", x, *weights, transB=1)
            x = x if name == "head" else add("Relu", x)
        code = add("Concat", x, *self._palette(style), axis=1)
        return self._finished("code", code, (1, model.net.code_size), "scales and shifts of all layers, and a palette")

    def _finished(self, name: str, output: str, shape: tuple[int | str, ...], doc: str) -> bytes:
        return self._graph.model(name, output, shape, doc, self._about)

    def _convolution(self, x: str, weight: str, *bias: str, stride: int = 1, group: int = 1) -> str:
        """3×3 with zeros around."""
        pads, strides = [1, 1, 1, 1], [stride, stride]
        return self._graph.add("Conv", x, weight, *bias, kernel_shape=[3, 3], pads=pads, strides=strides, group=group)

    def _unfolded(self, name: str) -> str:
        """The weights of a convolution on folded pixels, in the order of channels that SpaceToDepth has."""
        order = sorted(range(12), key=_TORCH_ORDER.__getitem__)
        return self._graph.add("Gather", self._graph.weight(name), self._graph.ints(*order), axis=1)

    def _one_group(self, x: str, name: str, epsilon: float) -> str:
        """Normalises all channels together, then gives each its scale and shift (group normalisation, one group)."""
        graph, add = self._graph, self._graph.add
        flat = add("Reshape", x, graph.ints(1, 1, -1))
        flat = add("InstanceNormalization", flat, graph.floats([1]), graph.floats([0]), epsilon=epsilon)
        plain = add("Reshape", flat, add("Shape", x))
        column = graph.ints(1, -1, 1, 1)
        scale, shift = (add("Reshape", graph.weight(f"{name}.{kind}"), column) for kind in ("weight", "bias"))
        return add("Add", add("Mul", plain, scale), shift)

    def _statistics(self, x: str) -> tuple[str, str]:
        """Means and deviations of channels, ``(1, c)`` each."""
        add = self._graph.add
        mean = add("ReduceMean", x, axes=[2, 3])
        centred = add("Sub", x, mean)
        variance = add("ReduceMean", add("Mul", centred, centred), axes=[2, 3], keepdims=0)
        deviation = add("Sqrt", add("Add", variance, self._graph.floats(EPSILON)))
        return add("Squeeze", mean, self._graph.ints(2, 3)), deviation

    def _palette(self, style: str) -> tuple[str, str]:
        """See :func:`impasto.engines.fast.network.palette`: ``(1, 9)`` and ``(1, 3)``."""
        graph, add = self._graph, self._graph.add
        colors = add("Reshape", style, graph.ints(3, -1))
        mean = add("ReduceMean", colors, axes=[1])
        centred = add("Sub", colors, mean)
        count = add("Cast", add("Slice", add("Shape", colors), graph.ints(1), graph.ints(2)), to=1)
        covariance = add("Div", add("MatMul", centred, add("Transpose", centred, perm=[1, 0])), count)
        covariance = add("Add", covariance, graph.floats(PALETTE_RIDGE * np.eye(3, dtype=np.float32)))
        unit = graph.floats(np.eye(3, dtype=np.float32))
        size = add("ReduceSum", add("Mul", covariance, unit))
        root, inverse = add("Div", covariance, size), unit
        for _ in range(ROOT_STEPS):
            both = add("Sub", graph.floats(3 * np.eye(3, dtype=np.float32)), add("MatMul", inverse, root))
            step = add("Mul", both, graph.floats(0.5))
            root, inverse = add("MatMul", root, step), add("MatMul", step, inverse)
        root = add("Mul", root, add("Sqrt", size))
        return add("Reshape", root, graph.ints(1, 9)), add("Reshape", mean, graph.ints(1, 3))


#: Where PyTorch's pixel_unshuffle has its channels (colours outside, pixels inside) among those of ONNX's SpaceToDepth
#: (pixels outside, colours inside).
_TORCH_ORDER: Final = tuple(pixel * 3 + color for color in range(3) for pixel in range(4))
