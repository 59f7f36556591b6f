"""The official client, as it comes, against a running service."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING

import openai
import pytest
from PIL import Image
from tests.service.conftest import LONG

from impasto import api

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

SMALL = {"image_size": 64, "steps": 2, "scales": [48, 64]}


@pytest.fixture
def sdk(served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0, timeout=120) as one:
        yield one


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_models_are_the_qualities(sdk) -> None:
    assert [model.id for model in sdk.models.list()] == [
        "impasto",
        "impasto-draft",
        "impasto-standard",
        "impasto-fine",
    ]
    assert sdk.models.retrieve("impasto-draft").owned_by == "impasto"


def test_edit_paints_the_first_image_in_the_style_of_the_second(sdk, photo, painting, tmp_path) -> None:
    answer = sdk.images.edit(
        model="impasto-draft", image=[photo, painting], prompt="", extra_body={"image_size": 64, "strength": 0.8}
    )
    assert answer.size == "64x48"
    for name, data in (("content.png", photo), ("style.png", painting)):
        (tmp_path / name).write_bytes(data)
    expected = api.stylize(
        tmp_path / "content.png", tmp_path / "style.png", engine="fast", image_size=64, strength=0.8
    ).save(tmp_path / "out.png")
    with Image.open(expected) as picture:
        assert decoded(answer.data[0].b64_json).tobytes() == picture.tobytes()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_edit_takes_one_image_and_a_named_style_in_every_format(sdk, photo, kind: str) -> None:
    name = api.list_styles()[0].name
    answer = sdk.images.edit(
        model="impasto", quality="low", image=photo, prompt=f"style:{name}", output_format=kind, size="48x48"
    )
    picture = decoded(answer.data[0].b64_json)
    assert (picture.format, picture.size) == (kind.upper(), (48, 36))


def test_stream_brings_partial_images_and_the_whole(sdk, photo, painting) -> None:
    events = list(
        sdk.images.edit(
            model="impasto-fine",
            image=[encoded_large(photo), painting],
            prompt="",
            stream=True,
            partial_images=3,
            extra_body={**SMALL, "image_size": 96, "scales": [64, 80, 96], "steps": 30},
        )
    )
    *partial, whole = events
    assert [event.type for event in partial] == ["image_edit.partial_image"] * len(partial)
    assert [event.partial_image_index for event in partial] == list(range(len(partial)))
    assert 1 <= len(partial) <= 3
    assert whole.type == "image_edit.completed"
    assert decoded(whole.b64_json).size == (96, 72)
    assert all(decoded(event.b64_json).format == event.output_format.upper() for event in events)


def encoded_large(photo: bytes) -> bytes:
    with Image.open(io.BytesIO(photo)) as picture:
        kept = io.BytesIO()
        picture.resize((96, 72)).save(kept, "PNG")
    return kept.getvalue()


def test_async_client_gets_the_same(served, sdk, photo, painting) -> None:
    words = {"model": "impasto-draft", "image": [photo, painting], "prompt": "", "size": "64x64"}

    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=f"{served.address}/v1", api_key="none") as one:
            return (await one.images.edit(**words)).data[0].b64_json

    assert asyncio.run(ask()) == sdk.images.edit(**words).data[0].b64_json


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        ({"model": "dall-e-2"}, openai.NotFoundError, "model_not_found"),
        ({"n": 2}, openai.BadRequestError, "invalid"),
        ({"size": "large"}, openai.BadRequestError, "invalid"),
        ({"background": "transparent"}, openai.BadRequestError, "unsupported"),
        ({"mask": b"x"}, openai.BadRequestError, "unsupported"),
        ({"response_format": "url"}, openai.BadRequestError, "unsupported"),
        ({"extra_body": {"style_wieght": 1}}, openai.BadRequestError, "unknown_parameter"),
        ({"extra_body": {"image_size": 7}}, openai.UnprocessableEntityError, "invalid"),
        ({"extra_body": {"vgg_weights": "/etc/passwd"}}, openai.UnprocessableEntityError, "invalid"),
        ({"image": [b"no picture", b"none"]}, openai.APIStatusError, "unsupported_image"),
        ({"prompt": "style:no-such-style", "image": b""}, openai.APIStatusError, "unsupported_image"),
    ],
)
def test_refusals_arrive_as_the_clients_own_errors(sdk, photo, painting, words, kind, code: str) -> None:
    with pytest.raises(kind) as refused:
        sdk.images.edit(**{"image": [photo, painting], "prompt": "", "model": "impasto-fine", **words})
    assert refused.value.code == code
    assert refused.value.body["message"].count("\n") == 0


def test_photo_without_a_style_is_refused(sdk, photo) -> None:
    with pytest.raises(openai.BadRequestError, match="style:NAME"):
        sdk.images.edit(model="impasto", image=photo, prompt="a painting by someone")


def test_job_of_a_client_that_has_gone_is_dropped(sdk, client, photo, painting) -> None:
    body = {name: value for name, value in LONG.items() if name != "layers"}
    with sdk.images.edit(
        model="impasto-fine", image=[photo, painting], prompt="", stream=True, partial_images=1, extra_body=body
    ) as stream:
        next(iter(stream))
    (job,) = [
        job for job in client.get("/v1/jobs").json()["jobs"] if job["request"]["settings"].get("steps") == "100000"
    ]
    while job["state"] not in ("cancelled", "done", "failed"):
        job = client.get(f"/v1/jobs/{job['id']}").json()
    assert job["state"] == "cancelled"
