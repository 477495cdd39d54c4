"""`make demo`, as a new user runs it."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.local import processes
from common.local.home import SuiteHome

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 600


def command(home: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "common.cli", "demo", "--home", str(home), *options]


def suite_of(home: Path) -> str:
    state = SuiteHome(home).read_state()
    assert state is not None
    return state.suite


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_the_demonstration_shows_what_it_promises(tmp_path: Path) -> None:
    """Data, anomalies, models, a report, a killed worker; with default ports taken; hints work."""
    home = tmp_path / "demo"
    with ExitStack() as taken:
        for port in (7700, 7701, 7702, 7704, 7705, 7706):
            holder = taken.enter_context(socket.socket())
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                continue  # Taken already, which serves as well.
            holder.listen()
        done = subprocess.run(
            command(home), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for promised in (
        "datasets/digits/versions/1",
        "datasets/breast-cancer/versions/1",
        "of 569 rows marked",
        "models/digits-cnn/versions/2",
        "models/breast-cancer-mlp/versions/1",
        "models/breast-cancer/versions/1",
        "recommended: ",
        "kill -9 ",
        "report.html",
        "went on after",
        "nothing is left running",
    ):
        assert promised in done.stdout
    accuracies = re.findall(r"^ models/\S+ +([\d.]+) +2 ", done.stdout, re.MULTILINE)
    assert len(accuracies) == 3
    assert all(float(accuracy) > 0.9 for accuracy in accuracies), done.stdout
    assert "<html" in (home / "report.html").read_text()[:500]
    assert processes.suite_processes(suite_of(home)) == []
    _check_hints(done.stdout)


def _check_hints(shown: str) -> None:
    """Types the printed lines into a shell: start again, three calls and one of before, stop."""
    pasted = next(line.strip() for line in shown.splitlines() if line.endswith("CreateTuningRun"))
    lines = shown.partition("look further")[2].splitlines()
    commands = [line.strip() for line in lines if line.startswith("  ")]
    assert sum("grpcurl" in line for line in commands) == 3
    commands.insert(-1, pasted)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "models/digits-cnn" in done.stdout
    assert '"name": "tuningRuns/' in done.stdout
    assert "RUN_STATE_SUCCEEDED" in done.stdout


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """An interrupted demonstration stops its suite and says no more than that."""
    home = tmp_path / "demo"
    started = subprocess.Popen(
        command(home),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert started.stdout is not None
    for line in started.stdout:
        if "uploaded" in line or "datasetImports" in line or "Data:" in line:
            break
    os.kill(started.pid, signal.SIGINT)
    rest, _ = started.communicate(timeout=90)
    assert started.returncode == 130, rest
    assert "Traceback" not in rest
    assert processes.suite_processes(suite_of(home)) == []
