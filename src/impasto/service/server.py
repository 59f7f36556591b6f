"""Runs the service: uvicorn here, and one worker beside it that is started again whenever it ends."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import uvicorn

from impasto.errors import InputError
from impasto.jobs.origin import end_tracing, start_tracing
from impasto.service.app import create_app
from impasto.service.connections import TimedConnection, allow_many_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

    from impasto.jobs.durable import DurableJobs
    from impasto.jobs.supervisor import Supervisor
    from impasto.service.config import ServiceConfig


def serve(
    jobs: DurableJobs,
    config: ServiceConfig,
    *,
    worker: Supervisor | None,
    on_start: Callable[[str], None],
    agents: Starlette | None = None,
) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Args:
        jobs: what takes jobs.
        config: where and to whom.
        worker: runs beside the service; None if workers are started elsewhere.
        on_start: called with the address once it can be asked.
        agents: the tools for AI agents, served beside the rest; None without them.

    Raises:
        InputError: the address cannot be listened on.
    """
    start_tracing("api")
    allow_many_files()
    listener = _listen(config)
    app = create_app(jobs, config, agents)
    host = f"[{config.host}]" if ":" in config.host else config.host
    address = f"http://{host}:{listener.getsockname()[1]}"

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: object) -> None:  # noqa: ARG002
            # Not uvicorn's own way, which sends itself the signal again at the end: the worker is still to be ended.
            app.state.context.closing.set()  # or streams would hold the end up
            self.force_exit = self.should_exit
            self.should_exit = True

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_start(address)

    server = Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            http=TimedConnection,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
            lifespan="on",
        )
    )
    if worker is not None:
        worker.start()
    try:
        server.run(sockets=[listener])
    finally:
        if worker is not None:
            worker.end()
        if app.state.context.golden is not None:
            app.state.context.golden.end()
        end_tracing()


def _listen(config: ServiceConfig) -> socket.socket:
    """A socket at the address; port 0 lets the system choose."""
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        # Named as TCP, or asyncio leaves Nagle's algorithm on, and answers wait 40 ms for a client's acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host.strip("[]"), config.port))
    except OSError as error:
        raise InputError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error}; choose another with --port"
        ) from error
    return listener
