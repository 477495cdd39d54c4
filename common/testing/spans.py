"""Spans that a suite exports, received as an OpenTelemetry collector receives them."""

import json
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

_WAIT_SECONDS = 30.0
ENVIRONMENT = {"OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_BSP_SCHEDULE_DELAY": "200"}


@dataclass(frozen=True)
class Span:
    """A piece of work that a process has timed.

    Attributes:
        trace: Id of its trace, hexadecimal.
        id: Its own id.
        parent: Id of the span that it is part of; empty where there is none.
        service: Name of the process, for example `aimass-trainer`.
        name: What was done.
        begin: When it began, in seconds since 1970.
        end: When it ended.
        failed: Whether it ended by an error.
    """

    trace: str
    id: str
    parent: str
    service: str
    name: str
    begin: float
    end: float
    failed: bool = False

    def line(self) -> str:
        """Returns it as a line of JSON."""
        return json.dumps(self.__dict__)


def read_spans(path: Path) -> list[Span]:
    """Returns the spans of a file that `Collector.write` wrote."""
    return [Span(**json.loads(line)) for line in path.read_text().splitlines()]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that are sent to it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._changed = threading.Condition()

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Takes spans in."""
        with self._changed:
            self.spans += _spans_of(request)
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def of_trace(self, trace: str) -> list[Span]:
        """Returns the spans of a trace so far."""
        return [span for span in self.spans if span.trace == trace]

    def services(self, trace: str) -> set[str]:
        """Returns who has sent spans of a trace so far."""
        return {span.service for span in self.of_trace(trace)}

    def wait_for(self, trace: str, services: set[str]) -> set[str]:
        """Waits until these services have sent spans of a trace. Returns those that have."""
        with self._changed:
            self._changed.wait_for(lambda: services <= self.services(trace), _WAIT_SECONDS)
            return self.services(trace)

    def write(self, path: Path, trace: str) -> None:
        """Writes the spans of a trace, one a line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{span.line()}\n" for span in self.of_trace(trace)))


def _spans_of(request: trace_service_pb2.ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        for span in (each for scope in resource.scope_spans for each in scope.spans):
            yield Span(
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                service=names["service.name"],
                name=span.name,
                begin=span.start_time_unix_nano / 1e9,
                end=span.end_time_unix_nano / 1e9,
                failed=span.status.code == span.status.STATUS_CODE_ERROR,
            )


@contextmanager
def running_collector() -> Iterator[tuple[Collector, dict[str, str]]]:
    """Serves a collector. Yields it with the environment of those who are to send to it."""
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    register = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    register(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{port}"
        yield collector, {**ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    finally:
        server.stop(None)
