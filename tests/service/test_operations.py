"""What whoever runs a service sees of it: figures, logs, traces, verdicts, a canary, and a backup that goes on."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from tests.service.conftest import LONG, QUICK, end, send, start

from impasto.evaluation.quality_log import QualityLog
from impasto.recipe import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
CANARY = '[canary]\nname = "more-steps"\nshare = 0.5\nengine = "optimize"\nsettings = { content_weight = 2.0 }\n'


@dataclass
class Observed:
    """A service with everything switched on, and what it said."""

    client: httpx2.Client
    home: Path
    lines: list[str]
    spans: list[dict[str, str]] = field(default_factory=list)
    jobs: list[dict] = field(default_factory=list)

    def logged(self, **known: object) -> list[dict]:
        found = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [one for one in found if known.items() <= one.items()]

    def figures(self) -> dict[tuple[str, frozenset], float]:
        text = self.client.get("/metrics").text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def collector(spans: list[dict[str, str]]) -> HTTPServer:
    """What takes traces: OTLP over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                for scope in resource.scope_spans:
                    spans.extend(
                        {"service": service, "name": span.name, "trace": span.trace_id.hex()} for span in scope.spans
                    )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return HTTPServer(("127.0.0.1", 0), Handler)


def until(client: httpx2.Client, job: str, is_so) -> dict:
    deadline = time.monotonic() + 90
    while not is_so(found := client.get(f"/v1/jobs/{job}").json()):
        assert time.monotonic() < deadline, found
        assert found["state"] != "failed", found
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory, photo: bytes, painting: bytes) -> Iterator[Observed]:
    """Two jobs, done and judged."""
    home, golden = tmp_path_factory.mktemp("observed"), tmp_path_factory.mktemp("golden")
    (home / "impasto.toml").write_text(CANARY)
    environment = {**dict.fromkeys(Environment.model_fields, "x"), "threads": 1}
    gone = {"sha256": "0", "values": {}, "environment": environment}
    (golden / "golden.json").write_text(json.dumps({"golden": 1, "tolerances": {}, "outputs": {"gone.png": gone}}))
    spans: list[dict[str, str]] = []
    traces = collector(spans)
    threading.Thread(target=traces.serve_forever, daemon=True).start()
    served = start(
        home,
        *("--judge", "all", "--log", "json", "--golden", str(golden)),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{traces.server_port}",
        OTEL_BSP_SCHEDULE_DELAY="200",
    )
    lines: list[str] = []
    drain = threading.Thread(target=lambda: lines.extend(served.process.stderr), daemon=True)
    drain.start()
    with httpx2.Client(base_url=served.address, timeout=60) as client:
        found = Observed(client, home, lines, spans)
        content, style = (send(client, data).json()["id"] for data in (photo, painting))
        body = {"content": content, "styles": [style], "engine": "optimize", "settings": QUICK}
        client.post("/v1/assets", files={"file": ("a.png", b"no picture at all")})
        names = [
            client.post("/v1/jobs", json=body, headers={"X-Request-ID": f"asked-{n}"}).json()["id"] for n in range(2)
        ]
        found.jobs = [until(client, name, lambda job: job["quality"] is not None) for name in names]
        yield found
    served.process.terminate()
    drain.join(60)
    end(served)
    traces.shutdown()
    traces.server_close()


def test_results_are_judged_after_the_job_and_kept_in_the_quality_log(observed: Observed) -> None:
    for job in observed.jobs:
        assert job["quality"]["outcome"] in ("ok", "review", "reject")
        assert job["quality"]["values"].keys() == {"style_gain", "recognition", "content_distance", "noise_ratio"}
    with QualityLog(observed.home / "quality.sqlite", "read") as log:
        rows = log.rows()
    assert sorted(row.output_sha256 for row in rows) == sorted(job["metrics"]["sha256"] for job in observed.jobs)
    figures = observed.figures()
    assert sum(value for (name, _), value in figures.items() if name == "impasto_verdicts_total") == 2
    labels = frozenset({"engine": "optimize", "metric": "style_gain"}.items())
    assert figures["impasto_quality_count", labels] == 2


def test_every_figure_of_dashboard_and_alerts_is_there(observed: Observed) -> None:
    text = observed.client.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    known = {name for name, kind in kinds.items() if kind != "histogram"}
    known |= {f"{name}_{part}" for name, kind in kinds.items() if kind == "histogram" for part in ("bucket", "sum")}
    for file in ("grafana.json", "alerts.yaml"):
        named = set(re.findall(r"\bimpasto_[a-z_]+", (REPOSITORY / "deploy" / file).read_text()))
        assert len(named) > 5
        assert named <= known, file


def test_jobs_refusals_and_what_was_kept_are_counted(observed: Observed) -> None:
    done = frozenset({"engine": "optimize", "state": "done", "reason": ""}.items())
    refused = frozenset({"reason": "unsupported_image"}.items())
    kept = ("impasto_results_total", frozenset({"engine": "optimize", "signal": "kept", "version": "0.1.0"}.items()))
    before = observed.figures()
    assert before["impasto_jobs_total", done] == 2
    assert before["impasto_input_rejected_total", refused] == 1
    assert before["impasto_bytes_stored", frozenset({"kind": "assets"}.items())] > 0
    result = observed.jobs[0]["links"]["result"]
    observed.client.get(result, headers={"Sec-Fetch-Dest": "image"})  # a page that shows it
    assert kept not in observed.figures()
    for _ in range(2):
        observed.client.get(result)
    assert observed.figures()[kept] == 1


def test_jobs_say_which_arm_of_the_canary_they_are_in(observed: Observed) -> None:
    arms = [job["variant"]["arm"] for job in observed.jobs]
    assert set(arms) <= {"stable", "canary"}
    figures = observed.figures()
    for job, arm in zip(observed.jobs, arms, strict=True):
        key = ("impasto_canary_jobs_total", frozenset({"canary": job["variant"]["canary"], "arm": arm}.items()))
        assert figures[key] == arms.count(arm)


def test_request_and_job_stand_in_the_logs_of_both_processes(observed: Observed) -> None:
    job = observed.jobs[0]["id"]
    assert observed.logged(request_id="asked-0", path="/v1/jobs", status=202)
    assert observed.logged(request_id="asked-0", job_id=job, message=f"job {job} is done")
    answers = [
        observed.client.get("/healthz", headers={"X-Request-ID": name}).headers["x-request-id"]
        for name in ("mine.1", "with space", "x" * 65)
    ]
    assert answers[0] == "mine.1"
    assert all(re.fullmatch("[0-9a-f]{16}", answer) for answer in answers[1:])
    secret = "impasto_0123456789abcdef_" + "s" * 43
    observed.client.get("/v1/jobs?limit=3", headers={"Authorization": f"Bearer {secret}"})
    time.sleep(0.2)
    said = "".join(observed.lines)
    assert "/v1/jobs" in said
    assert secret not in said
    assert "limit=3" not in said


def test_one_trace_leads_from_the_request_to_the_chunks(observed: Observed) -> None:
    def whole() -> set[str]:
        asked = {span["trace"] for span in observed.spans if span["name"] == "POST /v1/jobs"}
        return asked & {span["trace"] for span in observed.spans if span["name"] == "chunk"}

    deadline = time.monotonic() + 10
    while len(whole()) < 2:
        assert time.monotonic() < deadline, observed.spans
        time.sleep(0.1)
    services = {span["service"] for span in observed.spans if span["trace"] in whole()}
    assert services == {"impasto-api", "impasto-worker"}


def test_golden_set_that_fails_is_a_warning_and_no_outage(observed: Observed) -> None:
    deadline = time.monotonic() + 60
    while not (answer := observed.client.get("/readyz").json())["warnings"]:
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    assert answer["ready"]
    assert observed.figures()["impasto_golden_passed", frozenset()] == 0


def test_backup_of_a_running_service_goes_on_elsewhere(observed: Observed, tmp_path: Path) -> None:
    client, kept = observed.client, tmp_path / "kept.tar"
    job = client.post("/v1/jobs", json={**observed.jobs[0]["request"], "settings": LONG}).json()["id"]
    before = until(client, job, lambda job: job["chunks"] >= 2)
    assert impasto_says("backup", kept, "--home", observed.home).returncode == 0
    assert kept.stat().st_mode & 0o777 == 0o600
    client.post(f"/v1/jobs/{job}/cancel")
    said = impasto_says("restore", kept, "--home", tmp_path / "home")
    assert "3 jobs" in said.stderr, said
    served = start(tmp_path / "home", "--judge", "off")
    try:
        with httpx2.Client(base_url=served.address, timeout=60) as client:
            first = client.get(f"/v1/jobs/{job}").json()
            assert first["state"] == "running"
            assert first["variant"] == before["variant"]
            later = until(client, job, lambda job: job["chunks"] > first["chunks"])
            assert later["progress"]["step"] >= before["progress"]["step"] > 0  # and not from the beginning
            old = observed.jobs[0]
            assert client.get(old["links"]["result"]).headers["etag"] == f'"{old["metrics"]["sha256"]}"'
    finally:
        end(served)


def impasto_says(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "impasto", *words], capture_output=True, text=True, check=False)
