"""A worker: takes jobs from the queue one after another, chunk by chunk, and looks after those of workers that died.

A worker has a slot, a name that it keeps over restarts. Started again in its slot, it goes on with the job that it had;
if it stays away, another one takes that job over once it has not been heard of for a while.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from dbos import DBOS, DBOSPortableJSONSerializer
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from impasto.errors import InputError
from impasto.jobs import canary, judging, order, table
from impasto.jobs.durable import APPLICATION, CONTRACT, QUEUE, WORKFLOW, DurableJobs
from impasto.jobs.origin import belonging_to, end_tracing, start_tracing, tracing_is_wanted
from impasto.jobs.outcomes import engine_of
from impasto.jobs.watchdog import patience_s, watched
from impasto.progress import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from dbos import DBOSConfig

    from impasto.provenance.signers import Signer

logger = logging.getLogger("impasto")

_BEAT_S: Final = 5.0
#: How often the queue is looked at.
_POLL_S: Final = 0.5
#: A worker that was silent for so long is taken for dead.
SILENCE_S: Final = 30.0
#: How long a worker that is told to end waits for its chunk.
_GRACE_S: Final = 30.0


class Worker:
    """One worker process.

    Args:
        jobs: the queue and the files.
        slot: its name; no two run under one.
        silence_s: after how long without a sign other workers are taken for dead.
        judge: which results it judges.
        signer: who signs results; None: nobody.
        safety: the safety check that looks at them; None: none does.

    Raises:
        SettingsError: the service's ``impasto.toml`` says what cannot be done.
    """

    def __init__(
        self,
        jobs: DurableJobs,
        slot: str,
        *,
        silence_s: float = SILENCE_S,
        judge: judging.Mode = "sample",
        signer: Signer | None = None,
        safety: str | None = None,
    ) -> None:
        self._jobs, self._slot, self._silence_s, self._judge = jobs, slot, silence_s, judge
        self._signer, self._safety = signer, safety
        self._leaving = threading.Event()
        self._at_work = threading.Lock()

    def leave(self) -> None:
        """Ask it to end: after the chunk that it is at, or at once if there is none."""
        self._leaving.set()

    def run(self, is_wanted: Callable[[], bool] = lambda: True) -> NoReturn:
        """Work until told to leave, then end the process.

        Args:
            is_wanted: looked at before it begins and every few seconds; once it is false, the worker leaves.

        Raises:
            InputError: another worker has the slot.
        """
        locks = self._jobs.store.home / "workers"
        locks.mkdir(exist_ok=True, mode=0o700)
        lock = FileLock(locks / f"{self._slot}.lock")
        try:
            lock.acquire(timeout=self._silence_s)  # the one before may be about to end
        except Timeout:
            raise InputError(
                f"another worker has the slot {self._slot!r}; end it, or give this one another name with --slot"
            ) from None
        if not is_wanted():  # whoever started it died before it was up; no job is taken up then
            sys.exit()
        from impasto import api  # noqa: F401 — PyTorch is loaded before the first job waits for it

        start_tracing("worker")
        self._beat()
        self._launch()
        judging.Judge(self._jobs, self._at_work, self._leaving, self._jobs.config).start()
        while not self._leaving.wait(_BEAT_S if is_wanted() else 0):
            if not is_wanted():
                self.leave()
                break
            self._beat()
            self._reap()
        self._end()

    def _launch(self) -> None:
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": self._jobs.url,
            "system_database_engine": self._jobs.engine,
            "application_version": CONTRACT,
            "executor_id": self._slot,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
            "enable_otlp": tracing_is_wanted(),
        }
        DBOS(config=config)

        # Not DBOS's own limit of attempts: it counts every restart, and a job that gets on with each is no poison.
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def work() -> str:
            return self._work(str(DBOS.workflow_id))

        DBOS.launch()  # takes up what this slot had begun
        DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=_POLL_S, on_conflict="always_update")
        self._reap()

    def _work(self, ticket: str) -> str:
        """What a ticket is for: claim a job and do it. Begun again after a crash, it knows the steps that were done."""
        from impasto.vgg.precision import release_memory

        with self._at_work:  # a job that was taken up again, and one from the queue, may come at once
            if self._leaving.is_set():
                self._put_down()
            claimed = DBOS.run_step({"name": "claim"}, self._claim, ticket)
            if claimed is None:
                return "nothing to do"
            job_id, number = claimed
            with _database_or_end(), self._jobs.engine.begin() as connection:
                job = table.begin(connection, job_id, ticket)
                if job is not None:
                    job = canary.assign(connection, job, self._jobs.config.canary)
            if job is None:
                return "over"
            with belonging_to(job):
                logger.info("job %s of engine %s begins", job_id, engine_of(job))
                is_over = False
                while not is_over:
                    if self._leaving.is_set():
                        with _database_or_end(), self._jobs.engine.begin() as connection:
                            table.leave(connection, job_id)
                        self._put_down()
                    is_over = DBOS.run_step({"name": "chunk"}, self._chunk, job_id, number, ticket)
                    number += 1
            release_memory()  # the next job has another shape
            with _database_or_end(), self._jobs.engine.begin() as connection:
                self._jobs.call_next(connection)
        return "over"

    def _put_down(self) -> NoReturn:
        """Do nothing more. The workflow stays as it is in the database: whoever takes it up goes on with it."""
        self._at_work.release()
        while True:
            time.sleep(3600)

    def _claim(self, ticket: str) -> tuple[str, int] | None:
        """The first step: which job it is, and how many of its chunks are done."""
        with _database_or_end(), self._jobs.engine.begin() as connection:
            return order.claim(connection, ticket)

    def _chunk(self, job_id: str, number: int, ticket: str) -> bool:
        """A step: compute a chunk; gives whether that was all. May be done twice, with the same outcome."""
        with _database_or_end():
            return self._computed(job_id, number, ticket)

    def _computed(self, job_id: str, number: int, ticket: str) -> bool:
        from impasto.jobs.campaign_chunks import CampaignChunk
        from impasto.jobs.chunks import Chunk, reason_of

        with self._jobs.engine.connect() as connection:
            job = table.held(connection, job_id, ticket)
        if job is None:  # it has ended, or was put aside
            return True
        job = canary.as_made(job)
        what = CampaignChunk if job.kind == "campaign" else Chunk

        def report(progress: dict[str, Any]) -> Any:
            with self._jobs.engine.begin() as connection:
                return table.report(connection, job_id, {**progress, "chunk": number})

        try:
            if job.wanted == "discard":
                raise Cancelled
            # Just begun, or again: one step is enough to show that the job gets on, and that whatever ended its worker
            # before was something else.
            one_step = job.attempts > 0
            own = self._jobs.config.settings_for(job.request.engine_name)
            more: dict[str, Any] = {"signer": self._signer, "safety": self._safety, "own": own}
            with watched(patience_s(job.request.image_size)) as alive:
                chunk = what(job, self._jobs.store, report, self._leaving.is_set, alive, one_step=one_step, **more)
                facts = chunk.run()
        except Cancelled:
            if job.kind == "picture":  # of a campaign, finished rows stay
                self._jobs.store.job(job_id).discard()
            self._end_job(job_id, "cancelled")
            return True
        except SQLAlchemyError:
            raise
        except Exception as error:
            reason = reason_of(error, self._jobs.store)
            if reason["code"] == "internal":
                logger.exception("job %s failed", job_id)
            self._end_job(job_id, "failed", error=reason)
            return True
        with self._jobs.engine.begin() as connection:
            table.finish_chunk(connection, job_id, number)
            if facts is None:
                return order.put_aside(connection, job_id)
        self._end_job(job_id, "done", metrics=facts)
        return True

    def _end_job(self, job_id: str, state: Any, **known: Any) -> None:
        with self._jobs.engine.begin() as connection:
            if not table.end(connection, job_id, state, **known):
                return
            job = table.read(connection, job_id)
            if state == "done":
                judging.mark(connection, job, self._judge)
            canary.look(connection, job)
        logger.info("job %s is %s", job_id, state)

    def _beat(self) -> None:
        with self._jobs.engine.begin() as connection:
            table.beat(connection, self._slot)

    def _reap(self) -> None:
        """Put tickets of dead workers back into the queue, and see that no job is without one.

        A waiting job gets a new one; a running job whose ticket ended without a word is ended.
        """
        client = self._jobs.client
        with self._jobs.engine.connect() as connection:
            living = table.living(connection, self._silence_s) | {self._slot}
            running = order.tickets(connection)
            stranded = order.waiting(connection) > 0 and order.paused_since(connection) is None
        pending = client.list_workflows(status="PENDING", name=WORKFLOW, load_input=False, load_output=False)
        for orphan in pending:
            if orphan.executor_id not in living:
                logger.warning("the ticket %s is taken over from %s", orphan.workflow_id, orphan.executor_id)
                client.resume_workflow(orphan.workflow_id, queue_name=QUEUE)
        there = ["ENQUEUED", "PENDING"]
        if stranded and not client.list_workflows(
            status=there, app_version=CONTRACT, limit=1, load_input=False, load_output=False
        ):
            with self._jobs.engine.begin() as connection:
                self._jobs.issue_tickets(connection)
        if not running:
            return
        over = ["ERROR", "SUCCESS", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
        for lost in client.list_workflows(workflow_ids=list(running), status=over, load_input=False, load_output=False):
            logger.error("the workflow of job %s ended with %s", lost.workflow_id, lost.status)
            reason = {"code": "internal", "detail": "the job's record could not be written; try it again"}
            self._end_job(running[lost.workflow_id], "failed", error=reason)

    def _end(self) -> NoReturn:
        """Wait for the chunk, say goodbye, and end the process: DBOS's threads have nothing to clean up."""
        self._at_work.acquire(timeout=_GRACE_S)
        with self._jobs.engine.begin() as connection:
            table.forget_worker(connection, self._slot)
        end_tracing()
        os._exit(0)


@contextmanager
def _database_or_end() -> Iterator[None]:
    """End the process if the database fails: without it nothing can be said of the job, least of all that it failed.

    DBOS would keep the error as the step's outcome. So the next worker goes on instead.
    """
    try:
        yield
    except SQLAlchemyError as error:
        logger.error("the database does not answer, and the worker ends: %s", error)
        os._exit(1)
