"""Files of weights as users have them, made from the packaged ones; and a cache folder of a test's own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch

from impasto.vgg import VGG19
from impasto.vgg import weights as module
from impasto.vgg.calibrate import PACKAGED_SCALES
from impasto.vgg.layers import CONVOLUTIONS
from impasto.vgg.weights import CAFFE_MEAN_RGB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from impasto.settings import Pooling
    from impasto.vgg import VGGWeights

#: Where torchvision's ``vgg19().features`` has its convolutions.
INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
#: The normalisation that torchvision documents for its models.
MEAN, STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))


@pytest.fixture(scope="session")
def network(weights: VGGWeights) -> Callable[[Pooling, torch.dtype], VGG19]:
    """The packaged network with that pooling and dtype; the kernels of one dtype are made once."""
    made: dict[torch.dtype, VGG19] = {}

    def of(pooling: Pooling, dtype: torch.dtype) -> VGG19:
        if dtype not in made:
            made[dtype] = VGG19(weights, PACKAGED_SCALES, device=torch.device("cpu"), dtype=dtype)
        net = copy.copy(made[dtype])
        net.pooling = pooling
        return net

    return of


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty place for the cached weights, in a folder that does not exist yet."""
    path = tmp_path / "cache" / "vgg19.safetensors"
    monkeypatch.setattr(module, "cache_path", lambda: path)
    yield path
    path.unlink(missing_ok=True)  # 80 MB that pytest would keep for three runs


@pytest.fixture
def big_file(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Paths for whole networks of 80 MB, deleted when the test is over."""
    paths = []

    def path(name: str) -> Path:
        paths.append(tmp_path / name)
        return paths[-1]

    yield path
    for each in paths:
        each.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def caffe_table(weights: VGGWeights) -> dict[str, Tensor]:
    """The packaged weights as Caffe's network has them: for BGR, 0..255."""
    table = {}
    for index, (name, _, _) in zip(INDICES, CONVOLUTIONS.values(), strict=True):
        table[f"features.{index}.weight"] = weights.tensors[f"{name}.weight"].clone()
        table[f"features.{index}.bias"] = weights.tensors[f"{name}.bias"].clone()
    table["features.0.weight"] = (table["features.0.weight"] / 255).flip(1).contiguous()
    return table


@pytest.fixture(scope="session")
def torchvision_table(caffe_table: dict[str, Tensor], weights: VGGWeights) -> dict[str, Tensor]:
    """The same function of the picture, for RGB that is normalised as torchvision does it."""
    kernel = weights.tensors["conv1_1.weight"]
    # The first convolution sees no zero padding, so another mean is another bias:
    # W (x - a) + b = W (x - m) + b + W (m - a).
    shift = (kernel.sum((2, 3)) * (MEAN - torch.tensor(CAFFE_MEAN_RGB))).sum(1)
    return {
        **caffe_table,
        "features.0.weight": kernel * STD.view(1, 3, 1, 1),
        "features.0.bias": caffe_table["features.0.bias"] + shift,
    }


@pytest.fixture
def net(network: Callable[[Pooling, torch.dtype], VGG19]) -> VGG19:
    """The packaged network in float32, as it is by default."""
    return network("max", torch.float32)
