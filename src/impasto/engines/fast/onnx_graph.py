"""An ONNX graph as it grows node by node, with weights that stay where they are: in the model's own file.

Weights are float16 in the file and cast to float32 in the graph, which a runtime does once, when it loads it. They are
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
        import onnx.numpy_helper
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
        self._casts: list[NodeProto] = []
        self._tensors: dict[str, TensorProto] = {}
        self._constants: dict[str, str] = {}

    def input(self, name: str, shape: Sequence[int | str], doc: str) -> str:
        """A float32 input; sides with names may have any size."""
        make = self._onnx.helper.make_tensor_value_info
        self._inputs.append(make(name, self._onnx.TensorProto.FLOAT, shape, doc_string=doc))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """A node; gives the name of its output."""
        name = f"{operator}_{len(self._nodes) + 1}"
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

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
        whole = f"{name}:float32"
        if name not in self._tensors:
            self._tensors[name] = self._weight(name)
            self._casts.append(self._onnx.helper.make_node("Cast", [name], [whole], name=whole, to=1))
        return whole

    def model(self, name: str, output: str, shape: Sequence[int | str], doc: str, facts: Mapping[str, str]) -> bytes:
        """The finished graph with its one output, as the bytes of a file; the same steps give the same bytes.

        Args:
            name: of the graph and of its output.
            output: what is put out: the last node's name.
            shape: of it.
            doc: what it is.
            facts: kept in the file beside the graph.
        """
        helper = self._onnx.helper
        self._nodes[-1].output[0] = name
        assert self._nodes[-1].name == output  # noqa: S101 — nothing else uses it, so it can be renamed
        result = helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, shape, doc_string=doc)
        graph = helper.make_graph(
            [*self._casts, *self._nodes], name, self._inputs, [result], list(self._tensors.values())
        )
        model: ModelProto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="impasto"
        )
        helper.set_model_props(model, dict(facts))
        file: bytes = model.SerializeToString(deterministic=True)
        return file

    def _constant(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """One tensor for each value, however often it is asked for."""
        key = f"{values.dtype}{values.shape}{values.tobytes()!r}"
        name = self._constants.setdefault(key, f"constant_{len(self._constants) + 1}")
        if name not in self._tensors:
            self._tensors[name] = self._onnx.numpy_helper.from_array(values, name)
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
