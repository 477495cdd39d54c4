"""Hosts whose memory for commits is full."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def why_not() -> str:
    """Returns why this machine has no mount namespaces for tests; empty where it has."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "mount namespaces need root and the unshare program"
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
    done = subprocess.run(tried, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"mounts are not permitted: {done.stderr.strip()}"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(reason := why_not()), reason=reason)
def test_run_ends_well_without_room_for_commits(tmp_path: Path) -> None:
    """Memory that fills up in the middle of a run costs commits: the store takes the last state."""
    module = [sys.executable, "-m", "tests.support.full_memory", str(tmp_path)]
    done = subprocess.run(
        ["unshare", "--mount", *module], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    run = found["run"]
    assert run["status"]["state"] == "RUN_STATE_SUCCEEDED", run["status"]
    assert run["modelVersion"]
    assert not run["recoveries"]["total"], "no worker died of it"
    assert any("is not committed" in line and "No space left" in line for line in found["lines"])
