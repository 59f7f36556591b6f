"""Weights that users bring: torchvision's and Caffe's files, and all that only looks like them."""

from __future__ import annotations

import os
import pickle
import random
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from impasto.errors import WeightsError
from impasto.settings import LAYERS
from impasto.vgg import VGG19, activations, load_network
from impasto.vgg.calibrate import PACKAGED_SCALES
from impasto.vgg.weights import IMAGENET_MEAN_RGB, load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from impasto.vgg import VGGWeights

CPU = torch.device("cpu")


def _save(table: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(table, path)
    else:
        torch.save(table, path)
    return path


@pytest.mark.parametrize("name", ["My_Caffe.safetensors", "vgg19-d01eb7cb.pth"])
def test_caffe_file_gives_the_packaged_weights(
    name: str, big_file, caffe_table: dict[str, Tensor], weights: VGGWeights
) -> None:
    found = load_weights(_save(caffe_table, big_file(name)))
    assert (found.source, found.mean) == ("caffe", weights.mean)
    assert found.sha256 not in ("", weights.sha256)
    for key, tensor in weights.tensors.items():
        assert_close(found.tensors[key], tensor, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["torchvision.safetensors", "vgg19-dcbb9e9d.pth"])
def test_torchvision_file_of_the_same_function_gives_the_same_activations(
    name: str, big_file, torchvision_table: dict[str, Tensor], network, content
) -> None:
    found = load_weights(_save(torchvision_table, big_file(name)))
    assert (found.source, found.mean) == ("torchvision", IMAGENET_MEAN_RGB)
    net, other = network("max", torch.float32), VGG19(found, PACKAGED_SCALES, device=CPU, dtype=torch.float32)
    pixels = torch.from_numpy(content.copy()).permute(2, 0, 1)[None] / 255
    ours, theirs = activations(net, pixels, LAYERS), activations(other, pixels, LAYERS)
    for layer in LAYERS:
        assert float((ours[layer] - theirs[layer]).norm() / ours[layer].norm()) < 1e-4, layer


def test_user_network_has_unit_means_whatever_its_scale(
    big_file, caffe_table: dict[str, Tensor], network, photograph
) -> None:
    """Weights of a network whose activations are ten times larger still give activations of about 1."""
    scale = {"features.0.weight": 10.0}
    table = {key: t * scale.get(key, 10.0 if key.endswith("bias") else 1.0) for key, t in caffe_table.items()}
    path = str(_save(table, big_file("caffe.safetensors")))
    found = load_network(path, device=CPU, dtype=torch.float32)
    user = found.net
    assert found.source == "caffe"
    packaged = network("max", torch.float32)
    pixels = torch.from_numpy(photograph("chelsea", 64, 64)).permute(2, 0, 1)[None] / 255
    ours, theirs = activations(packaged, pixels, LAYERS), activations(user, pixels, LAYERS)
    for layer in LAYERS:
        assert_close(theirs[layer], ours[layer], rtol=0.02, atol=1e-3)


def test_network_when_its_file_has_changed_is_read_again(big_file, caffe_table: dict[str, Tensor]) -> None:
    path = _save(caffe_table, big_file("caffe.safetensors"))
    before = load_network(str(path), device=CPU, dtype=torch.float32)
    _save({**caffe_table, "features.34.bias": caffe_table["features.34.bias"] + 1}, path)
    after = load_network(str(path), device=CPU, dtype=torch.float32)
    assert after.sha256 != before.sha256  # the recipe would name a file that is not what computed the picture


@pytest.mark.parametrize("name", ["vgg19.pth", "caffe-or-torchvision.pth"])
def test_file_of_unknown_kind_is_refused(name: str, tmp_path: Path) -> None:
    path = _save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / name)
    with pytest.raises(WeightsError, match=r"'torchvision' or 'caffe'"):
        load_weights(path)


def test_file_with_code_in_it_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    trace = tmp_path / "executed"

    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(trace),)

    for number, write in enumerate((lambda path: torch.save(Attack(), path), _pickle_of(Attack()))):
        path = tmp_path / f"caffe{number}.pth"
        write(path)
        with pytest.raises(WeightsError, match=path.name):
            load_weights(path)
    assert not trace.exists()


def _pickle_of(value: object):
    return lambda path: path.write_bytes(pickle.dumps(value, protocol=2))


def test_file_that_misses_a_key_is_refused_by_name(tmp_path: Path, caffe_table: dict[str, Tensor]) -> None:
    early = {key: tensor for key, tensor in caffe_table.items() if int(key.split(".")[1]) < 5}
    path = _save(early, tmp_path / "caffe.safetensors")
    with pytest.raises(WeightsError, match=r"features\.5\.weight"):
        load_weights(path)


@pytest.mark.parametrize(
    ("key", "shape"), [("features.0.weight", (64, 3, 5, 5)), ("features.2.bias", (65,)), ("features.2.weight", (64,))]
)
def test_file_with_a_wrong_shape_is_refused_by_name(
    key: str, shape: tuple[int, ...], tmp_path: Path, caffe_table: dict[str, Tensor]
) -> None:
    early = {k: tensor for k, tensor in caffe_table.items() if int(k.split(".")[1]) < 5}
    path = _save({**early, key: torch.zeros(shape)}, tmp_path / "caffe.pth")
    with pytest.raises(WeightsError, match=key.replace(".", r"\.")):
        load_weights(path)


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), "text", {"features.0.weight": "text"}])
def test_file_that_holds_something_else_is_refused(value: object, tmp_path: Path) -> None:
    path = tmp_path / "caffe.pth"
    torch.save(value, path)
    with pytest.raises(WeightsError):
        load_weights(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("data", [b"", b"\0", b"text", b"PK\x03\x04" + bytes(50), b"\xff" * 40, b"J\x02"])
def test_file_of_garbage_is_refused(data: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"caffe{suffix}"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=path.name):
        load_weights(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")  # PyTorch's, of a damaged protocol number
def test_file_with_random_damage_is_refused(tmp_path: Path) -> None:
    dice = random.Random(7)  # noqa: S311 — damage, not a secret
    whole = {}
    for suffix in (".pth", ".safetensors"):
        whole[suffix] = _save({"features.0.weight": torch.ones(2, 3)}, tmp_path / f"caffe{suffix}").read_bytes()
    whole[".old.pth"] = pickle.dumps({"features.0.weight": ("x" * 20, [1, 2.5])}, protocol=2)
    for suffix, data in whole.items():
        path = tmp_path / f"caffe-damaged{suffix}"
        for _ in range(60):
            damaged = bytearray(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.3 else data)
            for _ in range(dice.randint(1, 4)):
                if damaged:
                    damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            path.write_bytes(bytes(damaged))
            with pytest.raises(WeightsError):  # anything else would be a traceback
                load_weights(path)


def test_path_without_a_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "caffe.pth", tmp_path):
        with pytest.raises(WeightsError, match="no weights file"):
            load_weights(path)
