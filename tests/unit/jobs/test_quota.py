"""What a key may do and ask for, and keys of an older version."""

from __future__ import annotations

import itertools
import sqlite3
import time
from typing import TYPE_CHECKING

import anyio
import pytest
import sqlalchemy as sa
from PIL import Image
from tests.unit.jobs.conftest import OWNER

from impasto.errors import SettingsError
from impasto.jobs import keys, order, table
from impasto.jobs.admission import Limits
from impasto.jobs.database import KEYS, open_database
from impasto.jobs.durable import DurableJobs
from impasto.jobs.keys import Key, Quota
from impasto.jobs.refusals import OverloadedError, UnknownAssetError
from impasto.service.context import require_scope
from impasto.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER = "ben"


@pytest.fixture
def file_jobs(tmp_path: Path) -> Iterator[DurableJobs]:
    engine = DurableJobs(tmp_path / "home", limits=Limits(free_disk_mb=0, free_memory_mb=0))
    yield engine
    engine.close()


def test_key_says_what_it_may_do_and_until_when(file_jobs) -> None:
    engine = file_jobs.engine
    usual = keys.find_key(engine, keys.add_key(engine, OWNER))
    assert (usual.may("jobs:read"), usual.may("jobs:write"), usual.may("admin")) == (True, True, False)
    reads = keys.find_key(engine, keys.add_key(engine, OWNER, scopes=frozenset({"jobs:read"})))
    assert (reads.may("jobs:read"), reads.may("jobs:write")) == (True, False)
    rules = keys.find_key(engine, keys.add_key(engine, OWNER, scopes=frozenset({"admin"})))
    assert all(rules.may(scope) for scope in keys.SCOPES)
    with pytest.raises(SettingsError, match="no scope 'jobs:own'"):
        keys.add_key(engine, OWNER, scopes=frozenset({"jobs:own"}))
    short = keys.add_key(engine, OWNER, lasts_s=0.3)
    assert keys.find_key(engine, short) is not None
    time.sleep(0.35)
    assert keys.find_key(engine, short) is None
    assert [key.is_in_use for key in keys.list_keys(engine)] == [True, True, True, False]


@pytest.mark.parametrize(
    "wrong", [{"waiting": 0}, {"running": -1}, {"megapixels_a_day": 0.0}, {"requests_a_minute": 0}]
)
def test_quota_of_nothing_is_refused(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Quota.of(**wrong)


def test_what_concerns_all_owners_needs_the_scope_for_it() -> None:
    usual, rules = (Key("0", OWNER, 0.0, scopes=scopes) for scopes in (keys.USUAL_SCOPES, frozenset({"admin"})))
    checked = require_scope("admin")
    assert anyio.run(checked, rules) is rules
    with pytest.raises(Problem) as refused:
        anyio.run(checked, usual)
    assert (refused.value.status, refused.value.code) == (403, "missing_scope")


def test_use_is_noted_to_the_minute(file_jobs) -> None:
    engine = file_jobs.engine
    shown = keys.add_key(engine, OWNER)
    unused = keys.find_key(engine, shown)
    assert unused.used_s is None
    keys.note_use(engine, unused)
    used = keys.find_key(engine, shown)
    assert used.used_s == pytest.approx(time.time(), abs=5)
    keys.note_use(engine, used)
    assert keys.find_key(engine, shown).used_s == used.used_s
    with engine.begin() as connection:
        connection.execute(sa.update(KEYS).values(used_s=time.time() - 120))
    keys.note_use(engine, keys.find_key(engine, shown))
    assert keys.find_key(engine, shown).used_s > used.used_s - 1


def test_keys_of_an_older_version_open_what_they_opened(tmp_path: Path) -> None:
    """Their table lacks what came later; it gets it, and they may do what could be done then."""
    path, secret = tmp_path / "jobs.sqlite", "s" * 43
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE impasto_api_keys (id VARCHAR(16) NOT NULL PRIMARY KEY, sha256 VARCHAR(64) NOT NULL, "
            "owner VARCHAR(64) NOT NULL, created_s FLOAT NOT NULL, revoked_s FLOAT)"
        )
        old.execute("INSERT INTO impasto_api_keys VALUES (?, ?, ?, 1.0, NULL)", ("0" * 16, keys._hash(secret), OWNER))
    old.close()
    for _ in range(2):  # the second finds nothing to do
        engine = open_database(f"sqlite:///{path}")
        key = keys.find_key(engine, f"impasto_{'0' * 16}_{secret}")
        assert (key.owner, key.scopes, key.quota) == (OWNER, keys.USUAL_SCOPES, Quota())
        keys.note_use(engine, key)
        assert keys.list_keys(engine)[0].used_s is not None
        keys.revoke_key(engine, key.id)
        with engine.begin() as connection:
            connection.execute(sa.update(KEYS).values(revoked_s=None))
        engine.dispose()


def test_waiting_jobs_are_counted_by_their_owner(file_jobs, request_for) -> None:
    request = request_for(file_jobs)
    file_jobs.store.keep(file_jobs.store.asset(request.content, owner=OWNER).read_bytes(), owner=OTHER)
    file_jobs.store.keep(file_jobs.store.asset(request.styles[0], owner=OWNER).read_bytes(), owner=OTHER)
    two = Quota(waiting=2)
    first, _ = (file_jobs.submit(request, owner=OWNER, quota=two) for _ in range(2))
    with pytest.raises(OverloadedError, match="2 of your jobs") as refused:
        file_jobs.submit(request, owner=OWNER, quota=two)
    assert (refused.value.reason, refused.value.retry_after_s > 0) == ("waiting", True)
    assert len(file_jobs.jobs(owner=OWNER)) == 2
    assert file_jobs.submit(request, owner=OTHER, quota=two).state == "queued"
    file_jobs.cancel(first.id, owner=OWNER, keep=False)
    file_jobs.submit(request, owner=OWNER, quota=two)
    with pytest.raises(OverloadedError):
        file_jobs.retry(first.id, owner=OWNER, quota=two)


def test_megapixels_of_a_day_are_those_of_the_results(file_jobs, request_for) -> None:
    request = request_for(file_jobs)
    with Image.open(file_jobs.store.asset(request.content, owner=OWNER)) as photo:
        width, height = photo.size
    each = width * height * (request.image_size / max(width, height)) ** 2 / 1e6
    quota = Quota(megapixels_a_day=2.5 * each)
    made = [file_jobs.submit(request, owner=OWNER, quota=quota, idempotency_key=str(number)) for number in range(2)]
    with pytest.raises(OverloadedError, match="in a day") as refused:
        file_jobs.submit(request, owner=OWNER, quota=quota)
    assert refused.value.reason == "megapixels"
    assert 0 < refused.value.retry_after_s <= 86_401
    assert file_jobs.submit(request, owner=OWNER, quota=quota, idempotency_key="0").id == made[0].id
    file_jobs.cancel(made[0].id, owner=OWNER, keep=False)
    with pytest.raises(OverloadedError):  # what was asked for counts, done or not; and the refusal was not counted
        file_jobs.submit(request, owner=OWNER, quota=quota)
    with file_jobs.engine.connect() as connection:
        (used,) = connection.exec_driver_sql("SELECT megapixels FROM impasto_usage").scalars()
    assert used == pytest.approx(2 * each)
    assert file_jobs.submit(request, owner=OWNER).state == "queued"


def test_job_waits_on_while_enough_of_its_owners_run(file_jobs, request_for) -> None:
    request, engine = request_for(file_jobs), file_jobs.engine
    tickets = (f"ticket-{number}" for number in itertools.count())

    def claimed() -> str | None:
        with engine.begin() as connection:
            found = order.claim(connection, next(tickets))
        return None if found is None else found[0]

    first, second = (file_jobs.submit(request, owner=OWNER) for _ in range(2))
    one = keys.add_key(engine, OWNER, quota=Quota(running=1))
    assert claimed() == first.id
    assert claimed() is None
    assert file_jobs.get(second.id, owner=OWNER).state == "queued"
    file_jobs.store.keep(file_jobs.store.asset(request.content, owner=OWNER).read_bytes(), owner=OTHER)
    file_jobs.store.keep(file_jobs.store.asset(request.styles[0], owner=OWNER).read_bytes(), owner=OTHER)
    another = file_jobs.submit(request, owner=OTHER)
    assert claimed() == another.id  # it passes over who has enough
    before = len(file_jobs.client.list_workflows(status="ENQUEUED"))
    with engine.begin() as connection:
        table.end(connection, first.id, "cancelled")
        file_jobs.call_next(connection)  # the ticket of the second was spent in vain
    assert len(file_jobs.client.list_workflows(status="ENQUEUED")) == before + 1
    assert claimed() == second.id
    keys.add_key(engine, OWNER, quota=Quota(running=2))  # the most generous key counts
    third, fourth = (file_jobs.submit(request, owner=OWNER) for _ in range(2))
    assert claimed() == third.id
    assert claimed() is None
    keys.add_key(engine, OWNER)  # and one without a limit allows any number
    assert claimed() == fourth.id
    assert keys.find_key(engine, one) is not None


def test_tickets_are_given_out_again_only_where_a_key_limits_what_runs(file_jobs, request_for) -> None:
    file_jobs.submit(request_for(file_jobs), owner=OWNER)
    before = len(file_jobs.client.list_workflows(status="ENQUEUED"))
    with file_jobs.engine.begin() as connection:
        file_jobs.call_next(connection)
    assert len(file_jobs.client.list_workflows(status="ENQUEUED")) == before


def test_jobs_of_an_older_version_wait_in_their_order(tmp_path: Path, file_jobs, request_for) -> None:
    jobs = [file_jobs.submit(request_for(file_jobs), owner=OWNER) for _ in range(3)]
    path = file_jobs.store.home / "jobs.sqlite"
    file_jobs.close()
    with sqlite3.connect(path) as old:  # as it was: without these columns, and with one that a worker had
        old.execute("UPDATE impasto_jobs SET state = 'running' WHERE id = ?", (jobs[0].id,))
        for index in ("impasto_jobs_state", "impasto_jobs_judging"):
            old.execute(f"DROP INDEX {index}")
        for column in ("place", "ticket", "kind", "starred", "origin", "variant", "judging", "quality", "signal"):
            old.execute(f"ALTER TABLE impasto_jobs DROP COLUMN {column}")
    old.close()
    again = DurableJobs(file_jobs.store.home)
    try:
        line = [again.position(again.get(job.id, owner=OWNER)) for job in jobs]
        assert line == [0, 1, 2]
        assert [(job.state, job.kind, job.starred) for job in again.jobs(owner=OWNER)] == [
            ("queued", "picture", False)
        ] * 3
        again.move(jobs[2].id, owner=OWNER, to="front")
        with again.engine.begin() as connection:
            assert order.claim(connection, "ticket")[0] == jobs[2].id
    finally:
        again.close()


def test_worker_that_was_heard_of_in_the_future_is_dead(file_jobs) -> None:
    """The clock was put back: a living one has spoken since."""
    with file_jobs.engine.begin() as connection:
        table.beat(connection, "lives")
        table.beat(connection, "died")
        connection.exec_driver_sql("UPDATE impasto_workers SET beat_s = beat_s + 3600 WHERE slot = 'died'")
        assert table.living(connection, 30.0) == {"lives"}


def test_link_in_the_store_is_no_asset(tmp_path: Path, file_jobs) -> None:
    store = file_jobs.store
    name = store.keep(b"mine", owner=OWNER)
    (tmp_path / "outside").write_bytes(b"not yours")
    linked = store.asset(name, owner=OWNER).with_name(name[:2] + "0" * 62)
    linked.symlink_to(tmp_path / "outside")
    with pytest.raises(UnknownAssetError):
        store.asset(linked.name, owner=OWNER)
