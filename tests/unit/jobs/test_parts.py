"""The parts of the jobs room, each by itself."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from tests.unit.jobs.conftest import OWNER, picture

from impasto.errors import InputError, RefusedPictureError
from impasto.images import source
from impasto.jobs import decode, keys, table
from impasto.jobs.admission import Limits, admit
from impasto.jobs.chunks import Chunk, reason_of
from impasto.jobs.intake import take
from impasto.jobs.refusals import OverloadedError, RefusedAssetError, UnknownAssetError, UnknownJobError
from impasto.jobs.store import Store
from impasto.progress import Cancelled

if TYPE_CHECKING:
    from pathlib import Path


def test_decoder_knows_the_formats_that_the_library_reads() -> None:
    assert set(decode.FORMATS) == set(source.INPUT_FORMATS)


def test_decoder_ends_at_its_limits_and_nothing_is_kept(tmp_path: Path, monkeypatch) -> None:
    store = Store(tmp_path)
    data = picture(np.zeros((8, 8, 3), np.uint8), (8, 8))
    monkeypatch.setattr("impasto.jobs.intake._WAIT_S", 0.001)
    with pytest.raises(RefusedAssetError, match="too long"):
        take(store, data, owner=OWNER)
    assert not [path for path in store.home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(queued=3), "queue"),
        (Limits(free_disk_mb=1 << 40), "disk"),
        (Limits(free_memory_mb=1 << 40), "memory"),
    ],
)
def test_each_limit_refuses_by_its_name(tmp_path: Path, limits: Limits, reason: str) -> None:
    with pytest.raises(OverloadedError) as refused:
        admit(limits, Store(tmp_path), 3)
    assert refused.value.reason == reason
    assert refused.value.exit_code == 1


def test_nothing_is_refused_below_the_limits(tmp_path: Path) -> None:
    assert psutil.virtual_memory().available >> 20 > 1
    admit(Limits(queued=4, free_disk_mb=1, free_memory_mb=1), Store(tmp_path), 3)


@pytest.mark.parametrize("name", ["", "..", "../" + "a" * 61, "a" * 63, "A" * 64, "a" * 64, "a" * 64 + "\n", "/" * 64])
def test_store_opens_only_what_it_named(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(UnknownAssetError):
        store.asset(name, owner=OWNER)
    if not re.fullmatch("[0-9a-f]{32}", name):
        with pytest.raises(UnknownJobError):
            store.job(name)


def test_assets_of_owners_lie_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.keep(b"x", owner="../..")
    assert store.asset(name, owner="../..").is_relative_to(tmp_path / "assets")
    with pytest.raises(UnknownAssetError):
        store.asset(name, owner="other")


def test_database_file_is_in_wal_mode_and_holds_no_pickle(file_jobs, request_for) -> None:
    file_jobs.submit(request_for(file_jobs), owner=OWNER)
    with sqlite3.connect(file_jobs.store.home / "jobs.sqlite") as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("SELECT application_version FROM workflow_status").fetchall() == [("jobs-v2",)]
        everything = "\n".join(file.iterdump())
    assert '{"namedArgs":{},"positionalArgs":[]}' in everything  # JSON: what DBOS pickles is base64
    assert "portable_json" in everything


def test_chunks_go_on_where_the_last_one_ended_and_end_with_the_whole(file_jobs, request_for, tmp_path: Path) -> None:
    from impasto import api

    request = request_for(file_jobs)
    job = file_jobs.submit(request, owner=OWNER)
    seen: list[float] = []

    def report(progress: dict[str, object]) -> None:
        seen.append(float(progress["fraction"]))  # type: ignore[arg-type]

    def chunk() -> dict[str, object] | None:
        return Chunk(job, file_jobs.store, report, lambda: True).run()  # every step asks whether to leave

    ended = 0
    while (facts := chunk()) is None:
        ended += 1
    assert ended == 24  # a step each, none twice; what is left then is to write the result
    assert seen == sorted(set(seen))
    asset = file_jobs.store.asset
    whole = api.stylize(
        asset(request.content, owner=OWNER), [asset(request.styles[0], owner=OWNER)], **request.settings
    ).save(tmp_path / "whole.png")
    assert file_jobs.store.job(job.id).result("png").read_bytes() == whole.read_bytes()
    assert chunk() == facts  # only the news was lost


def test_crash_before_the_result_is_whole_costs_one_chunk(file_jobs, request_for, monkeypatch) -> None:
    job = file_jobs.submit(request_for(file_jobs), owner=OWNER)
    for _ in range(20):
        Chunk(job, file_jobs.store, lambda _: None, lambda: True).run()
    steps: list[object] = []

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("impasto.engines.base.Stylization.save", crash)
        with pytest.raises(KeyboardInterrupt):
            Chunk(job, file_jobs.store, lambda _: None).run()
    monkeypatch.setattr("impasto.jobs.chunks._REPORT_S", -1.0)
    facts = Chunk(job, file_jobs.store, steps.append).run()  # type: ignore[arg-type]
    assert facts is not None
    assert len(steps) == 4


def test_discarding_and_keeping_reach_the_run(file_jobs, request_for) -> None:
    job = file_jobs.submit(request_for(file_jobs), owner=OWNER)
    with pytest.raises(Cancelled):
        Chunk(job, file_jobs.store, lambda _: "discard").run()
    facts = Chunk(job, file_jobs.store, lambda _: "keep").run()
    assert facts is not None
    assert facts["stopped_early"]


def test_attempts_count_from_the_last_finished_chunk(file_jobs, request_for) -> None:
    job = file_jobs.submit(request_for(file_jobs), owner=OWNER)
    with file_jobs.engine.begin() as connection:
        for _ in range(table.MAX_ATTEMPTS["picture"]):
            assert table.begin(connection, job.id) is not None
        table.finish_chunk(connection, job.id, 0)
        for _ in range(table.MAX_ATTEMPTS["picture"]):
            assert table.begin(connection, job.id) is not None
        assert table.begin(connection, job.id) is None
        assert table.read(connection, job.id).error["code"] == "poison"


def test_reasons_name_no_folder_of_the_server(tmp_path: Path) -> None:
    store = Store(tmp_path)
    said = reason_of(InputError(f"the checkpoint '{tmp_path}/jobs/x/checkpoint' is damaged"), store)
    assert str(tmp_path) not in said["detail"]
    assert reason_of(ZeroDivisionError(f"{tmp_path}"), store)["code"] == "internal"
    assert str(tmp_path) not in reason_of(ZeroDivisionError(f"{tmp_path}"), store)["detail"]


def test_keys_open_until_they_are_revoked(file_jobs) -> None:
    engine = file_jobs.engine
    key = keys.add_key(engine, OWNER)
    assert keys.find_key(engine, key).owner == OWNER
    name = key.split("_")[1]
    for wrong in ("", "impasto_", key + "x", key[:-1], f"impasto_{'0' * 16}_{key[-43:]}", key.replace(key[-3:], "abc")):
        assert keys.find_key(engine, wrong) is None
    keys.revoke_key(engine, name)
    assert keys.find_key(engine, key) is None
    with pytest.raises(InputError):
        keys.revoke_key(engine, name)
    for wrong in ("", "a b", "../x", "x" * 65):
        with pytest.raises(InputError):
            keys.add_key(engine, wrong)


def test_result_that_a_safety_check_refuses_fails_with_its_reason_and_leaves_nothing(file_jobs, request_for) -> None:
    job = file_jobs.submit(request_for(file_jobs, engine="fast", settings={"image_size": 32}), owner=OWNER)
    with pytest.raises(RefusedPictureError) as refused:
        Chunk(job, file_jobs.store, lambda _: None, safety="opennsfw:1e-12").run()
    reason = reason_of(refused.value, file_jobs.store)
    assert reason["code"] == "RefusedPictureError"
    assert "the painted picture is refused: the safety check takes it for sexual content" in reason["detail"]
    assert not file_jobs.store.job(job.id).path.exists()
