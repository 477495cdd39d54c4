"""Random processes of a suite are killed under load; `make chaos` does it a hundred times."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from common.local.processes import suite_processes
from common.testing.suite import running_suite
from tests.chaos import run, services
from tests.chaos.services import Result, campaign

ROUNDS = 12


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Every import and run that was told ends well, keeps its data, and leaves no process."""
    with running_suite(tmp_path) as suite:
        result = campaign(suite, ROUNDS, seed=2)
        marker = suite.state.suite
    assert not result.problems
    assert result.runs > 0 and result.scans > 0 and result.analyses > 0 and result.tunings > 0
    assert suite_processes(marker) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_faults_do_not_change_a_run(tmp_path: Path) -> None:
    """A run that is disturbed at random ends with the weights of one that is left in peace."""
    with running_suite(tmp_path, environment=run.SETTINGS) as suite:
        result = run.campaign(suite, ROUNDS, seed=1)
    assert not result.problems
    assert result.recoveries.total.count == len(result.changes) > 0


def test_logs_are_kept_for_what_is_left_behind_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is left is found when all is over: the logs must still be there then."""

    @contextmanager
    def stopped_suite(folder: Path) -> Iterator[MagicMock]:
        (folder / "logs").mkdir()
        (folder / "logs" / "catalog.log").touch()
        suite = MagicMock()
        suite.suite.home.log_folder = folder / "logs"
        yield suite

    kept = tmp_path / "chaos"
    kept.mkdir()
    (kept / "earlier.log").touch()
    monkeypatch.setattr("sys.argv", ["services"])
    monkeypatch.setattr(services, "_LOGS", kept)
    monkeypatch.setattr(services, "running_suite", stopped_suite)
    monkeypatch.setattr(services, "campaign", lambda *_: Result())
    monkeypatch.setattr(services, "suite_processes", lambda suite: ["a worker"])
    assert services.main() == 1
    assert [path.name for path in kept.iterdir()] == ["catalog.log"]
