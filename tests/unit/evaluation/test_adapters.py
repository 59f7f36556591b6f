"""Adapters of the field's standard metrics, on tiny random networks in real files under their real names."""

from __future__ import annotations

import argparse
import hashlib
import logging
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from impasto.errors import ImageTooSmallError, InputError, WeightsError
from impasto.evaluation.adapters import ADAPTERS, clip, csd, dists, fid, lpips
from impasto.evaluation.adapters import weights as module
from impasto.evaluation.adapters.clip import VisionTransformer
from impasto.evaluation.adapters.dists import DISTS
from impasto.evaluation.adapters.fid import Inception, art_fid, frechet_distance, frechet_inception_distance
from impasto.evaluation.adapters.lpips import LPIPS
from impasto.evaluation.adapters.weights import FILES, find_weights, read_weights
from impasto.evaluation.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    Install = Callable[[str, object], Path]

G = torch.Generator().manual_seed(0)


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=G) / max(1, np.prod(shape[1:])) ** 0.5


def _pixels(height: int = 80, width: int = 96) -> Tensor:
    smooth = torch.rand(1, 3, 5, 6, generator=G)
    return torch.nn.functional.interpolate(smooth, (height, width), mode="bicubic").clamp(0, 1)


def _noisy(pixels: Tensor, sigma: float) -> Tensor:
    return (pixels + sigma * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)


def _convolutions(sizes: dict[int, tuple[int, ...]]) -> dict[str, Tensor]:
    weights = {f"features.{index}.weight": 2 * _random(*size) for index, size in sizes.items()}
    return weights | {f"features.{index}.bias": 0.1 * _random(size[0]) for index, size in sizes.items()}


def _alexnet(c: tuple[int, ...] = (8, 8, 8, 8, 8)) -> dict[str, Tensor]:
    return _convolutions({
        0: (c[0], 3, 11, 11), 3: (c[1], c[0], 5, 5), 6: (c[2], c[1], 3, 3), 8: (c[3], c[2], 3, 3),
        10: (c[4], c[3], 3, 3),
    })  # fmt: skip


def _vgg16(c: tuple[int, ...] = (8, 8, 8, 8, 8)) -> dict[str, Tensor]:
    stages = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
    before, sizes = 3, {}
    for indices, channels in zip(stages, c, strict=True):
        for index in indices:
            sizes[index] = (channels, before, 3, 3)
            before = channels
    return _convolutions(sizes)


def _transformer(prefix: str, width: int = 128, patch: int = 8, side: int = 32, blocks: int = 2) -> dict[str, Tensor]:
    shapes = {
        "class_embedding": (width,), "positional_embedding": ((side // patch) ** 2 + 1, width),
        "conv1.weight": (width, 3, patch, patch),
    }  # fmt: skip
    for index in range(blocks):
        name = f"transformer.resblocks.{index}"
        for part, size in ("attn.in_proj_", 3 * width), ("mlp.c_fc.", 4 * width), ("attn.out_proj.", width):
            shapes |= {f"{name}.{part}weight": (size, width), f"{name}.{part}bias": (size,)}
        shapes |= {f"{name}.mlp.c_proj.weight": (width, 4 * width), f"{name}.mlp.c_proj.bias": (width,)}
        for norm in "ln_1", "ln_2":
            shapes |= {f"{name}.{norm}.weight": (width,), f"{name}.{norm}.bias": (width,)}
    for norm in "ln_pre", "ln_post":
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    return {prefix + name: _random(*shape) for name, shape in shapes.items()}


def _inception(c: int = 4) -> dict[str, Tensor]:
    names = {"Conv2d_1a_3x3": (3, (3, 3)), "Conv2d_2a_3x3": (c, (3, 3)), "Conv2d_2b_3x3": (c, (3, 3)),
             "Conv2d_3b_1x1": (c, (1, 1)), "Conv2d_4a_3x3": (c, (3, 3))}  # fmt: skip
    before = c
    for block, parts in fid._BLOCKS.items():
        for chain in parts:
            for position, part in enumerate(chain):
                kernel = {"1": (1, 1), "3": (3, 3), "5": (5, 5), "7": (1, 7)}[part[0]]
                if part.endswith("_1"):
                    kernel = (1, 1)  # a chain begins by mixing channels
                elif part == "7x7x3_4":
                    kernel = (3, 3)
                names[f"Mixed_{block}.branch{part}"] = (before if position == 0 else c, kernel)
        after = c * len(parts)
        if block in ("6a", "7a"):
            after += before
        else:
            names[f"Mixed_{block}.branch_pool"] = (before, (1, 1))
            after += c
        before = after
    tensors = {}
    for name, (inputs, kernel) in names.items():
        tensors[f"{name}.conv.weight"] = 2 * _random(c, inputs, *kernel)
        tensors[f"{name}.bn.weight"], tensors[f"{name}.bn.running_var"] = torch.ones(c), torch.ones(c)
        tensors[f"{name}.bn.bias"], tensors[f"{name}.bn.running_mean"] = 0.1 * _random(c), torch.zeros(c)
    return tensors


@pytest.fixture(autouse=True)
def _no_network_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    yield
    for adapter in clip, csd, dists, fid, lpips:
        adapter._network.cache_clear()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Writes a tiny network where a real one would lie, and pins its digest instead."""

    def write(name: str, contents: object) -> Path:
        path = tmp_path / FILES[name].file
        save_file(contents, path) if path.suffix == ".safetensors" else torch.save(contents, path)
        if FILES[name].sha256:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            monkeypatch.setitem(module.FILES, name, replace(FILES[name], sha256=digest))
        return path

    return write


def _install_lpips(install: Install) -> None:
    install("alexnet", _alexnet())
    install("lpips-heads", {f"lin{level}.model.1.weight": torch.rand(1, 8, 1, 1, generator=G) for level in range(5)})


def _install_dists(install: Install) -> None:
    install("vgg16", _vgg16())
    install("dists-weights", {name: torch.rand(1, 3 + 5 * 8, 1, 1, generator=G) for name in ("alpha", "beta")})


def _install_clip(install: Install) -> None:
    install("clip", _transformer("visual.") | {"visual.proj": _random(128, 16), "logit_scale": torch.ones(())})


def _install_csd(install: Install) -> None:
    heads = {f"module.last_layer_{head}": _random(128, 16) for head in ("style", "content")}
    # What the public checkpoint holds beside the network: the options of the training, and NumPy numbers.
    others = {"iter": 3, "args": argparse.Namespace(lr=np.float64(1e-4)), "fp16_scaler": None}
    install("csd", {"model_state_dict": _transformer("module.backbone.") | heads, **others})


INSTALL = {"lpips": _install_lpips, "dists": _install_dists, "clip": _install_clip, "csd": _install_csd}
METRICS = {metric.name: metric.function for metric in ADAPTERS}


def test_every_adapter_has_a_test_and_must_be_asked_for() -> None:
    assert METRICS.keys() == INSTALL.keys()
    assert not any(metric.default for metric in ADAPTERS)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_distance_to_the_content_is_zero_symmetric_and_grows(install: Install, name: str) -> None:
    INSTALL[name](install)
    content, style = View(_pixels()), View(_pixels())
    near, far = (View(_noisy(content.pixels, sigma)) for sigma in (0.05, 0.2))
    distance = METRICS[name]
    assert distance(content, content, style) == pytest.approx(0, abs=1e-6)
    assert 0 < distance(near, content, style) < distance(far, content, style)
    assert distance(far, content, style) == pytest.approx(distance(content, far, style), rel=1e-5)
    assert distance(far, content, style) == distance(far, content, content)  # the style plays no part


@pytest.mark.parametrize("name", ["clip", "csd"])
def test_cosine_with_the_style_is_one_symmetric_and_falls(install: Install, name: str) -> None:
    INSTALL[name](install)
    style, content = View(_pixels(60, 90)), View(_pixels())
    near, far = (View(_noisy(style.pixels, sigma)) for sigma in (0.02, 0.3))
    cosine = METRICS[name]
    assert cosine(style, content, style) == pytest.approx(1, abs=1e-5)
    assert 1 > cosine(near, content, style) > cosine(far, content, style) >= -1
    assert cosine(far, content, style) == pytest.approx(cosine(style, content, far), abs=1e-6)
    assert cosine(far, content, style) == cosine(far, style, style)  # the content plays no part


@pytest.mark.parametrize("name", METRICS)
def test_metric_without_weights_says_what_to_get_and_where_to_put_it(tmp_path: Path, name: str) -> None:
    view = View(_pixels(32, 32))
    wanted = FILES[{"lpips": "alexnet", "dists": "vgg16"}.get(name, name)]
    with pytest.raises(WeightsError) as caught:
        METRICS[name](view, view, view)
    for part in (wanted.what, wanted.home, wanted.licence, str(tmp_path / wanted.file), "IMPASTO_WEIGHTS"):
        assert part in str(caught.value)


def test_weights_of_another_digest_are_refused_with_both(install: Install) -> None:
    path = install("alexnet", _alexnet())
    expected = FILES["alexnet"].sha256
    path.write_bytes(path.read_bytes()[:-100])  # a download that broke off
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=f"{found}, expected {expected}.*get it again from https://"):
        find_weights("alexnet")


@pytest.mark.parametrize("damage", ["truncated", "code", "list", "empty"])
def test_unpinned_file_that_is_damaged_or_holds_code_is_refused(install: Install, tmp_path: Path, damage: str) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Path], tuple[Path]]:
            return type(tmp_path).touch, (tmp_path / "ran",)

    path = install("art-inception", [1, 2, 3] if damage == "list" else _inception())
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "code":
        path.write_bytes(pickle.dumps({"model_state_dict": Evil()}, protocol=2))
    elif damage == "empty":
        path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"can be read safely: .*get it again"):
        read_weights("art-inception")
    assert not (tmp_path / "ran").exists()


def test_unpinned_file_is_read_and_its_digest_is_told(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    path = install("art-inception", _inception())
    with caplog.at_level(logging.WARNING, "impasto"):
        found = find_weights("art-inception")
    assert found.path == path
    assert found.sha256 in caplog.text


def test_file_of_another_network_is_refused_by_name(install: Install) -> None:
    install("art-inception", _alexnet())
    with pytest.raises(WeightsError, match=r"it has no tensor Conv2d_1a_3x3\.conv\.weight"):
        Inception(read_weights("art-inception"), art=True)(_pixels())


def test_weights_folder_is_the_users_own_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IMPASTO_WEIGHTS")
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / name))
    assert module.weights_folder() == tmp_path / "impasto" / "weights"


def test_lpips_heads_that_torchmetrics_ships_fit_alexnet() -> None:
    heads = read_weights("lpips-heads")
    trunk = {name.removeprefix("features."): value for name, value in _alexnet((64, 192, 384, 256, 256)).items()}
    assert LPIPS(trunk, heads)(_pixels(32, 40), _pixels(32, 40)) > 0
    assert all(bool((head >= 0).all()) for head in heads.values())


def test_dists_weights_that_torchmetrics_ships_fit_vgg16() -> None:
    weights = read_weights("dists-weights")
    trunk = {name.removeprefix("features."): value for name, value in _vgg16((64, 128, 256, 512, 512)).items()}
    assert 0 < DISTS(trunk, weights["alpha"], weights["beta"])(_pixels(32, 32), _pixels(32, 32)) < 1


@pytest.mark.parametrize("pixels", [255 * _pixels(), 2 * _pixels() - 1, _pixels() * torch.nan])
@pytest.mark.parametrize("name", ["lpips", "dists", "clip", "fid", "art-fid"])
def test_networks_refuse_pixels_of_another_range(name: str, pixels: Tensor) -> None:
    trunk = {key.removeprefix("features."): value for key, value in (_alexnet() | _vgg16()).items()}
    networks: dict[str, Callable[[Tensor], object]] = {
        "lpips": lambda x: LPIPS(trunk, {})(x, x),
        "dists": lambda x: DISTS(trunk, torch.ones(43), torch.ones(43))(x, x),
        "clip": lambda x: VisionTransformer(_transformer(""), _random(128, 16))(x),
        "fid": Inception(_inception(), art=False),
        "art-fid": Inception(_inception(), art=True),
    }
    with pytest.raises(InputError, match=r"pixels range from .* \[0, 1\]"):
        networks[name](pixels)


def test_vision_transformer_sees_the_middle_square_only() -> None:
    net = VisionTransformer(_transformer(""), _random(128, 16))
    assert net.side_px == 32
    wide = _pixels(32, 64)
    elsewhere = wide.clone()
    elsewhere[..., :16] = elsewhere[..., 48:] = 0.5
    torch.testing.assert_close(net(wide), net(elsewhere))
    torch.testing.assert_close(net(wide), net(wide[..., 16:48]))


def test_art_fid_network_pools_otherwise_than_pytorch_fids() -> None:
    tensors, pixels = _inception(), _pixels(299, 299)
    ours, art = (Inception(tensors, art=art) for art in (False, True))
    # 2x - 1 is the one difference before the blocks, so (x + 1) / 2 to the first is x to the second there.
    assert not torch.allclose(ours((pixels + 1) / 2), art(pixels), rtol=1e-3)
    assert art(pixels).shape == ours(pixels).shape


@pytest.mark.parametrize("count", [6, 400])  # fewer and more pictures than features
def test_frechet_distance_of_moved_and_stretched_features_is_the_closed_form(count: int) -> None:
    features = torch.randn(count, 8, dtype=torch.float64, generator=G)
    shift, stretch = torch.linspace(-1, 1, 8, dtype=torch.float64), 1.7
    moved = stretch * (features - features.mean(0)) + features.mean(0) + shift
    # Gaussians whose covariances are multiples: |shift|² + Tr Σ (1 - stretch)².
    expected = shift.square().sum() + features.var(0).sum() * (1 - stretch) ** 2
    assert frechet_distance(features, moved) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(moved, features) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_axis_aligned_gaussians_is_the_closed_form() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    corners = torch.cat([eye, -eye])
    first, second = torch.tensor([1.0, 2, 3]).double(), torch.tensor([2.0, 1, 5]).double()
    variance = corners.var(0)[0]
    expected = variance * (first - second).square().sum()
    assert frechet_distance(corners * first, corners * second) == pytest.approx(float(expected))


def test_fid_is_zero_for_equal_sets_and_grows_with_noise(install: Install) -> None:
    install("inception", _inception())
    views = [View(_pixels(40, 50)) for _ in range(4)]
    near, far = ([View(_noisy(view.pixels, sigma)) for view in views] for sigma in (0.05, 0.3))
    assert frechet_inception_distance(views, views[::-1]) == pytest.approx(0, abs=1e-6)
    assert 0 < frechet_inception_distance(near, views) < frechet_inception_distance(far, views)
    assert frechet_inception_distance(far, views) == pytest.approx(frechet_inception_distance(views, far), rel=1e-6)


def test_art_fid_multiplies_both_distances(install: Install) -> None:
    _install_lpips(install)
    install("art-inception", _inception())
    styles = [View(_pixels()) for _ in range(3)]
    contents = [View(_pixels()) for _ in range(3)]
    outputs = [View(_noisy(view.pixels, 0.1)) for view in contents]
    content_distance = art_fid(outputs, contents, outputs)
    style_distance = art_fid(outputs, outputs, styles)
    assert content_distance > 1
    assert style_distance > 1
    assert art_fid(outputs, contents, styles) == pytest.approx(content_distance * style_distance, rel=1e-6)
    assert art_fid(outputs, outputs, outputs) == pytest.approx(1, abs=1e-6)


def test_sets_that_are_too_small_or_unpaired_are_refused(install: Install) -> None:
    _install_lpips(install)
    install("art-inception", _inception())
    views = [View(_pixels()) for _ in range(2)]
    with pytest.raises(InputError, match=r"1 and 2 pictures.*at least 2"):
        frechet_inception_distance(views[:1], views)
    with pytest.raises(InputError, match=r"2 and 0 pictures.*at least 2"):
        art_fid(views, views, [])
    with pytest.raises(InputError, match="1 contents for 2 outputs"):
        art_fid(views, views[:1], views)
    with pytest.raises(ImageTooSmallError, match=r"64×40 px.*75 px"):
        art_fid([View(_pixels(40, 64))] * 2, views, views)
