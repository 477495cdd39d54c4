"""A suite from outside: start it, stop it, look at it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common.host.disk import telling_full_disk
from common.local import processes
from common.local.__main__ import EXIT_LOCKED
from common.local.home import Phase, ProcessState, SuiteHome, SuiteState
from common.local.logs import last_line
from common.local.plan import SuiteOptions
from common.local.supervisor import remove_commits

_POLL_SECONDS = 0.05
_STOP_SECONDS = 60.0
_SUPERVISOR = "supervisor"


class SuiteError(RuntimeError):
    """The suite cannot do what was asked; the message is for the user."""


@dataclass(frozen=True)
class ProcessReport:
    """One process in a status.

    Attributes:
        state: What the supervisor knows.
        memory: Resident bytes, shared pages counted once; 0 where there is no process.
    """

    state: ProcessState
    memory: int


@dataclass(frozen=True)
class SuiteReport:
    """What runs now.

    Attributes:
        state: The suite's last state.
        supervised: Whether its supervisor is alive.
        processes: The supervised processes.
        job_count: Processes of runs.
        job_memory: Their memory in bytes.
    """

    state: SuiteState
    supervised: bool
    processes: tuple[ProcessReport, ...]
    job_count: int
    job_memory: int


class Suite:
    """The suite of one state folder."""

    def __init__(self, home: SuiteHome) -> None:
        self.home = home

    def up(
        self,
        options: SuiteOptions | None = None,
        progress: Callable[[SuiteState], None] = lambda state: None,
        timeout: float = 300.0,
    ) -> SuiteState:
        """Starts the suite in the background and waits until it is ready.

        A suite that runs is left as it is.

        Args:
            options: Agents and slots; ignored where the suite runs.
            progress: Called with each new state while it starts.
            timeout: Seconds to wait.

        Returns:
            The state, RUNNING.

        Raises:
            SuiteError: It cannot be started; what was started is stopped.
            DiskFullError: There is no room for its state.
            KeyboardInterrupt: Ctrl-C; what was started is stopped.
        """
        # A supervisor without room for its log could not even say why it ended.
        with telling_full_disk(self.home.path):
            self.home.create()
            self.home.check_room()
        supervisor = self._spawn(options or SuiteOptions())
        try:
            return self._wait_until_ready(supervisor, progress, timeout)
        except KeyboardInterrupt:
            self._withdraw(supervisor)
            raise

    def _wait_until_ready(
        self,
        supervisor: "subprocess.Popen[bytes]",
        progress: Callable[[SuiteState], None],
        timeout: float,
    ) -> SuiteState:
        deadline = time.monotonic() + timeout
        seen: SuiteState | None = None
        while time.monotonic() < deadline:
            state = self._state_of(supervisor)
            if state is not None and state != seen:
                progress(state)
                seen = state
            if state is not None and state.phase is Phase.RUNNING:
                return state
            self._check_alive(supervisor)
            time.sleep(_POLL_SECONDS)
        self._withdraw(supervisor)
        raise SuiteError(f"the suite was not ready within {timeout:.0f} s; see {self._log}")

    def _withdraw(self, supervisor: "subprocess.Popen[bytes]") -> None:
        """Ends what `up` started, and nothing that somebody else did."""
        if supervisor.poll() == EXIT_LOCKED:
            return
        # It may be too young to stand in `suite.json`, where `down` looks for it.
        supervisor.terminate()
        try:
            supervisor.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        # It may have ended in vain, because somebody else's suite runs in this folder.
        state = self.home.read_state()
        if state is not None and state.supervisor_pid == supervisor.pid:
            self.down()

    def down(self, timeout: float = _STOP_SECONDS) -> bool:
        """Stops the suite with all its processes; data stays.

        Args:
            timeout: Seconds after which the supervisor is killed.

        Returns:
            Whether there was anything to stop.

        Raises:
            SuiteError: A process cannot be ended.
        """
        state = self.home.read_state()
        if state is None:
            return False
        was_up = self.home.is_locked()
        if was_up:
            self._end_supervisor(state.supervisor_pid, timeout)
        try:
            found = processes.end_suite_processes(state.suite, grace=5.0)
        except RuntimeError as error:
            raise SuiteError(str(error)) from None
        remove_commits(state.suite)
        return was_up or found > 0

    def report(self) -> SuiteReport | None:
        """Returns what runs now; None where this folder never had a suite."""
        state = self.home.read_state()
        if state is None:
            return None
        supervised = self.home.is_locked()
        memory = processes.memory_by_session(state.suite)
        reports = tuple(
            ProcessReport(each, memory.pop(each.pid, 0) if each.pid else 0)
            for each in state.processes
        )
        memory.pop(state.supervisor_pid, None)
        return SuiteReport(state, supervised, reports, len(memory), sum(memory.values()))

    @contextmanager
    def running(self, options: SuiteOptions | None = None) -> Iterator[SuiteState]:
        """Starts the suite for the length of a block and stops it whatever happens."""
        try:
            yield self.up(options)
        finally:
            self.down()

    @property
    def _log(self) -> str:
        return str(self.home.log_file(_SUPERVISOR))

    def _spawn(self, options: SuiteOptions) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "common.local", "--home", str(self.home.path)]
        command += ["--agents", str(options.agents), "--slots", str(options.slots)]
        with self.home.log_file(_SUPERVISOR).open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _state_of(self, supervisor: "subprocess.Popen[bytes]") -> SuiteState | None:
        state = self.home.read_state()
        if state is None or state.supervisor_pid == supervisor.pid:
            return state
        # Another supervisor's: it counts where it kept ours from starting.
        return state if supervisor.poll() == EXIT_LOCKED and self.home.is_locked() else None

    def _check_alive(self, supervisor: "subprocess.Popen[bytes]") -> None:
        code = supervisor.poll()
        # Somebody else's `up` was first: theirs is the one to wait for.
        if code is None or (code == EXIT_LOCKED and self.home.is_locked()):
            return
        state = self.home.read_state()
        if state is not None and state.message:
            raise SuiteError(state.message)
        raise SuiteError(f"the supervisor ended: {last_line(self.home.log_file(_SUPERVISOR))}")

    def _end_supervisor(self, pid: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        _kill(pid, signal.SIGTERM)
        while self.home.is_locked():
            if time.monotonic() > deadline:
                _kill(pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
