"""Paints with ONNX Runtime on the CPU: the graphs of :mod:`impasto.engines.fast.onnx`, without PyTorch's operators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from impasto.engines.fast.model import FORMAT
from impasto.engines.fast.onnx import SMALLEST_PX
from impasto.engines.fast.onnx_graph import INSTALL
from impasto.errors import ImageTooSmallError, MissingExtraError, WeightsError
from impasto.hashes import file_sha256

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

#: ONNX Runtime's level: what goes wrong is raised, it need not be printed too.
_QUIET: Final = 4


class OnnxPainter:
    """The graphs of one model, ready to paint.

    Args:
        transfer: the transfer graph: a file that ``impasto export`` wrote, or the bytes of a self-contained one.
        encoder: the encoder of the same model; None where codes come from elsewhere, or in a model of one style.
        threads: that compute; None: one for each core.

    Raises:
        MissingExtraError: the package onnxruntime is not installed.
        WeightsError: a file or the weights beside it are missing, damaged or of another model.

    Example:
        >>> graphs = onnx_graphs()                                    # doctest: +SKIP
        >>> painter = OnnxPainter(graphs.transfer, graphs.encoder)    # doctest: +SKIP
        >>> painter.paint(photo, painter.code(style)).shape           # doctest: +SKIP
        torch.Size([1, 3, 480, 640])
    """

    def __init__(
        self, transfer: Path | bytes, encoder: Path | bytes | None = None, *, threads: int | None = None
    ) -> None:
        runtime = require_onnxruntime()
        self._transfer = _session(runtime, transfer, threads)
        self._encoder = None if encoder is None else _session(runtime, encoder, threads)
        self._has_code = len(self._transfer.get_inputs()) > 1
        facts = [_facts(each) for each in (self._transfer, self._encoder) if each is not None]
        if len({each.get("sha256") for each in facts}) > 1:
            raise WeightsError("transfer and encoder graph are of different models; export both from one model")

    def code(self, style: Tensor) -> Tensor:
        """The code ``(1, code_size)`` of a style ``(1, 3, h, w)`` in [0, 1] with even sides from 16 px."""
        assert self._encoder is not None  # noqa: S101 — the engine asks only any-style models
        return _run(self._encoder, style=style)

    def paint(self, pixels: Tensor, code: Tensor | None = None) -> Tensor:
        """The picture ``(1, 3, h, w)`` painted whole.

        Args:
            pixels: in [0, 1], sides from 36 px.
            code: ``(1, code_size)``; None for a model of one style, which has its own.

        Returns:
            The same size, in [0, 1], on the CPU.

        Raises:
            ImageTooSmallError: a side is too short for the margin's mirror.
        """
        height, width = pixels.shape[-2:]
        if min(height, width) < SMALLEST_PX:
            raise ImageTooSmallError(
                f"content is {width}x{height} px, but ONNX Runtime paints from {SMALLEST_PX} px on each side; "
                "use a larger image_size, or runtime=torch"
            )
        if not self._has_code:
            return _run(self._transfer, pixels=pixels)
        assert code is not None  # noqa: S101
        return _run(self._transfer, pixels=pixels, code=code)


def require_onnxruntime() -> ModuleType:
    """The module onnxruntime.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError(f"painting with ONNX Runtime needs an extra package: {INSTALL}") from None
    module: ModuleType = onnxruntime
    return module


def _session(runtime: ModuleType, graph: Path | bytes, threads: int | None) -> Any:
    """A graph, loaded and checked against the weights beside it."""
    options = runtime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads or 0
    # Threads that wait sleep: on a machine that does anything else, spinning ones take a third longer.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = graph if isinstance(graph, bytes) else str(graph)
    shown = "the graph" if isinstance(graph, bytes) else repr(str(graph))
    try:
        session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 — its errors have no common class of their own
        reason = str(error).strip().partition("\n")[0].rpartition("] : ")[2]  # "[ONNXRuntimeError] : 1 : FAIL : why"
        raise WeightsError(f"cannot load {shown} ({reason}); export it again, and keep its files together") from None
    facts = _facts(session)
    if facts.get("format") != FORMAT:
        raise WeightsError(f"{shown} is no graph of engine fast; give a file that `impasto export` wrote")
    if isinstance(graph, Path) and facts["weights"]:
        weights = graph.with_name(facts["weights"])
        found = file_sha256(weights)
        if found != facts["sha256"]:
            raise WeightsError(
                f"the weights {str(weights)!r} have SHA-256 {found}, but {graph.name} was made for {facts['sha256']}; "
                "restore the file or export again"
            )
    return session


def _facts(session: Any) -> dict[str, str]:
    """What stands beside the graph in its file."""
    found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return found


def _run(session: Any, **inputs: Tensor) -> Tensor:
    """The one output of a graph."""
    feeds = {name: tensor.detach().float().cpu().contiguous().numpy() for name, tensor in inputs.items()}
    return torch.from_numpy(session.run(None, feeds)[0])
