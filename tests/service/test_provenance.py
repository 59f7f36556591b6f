"""A service that signs what it paints, verifies what it is sent, and lets a safety check refuse pictures."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest
import skimage.data
import uvicorn
from PIL import Image
from tests.service.conftest import encoded, send

from impasto.jobs.admission import Limits
from impasto.jobs.chunks import Chunk
from impasto.jobs.durable import DurableJobs
from impasto.provenance.identity import make_identity
from impasto.provenance.signers import load_signer
from impasto.service.app import create_app
from impasto.service.config import LOCAL_OWNER, ServiceConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Between what the check gives for the two photographs below.
LIMIT = 0.01


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> Iterator[DurableJobs]:
    papers = tmp_path_factory.mktemp("papers") / "own"
    make_identity(papers, name="Studio")
    engine = DurableJobs(tmp_path_factory.mktemp("service"), limits=Limits(free_disk_mb=0, free_memory_mb=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_PROVENANCE", str(papers))
        yield engine
    engine.close()


@pytest.fixture(scope="module")
def address(jobs: DurableJobs) -> Iterator[str]:
    """The service in a thread of this process, which has PyTorch loaded already; jobs are run by hand."""
    app = create_app(jobs, ServiceConfig(safety=f"opennsfw:{LIMIT}"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=address, timeout=60) as one:
        yield one


@pytest.fixture(scope="module")
def painted(client: httpx2.Client, jobs: DurableJobs) -> bytes:
    content = send(client, encoded(skimage.data.chelsea(), (64, 64))).json()["id"]
    body = {"content": content, "styles": ["mosaic"], "quality": "draft", "settings": {"image_size": 64}}
    job = jobs.get(client.post("/v1/jobs", json=body).json()["id"], owner=LOCAL_OWNER)
    assert Chunk(job, jobs.store, lambda _: None, signer=load_signer("local")).run()
    return jobs.store.job(job.id).result("png").read_bytes()


def verified(client: httpx2.Client, data: bytes) -> httpx2.Response:
    return client.post("/v1/verify", files={"file": ("any name.png", data)})


def test_results_are_signed_and_copies_of_them_known_again(client, painted) -> None:
    found = verified(client, painted).json()
    assert (found["outcome"], found["signer"], found["recipe"]["engine"]) == ("trusted", "Studio", "fast")
    stripped = io.BytesIO()
    with Image.open(io.BytesIO(painted)) as image:
        image.save(stripped, "PNG")
    found = verified(client, stripped.getvalue()).json()
    assert (found["outcome"], found["copy_of"]["likeness"]) == ("not present", "pixels")
    # Whose job it was, and of what, is not told to whoever has the picture.
    assert set(found["copy_of"]) == {"sha256", "likeness"}
    assert (found["recipe"], found["source_type"]) == (None, None)


def test_official_client_is_answered_in_its_shape(address, painted) -> None:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as sdk:
        result = sdk.content_provenance_checks.create(file=painted).results[0]
        assert (result.type, result.outcome, result.validation_state) == ("c2pa", "detected", "trusted")
        assert (result.issuer, result.model) == ("Studio", "impasto-fast")
        plain = sdk.content_provenance_checks.create(file=encoded(skimage.data.coins(), (32, 32))).results[0]
        assert (plain.outcome, plain.validation_state, plain.issuer) == ("not_detected", "not_present", None)
        with pytest.raises(openai.APIStatusError) as refused:
            sdk.content_provenance_checks.create(file=b"no picture")
        assert (refused.value.status_code, refused.value.code) == (415, "unsupported_image")


def test_upload_that_the_check_refuses_is_not_kept(client) -> None:
    refused = send(client, encoded(skimage.data.astronaut(), (256, 256)))
    assert refused.status_code == 422
    assert refused.json()["code"] == "unsafe_image"
    assert "the safety check takes it for sexual content (0." in refused.json()["detail"]
