"""Pictures that are honest and odd: what the service makes of each, from the upload to the result."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational
from tests.service.conftest import send

if TYPE_CHECKING:
    import httpx2
    from numpy.typing import NDArray

pytestmark = pytest.mark.slow

SECRET = b"serial-4711"
BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    "&b;</x:xmpmeta>"
)


def saved(image: Image.Image, kind: str, **more: object) -> bytes:
    kept = io.BytesIO()
    image.save(kept, kind, **more)
    return kept.getvalue()


def job_of(client: httpx2.Client, content: bytes, style: bytes, **changes: object) -> dict:
    ids = []
    for data in (content, style):
        upload = send(client, data)
        assert upload.status_code == 201, upload.text
        ids.append(upload.json()["id"])
    body = {"content": ids[0], "styles": [ids[1]], "engine": "fast", "settings": {"image_size": 64}, **changes}
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def ended(client: httpx2.Client, job: dict) -> dict:
    deadline = time.monotonic() + 90
    while (found := client.get(job["links"]["self"]).json())["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def spoiled(photo: NDArray[np.uint8]) -> bytes:
    """A photo from a camera that says too much: on its side, with a place, a serial number and a broken profile."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = IFDRational(72, 0)
    exif[ExifTags.Base.Software] = SECRET.decode()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 12.0, 30.0)})
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = SECRET * 100
    return saved(Image.fromarray(photo), "JPEG", exif=exif, icc_profile=b"\0" * 60 + b"acsp" + bytes(100))


def annotated(photo: NDArray[np.uint8]) -> bytes:
    """A picture with a recipe and a title of somebody's making."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", json.dumps({"recipe": 1, "content": "/etc/passwd", "settings": {"model": "/etc/passwd"}}))
    info.add_itxt("Title", "<script>alert(1)</script>" + SECRET.decode())
    info.add_itxt("XML:com.adobe.xmp", BILLION_LAUGHS)
    return saved(Image.fromarray(photo), "PNG", pnginfo=info)


def test_odd_pictures_are_painted_or_refused_with_a_reason(client, photograph, photo: bytes, painting: bytes) -> None:
    array = photograph("astronaut", 48, 64)
    frames = [Image.fromarray(np.roll(array, 8 * turn, 1)) for turn in range(3)]
    opaque = np.full((48, 64, 1), 128, np.uint8)
    deep = np.random.default_rng(0).integers(0, 65535, (48, 64), np.uint16)
    contents = {
        "spoiled": spoiled(array),
        "annotated": annotated(array),
        "alpha": saved(Image.fromarray(np.concatenate([array, opaque], 2)), "PNG"),
        "16 bit": saved(Image.fromarray(deep), "PNG"),
        "animation": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "pages": saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "one pixel": saved(Image.new("RGB", (1, 1)), "PNG"),
        "line": saved(Image.new("RGB", (1, 1200), "red"), "PNG"),
        "black": saved(Image.new("RGB", (64, 48)), "PNG"),
        "50 to 1": saved(Image.new("RGB", (1600, 32), "teal"), "PNG"),
    }
    jobs = {name: job_of(client, data, painting) for name, data in contents.items()}
    jobs["style is content"] = job_of(client, photo, photo)
    jobs["tiny style"] = job_of(client, photo, contents["one pixel"])
    found = {name: ended(client, job) for name, job in jobs.items()}
    for name, job in found.items():
        if job["state"] == "failed":
            assert job["error"]["code"] not in ("internal", "poison", "memory"), (name, job["error"])
            assert job["error"]["detail"].count("\n") == 0
        else:
            assert job["state"] == "done", (name, job)
    assert {name for name, job in found.items() if job["state"] == "failed"} <= {
        "one pixel",
        "line",
        "50 to 1",
        "tiny style",
    }
    results = {
        name: client.get(job["links"]["result"]).content for name, job in found.items() if job["state"] == "done"
    }
    upright = Image.open(io.BytesIO(results["spoiled"]))
    assert upright.size == (48, 64)
    assert ExifTags.Base.Orientation not in upright.getexif()
    assert not upright.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    for name in ("spoiled", "annotated"):
        assert SECRET not in results[name]
        assert b"<script>" not in results[name]
        assert b"ENTITY" not in results[name]
    assert Image.open(io.BytesIO(results["alpha"])).getchannel("A").getextrema() == (128, 128)
    assert (
        Image.open(io.BytesIO(results["animation"])).size == Image.open(io.BytesIO(results["pages"])).size == (64, 48)
    )
    assert np.asarray(Image.open(io.BytesIO(results["black"]))).std() < 128  # numbers, and not what NaN becomes


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("YCbCr", "JPEG"), ("F", "TIFF")],
)
def test_picture_of_any_mode_is_taken(client, photograph, mode: str, kind: str) -> None:
    image = Image.fromarray(photograph("astronaut", 48, 64)).convert("L" if mode in ("1", "F") else "RGB")
    answer = send(client, saved(image.convert(mode), kind))
    assert (answer.status_code, answer.json().get("width"), answer.json().get("height")) == (201, 64, 48)
