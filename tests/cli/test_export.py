"""``impasto export`` writes graphs that paint what impasto paints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from impasto.engines.fast.onnx_runtime import OnnxPainter

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    Run = Callable[..., CompletedProcess[str]]


@pytest.mark.usefixtures("folder")
def test_export_writes_graphs_beside_their_weights(run: Run) -> None:
    report = json.loads(run("export", "-o", "onnx", "--json").stdout)
    names = sorted(Path(file).name for file in report["files"])
    assert names == ["any-style.encoder.onnx", "any-style.safetensors", "any-style.transfer.onnx"]
    painter = OnnxPainter(Path("onnx/any-style.transfer.onnx"), Path("onnx/any-style.encoder.onnx"))
    picture = torch.rand(1, 3, 48, 56, generator=torch.Generator().manual_seed(0))
    assert painter.paint(picture, painter.code(picture)).shape == picture.shape


@pytest.mark.usefixtures("folder")
def test_self_contained_graphs_need_no_other_file(run: Run) -> None:
    outcome = run("export", "-o", "onnx", "--self-contained")
    assert outcome.returncode == 0
    assert sorted(path.name for path in Path("onnx").iterdir()) == ["any-style.encoder.onnx", "any-style.transfer.onnx"]
    assert Path("onnx/any-style.transfer.onnx").stat().st_size > 500_000


@pytest.mark.usefixtures("folder")
def test_what_is_no_model_is_refused(run: Run) -> None:
    outcome = run("export", "content.png", "-o", "onnx")
    assert outcome.returncode == 1
    assert "no model of engine fast" in outcome.stderr
    assert list(Path("onnx").iterdir()) == []
    Path("plain").mkdir()
    assert "is no style" in run("export", "plain", "-o", "onnx").stderr
