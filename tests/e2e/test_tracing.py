"""One trace leads from the client's call through the run and its agent to the worker."""

from pathlib import Path

import pytest

from aimass.trainer.v1 import trainer_pb2
from common.local.plan import SuiteOptions
from common.telemetry import tracecontext
from common.testing.spans import running_collector
from common.testing.suite import running_suite

pytestmark = pytest.mark.slow

EXPECTED = {"aimass-trainer", "aimass-train-job", "aimass-agent", "aimass-worker"}


def test_one_trace_from_call_to_worker(tmp_path: Path) -> None:
    """Who asks why a run was slow finds every process of it under one id."""
    table = "a,b\n" + "\n".join(f"{row % 17},{row % 17 * 2}" for row in range(200))
    with (
        running_collector() as (collector, environment),
        running_suite(tmp_path, SuiteOptions(agents=1), environment) as suite,
    ):
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
