"""Campaigns on Ray: here, and on a cluster of two nodes that loses a worker and a node."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from impasto.batch.job import Job
from impasto.batch.on_ray import RayRunner
from impasto.errors import EngineError
from impasto.progress import CancelToken

if TYPE_CHECKING:
    from collections.abc import Iterator

ray = pytest.importorskip("ray", reason="needs the extra ray")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

#: What the workers import: it writes a line for every time that a job is done, and the first "killer" ends its process.
FUNCTIONS = """
import os, time
from pathlib import Path
from impasto.batch.job import Result

def note(job):
    place = Path(job.place)
    if job.picture == "killer":
        try:
            (place / "killed").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os._exit(1)
    time.sleep(0.4)
    with open(place / "done.txt", "a") as file:
        file.write(job.key + "\\n")
    return Result.done(job)
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "ray_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray_functions

    yield ray_functions
    sys.modules.pop("ray_functions", None)


@pytest.fixture
def cluster() -> Iterator[object]:
    from ray.cluster_utils import Cluster

    Path("/tmp/ray").mkdir(exist_ok=True)  # noqa: S108 — Ray expects it there
    found = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False},
    )
    yield found
    ray.shutdown()
    found.shutdown()


def jobs(place: Path, names: list[str]) -> list[Job]:
    return [
        Job(
            key=f"{at:04}", slot=f"{at:04}", picture=name, content="", style="s", source="s", engine="fast",
            settings={}, place=str(place), output=f"{at}.png",
        )
        for at, name in enumerate(names)
    ]  # fmt: skip


def test_every_job_is_done_once_though_a_worker_dies_and_a_node_goes(
    functions: object, cluster: object, tmp_path: Path
) -> None:
    second = cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False)
    todo = jobs(tmp_path, ["picture"] * 5 + ["killer"] + ["picture"] * 10)
    found = []
    with RayRunner("auto", None, CancelToken()) as call:
        for job, result in call(functions.note, todo):
            found.append((job.key, result and result.status))
            if len(found) == 4:
                cluster.remove_node(second, allow_graceful=False)
    assert (tmp_path / "killed").exists()
    assert Counter(found) == Counter((job.key, "done") for job in todo)


def test_stopped_run_keeps_what_came(functions: object, tmp_path: Path) -> None:
    token, found = CancelToken(), []
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    try:
        with RayRunner("local", 1, token) as call:
            for job, result in call(functions.note, jobs(tmp_path, ["picture"] * 8)):
                found.append((job.key, result and result.status))
                token.stop()
    finally:
        ray.shutdown()
    assert found == [(found[0][0], "done")]


def test_no_cluster_is_a_clear_error() -> None:
    with (
        pytest.raises(EngineError, match=r"no Ray cluster at '127\.0\.0\.1:1'"),
        RayRunner("127.0.0.1:1", None, CancelToken()),
    ):
        pass
