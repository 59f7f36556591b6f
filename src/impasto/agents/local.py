"""The tools on this machine: a folder, the queue in it, and a worker of its own."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from impasto.agents.judging import Judge
from impasto.agents.tools import Tools
from impasto.errors import InputError
from impasto.jobs.durable import DurableJobs
from impasto.jobs.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Whose jobs those of this machine are: the same as of a service that asks for no keys.
LOCAL_OWNER: Final = "local"
#: So many workers of one folder are told apart.
_SLOTS: Final = 16


@contextmanager
def open_tools(
    home: Path | None = None,
    *,
    roots: Sequence[Path] = (),
    worker: bool | None = None,
    database: str | None = None,
    urls: bool = False,
) -> Iterator[Tools]:
    """The tools, with what they need.

    Args:
        home: the folder of jobs and results, such as that of a running service; None: one for agents, in the user's
            data folder.
        roots: folders whose pictures may be named by their path, with everything below them.
        worker: whether to start a worker; None: unless one is at work in ``home`` already.
        database: URL of PostgreSQL; None: a file in the folder.
        urls: whether pictures may be loaded from the public web.

    Raises:
        InputError: a root is no folder.
        OutputError: the folder cannot be used.
        SettingsError: the database cannot be used.

    Example:
        >>> with open_tools(roots=["photos"]) as tools:  # doctest: +SKIP
        ...     print(tools.stylize("photo.jpg", "mosaic", avoid=["slow"]).text)
    """
    for root in roots:
        if not Path(root).is_dir():
            raise InputError(f"{str(root)!r} is no folder; give one whose pictures may be read")
    if home is None:
        from platformdirs import user_data_path

        home = user_data_path("impasto") / "agents"
    jobs, judge = DurableJobs(Path(home).absolute(), database=database), Judge()
    beside = None
    if worker or (worker is None and not jobs.workers()):
        place = {"IMPASTO_HOME": str(jobs.store.home), **({"IMPASTO_DATABASE": database} if database else {})}
        beside = Supervisor(["worker", "--slot", _free_slot(jobs.store.home)], place)
        beside.start()
    try:
        yield Tools(jobs, owner=LOCAL_OWNER, judge=judge, roots=[Path(root) for root in roots], urls=urls)
    finally:
        judge.close()
        if beside is not None:
            beside.ask_to_end()  # after its chunk; what it leaves is gone on with the next time
        jobs.close()


def _free_slot(home: Path) -> str:
    """A name for a worker that no living one has: the first free one, so that it is the same after a restart."""
    machine = "".join(char if char.isalnum() else "-" for char in socket.gethostname())[:40]
    places = home / "workers"
    places.mkdir(exist_ok=True, mode=0o700)
    for number in range(_SLOTS):
        slot = f"{machine}-agents-{number}"
        try:
            with FileLock(places / f"{slot}.lock", timeout=0):
                return slot
        except Timeout:
            continue
    raise InputError(f"{_SLOTS} workers are at work in {str(home)!r} already; end some, or choose another home")
