"""Settings of a worker agent."""

import os
import socket
from pathlib import Path

import psutil
from pydantic import Field

from common.config import ClientSettings

ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}
"""Keeps freed memory: giving it back costs page faults in every step."""

# Read by the C library and by Horovod when a process starts; forked workers inherit them.
_WARM_ENVIRONMENT = {
    **ALLOCATOR,
    # Milliseconds between the looks of Horovod's background thread: a sum waits for one, and each
    # takes processor time from the training, 9 % of a core with the default of 1, 5 % with 2.
    "HOROVOD_CYCLE_TIME": "2",
    "PYTHONUNBUFFERED": "1",
}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SHARED_MEMORY = Path("/dev/shm")


class AgentSettings(ClientSettings):
    """Settings of a worker agent, `AIMASS_<FIELD>` in the environment."""

    agent_id: str = Field(
        default_factory=socket.gethostname,
        description="Id, unique in the suite and stable over restarts. Default: the host's name.",
    )
    agent_slots: int = Field(1, ge=1, le=1024, description="Workers it may run at a time.")
    agent_threads: int = Field(1, ge=1, description="Threads each worker computes with.")
    agent_address: str = Field(
        "127.0.0.1",
        description="Address or name of this host that workers on other hosts reach it by.",
    )
    agent_devices: tuple[str, ...] = Field(
        (), description='Accelerators of this host as a JSON list, for example `["cuda:0"]`.'
    )
    agent_worker_module: str = Field(
        "services.trainer.worker.main",
        description="Module whose `main(context)` runs in a worker; tests give their own.",
    )
    suite: str = Field("default", description="Id of the suite, so that two do not disturb.")

    @property
    def commit_root(self) -> Path:
        """Directory in memory that holds the commits of this agent's runs."""
        return _SHARED_MEMORY / f"aimass-{self.suite}" / self.agent_id

    def warm_environment(self) -> dict[str, str]:
        """Returns the environment of the process that forks workers, which call no service."""
        threads = dict.fromkeys(_THREAD_VARIABLES, str(self.agent_threads))
        environment = {**_WARM_ENVIRONMENT, **os.environ, **threads}
        environment.pop("AIMASS_TOKEN", None)
        return environment


def interface_of(address: str) -> str:
    """Returns the network interface that has an address or a name's address; `lo` where none has.

    Raises:
        OSError: The name cannot be resolved.
    """
    numbers = {found[4][0] for found in socket.getaddrinfo(address, None)}
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address in numbers for entry in addresses):
            return name
    return "lo"
