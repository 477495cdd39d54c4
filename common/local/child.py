"""One process that is kept alive."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.local import logs
from common.local.home import Phase, ProcessState

_FIRST_POLL_SECONDS = 0.02
_LONGEST_POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Program:
    """What to run.

    Attributes:
        name: Short name, also of its log.
        command: Program and arguments.
        environment: Its whole environment.
        ready: Whether the process with this id is ready to serve; asked again until it is.
        address: `host:port` it serves at, for people; empty for none.
        grace: Seconds between SIGTERM and SIGKILL.
        answers: Whether the process answers within so many seconds, asked from time to time once
            it is ready; None where it cannot be asked.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    ready: Callable[[int], Awaitable[bool]] = field(repr=False)
    address: str = ""
    grace: float = 10.0
    answers: Callable[[float], Awaitable[bool]] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RestartPolicy:
    """When a process that died is started again.

    Attributes:
        first_delay: Seconds before the first restart; each further one waits twice as long.
        longest_delay: Longest wait in seconds.
        reset_after: A process that lived this many seconds starts the count anew.
        limit: After so many deaths in a row it is left alone.
        limit_before_ready: The same for a process that was never ready.
        ready_timeout: A process that is not ready after so many seconds is killed.
        ask_every: Seconds between two questions whether it answers.
        answer_timeout: Seconds that it may take over an answer: a busy machine is no reason to
            kill a service.
        silence: A process that leaves so many in a row unanswered is frozen, and killed. Questions
            are counted, not seconds: this supervisor may have stood still itself.
    """

    first_delay: float = 0.1
    longest_delay: float = 5.0
    reset_after: float = 10.0
    limit: int = 10
    limit_before_ready: int = 3
    ready_timeout: float = 180.0
    ask_every: float = 2.0
    answer_timeout: float = 5.0
    silence: int = 3


class ChildFailedError(RuntimeError):
    """A process died too often in a row."""


class Child:
    """A process that is started again whenever it dies, until `stop`.

    Args:
        program: What to run.
        log: File that takes its output.
        changed: Called after every change of `state`.
        policy: When it is started again.
    """

    def __init__(
        self,
        program: Program,
        log: Path,
        changed: Callable[[], None],
        policy: RestartPolicy | None = None,
    ) -> None:
        self._program = program
        self._log = log
        self._changed = changed
        self._policy = policy or RestartPolicy()
        self._stop_asked = asyncio.Event()
        self._settled = asyncio.Event()
        self._was_ready = False
        self._task: asyncio.Task[None] | None = None
        self.state = ProcessState(program.name, Phase.STARTING, address=program.address)

    async def start(self) -> None:
        """Starts the process and waits until it is ready.

        Raises:
            ChildFailedError: It died too often; the message says how.
        """
        self._task = asyncio.create_task(self._keep())
        settled = asyncio.create_task(self._settled.wait())
        await asyncio.wait([self._task, settled], return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        if self._task.done():
            self._task.result()
        if self.state.phase is Phase.FAILED:
            raise ChildFailedError(f"{self._program.name} {self.state.message}")

    async def stop(self) -> None:
        """Ends the process: SIGTERM, and SIGKILL when its grace is over."""
        self._stop_asked.set()
        if self._task is not None:
            await self._task
        if self.state.phase is not Phase.FAILED:
            self._set(Phase.STOPPED, pid=0)

    async def _keep(self) -> None:
        deaths = 0
        while not self._stop_asked.is_set():
            began = time.monotonic()
            cause = await self._run_once()
            if self._stop_asked.is_set():
                break
            lived = time.monotonic() - began
            deaths = 1 if self._was_ready and lived >= self._policy.reset_after else deaths + 1
            if deaths >= self._limit():
                self._set(Phase.FAILED, pid=0, message=self._epitaph(cause, deaths))
                break
            self._set(Phase.RESTARTING, pid=0, message=cause, restarts=self.state.restarts + 1)
            await self._pause(deaths)

    def _limit(self) -> int:
        return self._policy.limit if self._was_ready else self._policy.limit_before_ready

    def _epitaph(self, cause: str, deaths: int) -> str:
        line = logs.last_line(self._log)
        return f"{cause}, {deaths} times in a row" + (f"; its last words: {line}" if line else "")

    async def _pause(self, deaths: int) -> None:
        delay = min(self._policy.first_delay * 2 ** (deaths - 1), self._policy.longest_delay)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop_asked.wait(), delay)

    async def _run_once(self) -> str:
        """Runs the process from start to end. Returns how it ended."""
        try:
            process = await self._spawn()
        except OSError as error:
            return f"cannot be started: {error}"
        self._set(self.state.phase, pid=process.pid)
        end = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._become_ready(process.pid))
        stop = asyncio.create_task(self._stop_asked.wait())
        others: list[asyncio.Task[Any]] = [ready, stop]
        try:
            await asyncio.wait([end, ready, stop], return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not ready.result():
                return f"was not ready within {self._policy.ready_timeout:.0f} s"
            silence = asyncio.create_task(self._fall_silent())
            others.append(silence)
            await asyncio.wait([end, stop, silence], return_when=asyncio.FIRST_COMPLETED)
            if silence.done() and not end.done() and not stop.done():
                return f"did not answer {self._policy.silence} times in a row"
            if not end.done():
                _send(process.pid, signal.SIGTERM)
                # A frozen process takes it only once it goes on.
                _send(process.pid, signal.SIGCONT)
                await asyncio.wait([end], timeout=self._program.grace)
            return _cause(process.returncode)
        finally:
            for task in others:
                task.cancel()
            # What the process forked in its own group must not outlive it: it may hold the port.
            _send_group(process.pid, signal.SIGKILL)
            await end

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self._log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *self._program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(self._program.environment),
                start_new_session=True,
            )

    async def _become_ready(self, pid: int) -> bool:
        deadline = time.monotonic() + self._policy.ready_timeout
        pause = _FIRST_POLL_SECONDS
        while not await self._program.ready(pid):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_POLL_SECONDS)
        self._was_ready = True
        self._set(Phase.RUNNING, message="")
        self._settled.set()
        return True

    async def _fall_silent(self) -> None:
        """Returns once the process is frozen, or not before the stop where it cannot be asked."""
        answers, policy = self._program.answers, self._policy
        if answers is None:
            await self._stop_asked.wait()
            return
        silent = 0
        while silent < policy.silence:
            await asyncio.sleep(policy.ask_every)
            silent = 0 if await answers(policy.answer_timeout) else silent + 1

    def _set(
        self,
        phase: Phase,
        *,
        pid: int | None = None,
        message: str | None = None,
        restarts: int | None = None,
    ) -> None:
        old = self.state
        self.state = ProcessState(
            old.name,
            phase,
            old.pid if pid is None else pid,
            old.address,
            old.restarts if restarts is None else restarts,
            old.message if message is None else message,
        )
        self._changed()


def _cause(code: int | None) -> str:
    if code is None:
        return "did not end"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"exited with code {code}"


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _send_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
