"""Counts that outlive their jobs, canaries, clean-ups: on a SQLite file and on PostgreSQL."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from tests.databases import database, postgres

from impasto.errors import InputError, SettingsError
from impasto.evaluation.quality_log import NamedFile, QualityLog, QualityRow
from impasto.jobs import canary, judging, outcomes, table, tally
from impasto.jobs.admission import Limits
from impasto.jobs.backup import back_up, restore
from impasto.jobs.config import CanaryConfig, ServiceFile
from impasto.jobs.database import JOBS
from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import JobRequest
from impasto.jobs.retention import DAY_S, alone, clean_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from impasto.jobs.job import Job

__all__ = ["database", "postgres"]

TRIED = CanaryConfig(name="tried", share=0.5, engine="optimize", settings={"steps": 7})
FACTS = {"peak_memory_mb": 400, "step_seconds_per_mp": 1.5, "sha256": "0"}


@pytest.fixture
def jobs(tmp_path: Path, database: str | None) -> Iterator[DurableJobs]:
    limits = Limits(queued=1000, free_disk_mb=0, free_memory_mb=0)
    with closing(DurableJobs(tmp_path / "home", database=database, limits=limits)) as found:
        yield found


@pytest.fixture
def on_file(tmp_path: Path) -> Iterator[DurableJobs]:
    limits = Limits(queued=1000, free_disk_mb=0, free_memory_mb=0)
    with closing(DurableJobs(tmp_path / "home", limits=limits)) as found:
        yield found


def submit(jobs: DurableJobs, picture: bytes = b"a picture", owner: str = "anna", **settings: Any) -> Job:
    asset = jobs.store.keep(picture, owner=owner)
    request = JobRequest.of(content=asset, styles=(asset,), engine="optimize", settings=settings)
    return jobs.submit(request, owner=owner)


def begin(connection: sa.Connection, job: Job, config: CanaryConfig | None = None) -> Job:
    table.change(connection, job.id, state="running", ticket=job.id)
    begun = table.begin(connection, job.id, job.id)
    assert begun is not None
    return canary.assign(connection, begun, config)


def finish(jobs: DurableJobs, job: Job, state: Any = "done", config: CanaryConfig | None = None) -> Job:
    error = {"code": "poison", "detail": "x"} if state == "failed" else None
    with jobs.engine.begin() as connection:
        begin(connection, job, config)
        table.end(connection, job.id, state, metrics=FACTS if state == "done" else None, error=error)
    folder = jobs.store.job(job.id)
    folder.make()
    folder.result("png").write_bytes(b"result")
    (folder.path / "result.json").write_text("{}")
    return jobs.get(job.id, owner=job.owner)


def counted(jobs: DurableJobs, name: str, **labels: str) -> float:
    with jobs.engine.connect() as connection:
        return sum(tally.read(connection, name, **labels).values())


def age(jobs: DurableJobs, *some: Job, days: float = 40) -> None:
    """Let jobs have ended, and all uploads have come, long ago."""
    then = time.time() - days * DAY_S
    with jobs.engine.begin() as connection:
        connection.execute(sa.update(JOBS).where(JOBS.c.id.in_([job.id for job in some])).values(ended_s=then))
    for path in jobs.store.home.glob("assets/*/*/*"):
        os.utime(path, (then, then))


def test_counts_of_ended_jobs_outlive_them_and_are_taken_once(jobs: DurableJobs) -> None:
    done, failed = finish(jobs, submit(jobs)), finish(jobs, submit(jobs), "failed")
    jobs.cancel(submit(jobs).id, owner="anna", keep=False)
    with jobs.engine.begin() as connection:
        assert not table.end(connection, done.id, "failed")  # a second worker says so too
    for job in (done, failed):
        jobs.delete(job.id, owner="anna")
    assert counted(jobs, "jobs", state="done", engine="optimize") == 1
    assert counted(jobs, "jobs", reason="poison") == 1
    assert counted(jobs, "jobs", state="cancelled", reason="asked") == 1
    with jobs.engine.connect() as connection:
        ((buckets, total),) = tally.histogram(connection, "step_seconds_per_mp").values()
    assert total == 1.5
    assert dict(buckets)["1"] == 0
    assert dict(buckets)["2"] == dict(buckets)["+Inf"] == 1


def test_counting_at_the_same_time_loses_nothing(jobs: DurableJobs) -> None:
    def count(_: int) -> None:
        with jobs.engine.begin() as connection:
            tally.add(connection, "jobs", {"engine": "x"})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(40)))
    assert counted(jobs, "jobs") == 40


def test_first_thing_that_is_done_with_a_result_counts(on_file: DurableJobs) -> None:
    fetched, deleted, starred, failed = (submit(on_file) for _ in range(4))
    for job in (fetched, deleted, starred):
        finish(on_file, job)
    finish(on_file, failed, "failed")
    on_file.signal(on_file.get(fetched.id, owner="anna"), "kept")
    on_file.star(starred.id, owner="anna", starred=True)
    for job in (fetched, deleted, failed):
        on_file.delete(job.id, owner="anna")
    assert counted(on_file, "signals", signal="kept", version=outcomes.VERSION) == 2
    assert counted(on_file, "signals", signal="discarded") == 1


def test_arm_of_a_job_is_decided_once_and_settings_of_clients_win(on_file: DurableJobs) -> None:
    found = [submit(on_file) for _ in range(40)]
    own = submit(on_file, steps=5)
    with on_file.engine.begin() as connection:
        arms = {job.id: begin(connection, job, TRIED) for job in found}
        again = [canary.assign(connection, table.read(connection, job.id), None) for job in found]
        assert begin(connection, own, TRIED).variant == {"impasto": outcomes.VERSION}
    assert [job.variant for job in again] == [arms[job.id].variant for job in found]
    tried = [job for job in again if job.variant["arm"] == "canary"]
    assert 8 < len(tried) < 32
    assert {canary.as_made(job).request.settings.get("steps") for job in tried} == {7}
    assert {canary.as_made(job).request.settings.get("steps") for job in again if job not in tried} == {None}


@pytest.mark.parametrize("fails", [True, False])
def test_canary_that_fails_is_held_at_its_first_look_and_one_that_does_not_goes_on(
    on_file: DurableJobs, fails: bool
) -> None:
    with on_file.engine.begin() as connection:
        tally.add(connection, "canary_jobs", {"canary": TRIED.id, "arm": "stable"}, 20)
    while counted(on_file, "canary_jobs", canary=TRIED.id, arm="canary") < canary.FIRST_LOOK:
        job = submit(on_file)
        with on_file.engine.begin() as connection:
            assert not table.canaries(connection).get(TRIED.id, False)
            bad = begin(connection, job, TRIED).variant["arm"] == "canary" and fails
            table.end(connection, job.id, "failed" if bad else "done", metrics=FACTS, error={"code": "x"})
            canary.look(connection, table.read(connection, job.id))
    with on_file.engine.begin() as connection:
        assert table.canaries(connection) == {TRIED.id: fails}
        after = begin(connection, submit(on_file), TRIED)
    assert ("canary" in after.variant) is not fails


def test_looks_together_make_few_mistakes_and_p_is_fishers() -> None:
    assert sum(2 * canary.limit(look) for look in range(40)) <= canary.FALSE_HOLDS
    assert canary.p_worse(3, 4, 1, 4) == pytest.approx(17 / 70)  # the lady tasting tea
    assert canary.p_worse(5, 5, 0, 0) == 1


def test_results_are_judged_once_and_as_asked(on_file: DurableJobs) -> None:
    job = finish(on_file, submit(on_file))
    found = [replace(job, id=f"{number:032x}") for number in range(200)]
    sampled = [judging.is_due(job, "sample") for job in found]
    assert 10 <= sum(sampled) <= 30
    assert all(judging.is_due(job, "all") for job in found)
    assert not any(judging.is_due(job, "off") for job in found)
    with on_file.engine.begin() as connection:
        judging.mark(connection, job, "all")
        assert table.longest_due(connection).id == job.id
        assert [table.claim_judging(connection, job.id) for _ in range(2)] == [True, False]
        assert table.longest_due(connection) is None


def test_configuration_that_cannot_be_done_is_one_sentence(tmp_path: Path) -> None:
    for text, words in (
        ("[canary]", "canary.name"),
        ('[canary]\nname = "a"', "give settings or styles"),
        ('[canary]\nname = "a"\nengine = "optimize"\nsettings = { steps = -1 }', "steps"),
        ('[canary]\nname = "a"\nsettings = { steps = 3 }', "need the engine"),
        ("[canary", "cannot be read"),
        ("[drift]\nrecent = 3", "drift.recent"),
    ):
        (tmp_path / "impasto.toml").write_text(text)
        with pytest.raises(SettingsError, match=words) as said:
            ServiceFile.load(tmp_path)
        assert "\n" not in str(said.value)


def test_clean_up_takes_what_is_old_and_nothing_that_is_needed(jobs: DurableJobs) -> None:
    old, starred, fresh = (finish(jobs, submit(jobs, picture)) for picture in (b"old", b"starred", b"fresh"))
    shared = finish(jobs, submit(jobs, b"shared"))
    waiting = submit(jobs, b"shared")
    jobs.star(starred.id, owner="anna", starred=True)
    age(jobs, old, starred, shared)
    jobs.store.keep(b"sent again", owner="anna")
    jobs.store.small.mkdir()
    (jobs.store.small / "shown.webp").write_bytes(b"small")
    for dry_run in (True, False):
        removed = clean_up(jobs, older_than_s=30 * DAY_S, dry_run=dry_run)
        assert set(removed.jobs) == {old.id, shared.id}
        assert removed.uploads == (old.request.content,)
        assert removed.bytes > 6
        assert jobs.store.job(old.id).path.exists() is dry_run
        assert jobs.store.small.exists() is dry_run
    assert {job.id for job in jobs.jobs(owner="anna")} == {starred.id, fresh.id, waiting.id}
    for job in (starred, fresh, waiting):
        assert jobs.store.asset(job.request.content, owner="anna").exists()
    lines = [json.loads(line) for line in (jobs.store.home / "audit.jsonl").read_text().splitlines()]
    assert sorted(line["deleted"] for line in lines) == ["job", "job", "upload"]
    assert {line["by"] for line in lines} == {"gc"}
    assert counted(jobs, "signals", signal="discarded") == 0  # nobody said that they were bad


def test_clean_up_of_one_state_leaves_the_others(on_file: DurableJobs) -> None:
    done, failed = finish(on_file, submit(on_file)), finish(on_file, submit(on_file), "failed")
    age(on_file, done, failed)
    assert clean_up(on_file, older_than_s=DAY_S, states=("failed",)).jobs == (failed.id,)
    with alone(on_file.store.home), pytest.raises(InputError, match="is at work"):
        clean_up(on_file, older_than_s=DAY_S)


def test_backup_comes_back_whole_and_nothing_else_does(on_file: DurableJobs, tmp_path: Path) -> None:
    kept, home = tmp_path / "kept.tar", tmp_path / "again"
    done, gone = finish(on_file, submit(on_file)), finish(on_file, submit(on_file))
    on_file.store.job(gone.id).discard()  # deleted between the database's copy and its files'
    assert back_up(on_file, kept).jobs == 2
    with pytest.raises(InputError, match="already"):
        back_up(on_file, kept)
    assert restore(kept, home).lost == 1
    with closing(DurableJobs(home)) as again:
        assert again.get(done.id, owner="anna") == done
        assert again.store.job(done.id).result("png").read_bytes() == b"result"
        assert again.store.asset(done.request.content, owner="anna").read_bytes() == b"a picture"
    with pytest.raises(InputError, match="something in"):
        restore(kept, home)
    data = kept.read_bytes()
    for broken in (b"", b"no archive", data[: len(data) // 2], data.replace(b"backup.json", b"another.txt")):
        (tmp_path / "broken.tar").write_bytes(broken)
        with pytest.raises(InputError, match=r"no backup|damaged"):
            restore(tmp_path / "broken.tar", tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()
    assert not list(tmp_path.glob(".impasto-*"))


def test_judge_waits_for_waiting_jobs_and_outlives_what_cannot_be_judged(
    on_file: DurableJobs, caplog: pytest.LogCaptureFixture
) -> None:
    done, waiting = finish(on_file, submit(on_file)), submit(on_file)
    with on_file.engine.begin() as connection:
        judging.mark(connection, done, "all")
    at_work = threading.Lock()
    judge = judging.Judge(on_file, at_work, threading.Event(), ServiceFile())
    judge.judge_next()
    assert due(on_file)
    on_file.cancel(waiting.id, owner="anna", keep=False)
    with at_work:  # the worker computes
        judge.judge_next()
    assert due(on_file)
    judge.judge_next()
    assert not due(on_file)
    assert "cannot be judged" in caplog.text  # its result is no picture
    assert not at_work.locked()


def due(jobs: DurableJobs) -> bool:
    with jobs.engine.connect() as connection:
        return table.longest_due(connection) is not None


def test_drift_of_the_quality_log_is_found_once_there_are_enough_rows(on_file: DurableJobs) -> None:
    config = ServiceFile.model_validate({"drift": {"reference": 60, "recent": 20}})
    path = on_file.store.home / "quality.sqlite"
    source = NamedFile("a", "0")

    def append(number: int, value: float) -> None:
        log.append(
            QualityRow(
                output_sha256=str(number),
                engine="optimize",
                impasto="1",
                settings={},
                content=source,
                styles=(source,),
                outcome="ok",
                values={"style_gain": value},
            )
        )

    with QualityLog(path) as log:
        for number in range(79):
            append(number, (number * 7 % 20) / 20 + (number >= 60))
        judging.watch_drift(on_file, "optimize", config)
        assert counted(on_file, "drifted") == 0
        append(79, 1.5)
        assert [row.output_sha256 for row in log.rows(last=2)] == ["78", "79"]
        assert [row.output_sha256 for row in log.rows(last=-2, engine="optimize")] == ["0", "1"]
    judging.watch_drift(on_file, "optimize", config)
    assert counted(on_file, "drifted", engine="optimize") == 1
    assert counted(on_file, "drift_psi", metric="style_gain") > 1
