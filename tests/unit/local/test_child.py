"""Processes that are kept alive."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from common.local.child import Child, ChildFailedError, Program, RestartPolicy
from common.local.home import Phase

QUICK = RestartPolicy(first_delay=0.01, longest_delay=0.02, ready_timeout=0.3)


async def at_once(pid: int) -> bool:
    return True


async def never(pid: int) -> bool:
    return False


def program(script: str, ready: Callable[[int], object] = at_once, grace: float = 5.0) -> Program:
    return Program(
        "dummy",
        ("/bin/sh", "-c", script),
        {"PATH": os.defpath},
        ready,  # type: ignore[arg-type]
        grace=grace,
    )


class Watched:
    """A child whose changes can be awaited."""

    def __init__(self, started: Program, log: Path, policy: RestartPolicy = QUICK) -> None:
        self._changed = asyncio.Event()
        self.child = Child(started, log, self._changed.set, policy)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 10)


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    """Death is noticed and mended, and counted."""
    watched = Watched(program("exec sleep 60"), tmp_path / "log")
    child = watched.child
    await child.start()
    first = child.state.pid
    os.kill(first, signal.SIGKILL)
    await watched.until(lambda: child.state.restarts == 1 and child.state.phase is Phase.RUNNING)
    assert child.state.pid != first
    await child.stop()
    assert child.state.phase is Phase.STOPPED
    assert not psutil.pid_exists(first)


async def test_what_dies_again_and_again_is_left_with_a_reason(tmp_path: Path) -> None:
    """After the limit the status says how it died and what it said last."""
    watched = Watched(program("echo no such module >&2; sleep 0.02; exit 7"), tmp_path / "log")
    child = watched.child
    await child.start()
    await watched.until(lambda: child.state.phase is Phase.FAILED)
    assert child.state.message.startswith("exited with code 7, 10 times in a row")
    assert "no such module" in child.state.message
    assert child.state.restarts == 9


async def test_a_process_that_is_never_ready_fails_the_start(tmp_path: Path) -> None:
    """The start does not hang on a process that lives but does not serve, nor keep it."""
    child = Watched(program("exec sleep 60", never), tmp_path / "log").child
    with pytest.raises(ChildFailedError, match="was not ready within 0 s, 3 times in a row"):
        await child.start()
    assert child.state.pid == 0


async def test_a_missing_program_fails_the_start(tmp_path: Path) -> None:
    """A program that is not there is named."""
    missing = Program("dummy", ("/no/such/program",), {}, at_once)
    with pytest.raises(ChildFailedError, match="/no/such/program"):
        await Watched(missing, tmp_path / "log").child.start()


async def test_stop_kills_what_ignores_sigterm_and_its_children(tmp_path: Path) -> None:
    """Nothing outlives a stop: neither a deaf process nor what it forked."""
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $! > {pids}; while true; do sleep 60; done"

    async def forked(pid: int) -> bool:
        return pids.exists() and bool(pids.read_text().strip())

    child = Watched(program(script, forked, grace=0.2), tmp_path / "log").child
    await child.start()
    pid, forked_pid = child.state.pid, int(pids.read_text())
    await child.stop()
    _, alive = psutil.wait_procs(_existing(pid, forked_pid), timeout=5)
    assert not alive


async def test_stop_during_backoff_does_not_wait(tmp_path: Path) -> None:
    """A stop that comes while a restart is due is carried out at once."""
    slow = RestartPolicy(first_delay=60, longest_delay=60)
    watched = Watched(program("sleep 0.02"), tmp_path / "log", slow)
    await watched.child.start()
    await watched.until(lambda: watched.child.state.phase is Phase.RESTARTING)
    await asyncio.wait_for(watched.child.stop(), 5)


async def test_output_goes_to_the_log(tmp_path: Path) -> None:
    """Both streams are kept, over restarts."""
    watched = Watched(program("echo out; echo err >&2; sleep 0.02"), tmp_path / "log")
    await watched.child.start()
    await watched.until(lambda: watched.child.state.restarts >= 2)
    await watched.child.stop()
    assert (tmp_path / "log").read_text().splitlines()[:4] == ["out", "err", "out", "err"]


async def test_a_frozen_process_is_killed_and_started_again(tmp_path: Path) -> None:
    """A process that lives but answers nobody is as good as dead; one slow answer is forgiven."""
    answers = [True, False, True, False, False]

    async def answer(seconds: float) -> bool:
        return answers.pop(0) if answers else True

    policy = replace(QUICK, ask_every=0.01, silence=2)
    asked = replace(program("exec sleep 60"), answers=answer)
    watched = Watched(asked, tmp_path / "log", policy)
    child = watched.child
    await child.start()
    frozen = child.state.pid
    os.kill(frozen, signal.SIGSTOP)
    await watched.until(lambda: child.state.phase is Phase.RESTARTING)
    assert child.state.message == "did not answer 2 times in a row"
    await watched.until(lambda: child.state.phase is Phase.RUNNING)
    assert not answers and not psutil.pid_exists(frozen)
    await child.stop()


def _existing(*pids: int) -> list[psutil.Process]:
    found = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return found
