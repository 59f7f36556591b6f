"""Runs the service: uvicorn here, and one worker beside it that is started again whenever it ends."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Final

import uvicorn

from impasto.errors import InputError
from impasto.jobs.origin import end_tracing, start_tracing
from impasto.service.app import create_app
from impasto.service.connections import TimedConnection, allow_many_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from impasto.jobs.durable import DurableJobs
    from impasto.service.config import ServiceConfig

logger = logging.getLogger("impasto")

#: A worker that cannot even start is tried again more and more seldom.
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_LIVED_S: Final = 20.0
_GRACE_S: Final = 40.0


def serve(
    jobs: DurableJobs, config: ServiceConfig, *, worker: Supervisor | None, on_start: Callable[[str], None]
) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Args:
        jobs: what takes jobs.
        config: where and to whom.
        worker: runs beside the service; None if workers are started elsewhere.
        on_start: called with the address once it can be asked.

    Raises:
        InputError: the address cannot be listened on.
    """
    start_tracing("api")
    allow_many_files()
    listener = _listen(config)
    app = create_app(jobs, config)
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
            # PyTorch comes with it and takes seconds: nobody's first page shall wait for it.
            threading.Thread(target=import_module, args=("impasto.api",), daemon=True).start()
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
            lifespan="off",
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


class Supervisor:
    """Keeps a worker process alive.

    Args:
        words: the command line of the worker, after ``impasto``.
        environment: variables that it gets besides those of this process.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", "impasto", *words]
        self._environment = {**os.environ, **environment}
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start it, from now on and whenever it ends."""
        self._thread.start()

    def end(self) -> None:
        """Ask it to end, and wait: it finishes its chunk first."""
        self._ending.set()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _keep(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._ending.is_set():
            # A session of its own: Ctrl-C in the terminal is for the service, which then asks the worker to end.
            self._process = subprocess.Popen(  # noqa: S603 — our own program
                self._command, env=self._environment, start_new_session=True
            )
            try:
                self._process.wait(_LIVED_S)
            except subprocess.TimeoutExpired:
                pause = _FIRST_PAUSE_S
            code = self._process.wait()
            if self._ending.is_set():
                return
            logger.warning("the worker ended with code %d; it is started again", code)
            self._ending.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
