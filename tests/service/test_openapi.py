"""The API keeps what its document promises: schemathesis makes requests from it, good ones and bad ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.service.conftest import QUICK, end, send, start

pytestmark = pytest.mark.slow

#: The stream of events has no end, and `/readyz` says 503 where there is no worker.
LEFT_OUT = ("/v1/events", "/readyz")


def test_answers_are_those_of_the_document(tmp_path: Path, photo: bytes, painting: bytes) -> None:
    # A queue that is full: `images/edits` would wait for its picture otherwise.
    served = start(tmp_path / "home", "--no-worker", "--queue", "2")
    try:
        with httpx2.Client(base_url=served.address, timeout=60) as client:
            content, style = (send(client, data).json()["id"] for data in (photo, painting))
            body = {"content": content, "styles": [style], "engine": "optimize", "settings": QUICK}
            job, _ = (client.post("/v1/jobs", json=body).json()["id"] for _ in range(2))
            client.post(f"/v1/jobs/{job}/cancel")
            client.post("/v1/jobs", json=body)
        (tmp_path / "schemathesis.toml").write_text(f'[parameters]\n"path.job_id" = "{job}"\n')  # one that there is
        run = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file", tmp_path / "schemathesis.toml"),
                *("run", f"{served.address}/openapi.json", "--phases", "coverage,fuzzing", "--mode", "all"),
                *("--max-examples", "6", "--seed", "1", "--no-color", "--warnings", "off"),
                # What may be asked for depends on the engine and on what was uploaded, which no schema says.
                *("--exclude-checks", "positive_data_acceptance"),
                *(word for path in LEFT_OUT for word in ("--exclude-path", path)),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr
        assert "Tested: 38" in run.stdout, run.stdout
    finally:
        assert end(served) == 0
