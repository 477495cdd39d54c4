"""Which process on which host: identity, proof of death, and the end of a job's processes."""

import contextlib
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

JOB_VARIABLE = "AIMASS_JOB"
RUN_VARIABLE = "AIMASS_RUN"
SUITE_VARIABLE = "AIMASS_SUITE"

_KILL_ROUNDS = 100
_KILL_PAUSE_SECONDS = 0.02
# Positions in /proc/<pid>/stat after the command's closing parenthesis (proc(5): fields 3 and 22).
_STATE = 0
_START_TICKS = 19
_ENDED = {"Z", "X"}


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from a later one with the same id.

    Attributes:
        host: Host name, for people.
        kernel: Boot id and process id namespace: where `pid` means something.
        suite: Id of the suite it belongs to; empty outside of one.
        pid: Process id.
        started: When it started, in the kernel's clock ticks since boot.
    """

    host: str
    kernel: str
    suite: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """Returns the calling process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """Returns a living process of this host; `started` is 0 when there is none."""
        suite = os.environ.get(SUITE_VARIABLE, "")
        return cls(socket.gethostname(), kernel_id(), suite, pid, _started(pid))

    def is_here(self) -> bool:
        """Whether the process ran where the caller runs, so that its end can be seen from here."""
        return self.kernel == kernel_id() and self.suite == os.environ.get(SUITE_VARIABLE, "")

    def is_proven_dead(self) -> bool:
        """Whether the process has certainly ended. False when that cannot be told from here."""
        return self.is_here() and not self.is_alive_here()

    def is_alive_here(self) -> bool:
        """Whether a process with this id and start lives on this host."""
        return self.started != 0 and _started(self.pid) == self.started


@cache
def kernel_id() -> str:
    """Returns what two processes share that see the same process ids."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def boot_seconds() -> float:
    """Seconds since boot, counted on while the machine sleeps and never set back."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def job_processes(job: str, leader: int) -> list[psutil.Process]:
    """Returns the living processes of a job: its session, descendants, and all that bear its mark.

    A process that was forked twice and leads a session of its own still carries the environment
    that it was started with.

    Args:
        job: The job's id, as in `AIMASS_JOB`.
        leader: Process id of the job, which leads its session.

    Returns:
        The processes; the calling one is left out.
    """
    # The leader's number may have gone to somebody else: its kin count only if it bears the mark.
    is_led = _is_marked(leader, job)
    kin = _descendants(leader) if is_led else set()

    def is_of_job(pid: int) -> bool:
        return _is_marked(pid, job) or pid in kin or (is_led and _session(pid) == leader)

    # A number may be given anew until somebody holds the process: it is looked at once more then.
    return [
        process
        for pid in psutil.pids()
        if pid != os.getpid() and is_of_job(pid) and (process := _process(pid)) is not None
        if _state(pid) not in {"", *_ENDED} and is_of_job(pid)
    ]


def kill_job(job: str, leader: int) -> bool:
    """Kills all processes of a job, also those that are started meanwhile.

    Args:
        job: The job's id.
        leader: Process id of the job.

    Returns:
        Whether none is left. One that hangs in the kernel can stay for a while: try again.
    """
    for _ in range(_KILL_ROUNDS):
        processes = job_processes(job, leader)
        if not processes:
            return True
        _kill(processes)
        time.sleep(_KILL_PAUSE_SECONDS)
    return False


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _descendants(leader: int) -> set[int]:
    try:
        process = psutil.Process(leader)
        return {leader, *(child.pid for child in process.children(recursive=True))}
    except psutil.Error:
        return set()


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _is_marked(pid: int, job: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - all processes are read
            variables = b"\0" + file.read()
    except OSError:
        return False
    return f"\0{JOB_VARIABLE}={job}\0".encode() in variables


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[_STATE] if fields else ""


def _started(pid: int) -> int:
    """Returns the start of a living process in ticks since boot; 0 when there is none."""
    fields = _stat(pid)
    if not fields or fields[_STATE] in _ENDED:
        return 0
    return int(fields[_START_TICKS])
