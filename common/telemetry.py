"""Traces by OpenTelemetry, and JSON logs that carry run and trace ids."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import tracecontext

_run: ContextVar[tuple[str, int]] = ContextVar("run", default=("", 0))
_propagator = TraceContextTextMapPropagator()


def configure(service: str, level: int = logging.INFO) -> None:
    """Sets up logging and tracing of this process.

    Spans go to the OTLP endpoint that `OTEL_EXPORTER_OTLP_ENDPOINT` names; without one they only
    give ids.

    Args:
        service: Name of the process, for example `trainer` or `trainer-job`.
        level: Lowest level that is logged.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    provider = TracerProvider(resource=Resource.create({"service.name": f"aimass-{service}"}))
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # Imported here: it costs 100 ms that processes without an endpoint need not pay.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def flush() -> None:
    """Sends the spans that wait. Call before a process ends by `os._exit`."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.force_flush()


def bind_run(name: str, attempt: int) -> None:
    """Marks all log lines of the current task or thread as belonging to a run."""
    _run.set((name, attempt))


@contextmanager
def span(
    name: str,
    traceparent: str = "",
    attributes: Mapping[str, str | int | float | bool] | None = None,
) -> Iterator[trace.Span]:
    """Times a piece of work as a span and makes it the current trace context.

    Args:
        name: Name of the span.
        traceparent: Context of the parent; the current one by default.
        attributes: Attributes of the span.

    Yields:
        The span. An exception that leaves the block is recorded on it.
    """
    outer = tracecontext.current_traceparent()
    parent = _propagator.extract({tracecontext.HEADER: traceparent or outer})
    tracer = trace.get_tracer("aimass")
    opened = tracer.start_span(name, context=parent, attributes=attributes)
    tracecontext.set_traceparent(_traceparent_of(opened))
    try:
        yield opened
    except BaseException as error:
        if isinstance(error, Exception):
            opened.record_exception(error)
            opened.set_status(trace.StatusCode.ERROR)
        raise
    finally:
        opened.end()
        tracecontext.set_traceparent(outer)


def _traceparent_of(opened: trace.Span) -> str:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(opened))
    return carrier.get(tracecontext.HEADER, "") or tracecontext.new_traceparent()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, message, run, attempt and trace."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Formats one record. Values under `extra={"fields": {...}}` become fields."""
        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        run, attempt = _run.get()
        if run:
            entry |= {"run": run, "attempt": attempt}
        trace_id = tracecontext.trace_id(tracecontext.current_traceparent())
        if trace_id:
            entry["trace_id"] = trace_id
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)
