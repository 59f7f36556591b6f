"""The files of a campaign: whose they are, which are there, and where those go that a person rejects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from impasto.errors import OutputError
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from impasto.batch.job import Job, Result
    from impasto.batch.plan import Plan
    from impasto.batch.remote import Mirror

#: Names of all outputs that runs set out to write: a file of such a name is the campaign's, whatever ended the run.
PLANNED: Final = "planned.json"
REJECTED: Final = "rejected"
_DISK_RESERVE: Final = 1.05


class Outputs:
    """The files of one campaign, in its folder or at an address.

    Args:
        place: its folder.
        rows: what its journal holds, in the order in which it came.
        mirror: what stands for the address, if the folder is only on the way there.
    """

    def __init__(self, place: Path, rows: Mapping[str, Result], mirror: Mirror | None) -> None:
        self._place, self._rows, self._mirror = place, rows, mirror
        self._names = mirror.names() if mirror else frozenset[str]()
        # A channel's file has the same name whatever the pack says, so the last row that wrote it counts.
        self._writers = {name: row.key for row in rows.values() for name in row.outputs}

    def hold(self, row: Result) -> bool:
        """Whether all files of a row are there, none of them written over by a later row."""
        return all(self._is_there(name) and self._writers.get(name) == row.key for name in row.outputs)

    def refuse_foreign(self, jobs: Sequence[Job]) -> None:
        """Raise where a job would replace a file that no run of this campaign wrote.

        Raises:
            OutputError: names the file.
        """
        own = set(self._writers) | set(_planned(self._place))
        for name in (name for job in jobs for name in job.outputs):
            if name not in own and self._is_there(name):
                raise OutputError(
                    f"{str(self._place / name)!r} is there already and is not this campaign's; move it, give another "
                    "folder, or replace such files with --overwrite"
                )

    def set_aside(self, slots: Collection[str]) -> None:
        """Move the files of rejected rows, of all that were painted of them, to ``rejected/``; nothing is deleted.

        Raises:
            OutputError: one cannot be moved.
        """
        for row in self._rows.values():
            for name in row.outputs if row.slot in slots else ():
                if self._writers[name] == row.key and self._is_there(name):
                    self._move(name, f"{REJECTED}/{name}")

    def _is_there(self, name: str) -> bool:
        return name in self._names if self._mirror else (self._place / name).exists()

    def _move(self, name: str, other: str) -> None:
        if self._mirror:
            self._mirror.move(name, other)
        source, target = self._place / name, self._place / other
        if not source.exists():
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        except OSError as error:
            raise OutputError(f"cannot move {str(source)!r} to {str(target)!r}: {error.strerror or error}") from error


def keep_planned(place: Path, jobs: Sequence[Job]) -> None:
    """Remember what a run sets out to write, beside what runs before it did."""
    names = {*_planned(place), *(name for job in jobs for name in job.outputs)}
    write_whole(place / PLANNED, json.dumps(sorted(names), indent=0).encode())


def refuse_full(plan: Plan) -> None:
    """Raise where the outputs would not fit on the disk.

    Raises:
        OutputError: says how much is needed.
    """
    if plan.disk_mb * _DISK_RESERVE > plan.free_disk_mb:
        raise OutputError(
            f"the outputs take up to {plan.disk_mb:,.0f} MiB and {plan.free_disk_mb:,.0f} are free at "
            f"{str(plan.place)!r}; free some space, choose another folder, or a smaller image_size"
        )


def _planned(place: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((place / PLANNED).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []
