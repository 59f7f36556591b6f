"""What runs jobs, whatever holds the queue: the doors know only this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from impasto.jobs.job import Job, JobRequest, State
    from impasto.jobs.keys import Quota


class JobEngine(Protocol):
    """Takes jobs, hands them to workers, and knows where each stands.

    Every call names the owner; another owner's job is as unknown as one that never was.
    """

    def submit(
        self, request: JobRequest, *, owner: str, idempotency_key: str | None = None, quota: Quota | None = None
    ) -> Job:
        """Take a job; when this returns, it will end exactly once whatever is killed meanwhile.

        Args:
            request: what to do.
            owner: whose job it is.
            idempotency_key: the same key again gives the job that it gave before.
            quota: how much the owner may ask for; None: as much as there is.

        Raises:
            OverloadedError: queue, disk or memory are full, or the quota is used up; nothing was taken.
            UnknownAssetError: it names an asset that is not there.
            InputError: it names a style that the library does not have.
            IdempotencyError: the key was used for another request.
        """

    def get(self, job_id: str, *, owner: str) -> Job:
        """Where a job stands.

        Raises:
            UnknownJobError: the owner has none of that id.
        """

    def jobs(self, *, owner: str, state: State | None = None, limit: int = 50, before: str | None = None) -> list[Job]:
        """The owner's jobs, newest first.

        Args:
            owner: whose.
            state: only those in it.
            limit: at most so many.
            before: only those older than this job: where the last page ended.

        Raises:
            UnknownJobError: ``before`` is none of the owner's jobs.
        """

    def changed_since(self, changed: int, *, owner: str, limit: int = 100) -> list[Job]:
        """The owner's jobs that changed after that, oldest change first."""

    def position(self, job: Job) -> int | None:
        """How many jobs will be begun before this one; None where it does not wait."""

    def cancel(self, job_id: str, *, owner: str, keep: bool) -> Job:
        """End a job: at once while it waits, at its next step while it runs; one that has ended stays as it is.

        Args:
            job_id: which.
            owner: whose.
            keep: keep the picture as far as it is; otherwise it is dropped. A waiting job has none to keep.

        Raises:
            UnknownJobError: the owner has none of that id.
        """

    def retry(self, job_id: str, *, owner: str, quota: Quota | None = None) -> Job:
        """Put a failed or cancelled job into the queue again; it begins anew.

        Raises:
            UnknownJobError: the owner has none of that id.
            JobStateError: it has not ended, or it is done.
            OverloadedError: as :meth:`submit`.
        """

    def close(self) -> None:
        """Let go of the database; jobs go on."""
