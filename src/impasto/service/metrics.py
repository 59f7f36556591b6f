"""Figures for Prometheus at ``/metrics``.

What is said of jobs, workers and quality is read from the database when it is asked for: it covers all processes, and a
restart loses nothing. Only what happens in this process and leaves no trace is counted here.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from impasto.jobs import order, table, tally
from impasto.jobs.durable import QUEUE
from impasto.jobs.refusals import OverloadedError, RefusedAssetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import sqlalchemy as sa

    from impasto.jobs.durable import DurableJobs

_P: Final = "impasto_"
#: Counts by their names in the table.
_COUNTS: Final = {
    "jobs": ("jobs", "Jobs that ended.", ("engine", "state", "reason")),
    "resumed": ("resumed_jobs", "Times that a job was gone on with after its worker had ended, or a pause.", ()),
    "verdicts": ("verdicts", "Results that were judged.", ("engine", "outcome", "version")),
    "signals": ("results", "Results that were kept or discarded by their owners.", ("engine", "signal", "version")),
    "canary_jobs": ("canary_jobs", "Jobs that ended while a canary was tried.", ("canary", "arm")),
    "canary_failures": ("canary_failures", "Of these, jobs that failed.", ("canary", "arm")),
    "canary_judged": ("canary_judged", "Results that were judged while a canary was tried.", ("canary", "arm")),
    "canary_not_ok": ("canary_not_ok", "Of these, results that were not ok.", ("canary", "arm")),
}
_HISTOGRAMS: Final = {
    "job_seconds": ("job_seconds", "How long jobs waited and were computed.", ("engine", "phase")),
    "step_seconds_per_mp": ("step_seconds_per_mp", "A step of an engine, for a megapixel.", ("engine",)),
    "quality": ("quality", "Figures of the judge.", ("engine", "metric")),
}
_GAUGES: Final = {
    "drifted": ("drifted", "Findings of drift at the last look.", ("engine",)),
    "drift_psi": ("drift_psi", "Population stability index of the last look.", ("engine", "metric")),
}
#: Walking through all files takes a while where there are many.
_STORED_S: Final = 60.0


class Metrics:
    """The figures of a running service.

    Args:
        jobs: what is asked for them.
    """

    def __init__(self, jobs: DurableJobs) -> None:
        self.registry = CollectorRegistry()
        self.sse_clients = Gauge(_P + "sse_clients", "Clients that watch the events.", registry=self.registry)
        self.golden = Gauge(
            _P + "golden_passed", "Whether the golden set came out the same; -1: not known.", registry=self.registry
        )
        self.golden.set(-1)
        self._overloaded = Counter(
            _P + "admission_rejected", "Jobs that were refused for want of room.", ["reason"], registry=self.registry
        )
        self._refused = Counter(_P + "input_rejected", "Uploads that were refused.", ["reason"], registry=self.registry)
        self.registry.register(_FromDatabase(jobs))

    def count_error(self, error: Exception) -> None:
        """Count what is refused."""
        if isinstance(error, OverloadedError):
            self._overloaded.labels(error.reason).inc()
        elif isinstance(error, RefusedAssetError):
            self._refused.labels(error.code).inc()
        elif getattr(error, "code", None) == "too_large":
            self._refused.labels("too_large").inc()


class _FromDatabase(Collector):
    """Everything that the database knows."""

    def __init__(self, jobs: DurableJobs) -> None:
        self._jobs = jobs
        self._stored: dict[str, int] = {}
        self._stored_at = -_STORED_S
        self._turn = threading.Lock()

    def describe(self) -> Iterator[Metric]:
        """Nothing: or the registry would ask the database at the start."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read it all at one moment."""
        with self._jobs.engine.connect() as connection:
            for source, (name, text, labels) in _COUNTS.items():
                yield _family(CounterMetricFamily, connection, source, name, text, labels)
            for source, (name, text, labels) in _GAUGES.items():
                yield _family(GaugeMetricFamily, connection, source, name, text, labels)
            for source, (name, text, labels) in _HISTOGRAMS.items():
                histogram = HistogramMetricFamily(_P + name, text, labels=labels)
                for known, (buckets, total) in tally.histogram(connection, source).items():
                    histogram.add_metric([dict(known)[label] for label in labels], buckets, sum_value=total)
                yield histogram
            memory = GaugeMetricFamily(
                _P + "peak_memory_bytes", "Most memory that the last job of an engine took.", labels=["engine"]
            )
            for known, value in tally.read(connection, "peak_memory_mb").items():
                memory.add_metric([dict(known)["engine"]], value * 2**20)
            yield memory
            now = time.time()
            depth = GaugeMetricFamily(_P + "queue_depth", "Jobs that wait.", labels=["queue"])
            depth.add_metric([QUEUE], order.waiting(connection))
            yield depth
            oldest = table.waiting_since(connection)
            yield GaugeMetricFamily(
                _P + "queue_oldest_seconds",
                "How long the job has waited that waits longest; jobs that are tried again do not count.",
                value=0 if oldest is None else now - oldest,
            )
            ages = GaugeMetricFamily(
                _P + "worker_heartbeat_age_seconds", "Since a worker was heard of.", labels=["worker"]
            )
            for slot, beat in table.beats(connection).items():
                ages.add_metric([slot], now - beat)
            yield ages
            held = GaugeMetricFamily(_P + "canary_held", "Whether a canary was held.", labels=["canary"])
            for name, is_held in table.canaries(connection).items():
                held.add_metric([name], is_held)
            yield held
        stored = GaugeMetricFamily(_P + "bytes_stored", "Files of the service.", labels=["kind"])
        for kind, size in self._bytes_stored().items():
            stored.add_metric([kind], size)
        yield stored
        yield GaugeMetricFamily(
            _P + "disk_free_bytes", "What the disk has left.", value=self._jobs.store.free_mb() << 20
        )

    def _bytes_stored(self) -> dict[str, int]:
        with self._turn:
            if time.monotonic() - self._stored_at >= _STORED_S:
                home = self._jobs.store.home
                self._stored = {kind: _size(home / kind) for kind in ("assets", "jobs")}
                self._stored["database"] = sum(_size_of(path) for path in home.glob("*.sqlite*"))
                self._stored_at = time.monotonic()
            return self._stored


def _family(
    kind: Callable[..., CounterMetricFamily | GaugeMetricFamily],
    connection: sa.Connection,
    source: str,
    name: str,
    text: str,
    labels: tuple[str, ...],
) -> Metric:
    family = kind(_P + name, text, labels=labels)
    for known, value in tally.read(connection, source).items():
        family.add_metric([dict(known)[label] for label in labels], value)
    return family


def _size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(_size_of(path) for path in folder.rglob("*"))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a moment ago it was there
        return 0
