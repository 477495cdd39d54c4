"""One trace leads from the client's call through the run and its agent to the worker."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from aimass.trainer.v1 import trainer_pb2
from common.local.plan import SuiteOptions
from common.telemetry import tracecontext
from common.testing.suite import running_suite

pytestmark = pytest.mark.slow

WAIT_SECONDS = 30.0
EXPECTED = {"aimass-trainer", "aimass-train-job", "aimass-agent", "aimass-worker"}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps which services took part in each trace."""

    def __init__(self) -> None:
        self.services: dict[str, set[str]] = defaultdict(set)
        self._changed = threading.Condition()

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Takes spans in."""
        with self._changed:
            for resource in request.resource_spans:
                names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.services[span.trace_id.hex()].add(names["service.name"])
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for(self, trace: str, services: set[str]) -> set[str]:
        """Waits until these services have sent spans of a trace. Returns those that have."""
        with self._changed:
            self._changed.wait_for(lambda: services <= self.services[trace], WAIT_SECONDS)
            return self.services[trace]


@contextmanager
def running_collector() -> Iterator[tuple[Collector, str]]:
    """Serves a collector. Yields it with its endpoint."""
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    register = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    register(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None)


def test_one_trace_from_call_to_worker(tmp_path: Path) -> None:
    """Who asks why a run was slow finds every process of it under one id."""
    table = "a,b\n" + "\n".join(f"{row % 17},{row % 17 * 2}" for row in range(200))
    with running_collector() as (collector, endpoint):
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with running_suite(tmp_path, SuiteOptions(agents=1), environment) as suite:
            version = suite.import_dataset("trace", "trace.csv", table.encode())
            traceparent = tracecontext.new_traceparent()
            tracecontext.set_traceparent(traceparent)
            spec = trainer_pb2.TrainingSpec(
                dataset_version=version, model="models/trace", target="b", epochs=1
            )
            run = suite.train(spec)
            tracecontext.set_traceparent("")
            trace = tracecontext.trace_id(traceparent)
            assert tracecontext.trace_id(run.status.traceparent) == trace
            assert collector.wait_for(trace, EXPECTED) >= EXPECTED
