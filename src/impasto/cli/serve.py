"""``impasto serve``, ``worker`` and ``keys``: the service, more hands for it, and who may use it."""

import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from impasto.cli.arguments import Sign
from impasto.cli.terminal import print_json, result_console, say
from impasto.errors import InputError, MissingExtraError, SettingsError
from impasto.provenance.safety import installed_check, load_check
from impasto.provenance.signers import load_signer

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from impasto.jobs.durable import DurableJobs
    from impasto.jobs.keys import Key

_DATABASE_VARIABLE = "IMPASTO_DATABASE"
_HOME_VARIABLE = "IMPASTO_HOME"
_SAFETY_VARIABLE = "IMPASTO_SAFETY"
_DAY_S = 86_400.0
#: A client is told to come again sooner than a worker gives up.
_PATIENCE_S = 5.0

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

_Safety = Annotated[
    str,
    typer.Option(
        "--safety",
        metavar="auto|off|NAME",
        envvar=_SAFETY_VARIABLE,
        help="a check that refuses pictures, uploaded and painted; auto: the one that is installed, if any",
    ),
]
_Judge = Annotated[
    Literal["sample", "all", "off"],
    typer.Option(help="results that the worker judges when nothing waits: one in ten and a canary's, all, or none"),
]
_Log = Annotated[
    Literal["text", "json"],
    typer.Option(help="json: every request and job as a line of JSON on stderr; text: warnings only"),
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
    sign: Sign = None,
    safety: _Safety = "auto",
    queue: Annotated[int, typer.Option(min=1, help="jobs that may wait; more are refused with 429")] = 100,
    max_upload: Annotated[int, typer.Option(min=1, max=512, metavar="MIB", help="largest file that is taken")] = 32,
    require_keys: Annotated[
        bool, typer.Option("--require-keys", help="ask for API keys on this machine's address too, as behind a proxy")
    ] = False,
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="requests a minute that a key may send")] = 600,
    allow_url_fetch: Annotated[
        bool, typer.Option("--allow-url-fetch", help="take URLs of pictures too, of the public network only")
    ] = False,
    judge: _Judge = "sample",
    golden: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default=False,
            help="a golden set to make again at the start; /readyz warns if it does not come out the same",
        ),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", show_default="for ever", help="remove jobs that ended so long ago, unless starred"
        ),
    ] = None,
    log: _Log = "text",
) -> None:
    """Serve the studio in the browser, the HTTP API (native and OpenAI's), tools for AI agents, and run one worker.

    [dim]impasto serve[/dim]

    Jobs survive it: started again, it goes on where it was.
    """
    from impasto.jobs.admission import Limits  # under the check of the extra

    jobs = _open(home, database, limits=Limits(queued=queue), patience_s=_PATIENCE_S)
    _log_as(log)
    from impasto.jobs.keys import list_keys
    from impasto.jobs.supervisor import Supervisor
    from impasto.service.config import ServiceConfig
    from impasto.service.server import serve as run

    if golden is not None and not (golden / "golden.json").is_file():
        raise InputError(f"there is no golden.json in {str(golden)!r}; `impasto golden DIR --record` writes it")
    check = _check(safety)
    if sign:
        load_signer(sign)  # what is wrong with it is said now, and not by every job
    config = ServiceConfig(
        host=host,
        port=port,
        allow_hosts=tuple(allow_host or ()),
        max_upload_mb=max_upload,
        require_keys=require_keys,
        requests_a_minute=rate,
        allow_url_fetch=allow_url_fetch,
        safety=check,
        golden=golden,
    )
    if config.needs_keys and not any(key.is_in_use for key in list_keys(jobs.engine)):
        raise SettingsError(
            f"on {host} everybody needs an API key, and there is none yet; make one with `impasto keys add OWNER`"
            + ("" if require_keys else ", or listen on 127.0.0.1")
        )
    place = {
        _HOME_VARIABLE: str(jobs.store.home),
        _SAFETY_VARIABLE: check or "off",
        **({_DATABASE_VARIABLE: database} if database else {}),
        **({"IMPASTO_SIGN": sign} if sign else {}),
    }
    same = ["--judge", judge, "--log", log]
    beside = Supervisor(["worker", "--slot", _slot("serve"), *same], place) if worker else None
    if keep_days is not None:
        from impasto.jobs.retention import Keeper

        Keeper(jobs, keep_days).start()
    agents = _agents(jobs, check, urls=allow_url_fetch)
    also = " agents find their tools at /mcp;" if agents else ""
    run(
        jobs,
        config,
        worker=beside,
        on_start=lambda address: say(f"impasto serves at {address};{also} Ctrl-C ends it"),
        agents=agents,
    )
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
    sign: Sign = None,
    safety: _Safety = "auto",
    judge: _Judge = "sample",
    log: _Log = "text",
    with_parent: Annotated[int | None, typer.Option("--with-parent", metavar="PID", hidden=True)] = None,
) -> None:
    """Add a worker to a service: it takes jobs from the queue until Ctrl-C or SIGTERM.

    It ends after the chunk that it is at; another worker, or itself when it is started again, goes on from there.
    """
    jobs = _open(home, database)
    _log_as(log)
    from impasto.jobs.worker import Worker

    signer = load_signer(sign) if sign else None
    one = Worker(jobs, slot or _slot("worker"), judge=judge, signer=signer, safety=_check(safety))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: one.leave())
    if with_parent is not None:
        os.nice(10)  # the service answers on the same processors, and an answer takes a moment only
    one.run(lambda: with_parent is None or os.getppid() == with_parent)


@keys_app.command("add")
def add(
    owner: Annotated[str, typer.Argument(help="whose key it is; an owner sees no other's jobs")],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            show_default="jobs:read and jobs:write",
            help="what it may do: jobs:read, jobs:write, admin (all, and what concerns other owners); once per scope",
        ),
    ] = None,
    expires: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="DAYS", show_default="never", help="days until it is none any more"),
    ] = None,
    waiting: Annotated[
        int | None, typer.Option(min=1, metavar="N", show_default="no limit", help="jobs that may wait")
    ] = None,
    running: Annotated[
        int | None, typer.Option(min=1, metavar="N", show_default="no limit", help="jobs that may run at once")
    ] = None,
    megapixels_a_day: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="MP", show_default="no limit", help="size of all pictures asked for in a day"),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, metavar="N", show_default="the service's", help="requests a minute")
    ] = None,
    home: _Home = None,
    database: _Database = None,
) -> None:
    """Make a key and print it. It is not kept, only its hash: it cannot be shown again.

    [dim]impasto keys add anna --waiting 20 --megapixels-a-day 500 --expires 90[/dim]
    """
    jobs = _open(home, database)
    from impasto.jobs.keys import USUAL_SCOPES, Quota, add_key

    quota = Quota.of(waiting=waiting, running=running, megapixels_a_day=megapixels_a_day, requests_a_minute=rate)
    scopes = frozenset(scope) if scope else USUAL_SCOPES
    lasts_s = None if expires is None else expires * _DAY_S
    typer.echo(add_key(jobs.engine, owner, scopes=scopes, quota=quota, lasts_s=lasts_s))


@keys_app.command("list")
def list_all(
    home: _Home = None,
    database: _Database = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Show whose keys there are, what they may do, and when they were last used."""
    jobs = _open(home, database)
    from impasto.jobs.keys import list_keys

    found = list_keys(jobs.engine)
    if json:
        print_json({"keys": [_key_facts(key) for key in found]})
        return
    console = result_console()
    if not found:
        say("there are no keys; `impasto keys add OWNER` makes one")
    for key in found:
        facts = _key_facts(key)
        limits = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in facts["quota"].items())
        parts = [
            f"{key.id}  {key.owner}",
            *([] if facts["state"] == "in use" else [facts["state"]]),
            " ".join(facts["scopes"]),
            f"last used {facts['used_at'] or 'never'}",
            *([f"until {facts['expires_at']}"] if facts["expires_at"] and facts["state"] == "in use" else []),
            *([limits] if limits else []),
        ]
        console.print("  ".join(parts), markup=False, highlight=False, soft_wrap=True)


def _key_facts(key: "Key") -> dict[str, Any]:
    """A key as the list shows it."""
    state = "revoked" if key.revoked_s is not None else "in use" if key.is_in_use else "expired"
    return {
        "id": key.id,
        "owner": key.owner,
        "state": state,
        "scopes": sorted(key.scopes),
        "quota": key.quota.model_dump(exclude_none=True),
        "created_at": _minute(key.created_s),
        "used_at": _minute(key.used_s),
        "expires_at": _minute(key.expires_s),
    }


def _minute(seconds: float | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


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
    place = _place_of(home)
    from impasto.jobs.durable import DurableJobs

    return DurableJobs(place, database=database, **more)


def _place_of(home: Path | None) -> Path:
    """The service's folder.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    try:
        import impasto.jobs.durable  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"the service needs extra packages ({error.name}): pip install 'impasto[service]'"
        ) from None
    if home is None:
        from platformdirs import user_data_path

        home = user_data_path("impasto") / "service"
    return home.absolute()


def _log_as(kind: Literal["text", "json"]) -> None:
    if kind == "json":
        from impasto.service.logs import log_as_json

        log_as_json()


def _agents(jobs: "DurableJobs", safety: str | None, *, urls: bool) -> "Starlette | None":
    """The tools for AI agents, if what they need is installed."""
    try:
        from impasto.agents.transports import create_agents_app
    except ImportError:
        return None
    return create_agents_app(jobs, safety=safety, urls=urls)


def _check(safety: str) -> str | None:
    """The safety check that is meant, found to work; None: none.

    Raises:
        SettingsError: there is none of that name.
        MissingExtraError: it is not installed.
    """
    name = {"off": None, "auto": installed_check()}.get(safety, safety)
    if name is not None:
        load_check(name)
    return name


def _slot(kind: str) -> str:
    """A name that stays the same over restarts, and that no worker of another machine has."""
    name = "".join(char if char.isalnum() or char in "-." else "-" for char in socket.gethostname())
    return f"{name[:40]}-{kind}"
