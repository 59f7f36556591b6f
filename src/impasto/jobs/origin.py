"""Where a job comes from: the request that brought it, and its trace. Logs and spans of a worker lead back to them.

Tracing is off unless an OTLP endpoint is configured by OpenTelemetry's own variables.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from impasto.jobs.job import Job

#: The request that is being answered, and the job that is being computed, in this thread or task.
REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
JOB_ID: Final[ContextVar[str | None]] = ContextVar("job_id", default=None)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def origin() -> dict[str, str] | None:
    """What a job that is taken now keeps of its request: the id, and W3C's ``traceparent`` if there is a trace."""
    known: dict[str, str] = {}
    if (request_id := REQUEST_ID.get()) is not None:
        known["request_id"] = request_id
    if tracing_is_wanted():
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(known)
    return known or None


@contextmanager
def belonging_to(job: Job[Any]) -> Iterator[None]:
    """What is logged and traced in the block belongs to a job, and to the request that brought it."""
    known = job.origin or {}
    request, mine = REQUEST_ID.set(known.get("request_id")), JOB_ID.set(job.id)
    try:
        if tracing_is_wanted():
            from opentelemetry import context
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            trace = context.attach(TraceContextTextMapPropagator().extract(known))
            try:
                yield
            finally:
                context.detach(trace)
        else:
            yield
    finally:
        REQUEST_ID.reset(request)
        JOB_ID.reset(mine)


def tracing_is_wanted() -> bool:
    """Whether an endpoint for traces is configured."""
    return any(os.environ.get(name) for name in _ENDPOINTS)


def start_tracing(part: str) -> None:
    """Send spans to the configured endpoint, if there is one.

    Args:
        part: of the service that this process is: ``api`` or ``worker``.

    Raises:
        MissingExtraError: an endpoint is configured, and the extra is not installed.
    """
    if not tracing_is_wanted():
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError(
            f"traces need extra packages ({error.name}): pip install 'impasto[telemetry]', or unset {_ENDPOINTS[1]}"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": f"impasto-{part}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def end_tracing() -> None:
    """Send the spans that were not sent yet."""
    if tracing_is_wanted():
        from opentelemetry import trace

        trace.get_tracer_provider().force_flush(5000)  # type: ignore[attr-defined]  # the SDK's provider has it
