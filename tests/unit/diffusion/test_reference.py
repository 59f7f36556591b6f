"""What the adapter is told of its references is what diffusers would tell it, and is looked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from tests import tiny_hub
from torch.testing import assert_close
from transformers import CLIPImageProcessorPil

from impasto.engines.diffusion import registry
from impasto.engines.diffusion.loading import load_adapter, load_base, load_encoder
from impasto.engines.diffusion.reference import ReferenceReader
from impasto.engines.parts import Part, Source

if TYPE_CHECKING:
    from pathlib import Path

WIDE = torch.rand(1, 3, 20, 50, generator=torch.Generator().manual_seed(3)).mul(255).round() / 255


@pytest.fixture
def folder(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ViT-H's, with a cache of this test's own."""
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    return hub / tiny_hub.IP_ADAPTER / "models" / "image_encoder"


def _reader(folder: Path, *, plus: bool = False, crop: str = "center", key: str = "vit-h") -> ReferenceReader:
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    return ReferenceReader(lambda: load_encoder(folder, torch.float32), processor, key, plus=plus, crop=crop)


@pytest.mark.parametrize("plus", [False, True])
@torch.no_grad()
def test_embeddings_are_those_of_diffusers(hub: Path, folder: Path, plus: bool) -> None:
    pipeline = load_base(hub / tiny_hub.SDXL, torch.float32)
    pipeline.register_modules(
        image_encoder=load_encoder(folder, torch.float32),
        feature_extractor=CLIPImageProcessorPil.from_pretrained(folder),
    )
    name = f"ip-adapter{'-plus' if plus else ''}_sdxl_vit-h.safetensors"
    adapter = load_adapter(hub / tiny_hub.IP_ADAPTER / "sdxl_models" / name)
    pipeline.load_ip_adapter(adapter, subfolder="", weight_name=name, image_encoder_folder=None)
    picture = Image.fromarray((WIDE[0] * 255).byte().permute(1, 2, 0).numpy())
    (expected,) = pipeline.prepare_ip_adapter_image_embeds([picture], None, "cpu", 1, True)
    found = _reader(folder, plus=plus).embed(Part(None, (Source(WIDE, None, 1.0),)))
    assert_close(found, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_second_look_needs_no_encoder(folder: Path) -> None:
    first = _reader(folder).look(WIDE)

    def fail() -> None:
        raise AssertionError("the encoder was loaded")

    again = ReferenceReader(fail, None, "vit-h", plus=False, crop="center")
    assert torch.equal(again.look(WIDE), first)
    for other in (
        ReferenceReader(fail, CLIPImageProcessorPil(), "another", plus=False, crop="center"),
        ReferenceReader(fail, CLIPImageProcessorPil(), "vit-h", plus=True, crop="center"),
        ReferenceReader(fail, CLIPImageProcessorPil(), "vit-h", plus=False, crop="tiles"),
    ):
        with pytest.raises(AssertionError, match="was loaded"):
            other.look(WIDE)


@torch.no_grad()
def test_damaged_cache_is_looked_at_again(folder: Path) -> None:
    first = _reader(folder).look(WIDE)
    (kept,) = (registry.cache_folder() / "references").iterdir()
    kept.write_bytes(b"damaged")
    assert torch.equal(_reader(folder).look(WIDE), first)


@torch.no_grad()
def test_crop_decides_what_is_seen_of_the_sides(folder: Path) -> None:
    """The middle alone does not change when the sides do."""
    other = WIDE.clone()
    other[..., :12] = other[..., -12:] = 0
    seen = {crop: (_reader(folder, crop=crop).look(WIDE), _reader(folder, crop=crop).look(other)) for crop in
            ("center", "squash", "tiles")}  # fmt: skip
    assert torch.equal(*seen["center"])
    assert not torch.equal(*seen["squash"])
    assert not torch.equal(*seen["tiles"])
    square = WIDE[..., :20]
    assert torch.equal(_reader(folder, crop="tiles").look(square), _reader(folder).look(square))


@torch.no_grad()
def test_several_references_count_by_their_shares(folder: Path) -> None:
    reader = _reader(folder)
    one, other = reader.look(WIDE), reader.look(1 - WIDE)
    both = reader.embed(Part(None, (Source(WIDE, None, 3.0), Source(1 - WIDE, None, 1.0))))
    assert_close(both, 0.75 * one + 0.25 * other)


@torch.no_grad()
def test_what_a_mask_hides_is_not_seen(folder: Path) -> None:
    mask = torch.zeros(1, 1, 20, 50)
    mask[..., 15:35] = 1
    other = torch.where(mask > 0, WIDE, torch.zeros(()))
    reader = _reader(folder, crop="squash")
    seen = [reader.embed(Part(None, (Source(picture, mask, 1.0),))) for picture in (WIDE, other)]
    assert_close(*seen, rtol=0, atol=1e-5)
    assert not torch.equal(seen[0], reader.look(WIDE))


def test_no_reference_is_zeros_for_base_and_what_nothing_looks_like_for_plus(folder: Path) -> None:
    with torch.no_grad():
        assert not np.any(_reader(folder).look(WIDE)[0].numpy())
        assert np.any(_reader(folder, plus=True).look(WIDE)[0].numpy())
