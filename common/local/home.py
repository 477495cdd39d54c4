"""The state folder of one suite: addresses, tokens, logs, data. Standard library only.

One folder is one suite. The command line reads it to find the suite, the supervisor writes it.
"""

import fcntl
import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

_LOCK_PATIENCE_SECONDS = 1.0
_LEAST_BYTES = 64 * 1024
_SUBJECTS = {"local": "admin", "service": "service", "agent": "agent"}


class Phase(StrEnum):
    """Where a suite, or one of its processes, stands."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class ProcessState:
    """One supervised process.

    Attributes:
        name: For example `trainer` or `agent-1`.
        phase: Where it stands.
        pid: Its process id; 0 while there is none.
        address: `host:port` it serves at; empty for agents.
        restarts: How often it was started again.
        message: Why it is not running, one sentence; else empty.
    """

    name: str
    phase: Phase
    pid: int = 0
    address: str = ""
    restarts: int = 0
    message: str = ""


@dataclass(frozen=True)
class SuiteState:
    """What `suite.json` says.

    Attributes:
        suite: Id of the suite; every process of it has it in its environment as `AIMASS_SUITE`.
        phase: Where the suite stands.
        supervisor_pid: Process id of the supervisor that wrote this.
        store: Kind of the object store, for example `minio`.
        store_endpoint: `host:port` of the object store.
        addresses: `host:port` of each service.
        message: Why the suite failed; else empty.
        processes: The supervised processes, in the order of their start.
    """

    suite: str
    phase: Phase
    supervisor_pid: int
    store: str = ""
    store_endpoint: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    processes: tuple[ProcessState, ...] = field(default_factory=tuple)

    @classmethod
    def from_json(cls, text: str) -> "SuiteState":
        """Reads what `to_json` wrote."""
        values = json.loads(text)
        processes = tuple(
            ProcessState(**(entry | {"phase": Phase(entry["phase"])}))
            for entry in values.pop("processes")
        )
        # What an older release has written may have other fields.
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**(known | {"phase": Phase(values["phase"]), "processes": processes}))

    def to_json(self) -> str:
        """Returns the state as readable JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


class HomeLockedError(RuntimeError):
    """Another supervisor holds the state folder."""


class SuiteHome:
    """The state folder. Only its owner may read it.

    Attributes:
        path: The folder; made when something is first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    @classmethod
    def default(cls) -> "SuiteHome":
        """Returns the folder that `AIMASS_HOME` names, else the user's usual place for data."""
        data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return cls(Path(os.environ.get("AIMASS_HOME") or f"{data}/aimass"))

    @property
    def state_file(self) -> Path:
        """Addresses, process ids and phases."""
        return self.path / "suite.json"

    @property
    def token_file(self) -> Path:
        """The tokens that the suite's services accept."""
        return self.path / "tokens.json"

    @property
    def log_folder(self) -> Path:
        """One log file per process."""
        return self.path / "logs"

    @property
    def store_folder(self) -> Path:
        """Data of the object store."""
        return self.path / "store"

    def log_file(self, name: str) -> Path:
        """Returns the log of a process."""
        return self.log_folder / f"{name}.log"

    def create(self) -> None:
        """Makes the folder where it is missing, for its owner only."""
        for folder in (self.path, self.log_folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def check_room(self) -> None:
        """Raises `OSError` where the disk has no room for the least that a suite writes."""
        with tempfile.TemporaryFile(dir=self.path) as file:
            file.write(b"." * _LEAST_BYTES)
            file.flush()

    def read_state(self) -> SuiteState | None:
        """Returns the last state that was written; None where there was never a suite."""
        try:
            return SuiteState.from_json(self.state_file.read_text())
        except FileNotFoundError:
            return None

    def write_state(self, state: SuiteState) -> None:
        """Replaces the state atomically."""
        self.write_private(self.state_file.name, state.to_json())

    def tokens(self) -> dict[str, str]:
        """Returns the tokens by subject: `local` (admin), `service`, `agent`."""
        entries = json.loads(self.token_file.read_text())["tokens"]
        return {entry["subject"]: entry["token"] for entry in entries}

    def ensure_tokens(self) -> dict[str, str]:
        """Makes random tokens at the first start. Returns them by subject."""
        if not self.token_file.exists():
            entries = [
                {"token": secrets.token_urlsafe(32), "subject": subject, "role": role}
                for subject, role in _SUBJECTS.items()
            ]
            text = json.dumps({"tokens": entries}, indent=2) + "\n"
            self.write_private(self.token_file.name, text)
        self._make_service_a_service()
        return self.tokens()

    def _make_service_a_service(self) -> None:
        """Gives the services of an older suite, which were admins, their own role."""
        content = json.loads(self.token_file.read_text())
        for entry in content["tokens"]:
            if (entry["subject"], entry["role"]) == ("service", "admin"):
                entry["role"] = _SUBJECTS["service"]
                self.write_private(self.token_file.name, json.dumps(content, indent=2) + "\n")

    def ensure_store_credentials(self) -> tuple[str, str]:
        """Makes a random access and secret key for the store at the first start. Returns them."""
        path = self.path / "store.json"
        if not path.exists():
            values = {
                "access_key": f"aimass{secrets.token_hex(6)}",
                "secret_key": secrets.token_urlsafe(32),
            }
            self.write_private(path.name, json.dumps(values) + "\n")
        access_key, secret_key = self.store_credentials()
        return access_key, secret_key

    def store_credentials(self) -> tuple[str, ...]:
        """Returns access and secret key of the store; nothing where none were made."""
        try:
            values = json.loads((self.path / "store.json").read_text())
        except FileNotFoundError:
            return ()
        return values["access_key"], values["secret_key"]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder for one supervisor.

        Raises:
            HomeLockedError: Another supervisor has it.
        """
        self.create()
        with (self.path / "lock").open("a") as file:
            _acquire(file, self.path)
            yield

    def is_locked(self) -> bool:
        """Whether a supervisor is alive."""
        try:
            with (self.path / "lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def write_private(self, name: str, text: str) -> Path:
        """Writes a file of the folder atomically, for its owner only. Returns its path."""
        path = self.path / name
        temporary = path.with_name(f".{name}.{os.getpid()}.{threading.get_ident()}")
        try:
            temporary.touch(mode=0o600)
            temporary.write_text(text)
            return temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _acquire(file: IO[str], home: Path) -> None:
    # `is_locked` holds the lock for a moment, so a first refusal does not mean much.
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise HomeLockedError(f"another supervisor holds {home}") from None
            time.sleep(0.02)
        else:
            return
