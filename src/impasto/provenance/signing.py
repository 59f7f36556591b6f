"""Signs a finished picture file by C2PA: after everything else is in it, whole or not at all.

The manifest says that the content was opened and edited, with the styles as inputs, each by its SHA-256, and holds the
recipe. Inputs are not copied into it, nor are small pictures of them.

Source: C2PA specification 2.4, sections 10 (claims) and 18 (assertions); c2pa-python for all of the encoding.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import InputError, OutputError, SigningError
from impasto.images import read, read_metadata, read_source_type
from impasto.images.source import decoding, open_image, read_bytes
from impasto.provenance.fingerprint import fingerprint
from impasto.provenance.identity import require
from impasto.provenance.registry import register, registry_file
from impasto.provenance.signers import as_c2pa, load_signer
from impasto.recipe import Recipe
from impasto.whole import write_whole

if TYPE_CHECKING:
    from impasto.provenance.signers import Signer

logger = logging.getLogger("impasto")

#: Label of the assertion that holds the recipe; readers show it without a version.
RECIPE_LABEL: Final = "org.impasto.recipe"
#: Formats that are signed, by Pillow's name.
MEDIA: Final = {
    "AVIF": "image/avif",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}


def sign(
    path: str | os.PathLike[str], signer: Signer | str = "local", *, registry: str | os.PathLike[str] | None = None
) -> Path:
    """Sign a picture that impasto wrote, in place. The last step: whatever is changed afterwards breaks the signature.

    A file without the recipe (``minimal``) is signed too, and its manifest then tells no more than the file. The
    signed file takes the place of the other in one step; if anything fails, the unsigned one stays as it was.

    Args:
        path: a PNG, JPEG, WebP, AVIF or TIFF file.
        signer: who signs, or a name for :func:`~impasto.provenance.signers.load_signer`.
        registry: the file that remembers what was signed, so that copies are known again; None: the user's own.

    Returns:
        The path.

    Raises:
        SigningError: the signer cannot sign, or the file is signed already.
        InputError: impasto did not write the file, or it is of another format.
        OutputError: it cannot be written.
        MissingExtraError: the extra is not installed.
    """
    place = Path(path)
    signer = load_signer(signer) if isinstance(signer, str) else signer
    data = read_bytes(place)
    with decoding(place.name), open_image(data) as image:
        media = MEDIA.get(str(image.format))
    if media is None:
        raise InputError(f"{place.name!r} is of a format that is not signed; give a PNG, JPEG, WebP, AVIF or TIFF file")
    source_type, text = read_source_type(place), read_metadata(place)
    if source_type is None:
        raise InputError(
            f"{place.name!r} does not say what kind of picture it is, so there is nothing to vouch for; it was not "
            "written by impasto, or with --metadata none"
        )
    recipe = None if text is None else Recipe.from_json(text)
    signed = _signed(data, media, manifest(recipe, source_type), signer, place.name)
    try:
        write_whole(Path(os.path.realpath(place)), signed)
    except OutputError as error:
        raise OutputError(f"{error}; the picture is there, unsigned") from error
    try:
        sha256, found = hashlib.sha256(signed).hexdigest(), fingerprint(read(place))
        register(Path(registry) if registry else registry_file(), sha256, place.name, found, text)
    except OutputError as error:  # the file is signed all the same
        logger.warning("%s", error)
    return place


def manifest(recipe: Recipe | None, source_type: str) -> dict[str, Any]:
    """The manifest's definition, as the SDK takes it.

    Args:
        recipe: of the picture; None: its inputs and settings stay untold.
        source_type: IPTC's.
    """
    agent = {"name": "impasto", "version": _version()}
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "digitalSourceType": source_type,
        "softwareAgent": agent,
        "description": "style transfer",
    }
    if recipe is None:
        actions = [{**edited, "action": "c2pa.created"}]
        return {"claim_generator_info": [agent], "assertions": [_actions(actions)]}
    sources = [("content", "parentOf", recipe.content)]
    sources += [(f"style-{n}", "inputTo", style) for n, style in enumerate(recipe.all_styles, start=1)]
    ingredients = [
        {"label": label, "title": source.name, "relationship": relationship, "instance_id": f"sha256:{source.sha256}"}
        for label, relationship, source in sources
    ]
    edited["parameters"] = {"ingredientIds": [label for label, _, _ in sources[1:]]}
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["content"]}}
    # How the loss went takes most of the room and is in the file already, under the same signature.
    told = json.loads(recipe.model_copy(update={"trace": ()}).to_json())
    return {
        "claim_generator_info": [agent],
        "ingredients": ingredients,
        "assertions": [_actions([opened, edited]), {"label": RECIPE_LABEL, "data": told, "kind": "Json"}],
    }


def _actions(actions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"label": "c2pa.actions.v2", "data": {"actions": actions}}


@lru_cache
def sdk_context(anchors: str) -> Any:
    """The SDK's settings: nothing from the network, no small pictures, and who is trusted."""
    c2pa = require("c2pa")
    settings: dict[str, Any] = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {
            "verify_after_sign": False,  # the picture would be hashed once more
            "verify_trust": True,
            "ocsp_fetch": False,
            "remote_manifest_fetch": False,
        },
    }
    if anchors:
        settings["trust"] = {"user_anchors": anchors}
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _signed(data: bytes, media: str, definition: dict[str, Any], signer: Signer, name: str) -> bytes:
    """The file with its manifest."""
    c2pa = require("c2pa")
    context = sdk_context("")
    failure: list[Exception] = []

    algorithm, sign_claim = as_c2pa(signer)

    def sign_bytes(claim: bytes) -> bytes:
        try:
            return sign_claim(claim)
        except Exception as error:  # the SDK would only say that signing failed
            failure.append(error)
            raise

    try:
        if _is_signed(data, media, context):
            raise SigningError(f"{name!r} is signed already; write the picture again to sign it anew")
        # None, not "": the SDK takes an empty address of a time stamp service for one, and fails.
        with (
            c2pa.Signer.from_callback(sign_bytes, c2pa.C2paSigningAlg[algorithm], signer.certificates, None) as papers,
            c2pa.Builder(definition, context=context) as builder,
        ):
            output = io.BytesIO()
            builder.sign(papers, media, io.BytesIO(data), output)
            return output.getvalue()
    except c2pa.C2paError as error:
        reason = " ".join(str(failure[0] if failure else error).split())
        raise SigningError(f"{name!r} could not be signed: {reason}; the picture is there, unsigned") from error


def _is_signed(data: bytes, media: str, context: Any) -> bool:
    c2pa = require("c2pa")
    try:
        with c2pa.Reader(media, io.BytesIO(data), context=context):
            return True
    except c2pa.C2paError.ManifestNotFound:
        return False


def _version() -> str:
    try:
        return version("impasto")
    except PackageNotFoundError:  # run from its source
        return "unknown"
