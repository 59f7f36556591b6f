"""``impasto serve``, ``worker`` and ``keys``: the service, more hands for it, and who may use it."""

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.terminal import print_json, result_console, say
from impasto.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from impasto.jobs.durable import DurableJobs

_DATABASE_VARIABLE = "IMPASTO_DATABASE"
_HOME_VARIABLE = "IMPASTO_HOME"

_Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        envvar=_HOME_VARIABLE,
        show_default="the user's data folder",
        help="where uploads, jobs and results lie; workers need the same folder",
    ),
]
_Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar=_DATABASE_VARIABLE,
        show_default="a file in DIR",
        help="postgresql://USER@HOST/NAME in place of a file, for workers on several machines",
    ),
]

keys_app = typer.Typer(help="API keys of the service: needed wherever others can reach it.", no_args_is_help=True)


def serve(
    *,
    host: Annotated[
        str, typer.Option(help="address to listen on; any but this machine's own asks everybody for an API key")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that the system chooses")] = 8765,
    home: _Home = None,
    database: _Database = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="run a worker beside it")] = True,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default=False, help="a name by which it may be asked for; once per name"),
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="jobs that may wait; more are refused with 429")] = 100,
    max_upload: Annotated[int, typer.Option(min=1, max=512, metavar="MIB", help="largest file that is taken")] = 32,
) -> None:
    """Serve the studio in the browser and the HTTP API, native and OpenAI-compatible, with one worker.

    [dim]impasto serve[/dim]

    Jobs survive it: started again, it goes on where it was.
    """
    from impasto.jobs.admission import Limits  # under the check of the extra

    jobs = _open(home, database, limits=Limits(queued=queue))
    from impasto.jobs.keys import list_keys
    from impasto.service.config import ServiceConfig
    from impasto.service.server import Supervisor
    from impasto.service.server import serve as run

    config = ServiceConfig(host=host, port=port, allow_hosts=tuple(allow_host or ()), max_upload_mb=max_upload)
    if config.needs_keys and all(key.revoked_s for key in list_keys(jobs.engine)):
        raise SettingsError(
            f"on {host} everybody needs an API key, and there is none yet; make one with `impasto keys add OWNER`, "
            "or listen on 127.0.0.1"
        )
    place = {_HOME_VARIABLE: str(jobs.store.home), **({_DATABASE_VARIABLE: database} if database else {})}
    beside = Supervisor(["worker", "--slot", _slot("serve"), "--with-parent"], place) if worker else None
    run(jobs, config, worker=beside, on_start=lambda address: say(f"impasto serves at {address}; Ctrl-C ends it"))
    jobs.close()


def work(
    *,
    home: _Home = None,
    database: _Database = None,
    slot: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="this machine's name",
            help="the worker's name; started again under it, it goes on with its job at once",
        ),
    ] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Add a worker to a service: it takes jobs from the queue until Ctrl-C or SIGTERM.

    It ends after the chunk that it is at; another worker, or itself when it is started again, goes on from there.
    """
    jobs = _open(home, database)
    from impasto.jobs.worker import Worker

    one = Worker(jobs, slot or _slot("worker"))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: one.leave())
    parent = os.getppid()
    if with_parent:
        os.nice(10)  # the service answers on the same processors, and an answer takes a moment only
    one.run(lambda: not with_parent or os.getppid() == parent)


@keys_app.command("add")
def add(
    owner: Annotated[str, typer.Argument(help="whose key it is; an owner sees no other's jobs")],
    home: _Home = None,
    database: _Database = None,
) -> None:
    """Make a key and print it. It is not kept, only its hash: it cannot be shown again."""
    jobs = _open(home, database)
    from impasto.jobs.keys import add_key

    typer.echo(add_key(jobs.engine, owner))


@keys_app.command("list")
def list_all(
    home: _Home = None,
    database: _Database = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Show whose keys there are."""
    jobs = _open(home, database)
    from impasto.jobs.keys import list_keys

    found = list_keys(jobs.engine)
    if json:
        print_json(
            {"keys": [{"id": key.id, "owner": key.owner, "revoked": key.revoked_s is not None} for key in found]}
        )
        return
    console = result_console()
    for key in found:
        console.print(f"{key.id}  {key.owner}{'  revoked' if key.revoked_s else ''}", markup=False)


@keys_app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="the key's id, its part between the underscores")],
    home: _Home = None,
    database: _Database = None,
) -> None:
    """Let a key be none from now on."""
    jobs = _open(home, database)
    from impasto.jobs.keys import revoke_key

    revoke_key(jobs.engine, key)


def _open(home: Path | None, database: str | None, **more: Any) -> "DurableJobs":
    """The service's jobs.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    try:
        from impasto.jobs.durable import DurableJobs
    except ImportError as error:
        raise MissingExtraError(
            f"the service needs extra packages ({error.name}): pip install 'impasto[service]'"
        ) from None
    if home is None:
        from platformdirs import user_data_path

        home = user_data_path("impasto") / "service"
    return DurableJobs(home.absolute(), database=database, **more)


def _slot(kind: str) -> str:
    """A name that stays the same over restarts, and that no worker of another machine has."""
    name = "".join(char if char.isalnum() or char in "-." else "-" for char in socket.gethostname())
    return f"{name[:40]}-{kind}"
