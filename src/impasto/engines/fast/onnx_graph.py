"""An ONNX graph as it grows node by node, with weights that stay where they are: in the model's own file.

Weights are float16 in the file, cast to float32 in the graph; a runtime does that once, when it loads the graph. They are
either *external data*, which is no more than a place in the safetensors file, or copied into the graph.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from impasto.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

    #: What ``onnx.helper.make_node`` makes an attribute of.
    Attribute = int | float | str | Sequence[int]

INSTALL: Final = "pip install 'impasto[onnx]'"

#: The newest set of operators that runtimes of the last four years know; all that is used here is older still.
_OPSET: Final = 17
_IR_VERSION: Final = 8


def require_onnx() -> ModuleType:
    """The module onnx.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnx
        import onnx.helper
    except ImportError:
        raise MissingExtraError(f"ONNX files need an extra package: {INSTALL}") from None
    module: ModuleType = onnx
    return module


class Graph:
    """Nodes in order, each named after what it puts out.

    Args:
        file: the safetensors file with the weights, as float16.
        location: its name beside the graph, where the weights are left; None: they are copied into the graph.

    Raises:
        MissingExtraError: the package onnx is not installed.
    """

    def __init__(self, file: bytes, location: str | None) -> None:
        self._onnx = require_onnx()
        self._file, self._location = file, location
        length = int.from_bytes(file[:8], "little")
        self._places: dict[str, Any] = json.loads(file[8 : 8 + length])
        self._base = 8 + length
        self._nodes: list[NodeProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._kept: dict[str, TensorProto] = {}
        self._count = 0

    def input(self, name: str, shape: Sequence[int | str], doc: str) -> str:
        """A float32 input; sides with names may have any size."""
        make = self._onnx.helper.make_tensor_value_info
        self._inputs.append(make(name, self._onnx.TensorProto.FLOAT, shape, doc_string=doc))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """A node; gives the name of its output."""
        return self.split(operator, *inputs, outputs=1, **attributes)[0]

    def split(self, operator: str, *inputs: str, outputs: int, **attributes: Attribute) -> list[str]:
        """A node with several outputs; gives their names."""
        self._count += 1
        names = [f"{operator}_{self._count}" + (f"_{index}" if outputs > 1 else "") for index in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, names, name=names[0], **attributes))
        return names

    def floats(self, values: NDArray[np.float32] | Sequence[float] | float) -> str:
        """A constant, float32."""
        return self._constant(np.asarray(values, dtype=np.float32))

    def ints(self, *values: int) -> str:
        """A list of whole numbers, int64 ``(n,)``."""
        return self._constant(np.asarray(values, dtype=np.int64))

    def weight(self, name: str) -> str:
        """A tensor of the model's file as float32.

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self._kept:
            self._kept[name] = self._weight(name)
            self._nodes.insert(0, self._onnx.helper.make_node("Cast", [name], [f"{name}:32"], to=1))
        return f"{name}:32"

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor of the model's file."""
        return tuple(self._places[name]["shape"])

    def model(self, name: str, output: str, shape: Sequence[int | str], doc: str, facts: Mapping[str, str]) -> ModelProto:
        """The finished graph with its one output.

        Args:
            name: of the graph and of the output.
            output: the node's output that it is.
            shape: of it.
            doc: what it is.
            facts: kept in the file beside the graph.
        """
        helper = self._onnx.helper
        self._nodes.append(helper.make_node("Identity", [output], [name], name=name))
        result = helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, shape, doc_string=doc)
        graph = helper.make_graph(self._nodes, name, self._inputs, [result], list(self._kept.values()))
        model: ModelProto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="impasto"
        )
        helper.set_model_props(model, dict(facts))
        return model

    def _constant(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """One initialiser for every value, however often it is asked for."""
        name = f"{values.dtype}{list(values.shape)}{values.tobytes().hex()}"
        if name not in self._kept:
            self._kept[name] = self._onnx.numpy_helper.from_array(values, name)
        return name

    def _weight(self, name: str) -> TensorProto:
        place = self._places[name]
        start, end = place["data_offsets"]
        tensor: TensorProto = self._onnx.TensorProto(
            name=name, data_type=self._onnx.TensorProto.FLOAT16, dims=place["shape"]
        )
        assert place["dtype"] == "F16"  # noqa: S101 — as save_model writes it
        assert end - start == 2 * math.prod(place["shape"])  # noqa: S101 — load_model has read it
        if self._location is None:
            tensor.raw_data = self._file[self._base + start : self._base + end]
            return tensor
        tensor.data_location = self._onnx.TensorProto.EXTERNAL
        external = {"location": self._location, "offset": str(self._base + start), "length": str(end - start)}
        for key, value in external.items():
            tensor.external_data.add(key=key, value=value)
        return tensor
