"""`make demo`, as a new user runs it."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.cli.story.steps import STEPS
from common.local import processes
from common.local.home import SuiteHome
from tests.unit.reports.elements import Elements

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 600
WITH_PAGES = {"scan", "search", "smaller", "comparison"}


@dataclass(frozen=True)
class Told:
    """A demonstration that has ended: what it printed, and where its suite and its pages are."""

    shown: str
    home: Path
    reports: Path


def command(folder: Path) -> list[str]:
    home, reports = folder / "demo", folder / "reports"
    options = ["--home", str(home), "--reports", str(reports)]
    return [sys.executable, "-m", "common.cli", "demo", *options]


def suite_of(home: Path) -> str:
    state = SuiteHome(home).read_state()
    assert state is not None
    return state.suite


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Runs the demonstration, while others have the default ports."""
    folder = tmp_path_factory.mktemp("demo")
    with ExitStack() as taken:
        for port in (7700, 7701, 7702, 7704, 7705, 7706):
            holder = taken.enter_context(socket.socket())
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                continue  # Taken already, which serves as well.
            holder.listen()
        done = subprocess.run(
            command(folder), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield Told(done.stdout, folder / "demo", folder / "reports")


@pytest.mark.timeout(SECONDS + 60)
def test_each_step_is_told_and_nothing_is_left_running(told: Told) -> None:
    """Data, anomalies, models, a smaller one, a comparison: all have ended well."""
    for number, step in enumerate(STEPS, 1):
        assert f"{number} of {len(STEPS)}: {step.title}" in told.shown
    for promised in (
        "datasets/cells/versions/1",
        "models/cells-outliers/versions/1",
        "models/cells/versions/1",
        "models/cells-network/versions/1",
        "=> Recommended: ",
        "nothing is left running",
    ):
        assert promised in told.shown
    assert processes.suite_processes(suite_of(told.home)) == []


def test_planted_rows_are_found(told: Told) -> None:
    """Protects what the demonstration is there to show: most of what was spoilt is marked."""
    found = re.search(r"(\d+) of the 36 spoilt rows were found", told.shown)
    assert found is not None
    assert int(found[1]) >= 20


def test_the_run_went_on_without_its_killed_worker(told: Told) -> None:
    """Protects from a demonstration that kills nothing, or a run that does not notice."""
    after = told.shown.partition("kill -9 ")[2]
    assert "went on after" in after
    assert "1 worker killed" in after


def test_the_lineage_reaches_from_the_file_to_the_comparison(told: Told) -> None:
    """Protects the chain over all services: the raw file, the last model, the last run."""
    tree = told.shown.partition("aimass trace ")[2].partition("How long it took")[0]
    assert "uploads/" in tree
    assert "analyses/" in tree and "models/cells-network/versions/1" in tree
    assert "outlierScans/" in tree and "tuningRuns/" in tree and "pruningRuns/" in tree


def test_the_page_leads_to_every_report(told: Told) -> None:
    """Protects from links into nowhere: each report lies beside the page, and is one."""
    page = Elements((told.reports / "story.html").read_text())
    links = [given.get("href") or "" for given in page.given("a")]
    files = [link for link in links if not link.startswith("#")]
    assert {Path(file).stem for file in files} == WITH_PAGES
    for file in files:
        assert "<html" in (told.reports / file).read_text()[:500]
    assert "spoilt rows were found" in page.text


@pytest.mark.timeout(SECONDS + 60)
def test_what_it_says_to_type_works(told: Told) -> None:
    """Types the printed lines into a shell: start again, calls, one of the story's, stop."""
    pasted = [line for line in told.shown.splitlines() if line.endswith("CreateOutlierScan")]
    lines = told.shown.partition("look further")[2].splitlines()
    commands = [line.strip() for line in lines if line.startswith("  ")]
    assert sum("grpcurl" in line for line in commands) == 2
    commands.insert(-1, pasted[0].strip())
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "models/cells" in done.stdout
    assert '"name": "outlierScans/' in done.stdout


def test_each_request_is_a_line_for_a_shell(told: Told) -> None:
    """Protects the promise that each step is one call that can be pasted."""
    lines = [
        line for line in told.shown.splitlines() if "grpcurl -plaintext" in line and "-d" in line
    ]
    methods = [shlex.split(line)[-1].rpartition("/")[2] for line in lines]
    assert methods[: len(STEPS)] == [
        "CreateDatasetImport",
        "CreateOutlierScan",
        "CreateTuningRun",
        "CreateTrainingRun",
        "CreatePruningRun",
        "CreateAnalysis",
    ]


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """An interrupted demonstration stops its suite and says no more than that."""
    started = subprocess.Popen(
        command(tmp_path),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert started.stdout is not None
    for line in started.stdout:
        if STEPS[0].title in line:
            break
    os.kill(started.pid, signal.SIGINT)
    rest, _ = started.communicate(timeout=90)
    assert started.returncode == 130, rest
    assert "Traceback" not in rest
    assert processes.suite_processes(suite_of(tmp_path / "demo")) == []
