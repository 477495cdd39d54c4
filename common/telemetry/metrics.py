"""What is counted and timed, by OpenTelemetry; served for Prometheus where a port is set.

Without a port every instrument is OpenTelemetry's empty one: nothing is kept, nothing is loaded.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from opentelemetry import metrics

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_meter = metrics.get_meter("aimass")

rpc_duration = _meter.create_histogram(
    "aimass.rpc.duration",
    unit="s",
    description="Time that calls took, by method and code.",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
store_duration = _meter.create_histogram(
    "aimass.store.request.duration",
    unit="s",
    description="Time until the object store answered, by HTTP method and status.",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
store_retries = _meter.create_counter(
    "aimass.store.retries", description="Store operations that were tried again."
)
lease_takeovers = _meter.create_counter(
    "aimass.lease.takeovers",
    description="Attempts at runs after the first, and pools taken from lost owners, by kind.",
)


class RunCounts(Protocol):
    """What is known of the runs of one kind; called from a thread of the metrics' server."""

    def by_state(self) -> Mapping[str, int]:
        """Returns the number of runs by state."""
        ...

    def waiting(self) -> int:
        """Returns the number of runs that wait for a place."""
        ...


_runs_by_kind: dict[str, RunCounts] = {}


def count_runs(kind: str, counts: RunCounts) -> None:
    """Has the runs of a kind counted whenever somebody asks for the metrics.

    Args:
        kind: Collection of the runs, for example `trainingRuns`.
        counts: Counts them.
    """
    _runs_by_kind[kind] = counts
    # A counter that is there from the start shows its first rise.
    lease_takeovers.add(0, {"kind": kind})


def forget_runs(kind: str) -> None:
    """Ends what `count_runs` began."""
    _runs_by_kind.pop(kind, None)


def _states(options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
    for kind, counts in list(_runs_by_kind.items()):
        for state, number in counts.by_state().items():
            yield metrics.Observation(number, {"kind": kind, "state": state})


def _queues(options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
    for kind, counts in list(_runs_by_kind.items()):
        yield metrics.Observation(counts.waiting(), {"kind": kind})


_meter.create_observable_gauge(
    "aimass.runs", [_states], description="Runs that are kept, by kind and state."
)
_meter.create_observable_gauge(
    "aimass.runs.waiting", [_queues], description="Runs that wait for a place, by kind."
)


def serve(host: str, port: int) -> int:
    """Serves all that is measured in this process, and figures of the process itself.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.

    Returns:
        The port.

    Raises:
        OSError: The port is taken.
    """
    # Imported here: only who asks for metrics pays for them.
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from prometheus_client import start_http_server  # noqa: PLC0415

    server, _ = start_http_server(port, host)
    # Prometheus names the target itself, and there is one scope.
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False)
    metrics.set_meter_provider(MeterProvider([reader]))
    store_retries.add(0)
    return int(server.server_port)
