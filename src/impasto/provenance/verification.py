"""Says of a file who vouches for it, what made it, and whether it was changed since.

Everything in a file was written by somebody unknown. Only what stands under a trusted signature is more than a claim,
and whoever shows the rest has to quote it.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from impasto.errors import InputError, UnreadableImageError
from impasto.images import read, read_metadata, read_source_type
from impasto.images.source import MAX_PIXELS, check_pixels, decoding, open_image, read_bytes
from impasto.provenance.fingerprint import Fingerprint, fingerprint
from impasto.provenance.identity import identity_folder, require, trusted_certificates
from impasto.provenance.registry import Known, look_up, registry_file
from impasto.provenance.signing import MEDIA, RECIPE_LABEL, sdk_context
from impasto.recipe import Recipe

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

Outcome = Literal["trusted", "valid", "invalid", "not present"]

#: So much of a file's own words is passed on.
_MOST_TEXT: Final = 200


@dataclass(frozen=True)
class Verification:
    """What a file says, and how far that can be believed. All text in it is the file's own: quote it."""

    name: str
    """The file's name without its folder."""
    sha256: str
    """Of its bytes."""
    outcome: Outcome
    """``trusted``: unchanged, and signed by somebody who is trusted here. ``valid``: unchanged, signed by somebody
    else, who may call themselves as they like. ``invalid``: changed since, or the signature is none. ``not present``:
    not signed."""
    problems: tuple[str, ...]
    """Why it is not trusted, codes of the C2PA specification; ``assertion.dataHash.mismatch``: the file was changed."""
    signer: str | None
    issuer: str | None
    signed_at: str | None
    """By a time stamp service; none for signatures made offline."""
    source_type: str | None
    """IPTC's word, such as compositeWithTrainedAlgorithmicMedia."""
    recipe: Recipe | None
    """Of the signature, or of the file where there is none, or of the known original of a copy."""
    recipe_from: Literal["signature", "file", "registry"] | None
    copy_of: Known | None
    """The signed file that it is a copy of, where it has no good signature of its own."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON; the recipe in short."""
        found = asdict(self)
        found["recipe"] = None if self.recipe is None else told(self.recipe)
        if self.copy_of is not None:
            found["copy_of"] = {key: value for key, value in asdict(self.copy_of).items() if key != "recipe"}
        return found


def told(recipe: Recipe) -> dict[str, Any]:
    """Of a recipe what made the picture: engine, inputs, settings, versions."""
    document = recipe.model_dump(mode="json")
    wanted = ("engine", "content", "styles", "settings", "weights", "environment")
    return {name: document[name] for name in wanted}


def verify(
    path: str | os.PathLike[str],
    *,
    trust: Sequence[str | os.PathLike[str]] = (),
    registry: str | os.PathLike[str] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Verification:
    """Who vouches for a picture, what made it, and whether it was changed, or is a copy of one that was signed here.

    Nothing is asked of the network. Without the extra ``provenance`` there is no telling whether a file is signed.

    Args:
        path: a picture file.
        trust: PEM files of authorities that are trusted besides one's own and those in its folder ``trusted/``.
        registry: the file that knows what was signed here; None: the user's own.
        max_pixels: pictures with more are refused.

    Raises:
        UnreadableImageError: it is no picture, or has more pixels than allowed; or it is not signed, and damaged.
        InputError: a file of ``trust`` cannot be read.
        OutputError: the registry is damaged.
        MissingExtraError: the extra is not installed.
    """
    place = Path(path)
    data = read_bytes(place)
    with decoding(place.name), open_image(data) as image:
        media, size = MEDIA.get(str(image.format)), image.size
    check_pixels(place.name, *size, max_pixels)
    anchors = "\n".join([trusted_certificates(identity_folder()), *(_anchor(Path(one)) for one in trust)]).strip()
    found = _Manifest.read(data, media, anchors)
    recipe_from: Literal["signature", "file", "registry"] = "signature"
    recipe = found.recipe if found.outcome in ("trusted", "valid") else None
    if recipe is None:
        recipe, recipe_from = _recipe(read_metadata(place)), "file"
    sha256 = hashlib.sha256(data).hexdigest()
    known = None
    if found.outcome != "trusted" and (seen := _fingerprint(place, found.outcome, max_pixels)):
        known = look_up(Path(registry) if registry else registry_file(), sha256, seen)
        if recipe is None and known is not None:
            recipe, recipe_from = _recipe(known.recipe), "registry"
    source_type = found.source_type or read_source_type(place)
    return Verification(
        name=place.name,
        sha256=sha256,
        outcome=found.outcome,
        problems=found.problems,
        signer=found.signer,
        issuer=found.issuer,
        signed_at=found.signed_at,
        source_type=_short(source_type.rpartition("/")[2]) if source_type else None,
        recipe=recipe,
        recipe_from=None if recipe is None else recipe_from,
        copy_of=known,
    )


def _fingerprint(path: Path, outcome: Outcome, max_pixels: int) -> Fingerprint | None:
    """Of a file's pixels; None where a signed file was changed so that they cannot be decoded."""
    try:
        return fingerprint(read(path, max_pixels=max_pixels))
    except UnreadableImageError:
        if outcome == "not present":
            raise
        return None


@dataclass(frozen=True)
class _Manifest:
    """What the active manifest of a file says."""

    outcome: Outcome
    problems: tuple[str, ...] = ()
    signer: str | None = None
    issuer: str | None = None
    signed_at: str | None = None
    source_type: str | None = None
    recipe: Recipe | None = None

    @classmethod
    def read(cls, data: bytes, media: str | None, anchors: str) -> _Manifest:
        """Of a file's bytes; whatever is wrong with it becomes its outcome."""
        c2pa = require("c2pa")
        if media is None:  # GIF and BMP hold none that we would have written
            return cls("not present")
        try:
            with c2pa.Reader(media, io.BytesIO(data), context=sdk_context(anchors)) as reader:
                document = json.loads(reader.json())
        except c2pa.C2paError.ManifestNotFound:
            return cls("not present")
        except (c2pa.C2paError, ValueError) as error:
            return cls("invalid", (_short(f"the credentials are damaged: {error}"),))
        return cls.of(document)

    @classmethod
    def of(cls, document: dict[str, Any]) -> _Manifest:
        """Of the SDK's report, of which only the frame can be relied on."""
        states: dict[object, Outcome] = {"Trusted": "trusted", "Valid": "valid"}
        outcome = states.get(document.get("validation_state"), "invalid")
        results = document.get("validation_results", {}).get("activeManifest", {})
        codes = [str(one.get("code")) for one in results.get("failure", ())]
        active = document.get("manifests", {}).get(document.get("active_manifest"), {})
        signature = active.get("signature_info") or {}
        assertions = {one.get("label"): one.get("data") for one in active.get("assertions", ())}
        return cls(
            outcome,
            tuple(dict.fromkeys(_short(code) for code in codes)),
            _text(signature.get("common_name")),
            _text(signature.get("issuer")),
            _text(signature.get("time")),
            _source_type(assertions.get("c2pa.actions.v2") or assertions.get("c2pa.actions")),
            _recipe(json.dumps(assertions[RECIPE_LABEL])) if RECIPE_LABEL in assertions else None,
        )


def _source_type(actions: object) -> str | None:
    """The last source type that an action names."""
    if not isinstance(actions, dict) or not isinstance(actions.get("actions"), list):
        return None
    named = [one.get("digitalSourceType") for one in actions["actions"] if isinstance(one, dict)]
    return next((text for text in reversed(named) if isinstance(text, str)), None)


def _recipe(text: str | None) -> Recipe | None:
    """A recipe, if it is one; a file may hold anything in its place."""
    try:
        return None if text is None else Recipe.from_json(text)
    except InputError:
        return None


def _anchor(path: Path) -> str:
    require("cryptography")
    from cryptography import x509

    try:
        text = path.read_text(encoding="ascii")
        x509.load_pem_x509_certificates(text.encode())
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}; give a PEM file to trust") from error
    except ValueError:
        raise InputError(f"{str(path)!r} holds no certificate in PEM; give an authority's to trust it") from None
    return text


def _text(value: object) -> str | None:
    return _short(value) if isinstance(value, str) and value else None


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
