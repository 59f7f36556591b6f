"""What is signed can be shown to be unchanged; what is changed, stripped or signed by others is told apart."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.errors import InputError, OutputError, SigningError
from impasto.images import read_source_type
from impasto.provenance import registry as registry_module
from impasto.provenance.signers import load_signer
from impasto.recipe import SOURCE_TYPES

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("png", "jpg", "webp", "avif", "tiff")
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
#: Where the coded pixels of a file of each format lie, from its end, with nothing but pixels there.
PIXELS = {"png": b"IDAT", "jpg": b"\xff\xda", "webp": b"VP8 ", "avif": b"mdat", "tiff": b"II*\0"}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(params=FORMATS)
def signed(request, painted, tmp_path) -> Path:
    return impasto.sign(painted.save(tmp_path / f"out.{request.param}"))


def test_signed_file_is_trusted_and_keeps_its_pixels_and_its_recipe(signed, painted) -> None:
    unsigned = painted.save(signed.with_stem("unsigned"))
    assert np.array_equal(pixels(signed), pixels(unsigned))
    assert impasto.read_recipe(signed) == painted.recipe
    assert read_source_type(signed) == f"{SOURCE_TYPES}{COMPOSITE}"
    found = impasto.verify(signed)
    assert (found.outcome, found.problems, found.signer, found.copy_of) == ("trusted", (), "Ada", None)
    assert (found.source_type, found.recipe_from) == (COMPOSITE, "signature")
    # All of the recipe but the way of the loss stands under the signature.
    assert found.recipe == painted.recipe.model_copy(update={"trace": ()})


def test_one_changed_pixel_byte_makes_it_invalid_and_says_which_hash(signed, painted) -> None:
    data = bytearray(signed.read_bytes())
    kind = signed.suffix[1:]
    if kind == "tiff":  # its strips lie where the header says
        with Image.open(signed) as image:
            at = image.tag_v2[273][0] + 30
    else:
        at = data.index(PIXELS[kind]) + 30
    data[at] ^= 1
    signed.write_bytes(data)
    found = impasto.verify(signed)  # also where the pixels can be decoded no more, as by PNG's own checksums
    assert found.outcome == "invalid"
    assert found.problems == (f"assertion.{'bmff' if kind == 'avif' else 'data'}Hash.mismatch",)
    assert found.recipe_from == "file"


def test_copy_that_lost_its_signature_is_known_again(signed, tmp_path) -> None:
    stripped = tmp_path / "stripped.png"
    with Image.open(signed) as image:
        image.convert("RGB").save(stripped)
    found = impasto.verify(stripped)
    assert (found.outcome, found.source_type) == ("not present", None)
    assert found.copy_of is not None
    assert (found.copy_of.likeness, found.copy_of.name) == ("pixels", signed.name)
    assert found.recipe_from == "registry"
    with Image.open(signed) as image:
        image.convert("RGB").save(tmp_path / "again.jpg", quality=80)
    again = impasto.verify(tmp_path / "again.jpg").copy_of
    assert again is not None
    assert again.likeness == "similar"


def test_other_strength_of_the_same_picture_is_no_copy(painted, content, style, tmp_path) -> None:
    impasto.sign(painted.save(tmp_path / "out.png"))
    other = impasto.stylize(content, style, engine="fast", image_size=64, strength=0.7).save(tmp_path / "other.png")
    assert impasto.verify(other).copy_of is None


def test_signature_of_a_stranger_is_valid_and_not_trusted_until_they_are(signed, painted, foreign) -> None:
    impasto.sign(painted.save(signed), f"local:{foreign}")
    found = impasto.verify(signed)
    assert (found.outcome, found.problems, found.signer) == ("valid", ("signingCredential.untrusted",), "Mallory")
    assert impasto.verify(signed, trust=[foreign / "authority.pem"]).outcome == "trusted"


@pytest.mark.parametrize("kind", FORMATS)
def test_minimal_tells_the_kind_of_picture_and_none_tells_nothing(kind, painted, tmp_path) -> None:
    minimal = painted.save(tmp_path / f"minimal.{kind}", metadata="minimal")
    assert read_source_type(minimal) == f"{SOURCE_TYPES}{COMPOSITE}"
    found = impasto.verify(impasto.sign(minimal))
    assert (found.outcome, found.source_type, found.recipe) == ("trusted", COMPOSITE, None)
    assert painted.recipe.content.sha256.encode() not in minimal.read_bytes()
    bare = painted.save(tmp_path / f"none.{kind}", metadata="none")
    assert read_source_type(bare) is None
    with pytest.raises(InputError, match="nothing to vouch for"):
        impasto.sign(bare)


def test_source_type_where_no_trained_model_took_part(content, style, tmp_path) -> None:
    photo = impasto.stylize(content, style, engine="fast", image_size=64, strength=0)
    assert read_source_type(photo.save(tmp_path / "out.png")) == f"{SOURCE_TYPES}algorithmicallyEnhanced"


def test_manifest_names_the_inputs_by_their_hashes(painted, tmp_path) -> None:
    c2pa = pytest.importorskip("c2pa")
    path = impasto.sign(painted.save(tmp_path / "out.png"))
    with path.open("rb") as file:
        document = json.loads(c2pa.Reader("image/png", file).json())
    manifest = document["manifests"][document["active_manifest"]]
    assert [(one["relationship"], one["instance_id"]) for one in manifest["ingredients"]] == [
        ("parentOf", f"sha256:{painted.recipe.content.sha256}"),
        ("inputTo", f"sha256:{painted.recipe.styles[0].sha256}"),
    ]
    assert "thumbnail" not in manifest
    actions = next(one["data"]["actions"] for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2")
    assert [one["action"] for one in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == f"{SOURCE_TYPES}{COMPOSITE}"


def test_interrupted_signing_leaves_the_unsigned_file_whole(painted, tmp_path, monkeypatch) -> None:
    path = painted.save(tmp_path / "out.png")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"No space left.*the picture is there, unsigned"):
        impasto.sign(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["out.png"]


def test_plugged_in_signer_signs_and_its_failure_is_one_sentence(painted, tmp_path) -> None:
    local = load_signer("local")

    class Remote:
        certificates = local.certificates
        fails = False

        def sign(self, data: bytes) -> bytes:
            if self.fails:
                raise ConnectionError("the key service\ndoes not answer")
            return local.sign(data)

    path, remote = painted.save(tmp_path / "out.png"), Remote()
    remote.fails = True
    before = path.read_bytes()
    with pytest.raises(SigningError, match=r"'out\.png' could not be signed: the key service does not answer; "):
        impasto.sign(path, remote)
    assert path.read_bytes() == before
    remote.fails = False
    assert impasto.verify(impasto.sign(path, remote)).outcome == "trusted"


def test_what_cannot_be_signed_is_refused(painted, tmp_path) -> None:
    path = impasto.sign(painted.save(tmp_path / "out.png"))
    with pytest.raises(SigningError, match="is signed already"):
        impasto.sign(path)
    Image.new("RGB", (9, 9)).save(tmp_path / "other.gif")
    with pytest.raises(InputError, match="of a format that is not signed"):
        impasto.sign(tmp_path / "other.gif")
    with pytest.raises(impasto.SettingsError, match=r"no plug-in of impasto.signers is named 'kms'; installed: local"):
        impasto.sign(path, "kms:projects/1")


def test_registry_that_cannot_be_written_costs_the_memory_and_not_the_signature(
    painted, tmp_path, caplog, monkeypatch
) -> None:
    monkeypatch.setenv(registry_module.VARIABLE, str(tmp_path))
    path = impasto.sign(painted.save(tmp_path / "out.png"))
    assert impasto.verify(path).outcome == "trusted"
    assert "cannot remember 'out.png'" in caplog.text


def test_damaged_manifest_is_invalid_and_no_error(painted, tmp_path) -> None:
    path = impasto.sign(painted.save(tmp_path / "out.tiff"))
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for start in [data.index(b"jumb") + offset for offset in (0, 30, 200, 2000)]:
        broken = bytearray(data)
        broken[start : start + 60] = noise.bytes(60)
        path.write_bytes(broken)
        found = impasto.verify(path)
        assert found.outcome in ("invalid", "not present")
        assert found.signer in ("Ada", None)
        assert found.copy_of is not None
        assert found.copy_of.likeness == "pixels"
