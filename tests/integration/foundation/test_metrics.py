"""What Prometheus reads from a service, and the dashboard that shows it."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.testing.minio import MinioServer
from common.testing.processes import service_process

DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "aimass.json"
SCRAPE = """
import sys, urllib.request
from common.telemetry import metrics

class Counts:
    def by_state(self): return {"RUNNING": 2}
    def waiting(self): return 3

port = metrics.serve("127.0.0.1", 0)
metrics.count_runs("trainingRuns", Counts())
metrics.rpc_duration.record(0.2, {"method": "/a/B", "code": "OK"})
metrics.store_duration.record(0.2, {"method": "GET", "status": "200"})
print(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
"""
NAME = re.compile(r"\b(?:aimass|process|python)_\w+")


@pytest.fixture(scope="module")
def exposed() -> str:
    """Returns what a process that has used every instrument shows."""
    command = [sys.executable, "-c", SCRAPE]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def queries() -> Iterator[str]:
    """Yields every query of the dashboard."""
    dashboard = json.loads(DASHBOARD.read_text())
    for variable in dashboard["templating"]["list"]:
        yield from [variable["definition"]] if "definition" in variable else []
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_every_query_of_the_dashboard_names_an_existing_metric(exposed: str) -> None:
    """A renamed metric leaves no silently empty panel; and each metric of ours is shown."""
    shown = set(re.findall(r"^(\w+)(?:\{| )", exposed, re.MULTILINE))
    asked: set[str] = set()
    for query in queries():
        names = set(NAME.findall(query))
        assert names and names <= shown, query
        asked |= names
    ours = {name for name in shown if name.startswith("aimass_")}
    unseen = {name for name in ours - asked if not name.endswith(("_sum", "_created", "_bucket"))}
    assert not unseen


def test_names_follow_the_rules_of_prometheus(exposed: str) -> None:
    """A counter ends in `_total`, a time in `_seconds`; no label grows without bound."""
    types = dict(re.findall(r"^# TYPE (aimass_\w+) (\w+)$", exposed, re.MULTILINE))
    assert set(types.values()) == {"counter", "gauge", "histogram"}
    for name, kind in types.items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert name.endswith("_seconds") == (kind == "histogram"), name
    samples = "\n".join(line for line in exposed.splitlines() if line.startswith("aimass_"))
    labels = set(re.findall(r'[{,](\w+)="', samples))
    assert labels == {"code", "kind", "le", "method", "state", "status"}


def test_figures_carry_what_was_measured(exposed: str) -> None:
    """States and queues are read when asked for; counters begin at 0; times are in seconds."""
    assert 'aimass_runs{kind="trainingRuns",state="RUNNING"} 2.0' in exposed
    assert 'aimass_runs_waiting{kind="trainingRuns"} 3.0' in exposed
    assert 'aimass_lease_takeovers_total{kind="trainingRuns"} 0.0' in exposed
    assert "aimass_store_retries_total 0.0" in exposed
    assert re.search(r'rpc_duration_seconds_bucket\{[^}]*le="0.25"[^}]*\} 1.0', exposed)


@pytest.mark.timeout(60)
def test_a_service_is_measured_when_asked_for(minio_server: MinioServer, tmp_path: Path) -> None:
    """A real catalog tells of its calls, its store and itself; without the setting of nothing."""
    with service_process("catalog", minio_server, tmp_path, {"AIMASS_METRICS_PORT": "0"}) as one:
        port = one.said("metrics on port ")
        url = f"http://127.0.0.1:{port}/metrics"
        one.said("catalog listens on ")
        deadline = time.monotonic() + 20
        text = ""
        # The executor's first look is what makes the catalog call its store.
        while "aimass_store_request_duration_seconds_count" not in text:
            assert time.monotonic() < deadline, text
            with urllib.request.urlopen(url, timeout=5) as answer:
                text = answer.read().decode()
        assert "process_resident_memory_bytes" in text
        assert 'aimass_runs_waiting{kind="datasetImports"}' in text
