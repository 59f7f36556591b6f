"""Who vouches for a picture: our own answer in full, and OpenAI's shape of it. Nothing that is sent is kept."""

import time
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, UploadFile

from impasto.errors import MissingExtraError
from impasto.jobs.decode import MAX_PIXELS
from impasto.jobs.intake import look_at
from impasto.service.context import Context, Owner, Service
from impasto.service.documents import ProvenanceCheck, Verified, answer, errors
from impasto.service.native import read_upload
from impasto.service.problems import Problem

if TYPE_CHECKING:
    from impasto.provenance.verification import Verification

router = APIRouter(prefix="/v1", tags=["provenance"])

#: Each decodes a whole picture in this process: one at a time.
_IN_TURN: Final = CapacityLimiter(1)


@router.post("/verify", responses={**answer(200, Verified, "What is known."), **errors(400, 408, 413, 415)})
async def verify(file: UploadFile, service: Service, owner: Owner) -> dict[str, Any]:  # noqa: ARG001 — a key is needed
    """Who signed a picture, what made it, whether it was changed, and of which picture signed here it is a copy."""
    found = await _verified(file, service)
    answer = found.to_dict()
    # Of a copy that tells nothing itself, nothing is told: the job may be another owner's.
    if found.copy_of is not None:
        answer["copy_of"] = {"sha256": found.copy_of.sha256, "likeness": found.copy_of.likeness}
    if found.recipe_from == "registry":
        answer |= {"recipe": None, "recipe_from": None}
    del answer["name"]
    return answer


@router.post(
    "/content_provenance_checks",
    responses={**answer(200, ProvenanceCheck, "What is known."), **errors(400, 408, 413, 415, compatible=True)},
)
async def check(file: UploadFile, service: Service, owner: Owner) -> dict[str, Any]:  # noqa: ARG001
    """The same as OpenAI's clients know it; ``detected`` means a signature that holds, by whomever it is."""
    found = await _verified(file, service)
    signed = found.outcome in ("trusted", "valid")
    result = {
        "type": "c2pa",
        "outcome": "detected" if signed else "not_detected",
        "validation_state": found.outcome.replace(" ", "_"),
        "issuer": found.signer,
        "model": f"impasto-{found.recipe.engine}" if found.recipe and found.outcome == "trusted" else None,
        "generated_at": found.signed_at,
    }
    return {"object": "content_provenance_check", "created_at": int(time.time()), "results": [result]}


async def _verified(file: UploadFile, service: Context) -> "Verification":
    """What is found in an upload, after a process of its own has seen that it can be decoded.

    Raises:
        Problem: it is too large, or this service cannot verify.
        RefusedAssetError: it is no picture that is taken.
    """
    data = await read_upload(file, service)
    return await run_sync(_in_turn, data, service, limiter=_IN_TURN)


def _in_turn(data: bytes, service: Context) -> "Verification":
    from impasto import api  # PyTorch comes with it

    look_at(data)
    with NamedTemporaryFile(prefix="impasto-verify-") as place:
        place.write(data)
        place.flush()
        try:
            return api.verify(place.name, registry=service.jobs.store.registry, max_pixels=MAX_PIXELS)
        except MissingExtraError as error:
            raise Problem(501, "not_installed", f"this service cannot verify: {error}") from None
