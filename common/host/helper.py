"""A process beside a service for short work with libraries that the service must not carry."""

import asyncio
import contextlib
import os
import struct
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, Self

from google.rpc import status_pb2

from common.errors import AimassError, UnavailableError, from_status, to_status
from common.tasks import outcome

_LENGTH = struct.Struct("<I")
_DONE, _FAILED = b"\0", b"\1"
_KILL_WAIT_SECONDS = 5.0
# Imports take long on a busy host: a process that was ended for that would never come to answer.
_START_SECONDS = 120.0


class HelperProcess:
    """Answers one question at a time; starts when it is first asked and ends when nobody asks.

    The process ends with the service, however that dies: its standard input ends then.
    """

    def __init__(
        self, command: Sequence[str], timeout: float = 20.0, idle_seconds: float = 300.0
    ) -> None:
        """Starts nothing yet.

        Args:
            command: Program and arguments; it calls `serve`.
            timeout: A question that takes so many seconds ends the process; the first has more.
            idle_seconds: The process ends when it was not asked for so long.
        """
        self._command = tuple(command)
        self._timeout = timeout
        self._idle_seconds = idle_seconds
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends the process, whatever it does: nobody waits for its answer any more."""
        self._is_closed = True
        self._kill()
        async with self._lock:
            await self._end()

    @property
    def pid(self) -> int | None:
        """Id of the process; None where it does not run."""
        return self._process.pid if self._process is not None else None

    async def ask(self, question: bytes) -> bytes:
        """Returns the answer to a question.

        Raises:
            AimassError: What the helper raised.
            UnavailableError: It died or took too long; the next question starts it anew.
        """
        # A caller that goes away must not leave half an answer in the pipe.
        return await outcome(asyncio.create_task(self._ask(question)))

    async def _ask(self, question: bytes) -> bytes:
        async with self._lock:
            seconds = self._timeout + (0 if self._is_running else _START_SECONDS)
            try:
                answer = await asyncio.wait_for(self._exchange(question), seconds)
            except (TimeoutError, OSError, EOFError) as error:
                await self._end()
                raise UnavailableError(
                    "The process that reads data died or took too long; try again.",
                    private=f"{self._command}: {error!r}",
                ) from error
            except BaseException:
                await self._end()
                raise
            self._end_later()
        if answer[:1] == _FAILED:
            raise from_status(status_pb2.Status.FromString(answer[1:]))
        return answer[1:]

    async def _exchange(self, question: bytes) -> bytes:
        process = await self._running()
        assert process.stdin is not None and process.stdout is not None
        if self._is_closed:
            self._kill()
        process.stdin.write(_LENGTH.pack(len(question)) + question)
        await process.stdin.drain()
        (size,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return await process.stdout.readexactly(size)

    @property
    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        return self._process

    def _end_later(self) -> None:
        loop = asyncio.get_running_loop()
        if self._idle is not None:
            self._idle.cancel()
        self._idle = loop.call_later(self._idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        # Its input ends, and so does it; the event loop collects it.
        if not self._lock.locked() and self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    async def _end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._kill()
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _KILL_WAIT_SECONDS)

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answers questions from standard input on standard output until that ends.

    Args:
        answer: Answers one question; what it raises is raised by `HelperProcess.ask`.
    """
    questions = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    while (question := _read(questions)) is not None:
        try:
            reply = _DONE + answer(question)
        except Exception as error:
            if not isinstance(error, AimassError):
                sys.excepthook(type(error), error, error.__traceback__)
            reply = _FAILED + to_status(error).SerializeToString()
        try:
            answers.write(_LENGTH.pack(len(reply)) + reply)
            answers.flush()
        except BrokenPipeError:
            return


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    body = stream.read(size)
    return body if len(body) == size else None
