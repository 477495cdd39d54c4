"""Traces by OpenTelemetry, and JSON logs that carry run and trace ids."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from common.telemetry import tracecontext

Attributes: TypeAlias = Mapping[str, str | int | float | bool]

_encoder = json.JSONEncoder(ensure_ascii=False, default=str)
_run: ContextVar[tuple[str, int]] = ContextVar("run", default=("", 0))


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
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # Imported here: it costs time and memory that processes without an endpoint need not pay.
        from common.telemetry import spans  # noqa: PLC0415

        spans.configure(service)


def flush() -> None:
    """Sends the spans that wait. Call before a process ends by `os._exit`."""
    exporter = sys.modules.get("common.telemetry.spans")
    if exporter is not None:
        exporter.flush()


def bind_run(name: str, attempt: int) -> None:
    """Marks all log lines of the current task or thread as belonging to a run."""
    _run.set((name, attempt))


@contextmanager
def span(name: str, traceparent: str = "", attributes: Attributes | None = None) -> Iterator[None]:
    """Times a piece of work as a span and makes it the current trace context.

    Args:
        name: Name of the span.
        traceparent: Context of the parent; the current one by default.
        attributes: Attributes of the span.

    Yields:
        Nothing. An exception that leaves the block is recorded on the span.
    """
    outer = tracecontext.current_traceparent()
    parent = traceparent or outer
    exporter = sys.modules.get("common.telemetry.spans")
    try:
        if exporter is None:
            tracecontext.set_traceparent(tracecontext.child_of(parent))
            yield
        else:
            with exporter.recorded(name, parent, attributes) as own:
                tracecontext.set_traceparent(own)
                yield
    finally:
        tracecontext.set_traceparent(outer)


@contextmanager
def process_span(name: str, traceparent: str) -> Iterator[None]:
    """Times work that has the process for itself, with all its threads; see `span`."""
    with span(name, traceparent):
        tracecontext.set_process(tracecontext.current_traceparent())
        try:
            yield
        finally:
            tracecontext.set_process("")


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
        return _encoder.encode(entry)
