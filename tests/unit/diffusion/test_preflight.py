"""What is wrong with a model's files is said before anything is loaded, in words."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests import tiny_hub

import impasto
from impasto.engines.diffusion import loading
from impasto.engines.diffusion.preflight import adapter_facts, check_adapter, check_base, check_control


@pytest.fixture
def copied(hub: Path, tmp_path: Path) -> Path:
    """A copy of tiny SDXL that a test may damage."""
    return Path(shutil.copytree(hub / tiny_hub.SDXL, tmp_path / "model"))


def test_families_are_told_apart(hub: Path) -> None:
    assert check_base(hub / tiny_hub.SDXL) == "sdxl"
    assert check_base(hub / tiny_hub.SD15) == "sd15"


def test_model_of_pickles_is_refused_and_never_read(copied: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "executed").touch, ())

    (copied / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    (copied / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(impasto.WeightsError, match=r"diffusion_pytorch_model\.bin is a pickle.*safetensors"):
        loading.load_base(copied, torch.float32)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["adapter.bin", "adapter.ckpt", "adapter.pt", "adapter.PTH", "adapter.exe"])
def test_adapter_that_is_no_safetensors_is_refused_by_its_name(paint, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(impasto.WeightsError, match=r"safetensors"):
        paint(ip_adapter=str(tmp_path / name))


@pytest.mark.parametrize(
    ("component", "own"), [("unet", ["custom_unet", "Unet"]), ("scheduler", ["scheduler_code", "Sampler"])]
)
def test_model_with_code_of_its_own_is_refused_and_the_code_not_run(
    copied: Path, tmp_path: Path, component: str, own: list[str]
) -> None:
    index = json.loads((copied / "model_index.json").read_text())
    (copied / "model_index.json").write_text(json.dumps(index | {component: own}))
    (copied / component / f"{own[0]}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass {own[1]}: ...")
    with pytest.raises(impasto.WeightsError, match="code of its own"):
        loading.load_base(copied, torch.float32)
    assert not (tmp_path / "executed").exists()


def test_damaged_weights_are_named_with_their_size(copied: Path) -> None:
    path = copied / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(impasto.WeightsError, match=rf"unet.*{path.stat().st_size:,} bytes.*no whole safetensors"):
        check_base(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no model"),
        (lambda folder: (folder / "model_index.json").unlink(), r"model_index\.json.*layout of diffusers"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}'), "FluxPipeline"),
        (lambda folder: (folder / "vae" / "config.json").unlink(), r"vae.*config\.json"),
        (lambda folder: (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink(), "vae.*no weights"),
    ],
    ids=["folder", "index", "JSON", "family", "configuration", "weights"],
)
def test_incomplete_model_says_what_is_missing(copied: Path, change, message: str) -> None:
    change(copied)
    with pytest.raises(impasto.WeightsError, match=message):
        check_base(copied)


def test_single_file_says_that_a_folder_is_needed(paint, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(impasto.WeightsError, match="a model is a folder"):
        paint(model=str(tmp_path / "model.safetensors"))


def test_adapters_kinds_are_read_from_their_headers(hub: Path) -> None:
    base = adapter_facts(hub / tiny_hub.IP_ADAPTER / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors")
    plus = adapter_facts(hub / tiny_hub.IP_ADAPTER / "sdxl_models" / "ip-adapter-plus_sdxl_vit-h.safetensors")
    assert (base.plus, plus.plus) == (False, True)
    assert (base.encoder_width, plus.encoder_width) == (24, 32)
    assert base.rows.keys() == plus.rows.keys()
    assert min(base.rows) == 1
    assert all(index % 2 for index in base.rows)


@pytest.mark.parametrize("name", ["ip-adapter_sdxl_vit-h", "ip-adapter-plus_sdxl_vit-h"])
def test_encoder_of_another_adapter_is_refused_before_a_product_of_matrices_is(hub: Path, name: str) -> None:
    facts = adapter_facts(hub / tiny_hub.IP_ADAPTER / "sdxl_models" / f"{name}.safetensors")
    check_adapter(facts, hub / tiny_hub.SDXL, hub / tiny_hub.IP_ADAPTER / "models" / "image_encoder")
    with pytest.raises(impasto.WeightsError, match=r"vit-h.*models/image_encoder"):
        check_adapter(facts, hub / tiny_hub.SDXL, hub / tiny_hub.IP_ADAPTER / "sdxl_models" / "image_encoder")


def test_adapter_of_another_family_is_refused_and_the_next_run_is_well(paint, pixels, hub: Path) -> None:
    before = pixels()
    with pytest.raises(impasto.WeightsError, match="another family"):
        paint(ip_adapter=str(hub / tiny_hub.IP_ADAPTER / "models" / "ip-adapter_sd15.safetensors"))
    assert torch.equal(pixels(), before)


def test_adapter_whose_tensors_are_others_is_none(tmp_path: Path) -> None:
    save_file({"id_encoder.weight": torch.zeros(2, 2)}, tmp_path / "faceid.safetensors")
    with pytest.raises(impasto.WeightsError, match="no IP-Adapter"):
        adapter_facts(tmp_path / "faceid.safetensors")


def test_adapter_that_lacks_a_tensor_ends_in_a_sentence(paint, hub: Path, tmp_path: Path) -> None:
    tensors = load_file(hub / tiny_hub.IP_ADAPTER / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors")
    del tensors["ip_adapter.5.to_k_ip.weight"]
    save_file(tensors, tmp_path / "part.safetensors")
    with pytest.raises(impasto.WeightsError, match=r"part\.safetensors.*does not fit"):
        paint(ip_adapter=str(tmp_path / "part.safetensors"))


def test_control_of_another_family_or_kind_is_refused(hub: Path) -> None:
    check_control(hub / tiny_hub.TILE_SDXL, hub / tiny_hub.SDXL)
    with pytest.raises(impasto.WeightsError, match="another family"):
        check_control(hub / tiny_hub.CANNY_SD15, hub / tiny_hub.SDXL)
    with pytest.raises(impasto.WeightsError, match="not a ControlNetModel"):
        check_control(hub / tiny_hub.TAESD_SDXL, hub / tiny_hub.SDXL)


def test_without_the_extra_it_says_what_to_install(paint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_PACKAGES", ("diffusers", "a_package_that_is_not_there"))
    with pytest.raises(impasto.MissingExtraError, match=r"a_package.*pip install torch==.*impasto\[diffusion\]"):
        paint()
