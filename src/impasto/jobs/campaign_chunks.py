"""One chunk of a campaign: as many rows as fit into a while. The campaign's journal is the checkpoint.

Whatever ends the worker, finished rows stay, and so do the measurements that levels are taken from. A row that was
under way when its worker died is begun once more; one that kills a worker twice is given up, and the others go on.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from impasto.api.campaign_rows import measure_job, paint_job
from impasto.api.campaigns import REPORT, advance_campaign
from impasto.batch.job import Result
from impasto.errors import OutputError
from impasto.jobs.campaign import lay_out
from impasto.jobs.chunks import alone_with
from impasto.progress import Cancelled, CancelToken
from impasto.provenance.safety import why_unsafe
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from impasto.batch.job import Job as Row
    from impasto.batch.plan import Plan
    from impasto.batch.summary import Campaign
    from impasto.jobs.campaign import CampaignRequest
    from impasto.jobs.chunks import Report
    from impasto.jobs.job import Job, Wish
    from impasto.jobs.store import Store
    from impasto.provenance.signers import Signer

#: A chunk takes so long, or so many times what getting ready took, but not longer than the last.
_CHUNK_S: Final = 5.0
_WORTH: Final = 8.0
_LONGEST_S: Final = 60.0
_REPORT_S: Final = 0.25
#: Processes that a row may end.
_TRIES: Final = 2
_UNDER_WAY, _MEASURED, _FAILED = "under-way.json", "measured.jsonl", "failed.jsonl"


class CampaignChunk:
    """Paints rows; itself what calls the functions for them, in place of a pool of processes.

    Args:
        job: whose.
        store: where its files lie.
        report: called between rows and a few times a second within one.
        is_leaving: whether the worker shall end; the row under way is then given up.
        alive: called whenever it gets on.
        one_step: whether to end after the first row.
        signer: who signs the pictures; None: nobody.
        safety: the safety check that looks at them; None: none does.
        own: settings of the engine that are the service's.
    """

    def __init__(
        self,
        job: Job[CampaignRequest],
        store: Store,
        report: Report,
        is_leaving: Callable[[], bool],
        alive: Callable[[], None],
        *,
        one_step: bool = False,
        signer: Signer | None = None,
        safety: str | None = None,
        own: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._job, self._store, self._report = job, store, report
        self._signer, self._safety, self._own = signer, safety, own
        self._is_leaving, self._alive, self._one_step = is_leaving, alive, one_step
        self._folder = store.job(job.id)
        self._token = CancelToken()
        self._wanted: Wish | None = None
        self._progress: dict[str, Any] = {"rows": 0, "done": 0, "failed": 0}
        self._measured: dict[str, Result] = {}
        self._failed: set[str] = set()
        self._rows, self._reported = 0, 0.0
        self._began = self._first_row = 0.0

    def run(self) -> dict[str, Any] | None:
        """Paint until the chunk or the campaign ends.

        Returns:
            Its counts if it has ended; None if it goes on.

        Raises:
            Cancelled: it was asked to end at once.
            ImpastoError: it cannot be done.
        """
        return alone_with(self._folder, self._is_leaving, self._alive, self._run)

    def __call__(self, function: Callable[[Row], Result], rows: Sequence[Row]) -> Iterator[tuple[Row, Result | None]]:
        """Call a function for rows one after another; None for a row that ended its worker twice."""
        measures = function is measure_job
        self._progress["phase"] = "measuring" if measures else "painting"
        for row in rows:
            if not measures and row.key in self._failed:
                continue  # it failed in this run, and is tried again by the next one
            if self._is_over():
                return
            result = self._measured.get(row.key) if measures else None
            if result is None:
                result = self._done(row, measures=measures)
            if not measures:
                self._count(row, result)
            yield row, result
        self._tell()

    def _run(self) -> dict[str, Any] | None:
        self._began = time.monotonic()
        for line in _lines(self._folder.path / _MEASURED):
            found = Result.model_validate(line)
            self._measured[found.key] = found
        lines = _lines(self._folder.path / _FAILED)
        self._failed = {line["key"] for line in lines if line["run"] == self._job.runs}
        pack, manifest = lay_out(self._job.request, self._store, self._job.owner, self._folder.path, self._own)
        try:
            campaign = advance_campaign(
                pack,
                manifest=manifest,
                output=self._folder.campaign,
                call=self,
                on_plan=self._on_plan,
                signer=self._signer,
            )
        except Cancelled:
            if self._wanted == "discard":
                raise
            return None
        if campaign.missing and self._wanted != "keep":
            return None
        return self._finished(campaign)

    def _on_plan(self, plan: Plan) -> None:
        rows = len(plan.jobs) + len(plan.finished)
        failed = sum(row.key in self._failed for row in plan.jobs)
        self._progress |= {"rows": rows, "done": len(plan.finished), "failed": failed}

    def _is_over(self) -> bool:
        self._tell()
        self._token.check()
        now = time.monotonic()
        self._first_row = self._first_row or now
        least = max(_CHUNK_S, min(_LONGEST_S, _WORTH * (self._first_row - self._began)))
        enough = self._rows > 0 and (self._one_step or now - self._first_row >= least)
        return enough or self._wanted in ("keep", "pause") or self._is_leaving()

    def _done(self, row: Row, *, measures: bool) -> Result | None:
        mark = self._folder.path / _UNDER_WAY
        deaths = _deaths(mark, row.key)
        result = None
        try:
            if deaths < _TRIES:
                write_whole(mark, json.dumps({"key": row.key, "deaths": deaths + 1}).encode())
                function = measure_job if measures else paint_job
                result = function(row, on_progress=self._on_progress, cancel=self._token)
                if not measures and result.status == "done" and self._safety:
                    result = _safe(row, result, self._safety)
        finally:  # reached by everything but the end of the process
            mark.unlink(missing_ok=True)
        self._rows += 1
        if measures:
            known = result or Result.failed(row, "it ended its process twice")
            self._note(_MEASURED, known.model_dump(mode="json"))
        return result

    def _count(self, row: Row, result: Result | None) -> None:
        if result and result.status == "done":
            self._progress["done"] += 1
        else:
            self._progress["failed"] += 1
            self._note(_FAILED, {"run": self._job.runs, "key": row.key})

    def _note(self, name: str, found: dict[str, Any]) -> None:
        """Add a line to a file of the job; one that is lost costs its time once more, and nothing else."""
        try:
            with (self._folder.path / name).open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps(found)}")
        except OSError as error:
            raise OutputError(f"cannot write to the campaign: {error.strerror or error}; free some space") from error

    def _on_progress(self, _: object) -> None:
        if time.monotonic() - self._reported >= _REPORT_S:
            self._tell()
            if self._is_leaving():
                self._token.cancel()

    def _tell(self) -> None:
        self._reported = time.monotonic()
        self._alive()
        over = self._progress["done"] + self._progress["failed"]
        fraction = round(over / max(1, self._progress["rows"]), 4)
        self._wanted = self._report({**self._progress, "fraction": fraction})
        if self._wanted == "discard":
            self._token.cancel()

    def _finished(self, campaign: Campaign) -> dict[str, Any]:
        home = str(self._store.home)  # which is nobody's business
        page = campaign.page().replace(home, "")
        write_whole(self._folder.campaign / REPORT, page.encode())
        return {
            "counts": campaign.counts,
            "problems": [
                {"name": one.name.replace(home, ""), "reason": one.reason.replace(home, "")}
                for one in campaign.problems
            ],
            "stopped_early": campaign.missing > 0,
        }


def _safe(row: Row, result: Result, safety: str) -> Result:
    """What came of a row whose pictures a safety check has seen: of one that it refuses, nothing is left."""
    files = [Path(row.place) / name for name in result.outputs]
    for file in files:
        with Image.open(file) as picture:
            reason = why_unsafe(picture.convert("RGB"), safety)
        if reason:
            for one in files:
                one.unlink(missing_ok=True)
            return Result.failed(row, f"the painted picture is refused: {reason}")
    return result


def _deaths(mark: Path, key: str) -> int:
    """How many workers a row has ended."""
    try:
        found = json.loads(mark.read_bytes())
    except FileNotFoundError:
        return 0
    return int(found["deaths"]) if found["key"] == key else 0


def _lines(path: Path) -> list[dict[str, Any]]:
    """What was noted in a file; a line that was cut off is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else ():
        try:
            found.append(dict(json.loads(line)))
        except ValueError:
            continue
    return found
