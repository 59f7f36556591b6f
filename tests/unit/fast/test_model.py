"""Weights on disk: what was written comes back, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save
from tests.unit.fast.conftest import networks, picture
from torch.testing import assert_close

from impasto.engines.fast.model import load_model, save_model
from impasto.errors import OutputError, WeightsError

if TYPE_CHECKING:
    from pathlib import Path


def test_model_comes_back_in_half_precision(tmp_path: Path) -> None:
    net, encoder = networks()
    sha256 = save_model(tmp_path / "m.safetensors", net, encoder, {"kind": "any-style", "steps": 3})
    model = load_model(tmp_path / "m.safetensors", sha256=sha256)
    assert model.sha256 == sha256
    assert model.code is None
    assert model.about == {"kind": "any-style", "steps": 3}
    for name, tensor in net.state_dict().items():
        assert torch.equal(model.net.state_dict()[name], tensor.half().float())
    assert model.encoder is not None
    style = picture(32, 32)
    assert_close(model.encoder(style), encoder(style), atol=0.02, rtol=0.02)


def test_model_of_one_style_has_its_code(tmp_path: Path) -> None:
    net, _ = networks()
    code = torch.linspace(-1, 1, net.code_size)[None]
    save_model(tmp_path / "m.safetensors", net, code, {})
    model = load_model(tmp_path / "m.safetensors")
    assert model.encoder is None
    assert torch.equal(model.code, code.half().float())


def test_shipped_model_is_there_and_small() -> None:
    model = load_model()
    assert model.source == "any-style"
    assert model.encoder is not None
    assert model is load_model()


def test_weights_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    net, encoder = networks()
    net.out.bias[0] = torch.nan
    with pytest.raises(WeightsError, match="not finite"):
        save_model(tmp_path / "m.safetensors", net, encoder, {})
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_model(tmp_path / "nowhere" / "m.safetensors", *networks(), {})


def _changed(path: Path, **header: str) -> Path:
    """The file with other words in its header."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    words = json.loads(data[8 : 8 + length])
    words["__metadata__"].update(header)
    text = json.dumps(words).encode()
    other = path.with_name("changed.safetensors")
    other.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    return other


def _other_tensors(folder: Path) -> Path:
    path = folder / "other.safetensors"
    path.write_bytes(save({"weight": torch.zeros(3)}, metadata={"format": "pt"}))
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda good: good.with_name("missing.safetensors"), "No such file"),
        (lambda good: good.parent, "Is a directory"),
        (lambda good: _written(good, b""), "truncated"),
        (lambda good: _written(good, b"\xff" * 40), "truncated"),
        (lambda good: _written(good, good.read_bytes()[:5000]), "damaged"),
        (lambda good: _written(good, b"\x89PNG\r\n\x1a\n" + bytes(100)), "no model"),
        (lambda good: _other_tensors(good.parent), "format 'pt'"),
        (lambda good: _changed(good, version="2"), "version '2'"),
        (lambda good: _changed(good, shape="[32, 64, 5]"), "damaged"),
        (lambda good: _changed(good, shape="[100000, 100000, 5]"), "damaged"),
        (lambda good: _changed(good, shape="nothing"), "damaged"),
    ],
)
def test_file_that_is_no_model_is_refused_with_the_reason(model_file: Path, make, says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        load_model(make(model_file))


def _written(good: Path, data: bytes) -> Path:
    path = good.with_name("bad.safetensors")
    path.write_bytes(data)
    return path


def test_file_that_was_changed_is_refused_by_its_hash(model_file: Path) -> None:
    with pytest.raises(WeightsError, match=r"SHA-256.*expected 0000"):
        load_model(model_file, sha256="0" * 64)


def test_file_is_read_again_when_it_has_changed(model_file: Path) -> None:
    first = load_model(model_file)
    save_model(model_file, *networks(seed=1), {})
    assert load_model(model_file).sha256 != first.sha256
