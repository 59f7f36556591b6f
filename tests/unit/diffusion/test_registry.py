"""Models by name: where they are looked for, what they are checked against, what their licences ask for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests import tiny_hub

import impasto
from impasto import api
from impasto.engines.diffusion import digests, registry

if TYPE_CHECKING:
    from pathlib import Path

TAESD = registry.PARTS["taesd-xl"]


def test_every_model_is_made_of_known_parts() -> None:
    for model in registry.MODELS.values():
        for part in (*model.needed, *model.adapters.values(), *model.controls.values()):
            assert part in registry.PARTS
    for part in registry.PARTS.values():
        assert part.licence
        assert part.gib > 0
        assert all(name.startswith(part.folder) for name in part.files)
        assert not [name for name in part.files if name.endswith((".bin", ".ckpt", ".pth", ".py"))]
        assert part.revision is None or len(part.revision) == 40


def test_pins_are_digests_of_files_that_parts_have() -> None:
    files = {f"{part.repository}/{name}" for part in registry.PARTS.values() for name in part.files}
    program = "from impasto.engines.diffusion.registry import PINS; print('\\n'.join(map(' '.join, PINS.items())))"
    lines = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    pins = dict(line.split() for line in lines.splitlines())  # those of here are taken away
    assert len(pins) == 10
    assert pins.keys() <= files
    assert all(len(pin) == 64 and set(pin) <= set("0123456789abcdef") for pin in pins.values())


def test_part_is_found_in_the_users_folder(hub: Path) -> None:
    encoder = registry.locate(registry.PARTS["clip-vit-h"])
    assert encoder.folder == hub / tiny_hub.IP_ADAPTER / "models" / "image_encoder"
    assert registry.locate(TAESD).folder == hub / tiny_hub.TAESD_SDXL


def test_part_is_found_in_the_shared_cache(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Hugging Face's tools lay it out; of a part with a pinned revision in that revision only."""
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert registry.find(TAESD) is None
    for part, revision in ((TAESD, "1" * 40), (registry.PARTS["ip-adapter-sd15"], "2" * 40)):
        store = tmp_path / "cache" / f"models--{part.repository.replace('/', '--')}"
        for name in part.files:
            target = store / "snapshots" / revision / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(hub / part.repository / name, target)
        (store / "refs").mkdir()
        (store / "refs" / "main").write_text(revision)
    found = registry.find(TAESD)
    assert found is not None
    assert found.folder.parts[-2:] == ("snapshots", "1" * 40)
    assert registry.find(registry.PARTS["ip-adapter-sd15"]) is None


def test_missing_part_says_name_size_and_place(paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    with pytest.raises(impasto.WeightsError) as caught:
        paint()
    for word in ("sdxl-base", "6.5 GiB", "model_index.json", str(tmp_path), "impasto models download sdxl-base"):
        assert word in str(caught.value)


def test_file_that_is_not_the_pinned_one_is_refused(paint, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{tiny_hub.IP_ADAPTER}/models/image_encoder/model.safetensors"
    monkeypatch.setitem(registry.PINS, name, "0" * 64)
    with pytest.raises(impasto.WeightsError, match=r"clip-vit-h.*SHA-256.*expected 0000.*models download clip-vit-h"):
        paint()


def test_digest_of_a_first_download_holds_from_then_on(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    shutil.copytree(hub / tiny_hub.TAESD_SDXL, tmp_path / tiny_hub.TAESD_SDXL)
    assert {state.state for state in api.verify_models(["taesd-xl"])} == {"unknown"}
    for name in TAESD.files:
        digests.record(TAESD, name, digests.digest_of(tmp_path / TAESD.repository / name))
    assert {state.state for state in api.verify_models()} == {"as first downloaded"}
    config = tmp_path / TAESD.repository / "config.json"
    config.write_text(config.read_text() + " ")
    assert [state.state for state in api.verify_models()] == ["changed", "as first downloaded"]
    weights = tmp_path / TAESD.repository / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    assert [state.state for state in api.verify_models()] == ["changed", "damaged"]


def test_digest_of_a_large_file_is_kept_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    monkeypatch.setattr(digests, "_WORTH_KEEPING", 1)
    path = tmp_path / "large.safetensors"
    path.write_bytes(b"one")
    first = digests.digest_of(path)
    assert str(path) in (registry.cache_folder() / "digests.json").read_text()
    assert digests.digest_of(path) == first
    path.write_bytes(b"another")
    assert digests.digest_of(path) != first


def test_licence_without_commercial_use_has_to_be_accepted(paint) -> None:
    with pytest.raises(impasto.SettingsError, match=r"Non-Commercial.*accept_license"):
        paint(model="sdxl-turbo")
    with pytest.raises(impasto.WeightsError, match="sdxl-turbo-base"):  # accepted, but it is not here
        paint(model="sdxl-turbo", accept_license=True)
    with pytest.raises(impasto.SettingsError, match=r"Non-Commercial.*--accept-license"):
        api.download_models(["sdxl-turbo"])


def test_download_keeps_what_is_here_and_refuses_offline(hub: Path) -> None:
    assert api.download_models(["taesd-xl"]) == (hub / tiny_hub.TAESD_SDXL,)
    with pytest.raises(impasto.WeightsError, match="HF_HUB_OFFLINE"):
        api.download_models(["sdxl-turbo-base"], accept_license=True)


def test_unknown_model_lists_the_known_ones(paint) -> None:
    with pytest.raises(impasto.SettingsError, match=r"'sd3'.*sdxl, sdxl-lightning"):
        paint(model="sd3")
    with pytest.raises(impasto.SettingsError, match=r"'sd3'.*sdxl-base"):
        api.model_paths("sd3")


def test_engine_is_imported_without_the_extras_packages() -> None:
    program = (
        "import sys; import impasto.engines.diffusion.registry; assert 'torch' not in sys.modules; "
        "import impasto.engines.diffusion.engine; "
        "sys.exit(len({'diffusers', 'transformers', 'peft', 'huggingface_hub'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
