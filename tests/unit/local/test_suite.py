"""A suite from outside, without its services."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.local.home import Phase, SuiteHome, SuiteState
from common.local.suite import Suite
from common.runs.hosts import SUITE_VARIABLE

_SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def theirs() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of a suite that somebody else started."""
    with subprocess.Popen(_SLEEPS, env={**os.environ, SUITE_VARIABLE: "theirs"}) as process:
        yield process
        process.kill()


def test_ctrl_c_leaves_the_suite_of_somebody_else(
    theirs: "subprocess.Popen[bytes]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second `up` that is interrupted before it learns of the first one ends only its own."""
    suite = Suite(SuiteHome(tmp_path / "home"))
    suite.home.create()
    suite.home.write_state(SuiteState("theirs", Phase.RUNNING, theirs.pid))
    mine: list[subprocess.Popen[bytes]] = []

    def spawn(options: object) -> "subprocess.Popen[bytes]":
        mine.append(subprocess.Popen(_SLEEPS))
        return mine[0]

    def interrupt(supervisor: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "_spawn", spawn)
    monkeypatch.setattr(suite, "_check_alive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        suite.up()
    assert mine[0].poll() == -signal.SIGTERM
    assert theirs.poll() is None
