"""All processes of a suite, found by their environment, and their end."""

import os
import time
from collections.abc import Callable, Iterable

import psutil

_ROUNDS = 20


def suite_processes(suite: str) -> list[psutil.Process]:
    """Returns the living processes that have `AIMASS_SUITE=<suite>` in their environment.

    The calling process and those it descends from are left out: they may have been started from
    within the suite's environment, and nobody wants to end their own shell.
    """
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in spared and _belongs(process, suite)
    ]


def _belongs(process: psutil.Process, suite: str) -> bool:
    try:
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.environ().get("AIMASS_SUITE") == suite
        )
    except (psutil.Error, OSError):
        return False


def end_processes(processes: Iterable[psutil.Process], grace: float) -> None:
    """Ends processes: SIGTERM, then SIGKILL for those that are still there.

    Args:
        processes: The processes.
        grace: Seconds between the two.
    """
    living = list(processes)
    for process in living:
        _signal(process.terminate)
    # A stopped process takes no SIGTERM before it goes on.
    for process in living:
        _signal(process.resume)
    _, left = psutil.wait_procs(living, timeout=grace)
    for process in left:
        _signal(process.kill)
    psutil.wait_procs(left, timeout=5.0)


def end_suite_processes(suite: str, grace: float) -> int:
    """Ends all processes of a suite, also those that are started meanwhile.

    Args:
        suite: Id of the suite.
        grace: Seconds that they have to end by themselves.

    Returns:
        Number of processes that were found.

    Raises:
        RuntimeError: Some cannot be ended.
    """
    found = 0
    for _ in range(_ROUNDS):
        living = suite_processes(suite)
        if not living:
            return found
        found += len(living)
        end_processes(living, grace)
        grace = 0.0
        time.sleep(0.01)
    raise RuntimeError(f"processes of suite {suite} do not end: {[p.pid for p in living]}")


def memory_by_session(suite: str) -> dict[int, int]:
    """Returns the memory of a suite in bytes by session id; shared pages count once.

    A supervised process leads a session of its own, and so does each run's process.
    """
    totals: dict[int, int] = {}
    for process in suite_processes(suite):
        try:
            session = os.getsid(process.pid)
            memory = process.memory_full_info().pss
        except (psutil.Error, OSError):
            continue
        totals[session] = totals.get(session, 0) + memory
    return totals


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return
