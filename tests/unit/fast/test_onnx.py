"""The ONNX graphs give what PyTorch gives, and say so when they cannot."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from tests.unit.fast.conftest import networks, picture

from impasto.engines.fast.model import load_model, save_model
from impasto.engines.fast.onnx import SMALLEST_PX, export_onnx, onnx_graphs
from impasto.engines.fast.onnx_runtime import OnnxPainter
from impasto.engines.fast.painting import Coded, TorchPainter
from impasto.errors import ImageTooSmallError, MissingExtraError, OutputError, WeightsError

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

#: Largest difference allowed; what is found is about 1e-6.
CLOSE = 1e-4


@pytest.fixture
def torch_painter(model_file: Path) -> TorchPainter:
    """The model of ``model_file``, its weights rounded to half precision like the graphs'."""
    model = load_model(model_file)
    return TorchPainter(model.net, model.encoder, torch.device("cpu"), torch.float32)


@pytest.fixture
def onnx_painter(model_file: Path) -> OnnxPainter:
    """The same in ONNX Runtime."""
    graphs = onnx_graphs(model_file)
    return OnnxPainter(graphs.transfer, graphs.encoder, threads=1)


@pytest.fixture
def one_style_file(tmp_path: Path) -> Path:
    """A model of one style on disk."""
    net, encoder = networks()
    path = tmp_path / "one.safetensors"
    save_model(path, net, encoder(picture(64, 64, seed=9)), {})
    return path


@pytest.mark.parametrize(("height", "width"), [(64, 64), (53, 70), (37, 95), (SMALLEST_PX, 39), (98, SMALLEST_PX)])
def test_painted_equals_torch(torch_painter: TorchPainter, onnx_painter: OnnxPainter, height: int, width: int) -> None:
    """Whatever is left over of four: the margins are the same."""
    pixels, code = picture(height, width, seed=1), torch_painter.code(picture(64, 64, seed=2))
    wanted, found = torch_painter.paint(pixels, [Coded(code, None)]), onnx_painter.paint(pixels, code)
    assert found.shape == pixels.shape
    assert float((found - wanted).abs().max()) < CLOSE
    assert float((found - pixels).abs().mean()) > 0.02
    assert 0 <= float(found.min()) < float(found.max()) <= 1


@pytest.mark.parametrize(("height", "width"), [(16, 16), (256, 320), (18, 130)])
def test_code_equals_torch(onnx_painter: OnnxPainter, model_file: Path, height: int, width: int) -> None:
    encoder = load_model(model_file).encoder
    assert encoder is not None
    style = picture(height, width, seed=3)
    assert float((onnx_painter.code(style) - encoder(style)).abs().max()) < CLOSE


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_code_of_one_color_is_finite_and_equals_torch(
    onnx_painter: OnnxPainter, model_file: Path, level: float
) -> None:
    encoder = load_model(model_file).encoder
    assert encoder is not None
    flat = torch.full((1, 3, 32, 32), level)
    assert float((onnx_painter.code(flat) - encoder(flat)).abs().max()) < CLOSE


def test_model_of_one_style_paints_without_a_code(one_style_file: Path) -> None:
    model, graphs = load_model(one_style_file), onnx_graphs(one_style_file)
    assert graphs.encoder is None
    assert model.code is not None
    pixels = picture(37, 41)
    painter = TorchPainter(model.net, None, torch.device("cpu"), torch.float32)
    wanted = painter.paint(pixels, [Coded(model.code, None)])
    found = OnnxPainter(graphs.transfer, threads=1).paint(pixels)
    assert float((found - wanted).abs().max()) < CLOSE


@pytest.mark.parametrize("location", [None, "small.safetensors"])
def test_graphs_pass_the_checker_and_have_one_output(model_file: Path, location: str | None) -> None:
    import onnx

    graphs = onnx_graphs(model_file, location=location)
    assert graphs.encoder is not None
    wanted = ((graphs.transfer, ["pixels", "code"], "painted"), (graphs.encoder, ["style"], "code"))
    for data, inputs, output in wanted:
        graph = onnx.load_model_from_string(data)
        if location is None:
            onnx.checker.check_model(graph, full_check=True)
        assert [each.name for each in graph.graph.input] == inputs
        assert [each.name for each in graph.graph.output] == [output]
        assert {entry.key: entry.value for entry in graph.metadata_props}["sha256"] == load_model(model_file).sha256


def test_export_beside_the_weights_is_small_and_paints_the_same(
    model_file: Path, tmp_path: Path, onnx_painter: OnnxPainter
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    written = export_onnx(model_file, folder, self_contained=False)
    assert [path.name for path in written] == ["small.safetensors", "small.transfer.onnx", "small.encoder.onnx"]
    assert written[0].read_bytes() == model_file.read_bytes()
    assert all(path.stat().st_size < 32_000 for path in written[1:])
    pixels, style = picture(48, 38), picture(32, 32, seed=5)
    painter = OnnxPainter(written[1], written[2], threads=1)
    assert torch.equal(painter.code(style), onnx_painter.code(style))
    assert torch.equal(painter.paint(pixels, painter.code(style)), onnx_painter.paint(pixels, painter.code(style)))


def test_export_into_the_models_own_folder_leaves_the_model_alone(model_file: Path) -> None:
    before = model_file.stat().st_mtime_ns
    written = export_onnx(model_file, model_file.parent, self_contained=False)
    assert [path.name for path in written] == ["small.transfer.onnx", "small.encoder.onnx"]
    assert model_file.stat().st_mtime_ns == before
    OnnxPainter(*written, threads=1)


def test_self_contained_export_needs_nothing_beside_it(model_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    written = export_onnx(model_file, folder, self_contained=True)
    assert [path.name for path in written] == ["small.transfer.onnx", "small.encoder.onnx"]
    assert sorted(folder.iterdir()) == sorted(written)
    OnnxPainter(*written, threads=1)


def test_export_is_the_same_twice(model_file: Path) -> None:
    assert onnx_graphs(model_file) == onnx_graphs(model_file)


def test_export_to_no_folder_is_refused(model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing was changed"):
        export_onnx(model_file, tmp_path / "missing", self_contained=True)


def _changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(("damage", "says"), [(_changed, "SHA-256"), (_truncated, "out of bounds"), (None, "exist")])
def test_weights_that_are_not_the_graphs_own_are_refused(model_file: Path, damage, says: str) -> None:
    transfer, _ = export_onnx(model_file, model_file.parent, self_contained=False)
    if damage is None:
        model_file.unlink()
    else:
        model_file.write_bytes(damage(model_file.read_bytes()))
    with pytest.raises(WeightsError, match=says):
        OnnxPainter(transfer, threads=1)


def test_graphs_of_two_models_are_refused(model_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_model(other, *networks(seed=1), {})
    with pytest.raises(WeightsError, match="different models"):
        OnnxPainter(onnx_graphs(model_file).transfer, onnx_graphs(other).encoder, threads=1)


@pytest.mark.parametrize("data", [b"", b"no graph at all"])
def test_what_is_no_graph_is_refused(data: bytes) -> None:
    with pytest.raises(WeightsError, match="cannot load the graph"):
        OnnxPainter(data, threads=1)


def test_graph_of_somebody_else_is_refused() -> None:
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(WeightsError, match="no graph of engine fast"):
        OnnxPainter(model.SerializeToString(), threads=1)


def test_picture_below_the_smallest_is_refused(onnx_painter: OnnxPainter) -> None:
    code = onnx_painter.code(picture(16, 16))
    with pytest.raises(ImageTooSmallError, match="40x18 px, but ONNX Runtime paints from 36 px"):
        onnx_painter.paint(picture(18, 40), code)


@pytest.mark.parametrize(
    ("package", "module", "call"),
    [("onnx", "onnx", "onnx_graphs"), ("onnxruntime", "onnx_runtime", "require_onnxruntime")],
)
def test_missing_package_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, model_file: Path, package: str, module: str, call: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    function = getattr(importlib.import_module(f"impasto.engines.fast.{module}"), call)
    with pytest.raises(MissingExtraError, match=r"pip install 'impasto\[onnx\]'"):
        function(*([model_file] if package == "onnx" else []))
