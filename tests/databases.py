"""Databases for tests of jobs: a SQLite file, and PostgreSQL where its programs are."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Where a PostgreSQL server of ours listens; None without its programs."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = places[-1] if places else None
    if programs is None:
        yield None
        return
    as_user: list[str] = []
    folder = tmp_path_factory.mktemp("pg")
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        ours = itertools.takewhile(
            lambda place: place.owner() == "root" and place.stat().st_mode & 0o077 == 0, folder.parents
        )
        for place in (folder, *ours):
            place.chmod(0o755)
        shutil.chown(folder, "postgres")
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(
        [*as_user, programs / "initdb", "-D", data, "-U", "impasto", "-A", "trust", "--no-sync"], check=True, **quiet
    )
    server = subprocess.Popen([*as_user, programs / "postgres", "-D", data, "-k", folder, "-h", "", "-F"], **quiet)
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([programs / "pg_isready", "-h", folder], **quiet).returncode:
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.1)
        yield f"postgresql://impasto@/{{name}}?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    """The URL of an empty database; None for a file."""
    return database_of(request, request.param)


def database_of(request: pytest.FixtureRequest, kind: str) -> str | None:
    """The same by its kind."""
    if kind == "sqlite":
        return None
    address = request.getfixturevalue("postgres")
    if address is None:
        pytest.skip("PostgreSQL's programs are not installed")
    import psycopg

    name = f"test_{time.time_ns()}"
    with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return str(address.format(name=name))
