"""What runs jobs, whatever holds the queue: the doors know only this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from impasto.jobs.campaign import CampaignRequest
    from impasto.jobs.job import Job, JobRequest, QueueState, State
    from impasto.jobs.keys import Quota


class JobEngine(Protocol):
    """Takes jobs, hands them to workers, and knows where each stands.

    Every call names the owner; another owner's job is as unknown as one that never was.
    """

    def submit(
        self,
        request: JobRequest,
        *,
        owner: str,
        idempotency_key: str | None = None,
        replace: bool = False,
        quota: Quota | None = None,
    ) -> Job:
        """Take a job; when this returns, it will end exactly once whatever is killed meanwhile.

        Args:
            request: what to do.
            owner: whose job it is.
            idempotency_key: the same key again gives the job that it gave before.
            replace: cancel the owner's waiting pictures, in one move with taking this one.
            quota: how much the owner may ask for; None: as much as there is.

        Raises:
            OverloadedError: queue, disk or memory are full, or the quota is used up; nothing was taken.
            UnknownAssetError: it names an asset that is not there.
            InputError: it names a style that the library does not have.
            IdempotencyError: the key was used for another request.
        """

    def submit_campaign(
        self,
        request: CampaignRequest,
        *,
        owner: str,
        idempotency_key: str | None = None,
        quota: Quota | None = None,
    ) -> Job[CampaignRequest]:
        """Take a campaign: a job like any other, painted row by row, each of them once whatever is killed meanwhile.

        Raises:
            SettingsError: its pack cannot be used.
            OverloadedError, UnknownAssetError, InputError, IdempotencyError: as :meth:`submit`.
        """

    def get(self, job_id: str, *, owner: str) -> Job:
        """Where a picture's job stands.

        Raises:
            UnknownJobError: the owner has none of that id.
        """

    def campaign(self, job_id: str, *, owner: str) -> Job[CampaignRequest]:
        """Where a campaign stands. All verbs below take its id as well.

        Raises:
            UnknownJobError: the owner has none of that id.
        """

    def campaigns(self, *, owner: str, limit: int = 50, before: str | None = None) -> list[Job[CampaignRequest]]:
        """The owner's campaigns, as :meth:`jobs`."""

    def jobs(
        self,
        *,
        owner: str,
        state: State | None = None,
        starred: bool | None = None,
        style: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Job]:
        """The owner's pictures, newest first; campaigns are apart.

        Args:
            owner: whose.
            state: only those in it.
            starred: only those that are, or are not.
            style: only those that ask for it: an asset's id, or a name of the library.
            limit: at most so many.
            before: only those older than this job: where the last page ended.

        Raises:
            UnknownJobError: ``before`` is none of the owner's jobs.
        """

    def changed_since(self, changed: int, *, owner: str, limit: int = 100) -> list[Job]:
        """The owner's pictures that changed after that, oldest change first."""

    def position(self, job: Job[Any]) -> int | None:
        """How many jobs will be begun before this one; None where it does not wait."""

    def cancel(self, job_id: str, *, owner: str, keep: bool) -> Job[Any]:
        """End a job: at once while it waits, at its next step while it runs; one that has ended stays as it is.

        Args:
            job_id: which.
            owner: whose.
            keep: keep the picture as far as it is; otherwise it is dropped. A job that never ran has none to keep. One
                that was paused is begun once more, in its turn, to write its picture. A campaign ends after the row
                that it is at, or within it, and its finished rows stay either way.

        Raises:
            UnknownJobError: the owner has none of that id.
        """

    def cancel_all(self, *, owner: str, states: Collection[State]) -> list[Job]:
        """End the owner's pictures that are in these states and drop what they have; gives them as they are then."""

    def pause(self, job_id: str, *, owner: str) -> Job[Any]:
        """Put a job aside: at once while it waits; at its next chunk, with its checkpoint, while it runs.

        A job of an engine that paints in one pass has no next chunk: it ends as if nothing was asked.

        Raises:
            UnknownJobError: the owner has none of that id.
            JobStateError: it has ended.
        """

    def resume(self, job_id: str, *, owner: str) -> Job[Any]:
        """Let a paused job wait for its turn, in its old place, and go on to the bytes of one that was never paused.

        One that is not paused stays as it is; a pause that a running job has not come to is taken back.

        Raises:
            UnknownJobError: the owner has none of that id.
            JobStateError: it has ended.
        """

    def move(self, job_id: str, *, owner: str, to: str) -> Job[Any]:
        """Let a waiting job be begun earlier or later than the owner's others.

        The owner's waiting jobs change the places that they have with each other; nobody else's job moves.

        Args:
            job_id: which.
            owner: whose.
            to: ``front``, ``back``, or the id of the owner's job before which it shall be.

        Raises:
            UnknownJobError: the owner has none of that id, or ``to`` is none.
            JobStateError: one of the two does not wait.
        """

    def star(self, job_id: str, *, owner: str, starred: bool) -> Job[Any]:
        """Keep a job from clean-ups, or no longer.

        Raises:
            UnknownJobError: the owner has none of that id.
        """

    def delete(self, job_id: str, *, owner: str) -> None:
        """Remove a job that has ended, with its files.

        Raises:
            UnknownJobError: the owner has none of that id.
            JobStateError: it has not ended.
        """

    def delete_asset(self, asset: str, *, owner: str) -> None:
        """Remove an upload.

        Raises:
            UnknownAssetError: the owner has none of that id.
            JobStateError: a job that has not ended needs it.
        """

    def queue(self, *, owner: str) -> QueueState:
        """Whether jobs are begun, and how many there are."""

    def pause_queue(self, *, paused: bool) -> None:
        """Begin no more jobs of anybody, also after a restart, or do so again. Those that run go on."""

    def retry(self, job_id: str, *, owner: str, quota: Quota | None = None) -> Job[Any]:
        """Put a failed or cancelled job into the queue again; it begins anew.

        A campaign that is done may be run again too: it keeps its folder, and does what is missing, has failed or was
        decided since.

        Raises:
            UnknownJobError: the owner has none of that id.
            JobStateError: it has not ended, or it is done.
            OverloadedError: as :meth:`submit`.
        """

    def close(self) -> None:
        """Let go of the database; jobs go on."""
