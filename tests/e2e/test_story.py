"""The story's other ways: one file for `aimass apply`, one Python script on the stubs."""

import re
import sys
from pathlib import Path

import pytest

from common.cli.story.data import EXAMPLES
from common.testing.suite import RunningSuite
from tests.e2e.test_docs import run_as_user

pytestmark = pytest.mark.slow


@pytest.mark.timeout(320)
def test_one_file_tells_it_all(suite: RunningSuite, tmp_path: Path) -> None:
    """Protects a file that a user applies as it stands: each document uses what others made."""
    file = str(EXAMPLES / "story.yaml")
    command = [sys.executable, "-m", "common.cli", "apply", "-f", file]
    shown = run_as_user(suite, command, tmp_path)
    assert len(re.findall(r"^SUCCEEDED ", shown, re.MULTILINE)) == 6
    assert "analyses/" in shown


@pytest.mark.timeout(320)
def test_the_tour_runs(suite: RunningSuite, tmp_path: Path) -> None:
    """Protects the Python that readers copy."""
    shown = run_as_user(suite, [sys.executable, str(EXAMPLES / "tour.py")], tmp_path)
    assert "56 of 569 rows are marked" in shown
    assert "validation accuracy" in shown
