"""Random processes of a suite are killed under load; `make chaos` does it a hundred times."""

from pathlib import Path

from common.local.processes import suite_processes
from common.testing.suite import running_suite
from tests.chaos.services import campaign

ROUNDS = 10


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Every import and run that was told ends well, keeps its data, and leaves no process."""
    with running_suite(tmp_path) as suite:
        result = campaign(suite, ROUNDS, seed=2)
        marker = suite.state.suite
    assert not result.problems
    assert result.runs > 0
    assert suite_processes(marker) == []
