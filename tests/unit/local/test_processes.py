"""Finding and ending the processes of a suite."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psutil
import pytest

from common.local import processes


@pytest.fixture
def suite() -> Iterator[str]:
    suite = uuid.uuid4().hex
    yield suite
    processes.end_suite_processes(suite, grace=0)


def spawn(suite: str, script: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["/bin/sh", "-c", script],
        env={"PATH": os.defpath, "AIMASS_SUITE": suite},
        start_new_session=True,
    )


def test_only_the_own_suite_is_found_and_ended(suite: str) -> None:
    """Two suites on one machine do not disturb each other."""
    other = uuid.uuid4().hex
    mine, theirs = spawn(suite, "exec sleep 60"), spawn(other, "exec sleep 60")
    try:
        assert [each.pid for each in processes.suite_processes(suite)] == [mine.pid]
        assert processes.end_suite_processes(suite, grace=5) == 1
        assert mine.poll() is not None
        assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait(5)


def test_deaf_and_frozen_processes_are_ended(suite: str) -> None:
    """SIGTERM that is ignored and a stopped process are no way to stay."""
    deaf = spawn(suite, "trap '' TERM; echo; while true; do sleep 60; done")
    frozen = spawn(suite, "exec sleep 60")
    psutil.Process(frozen.pid).suspend()
    processes.end_suite_processes(suite, grace=0.2)
    assert processes.suite_processes(suite) == []
    assert deaf.poll() is not None
    assert frozen.poll() is not None


def test_the_caller_is_spared(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aimass down` from a shell inside the suite's environment does not end that shell."""
    script = (
        "import os; from common.local.processes import suite_processes as found;"
        "print([p.pid for p in found(os.environ['AIMASS_SUITE'])])"
    )
    shell = subprocess.run(
        ["/bin/sh", "-c", f'{sys.executable} -c "{script}"; true'],
        env={**os.environ, "AIMASS_SUITE": suite},
        capture_output=True,
        check=True,
        text=True,
    )
    assert shell.stdout.strip() == "[]"


def test_memory_is_counted_by_session(suite: str) -> None:
    """The memory of a process includes what it forked, by its session."""
    process = spawn(suite, "sleep 60 & exec sleep 60")
    memory = processes.memory_by_session(suite)
    assert set(memory) == {process.pid}
    assert memory[process.pid] > 0
