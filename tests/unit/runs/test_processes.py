"""Job processes as the executor sees them."""

import sys

from common.runs.processes import JobProcess


def test_time_on_standby_does_not_count_as_work() -> None:
    """A process that stood by for long is not taken for one that is stuck with its run."""
    process = JobProcess.start([sys.executable, "-c", "import sys; sys.stdin.readline()"])
    try:
        process.started -= 3600.0
        long_ago = process.started
        process.assign("trainingRuns/a")
        assert process.started > long_ago + 3000.0
    finally:
        process.kill()
