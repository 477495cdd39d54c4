"""Settings of the processes that train."""

from pathlib import Path

from pydantic import Field

from common.config import Settings


class WorkerSettings(Settings):
    """Settings of a worker, `AIMASS_<FIELD>` in the environment."""

    cache_dir: Path = Field(
        Path("~/.cache/aimass/datasets"),
        description="Directory of decoded data sets, shared by all workers of the host.",
    )
    agent_threads: int = Field(1, ge=1, description="Threads each worker computes with.")
    agent_devices: tuple[str, ...] = Field(
        (),
        description="Accelerators of this host as a JSON list; workers take them in turn. Without "
        "any they compute on the processor.",
    )
