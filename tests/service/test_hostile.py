"""What strangers send: one clear sentence and the right status, never a fault of ours and never a file of ours."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tests.service.conftest import QUICK, encoded, send

from impasto.jobs import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes = b"", *, more: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return PNG + header + more + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def zeros(width: int, height: int) -> bytes:
    return png(width, height, bytes((width + 1) * height))


#: A GIF's header, and then a script.
GIF_POLYGLOT = b"GIF89a/*" + b"\0" * 8 + b"*/=1;alert(document.domain)//" * 9
GIF_WIDE = (
    b"GIF89a"
    + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
    + b",\0\0\0\0"
    + struct.pack("<HHB", 65535, 65535, 0)
    + b"\2\0;" * 9
)
ICO_WIDE = (
    b"\0\0\1\0\1\0"
    + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 40, 22)
    + struct.pack("<IiiHH", 40, 2**30, 2**30, 1, 32)
)


def avif_wide() -> bytes:
    """An AVIF whose header claims 17000 px a side."""
    kept = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(kept, "AVIF")
    data = kept.getvalue()
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", 17000, 17000) + data[at + 8 :]


BMP_WIDE = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1, 127, 1, 24, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 415, "unsupported_image"),
        (b"\xff", 415, "unsupported_image"),
        (b"\xff\xd8\xff\xe0", 415, "unsupported_image"),
        (PNG, 415, "unsupported_image"),
        (b"<!doctype html><script>alert(1)</script>" * 9, 415, "unsupported_image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>' * 9, 415, "unsupported_image"),
        (b"%PDF-1.7\n" * 99, 415, "unsupported_image"),
        (b"PK\x03\x04" * 99, 415, "unsupported_image"),
        (ICO_WIDE, 415, "unsupported_image"),
        (GIF_POLYGLOT, 422, "corrupt_image"),
        (GIF_WIDE, 413, "image_too_large"),
        (avif_wide(), 413, "image_too_large"),
        (png(65535, 65535), 413, "image_too_large"),
        (png(60000, 1), 413, "image_too_large"),
        (png(0, 10), 422, "corrupt_image"),
        (BMP_WIDE, 413, "image_too_large"),
        (zeros(7000, 7000), 413, "image_too_large"),
        (zeros(4000, 3000), 413, "image_too_large"),  # few enough pixels, but as good as no bytes for them
        (png(8, 8, bytes(72), more=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80 << 20), 9))), 422, "corrupt_image"),
        (png(64, 64), 422, "corrupt_image"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
def test_upload_that_is_no_honest_picture_is_refused(client, data: bytes, status: int, code: str) -> None:
    answer = send(client, data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"].count("\n") == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_truncated_picture_is_refused(photograph, kind: str) -> None:
    """By the decoder that uploads go through, without a process for each of forty pieces."""
    whole = encoded(photograph("astronaut", 96, 128), (128, 96), kind)
    for share in np.random.default_rng(5).uniform(0.05, 0.97, 10):
        found = decode.look(whole[: int(len(whole) * share)])
        assert found.get("code") == "corrupt_image", (share, found)


def test_wrong_checksum_is_refused(client, photo: bytes) -> None:
    broken = bytearray(photo)
    broken[photo.index(b"IDAT") + 40] ^= 0xFF
    assert send(client, bytes(broken)).status_code == 422


def test_ten_thousand_texts_are_no_trouble(client) -> None:
    info = PngImagePlugin.PngInfo()
    for number in range(10_000):
        info.add_text(f"k{number}", "x")
    kept = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(kept, "PNG", pnginfo=info)
    assert send(client, kept.getvalue()).status_code in (201, 422)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\0b.png", "\u202egnp.a", "x" * 300, "CON", "C:\\x.png", "a\r\nX-Evil: 1", '"']
)
def test_names_of_files_are_never_looked_at(client, served, photo: bytes, name: str) -> None:
    before = {path for path in served.home.rglob("*") if path.is_file()}
    answer = send(client, photo, name=name)
    assert answer.status_code in (201, 400, 422)
    new = {path for path in served.home.rglob("*") if path.is_file()} - before
    assert all(path.parent.parent.parent == served.home / "assets" or path.name.startswith("jobs.") for path in new)


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("file", ("a.png", b"x")), ("file", ("b.png", b"y"))],
        [("other", ("a.png", b"x"))],
        [("f" * 5000, ("a.png", b"x"))],
    ],
    ids=["none", "twice", "other", "long"],
)
def test_form_that_is_not_what_was_asked_for_is_refused(client, files) -> None:
    assert client.post("/v1/assets", files=files).status_code in (400, 415, 422)


def test_seventeen_images_are_too_many(client, photo: bytes) -> None:
    answer = client.post("/v1/images/edits", files=[("image[]", ("a", photo))] * 18, data={"prompt": ""})
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("chunked", [False, True])
def test_body_over_the_limit_is_refused(client, chunked: bool) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(140):
            yield bytes(1 << 20)

    body = parts() if chunked else bytes(140 << 20)
    answer = client.post("/v1/assets", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (400, 413)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"[" * 100_000,
        b'{"content": ' + b"9" * 5000 + b"}",
        b'{"content": NaN}',
        b"\xff\xfe",
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_body_that_is_no_job_is_refused(client, body: bytes) -> None:
    answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e309", "-0.5", "1e400", "9" * 400, '"x"', "[]", "{}", "true", "null"],
)
@pytest.mark.parametrize("name", ["strength", "image_size", "seed", "content_weight"])
def test_numbers_that_are_none_are_refused_or_mean_nothing(client, asked, name: str, value: str) -> None:
    body = json.dumps(asked(settings={**QUICK, name: "HERE"})).replace('"HERE"', value)
    answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    meant = (value == "null" and name == "image_size") or (value == "true" and name != "image_size")
    assert answer.status_code == 202 if meant else answer.status_code in (400, 422), answer.text
    if answer.status_code == 202:
        client.post(answer.json()["links"]["cancel"])


@pytest.mark.parametrize(
    "name", ["../../jobs.sqlite", "%2e%2e%2fjobs.sqlite", "/etc/passwd", "..", "A" * 32, "0" * 32, "%00", "a" * 5000]
)
@pytest.mark.parametrize("route", ["", "/result", "/preview"])
def test_ids_never_become_paths(client, name: str, route: str) -> None:
    assert client.get(f"/v1/jobs/{name}{route}").status_code in (404, 414)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "f" * 63, "F" * 64, "f" * 64, "", "a b", "\0"])
@pytest.mark.parametrize("field", ["content", "styles"])
def test_assets_that_are_none_are_refused(client, asked, field: str, name: str) -> None:
    answer = client.post("/v1/jobs", json=asked(**{field: name if field == "content" else [name]}))
    assert answer.status_code in (404, 422)
    assert "Traceback" not in answer.text


def test_page_of_another_site_cannot_ask(client, served, photo: bytes) -> None:
    rebound = client.get("/v1/jobs", headers={"Host": "evil.example"})
    assert (rebound.status_code, rebound.json()["code"]) == (403, "host")
    crossed = client.post("/v1/assets", files={"file": photo}, headers={"Origin": "https://evil.example"})
    assert (crossed.status_code, crossed.json()["code"]) == (403, "origin")
    unsaid = client.post("/v1/assets", files={"file": photo}, headers={"Sec-Fetch-Site": "cross-site"})
    assert unsaid.status_code == 403
    own = client.post("/v1/assets", files={"file": photo}, headers={"Origin": served.address})
    assert own.status_code == 201
    for name in ("content-security-policy", "x-content-type-options", "referrer-policy", "x-request-id"):
        assert name in own.headers


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "9" * 30, "²"])
def test_event_id_that_is_none_is_refused(client, number: str) -> None:
    answer = client.get("/v1/events", headers={"Last-Event-ID": number.encode()})
    assert answer.status_code == 422
